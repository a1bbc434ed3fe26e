"""DuckDB, the embedded warehouse: training sets from files of atomic events."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from prospect_pipeline.attributes.anchors import Anchoring
from prospect_pipeline.attributes.expressions import literal, moment, name
from prospect_pipeline.attributes.plan import needed_columns
from prospect_pipeline.attributes.properties import key_source
from prospect_pipeline.attributes.sql import audit_query, training_query
from prospect_pipeline.errors import AnchorsError, EventsError
from prospect_pipeline.settings import DataSettings
from prospect_pipeline.warehouse.base import (
    DatasetRequest,
    EventSpan,
    TrainingSet,
    fingerprint,
    require_rows,
)
from prospect_pipeline.warehouse.files import READERS, EventFile
from prospect_pipeline.writing import whole_file


@contextmanager
def connect() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a private in-memory DuckDB that speaks UTC and may spill to a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="prospect-duckdb-") as spill:
        connection = duckdb.connect(config={"temp_directory": spill})
        try:
            connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            yield connection
        finally:
            connection.close()


def embedded_events(data: DataSettings) -> Path:
    """Return where the embedded warehouse, and the local Signals with it, keep their events."""
    return data.root / "events" / "atomic.parquet"


class DuckDBWarehouse:
    """Atomic events in a file, or in a folder of Parquet files."""

    name = "DuckDB"

    def __init__(self, events: Path) -> None:
        self.events = events

    @property
    def place(self) -> str:
        """Where the events are."""
        return str(self.events)

    def span(self, until: datetime | None = None) -> EventSpan:
        """Return what events there are (up to a moment); raises EventsError for none."""
        with connect() as connection:
            EventFile(connection, self.events, "event_id").create_view(
                "atomic_events", ["derived_tstamp"]
            )
            return _span(connection, self.events, until)

    def training_set(self, request: DatasetRequest) -> TrainingSet:
        """Build a training set; raises EventsError, AnchorsError or DefinitionError."""
        with connect() as connection:
            key = key_source(request.group.attribute_key).column
            events = EventFile(connection, self.events, key)
            events.create_view("atomic_events", needed_columns(request.group))
            span = _span(connection, self.events)
            as_of = request.settings.as_of_moment or span.last + timedelta(microseconds=1)
            anchoring = Anchoring.from_settings(
                request.settings, as_of, strictly_before=request.strictly_before
            ).over(events.columns)
            own = _read_anchors(connection, request) if request.anchors else None
            sql = training_query(request.group, anchoring, features=request.features, anchors=own)
            table = _utc(connection.sql(sql).to_arrow_table())
            if own is None:
                require_rows(table.num_rows, anchoring, span)
            audit = (
                {}
                if own
                else dict(connection.execute(audit_query(request.group, anchoring)).fetchall())
            )
            return TrainingSet(
                table=table,
                sql=sql,
                anchoring=anchoring,
                span=span,
                dropped={reason: count for reason, count in audit.items() if count},
                fingerprint=fingerprint(sql, _digest(connection)),
            )


def _span(
    connection: duckdb.DuckDBPyConnection, path: Path, until: datetime | None = None
) -> EventSpan:
    seen = f"WHERE derived_tstamp <= {moment(until)}" if until else ""
    [(events, first, last)] = connection.execute(
        f"SELECT COUNT(*), MIN(derived_tstamp), MAX(derived_tstamp) FROM atomic_events {seen}"
    ).fetchall()
    if first is None and until:
        raise EventsError(f"{path} holds no event up to {until.isoformat()}.")
    if first is None:
        raise EventsError(f"{path}: every derived_tstamp is null, so no event has a moment.")
    return EventSpan(events, first.replace(tzinfo=UTC), last.replace(tzinfo=UTC))


def _digest(connection: duckdb.DuckDBPyConnection) -> str:
    """Return a digest of the events that does not depend on their order."""
    [(digest,)] = connection.execute(
        "SELECT BIT_XOR(HASH(event_id, derived_tstamp)) || ':' || COUNT(*) FROM atomic_events"
    ).fetchall()
    return str(digest)


def _read_anchors(connection: duckdb.DuckDBPyConnection, request: DatasetRequest) -> str:
    """Show the user's own anchors as a view ``anchors`` (key, anchor_ts, label)."""
    path, key = request.anchors, str(request.group.attribute_key.name)
    assert path is not None
    reader = next((r for end, r in READERS.items() if path.name.lower().endswith(end)), None)
    if reader is None or not path.is_file():
        raise AnchorsError(f"{path} is no file of type {', '.join(READERS)}; give one.")
    scan = reader.format(literal(str(path)))
    try:
        own = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {scan}").fetchall()]
        columns = {column.lower(): name(column) for column in own}
        missing = [c for c in (key, "anchor_ts", "label") if c not in columns]
        if missing:
            raise AnchorsError(
                f"{path} lacks {', '.join(missing)}; it has {', '.join(own)}. Expected {key}, "
                "anchor_ts and label."
            )
        connection.execute(
            f"CREATE TEMP VIEW anchors AS SELECT CAST({columns[key]} AS VARCHAR) AS key, "
            f"CAST(CAST({columns['anchor_ts']} AS TIMESTAMPTZ) AS TIMESTAMP) AS anchor_ts, "
            f"CAST(CAST({columns['label']} AS BOOLEAN) AS INTEGER) AS label FROM {scan}"
        )
        [(nulls,)] = connection.execute(
            "SELECT COUNT(*) FROM anchors WHERE key IS NULL OR anchor_ts IS NULL"
        ).fetchall()
    except duckdb.Error as error:
        raise AnchorsError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    if nulls:
        raise AnchorsError(
            f"{path}: {nulls} anchors have a null {key} or anchor_ts; every anchor needs both."
        )
    return "anchors"


def _utc(table: pa.Table) -> pa.Table:
    """Say of the anchors' moments that they are UTC."""
    place = table.schema.get_field_index("anchor_ts")
    moments = table.column(place).cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
    return table.set_column(place, "anchor_ts", moments)


def write_parquet(connection: duckdb.DuckDBPyConnection, query: str, out: Path) -> None:
    """Write a query's rows as Parquet in one step: whole, or not at all."""
    with whole_file(out) as unfinished:
        connection.execute(
            f"COPY ({query}) TO {literal(str(unfinished))} "
            "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20000)"
        )
