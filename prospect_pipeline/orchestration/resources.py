"""What the assets reach outside of Dagster: opened when a run needs it, from the environment.

Nothing here knows what an asset does with it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import dagster as dg
import pandas as pd
from pydantic import PrivateAttr
from upath import UPath

from prospect_pipeline.registry.store import Registry
from prospect_pipeline.settings import (
    DataSettings,
    RegistrySettings,
    SignalsSettings,
    SnowflakeSettings,
)
from prospect_pipeline.signals.connection import Connection, connection
from prospect_pipeline.warehouse.base import Warehouse
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse, embedded_events
from prospect_pipeline.writing import whole_file


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
        return _snowflake(settings, self._run_id)

    @property
    def events(self) -> Path:
        """The embedded warehouse's folder of events."""
        return embedded_events(DataSettings.load())


def _snowflake(settings: SnowflakeSettings, run_id: str | None) -> Warehouse:
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


class ParquetFrames(dg.UPathIOManager):
    """Data frames as Parquet under the data directory, with what they carry in ``attrs``."""

    extension: str | None = ".parquet"

    def __init__(self) -> None:
        super().__init__(base_path=UPath(DataSettings.load().root / "frames"))

    def dump_to_path(self, context: dg.OutputContext, obj: pd.DataFrame, path: UPath) -> None:
        """Write a frame in one step."""
        with whole_file(Path(str(path))) as unfinished:
            obj.to_parquet(unfinished, index=False)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> pd.DataFrame:
        """Read a frame back."""
        return pd.read_parquet(Path(str(path)))


@dg.io_manager(description="Data frames as Parquet under the data directory.")
def parquet_frames() -> ParquetFrames:
    """Return the IO manager; a function, so that the environment is read when a run starts."""
    return ParquetFrames()
