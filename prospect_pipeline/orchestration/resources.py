"""What the assets reach outside of Dagster: opened when a run needs it, from the environment.

Nothing here knows what an asset does with it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import dagster as dg
import pandas as pd
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

    def open(self) -> Warehouse:
        """Return the warehouse that the environment names."""
        settings = SnowflakeSettings.load()
        if not settings.configured:
            return DuckDBWarehouse(self.events)
        return _snowflake(settings)

    @property
    def events(self) -> Path:
        """The embedded warehouse's file of events."""
        return embedded_events(DataSettings.load())


def _snowflake(settings: SnowflakeSettings) -> Warehouse:
    """Return the warehouse over dagster-snowflake's own resource."""
    from dagster_snowflake import SnowflakeResource  # seconds to import, and seldom needed

    from prospect_pipeline.warehouse.snowflake import SnowflakeWarehouse

    given: dict[str, Any] = {}
    if settings.private_key_path is not None:
        given["private_key_path"] = str(settings.private_key_path.expanduser())
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
        network_timeout=600,
        **given,
    )
    return SnowflakeWarehouse(resource.get_connection, str(settings.atomic_table))


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
