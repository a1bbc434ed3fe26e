"""DuckDB, the embedded warehouse: training sets from files of atomic events."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from prospect_pipeline.attributes.expressions import literal, moment
from prospect_pipeline.attributes.plan import needed_columns
from prospect_pipeline.attributes.properties import key_source
from prospect_pipeline.attributes.sql import TrainingQuery
from prospect_pipeline.errors import EventsError
from prospect_pipeline.settings import DataSettings
from prospect_pipeline.warehouse.anchors import read_anchors
from prospect_pipeline.warehouse.base import (
    DatasetFacts,
    DatasetRequest,
    EventSpan,
    Progress,
    TrainingSet,
    just_after,
    output_schema,
    require_rows,
    silent,
)
from prospect_pipeline.warehouse.chunks import ChunkedBuild
from prospect_pipeline.warehouse.files import EventFile
from prospect_pipeline.warehouse.fingerprint import Fingerprint, row_hashes
from prospect_pipeline.warehouse.tables import table_writer
from prospect_pipeline.writing import whole_file


@contextmanager
def connect() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a private in-memory DuckDB that speaks UTC and may spill to a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="prospect-duckdb-") as spill:
        limit = DataSettings.load().memory_limit
        connection = duckdb.connect(config={"temp_directory": spill, "memory_limit": limit})
        try:
            connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            yield connection
        finally:
            connection.close()


def embedded_events(data: DataSettings) -> Path:
    """Return the folder where the embedded warehouse, and the local Signals, keep their events."""
    return data.root / "events"


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

    def training_set(self, request: DatasetRequest, progress: Progress = silent) -> TrainingSet:
        """Build a training set in memory; raises EventsError, AnchorsError or DefinitionError."""
        parts: list[pa.Table] = []
        facts = self._build(request, parts.append, progress)
        return TrainingSet(**vars(facts), table=pa.concat_tables(parts))

    def write_training_set(
        self, request: DatasetRequest, out: Path, progress: Progress = silent
    ) -> DatasetFacts:
        """Build a training set of any size into a Parquet or CSV file: whole, or not at all."""
        with table_writer(out) as writer, ThreadPoolExecutor(max_workers=1) as pool:
            writing: list[Future[None]] = []

            def write(part: pa.Table) -> None:
                """Write while the next part is built; one part waits at most."""
                for unfinished in writing:
                    unfinished.result()
                writing[:] = [pool.submit(writer.write_table, part)]

            facts = self._build(request, write, progress)
            writing[0].result()
        return facts

    def _build(
        self, request: DatasetRequest, take: Callable[[pa.Table], None], progress: Progress
    ) -> DatasetFacts:
        with connect() as connection:
            key = key_source(request.group.attribute_key).column
            events = EventFile(connection, self.events, key)
            events.create_view("atomic_events", ["derived_tstamp"])
            span = _span(connection, self.events)
            as_of = request.settings.as_of_moment or just_after(
                span, lambda until: _span(connection, self.events, until)
            )
            anchoring = request.anchoring(as_of).over(events.columns)
            events.create_view("atomic_events", needed_columns(request.group, anchoring))
            own = read_anchors(connection, request)
            query = TrainingQuery(request.group, anchoring, request.features, anchors=own)
            build = ChunkedBuild(connection, query, progress)
            progress(f"Reading {span.events:,} events ...")
            build.prepare()
            dropped = build.audit()
            rows = positives = hashes = 0
            schema = output_schema(query)
            for found in build.tables():
                part = found.cast(schema)
                take(part)
                rows += part.num_rows
                positives += pc.sum(pc.equal(part.column("label"), 1)).as_py() or 0
                hashes += row_hashes(connection, part)
            if own is None:
                require_rows(rows, anchoring, span)
            return DatasetFacts(
                rows,
                positives,
                query,
                anchoring,
                span,
                dropped,
                Fingerprint.of(query, rows, hashes),
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


def write_parquet(connection: duckdb.DuckDBPyConnection, query: str, out: Path) -> None:
    """Write a query's rows as Parquet in one step: whole, or not at all."""
    with whole_file(out) as unfinished:
        connection.execute(
            f"COPY ({query}) TO {literal(str(unfinished))} "
            "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20000)"
        )
