"""Snowflake: the atomic events live there, the training set is built from a copy of what it needs.

Only the columns that the attributes read travel, of the visitors' 60 days before as-of (all days
where the cohort is ``all``), as Arrow. The training set is then built as everywhere else, by the
same query on DuckDB, so that both warehouses give the same rows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from snowflake.connector import Error

from prospect_pipeline.attributes.expressions import moment
from prospect_pipeline.attributes.plan import needed_columns
from prospect_pipeline.attributes.properties import column_type
from prospect_pipeline.errors import EventsError
from prospect_pipeline.warehouse.base import (
    DatasetRequest,
    EventSpan,
    Progress,
    TrainingSet,
    silent,
)
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse

Connect = Callable[[], AbstractContextManager[Any]]


class SnowflakeWarehouse:
    """A table of Snowplow's atomic events, reached by connections that ``connect`` opens."""

    name = "Snowflake"

    def __init__(self, connect: Connect, table: str) -> None:
        self.connect = connect
        self.table = table

    @property
    def place(self) -> str:
        """Where the events are."""
        return self.table

    def span(self, until: datetime | None = None) -> EventSpan:
        """Return what events there are (up to a moment); raises EventsError for none."""
        seen = f"WHERE derived_tstamp <= {moment(until)}" if until else ""
        with self.connect() as connection:
            [(events, first, last)] = _run(
                connection,
                "SELECT COUNT(*), MIN(derived_tstamp), MAX(derived_tstamp) "
                f"FROM {self.table} {seen}",
            ).fetchall()
        if not events or first is None:
            raise EventsError(
                f"{self.table} holds no events with a derived_tstamp"
                f"{f' up to {until.isoformat()}' if until else ''}."
            )
        return EventSpan(events, _utc(first), _utc(last))

    def training_set(self, request: DatasetRequest, progress: Progress = silent) -> TrainingSet:
        """Build a training set; raises EventsError or DefinitionError."""
        as_of = request.settings.as_of_moment or self.span().last + timedelta(microseconds=1)
        anchoring = request.anchoring(as_of)
        since, _ = anchoring.window
        settings = request.settings.model_copy(update={"as_of": as_of.isoformat()})
        with tempfile.TemporaryDirectory(prefix="prospect-snowflake-") as folder:
            path = Path(folder) / "events.parquet"
            self._copy(path, needed_columns(request.group, anchoring), since, as_of)
            copied = DatasetRequest(
                request.group, settings, request.columns, request.anchors, request.strictly_before
            )
            return DuckDBWarehouse(path).training_set(copied, progress)

    def _copy(self, path: Path, wanted: set[str], since: datetime | None, as_of: datetime) -> None:
        """Copy the needed columns of the window's events to Parquet, batch by batch."""
        with self.connect() as connection:
            described = _run(connection, f"SELECT * FROM {self.table} LIMIT 0").description
            known = {column[0].lower() for column in described}
            columns = [_read(column) for column in sorted(wanted & known)]
            window = [f"derived_tstamp <= {moment(as_of)}"]
            if since is not None:
                window.append(f"derived_tstamp >= {moment(since)}")
            found = _run(
                connection,
                f"SELECT {', '.join(columns)} FROM {self.table} WHERE {' AND '.join(window)}",
            )
            writer: pq.ParquetWriter | None = None
            try:
                for batch in found.fetch_arrow_batches():
                    lower = batch.rename_columns([name.lower() for name in batch.column_names])
                    writer = writer or pq.ParquetWriter(path, lower.schema)
                    writer.write_table(lower.cast(writer.schema))
            finally:
                if writer is not None:
                    writer.close()
        if writer is None:
            raise EventsError(
                f"{self.table} holds no events from {since} until {as_of}. Move the cohort "
                "(PROSPECT_AS_OF, PROSPECT_COHORT), or check ATOMIC_TABLE."
            )


def _read(column: str) -> str:
    """Return a column so that Arrow can carry it: what is semi-structured as JSON text."""
    if column_type(column) == "json":
        return f"TO_JSON({column}) AS {column}"
    if column_type(column) == "timestamp":
        return f"CAST({column} AS TIMESTAMP_NTZ(6)) AS {column}"
    return column


def _run(connection: Any, query: str) -> Any:
    cursor = connection.cursor()
    try:
        return cursor.execute(query)
    except Error as error:
        raise EventsError(
            f"Snowflake refused (query {error.sfqid or 'without an id'}): {error.msg} Check "
            "ATOMIC_TABLE, and that SNOWFLAKE_ROLE may read it."
        ) from None


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
