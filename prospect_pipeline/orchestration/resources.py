"""What the assets reach outside of Dagster: opened when a run needs it, from the environment.

Nothing here knows what an asset does with it.
"""

from __future__ import annotations

import json
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq
from pydantic import PrivateAttr
from upath import UPath

from prospect_pipeline.registry.store import Registry
from prospect_pipeline.settings import (
    DataSettings,
    RegistrySettings,
    SignalsSettings,
    SnowflakeSettings,
    parse_moment,
)
from prospect_pipeline.signals.connection import Connection, connection
from prospect_pipeline.warehouse.base import Warehouse
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse, embedded_events
from prospect_pipeline.writing import whole_file

if TYPE_CHECKING:
    from prospect_pipeline.warehouse.snowflake import SnowflakeWarehouse

KEPT_SECONDS = 7 * 24 * 3600
PARENT_TAG, ROOT_TAG = "dagster/parent_run_id", "dagster/root_run_id"


class ScoringService(Protocol):
    """The running service that scores visitors."""

    def address(self) -> str | None:
        """Return where it is, None where none runs."""

    def score(self, address: str, domain_userid: str) -> dict[str, Any]:
        """Return its answer for a visitor, from which nothing follows, and its moment.

        Raises StackError where it gives none.
        """


class EventSource(Protocol):
    """Fills an embedded warehouse that has no events at all."""

    def fill_if_empty(self, say: Callable[[str], None]) -> bool:
        """Return whether it was empty and has been filled."""


class SignalsResource(dg.ConfigurableResource[Any]):
    """Snowplow Signals, or the local one."""

    def connect(self) -> Connection:
        """Return where Signals is; raises SignalsUnavailable where the local one does not run."""
        return connection(SignalsSettings.load(), DataSettings.load())


class WarehouseResource(dg.ConfigurableResource[Any]):
    """The warehouse that holds the atomic events."""

    _run_id: str | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Remember the run, for the warehouse's queries to name."""
        self._run_id = context.run.run_id if context.run else None

    def open(self) -> Warehouse:
        """Return the warehouse that the environment names; its queries name the Dagster run."""
        settings = SnowflakeSettings.load()
        if not settings.configured:
            return DuckDBWarehouse(self.events)
        return snowflake(settings, self._run_id)

    @property
    def events(self) -> Path:
        """The embedded warehouse's folder of events."""
        return embedded_events(DataSettings.load())


def snowflake(settings: SnowflakeSettings, run_id: str | None) -> SnowflakeWarehouse:
    """Return the warehouse over dagster-snowflake's own resource."""
    from dagster_snowflake import SnowflakeResource  # seconds to import, and seldom needed

    from prospect_pipeline.warehouse.snowflake import SnowflakeWarehouse

    given: dict[str, Any] = {}
    if settings.private_key_path is not None:
        given["private_key_path"] = str(settings.private_key_path.expanduser())
        if settings.private_key_password is not None:
            given["private_key_password"] = settings.private_key_password.get_secret_value()
    elif settings.password is not None:
        given["password"] = settings.password.get_secret_value()
    if settings.role:
        given["role"] = settings.role
    resource = SnowflakeResource(
        account=str(settings.account),
        user=str(settings.user),
        warehouse=settings.warehouse,
        database=settings.database,
        schema=settings.schema_,
        login_timeout=30,
        # The server ends a statement first; this is for a server that is gone.
        network_timeout=settings.statement_timeout + 60,
        additional_snowflake_connection_args={
            "session_parameters": {
                "QUERY_TAG": f"prospect_pipeline:{run_id or 'no run'}",
                "STATEMENT_TIMEOUT_IN_SECONDS": settings.statement_timeout,
                "TIMEZONE": "UTC",
                "DATE_OUTPUT_FORMAT": "YYYY-MM-DD",
            }
        },
        **given,
    )
    table, result = str(settings.atomic_table), settings.training_table
    return SnowflakeWarehouse(resource.get_connection, table, result)


class RegistryResource(dg.ConfigurableResource[Any]):
    """The model registry."""

    def open(self) -> Registry:
        """Return the registry that the environment names; raises RegistryError where it is away."""
        registry = Registry(RegistrySettings.load(), DataSettings.load())
        registry.check()
        return registry


class RunFiles(dg.UPathIOManager, ABC):
    """Values as files under the data directory, in which runs do not meet.

    A run reads what it wrote itself, whatever others write meanwhile; one that was executed again
    reads what the run before it wrote. A run without either reads the newest, which is the latest
    of those with the latest as-of: what looks back at an earlier day stays with its own run.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(base_path=UPath(DataSettings.load().root / folder))

    @abstractmethod
    def write(self, value: Any, path: Path) -> None:
        """Write a value."""

    @abstractmethod
    def read(self, path: Path) -> Any:
        """Read a value back."""

    @abstractmethod
    def as_of(self, path: Path) -> str | None:
        """Return of which moment a value is, None where it does not say so."""

    def dump_to_path(self, context: dg.OutputContext, obj: Any, path: UPath) -> None:
        """Write a value, the run's own and then the newest, each in one step."""
        newest = Path(str(path))
        own = _of_run(newest, context.step_context.run_id)
        with whole_file(own) as unfinished:
            self.write(obj, unfinished)
        if not self._looks_back(own, newest):
            with whole_file(newest) as unfinished:
                shutil.copyfile(own, unfinished)
        _forget_old_runs(own.parent.parent)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> Any:
        """Read a value back; raises Failure, which no retry mends, where no run has left one."""
        newest, step = Path(str(path)), context.step_context
        for run_id in _ancestry(step.instance, step.dagster_run):
            if _of_run(newest, run_id).exists():
                return self.read(_of_run(newest, run_id))
        if not newest.exists():
            raise dg.Failure(
                f"There is no {newest.stem} yet. Materialize it first, or all of them in one run "
                "(the job `retrain`).",
                allow_retries=False,
            )
        return self.read(newest)

    def _looks_back(self, own: Path, newest: Path) -> bool:
        """Return whether a value is of an earlier as-of than the newest.

        A newest from the future was a mistake, and would stand in the way until then.
        """
        if not newest.exists():
            return False
        moments = [self.as_of(path) for path in (own, newest)]
        mine, other = (parse_moment(moment) if moment else None for moment in moments)
        return bool(mine and other and mine < other <= datetime.now(UTC))


def _of_run(newest: Path, run_id: str) -> Path:
    return newest.parent / "runs" / run_id / newest.name


def _ancestry(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[str]:
    """Yield the id of a run, then of the runs that it executes again, the latest first."""
    yield run.run_id
    parent = run.tags.get(PARENT_TAG)
    while parent:
        yield parent
        known = instance.get_run_by_id(parent)
        parent = known.tags.get(PARENT_TAG) if known else None
    if ROOT_TAG in run.tags:  # one between may have been deleted in Dagster
        yield run.tags[ROOT_TAG]


def _forget_old_runs(runs: Path) -> None:
    """Remove what runs wrote so long ago that none of them is still going on."""
    for folder in runs.iterdir():
        with suppress(FileNotFoundError):  # another run has just removed it
            if time.time() - folder.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


class ParquetFrames(RunFiles):
    """Data frames as Parquet, with what they carry in ``attrs``."""

    extension: str | None = ".parquet"

    def write(self, value: pd.DataFrame, path: Path) -> None:
        """Write a frame."""
        value.to_parquet(path, index=False)

    def read(self, path: Path) -> pd.DataFrame:
        """Read a frame back."""
        return pd.read_parquet(path)

    def as_of(self, path: Path) -> str | None:
        """Return the frame's own, which it carries in ``attrs``, without reading its rows."""
        carried: dict[str, Any] = pq.read_schema(path).pandas_metadata or {}
        as_of: str | None = carried.get("attributes", {}).get("as_of")
        return as_of


class JsonValues(RunFiles):
    """Small values as JSON; Dagster's own way is pickle, and one file for all runs."""

    extension: str | None = ".json"

    def write(self, value: Any, path: Path) -> None:
        """Write a value."""
        path.write_text(json.dumps(value), encoding="utf-8")

    def read(self, path: Path) -> Any:
        """Read a value back."""
        return json.loads(path.read_text(encoding="utf-8"))

    def as_of(self, path: Path) -> str | None:
        """Return the one that stands among the values."""
        kept = self.read(path)
        return kept.get("as_of") if isinstance(kept, dict) else None


@dg.io_manager(description="Data frames as Parquet under the data directory.")
def parquet_frames() -> ParquetFrames:
    """Return the IO manager; a function, so that the environment is read when a run starts."""
    return ParquetFrames("frames")


@dg.io_manager(description="Small values as JSON under the data directory.")
def json_values() -> JsonValues:
    """Return the IO manager; a function, so that the environment is read when a run starts."""
    return JsonValues("values")
