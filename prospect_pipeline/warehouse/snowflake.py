"""Snowflake: the atomic events live there, and the training set is built there.

The whole query is pushed down: its result becomes a table in the user's schema, and only that
table's rows travel, as Arrow. Names come back in upper case; columns are told by their place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
from snowflake.connector.errors import Error, OperationalError

from prospect_pipeline.attributes.expressions import moment, name
from prospect_pipeline.attributes.plan import needed_columns
from prospect_pipeline.attributes.properties import ColumnType, column_type, key_source
from prospect_pipeline.attributes.sql import TrainingQuery
from prospect_pipeline.errors import EventsError, WarehouseUnavailable
from prospect_pipeline.warehouse.anchors import read_anchors
from prospect_pipeline.warehouse.base import (
    DatasetRequest,
    EventSpan,
    Progress,
    TrainingSet,
    just_after,
    output_schema,
    require_rows,
    silent,
)
from prospect_pipeline.warehouse.duckdb import connect as connect_duckdb
from prospect_pipeline.warehouse.files import REQUIRED
from prospect_pipeline.warehouse.fingerprint import Fingerprint, row_hashes

Connect = Callable[[], AbstractContextManager[Any]]

ANCHORS_TABLE = "PROSPECT_ANCHORS"
ANCHORS_AT_ONCE = 1_000
TYPES: dict[ColumnType, str] = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "float": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP_NTZ(6)",
    "json": "VARIANT",
}


class SnowflakeWarehouse:
    """A table of Snowplow's atomic events, reached by connections that ``connect`` opens.

    ``result`` is the table, in the connection's own schema, that a training set is built as. It
    takes the place of the last one in one step: ``CREATE OR REPLACE TABLE`` is atomic (Snowflake's
    documentation of CREATE TABLE), so a query that fails leaves the last one as it was.
    """

    name = "Snowflake"

    def __init__(self, connect: Connect, table: str, result: str) -> None:
        self.connect = connect
        self.table = table
        self.result = result

    @property
    def place(self) -> str:
        """Where the events are."""
        return self.table

    def span(self, until: datetime | None = None) -> EventSpan:
        """Return what events there are (up to a moment); raises EventsError for none."""
        with self._connected() as connection:
            return self._span(connection, until)

    def columns(self) -> set[str]:
        """Return the table's columns in lower case; raises EventsError where it is not to be read.

        Nothing is read of the table but what it is called.
        """
        with self._connected() as connection:
            return _columns(connection, self.table)

    def training_set(self, request: DatasetRequest, progress: Progress = silent) -> TrainingSet:
        """Build a training set; raises EventsError, AnchorsError or DefinitionError."""
        with self._connected() as connection:
            span = self._span(connection, None)
            as_of = request.settings.as_of_moment or just_after(
                span, lambda until: self._span(connection, until)
            )
            there = self._whole(_columns(connection, self.table), request)
            anchoring = request.anchoring(as_of).over(there)
            query = TrainingQuery(
                request.group,
                anchoring,
                request.features,
                source=self._source(needed_columns(request.group, anchoring), there),
                anchors=self._upload_anchors(connection, request),
                dialect="snowflake",
            )
            sql = query.whole()
            # What a check asks about moments of its own leaves the training set as it is.
            kind, result = "TABLE", self.result
            if request.anchors is not None:
                kind, result = "TEMPORARY TABLE", f"{self.result}_CHECK"
            progress(f"Building {result} from {span.events:,} events in Snowflake ...")
            built = _run(connection, f"CREATE OR REPLACE {kind} {result} AS {sql}")
            progress(f"Query {built.sfqid}: built. Fetching its rows ...")
            table = self._fetch(connection, query, result)
            if query.anchors is None:
                require_rows(table.num_rows, anchoring, span)
            dropped = dict(_run(connection, query.audit()).fetchall())
            with connect_duckdb() as local:
                hashes = row_hashes(local, table)
            return TrainingSet(
                rows=table.num_rows,
                positives=pc.sum(pc.equal(table.column("label"), 1)).as_py() or 0,
                query=query,
                anchoring=anchoring,
                span=span,
                dropped={reason: int(count) for reason, count in dropped.items() if count},
                fingerprint=Fingerprint.of(query, table.num_rows, hashes),
                notes=(f"Built in Snowflake as {result} by query {built.sfqid}.",),
                table=table,
            )

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        """Open a connection; raises WarehouseUnavailable where the network or Snowflake fails."""
        try:
            with self.connect() as connection:
                yield connection
        except OperationalError as error:
            raise WarehouseUnavailable(
                f"Snowflake does not answer (query {error.sfqid or 'without an id'}): {error.msg}",
                "Check SNOWFLAKE_ACCOUNT, the network and Snowflake's status, then run this again.",
            ) from None

    def _span(self, connection: Any, until: datetime | None) -> EventSpan:
        within = f" WHERE derived_tstamp <= {_moment(until)}" if until else ""
        [(events, first, last)] = _run(
            connection,
            f"SELECT COUNT(*), MIN(derived_tstamp), MAX(derived_tstamp) FROM {self.table}{within}",
        ).fetchall()
        if not events or first is None:
            raise EventsError(
                f"{self.table} holds no events with a derived_tstamp"
                f"{f' up to {until.isoformat()}' if until else ''}."
            )
        return EventSpan(events, _utc(first), _utc(last))

    def _whole(self, there: set[str], request: DatasetRequest) -> set[str]:
        """Return the table's columns; raises EventsError where a required one is missing."""
        required = (*REQUIRED, key_source(request.group.attribute_key).column)
        missing = [column for column in required if column not in there]
        if missing:
            raise EventsError(
                f"{self.table} lacks the required column(s) {', '.join(missing)}; it has "
                f"{', '.join(sorted(there))}. Check ATOMIC_TABLE."
            )
        return there

    def _source(self, wanted: set[str], there: set[str]) -> str:
        """Return the events as a query: columns that the table lacks are null."""
        columns = []
        for column in sorted(wanted):
            kind = TYPES[column_type(column)]
            if column not in there:
                columns.append(f"CAST(NULL AS {kind}) AS {column}")
            elif kind == "VARIANT":
                columns.append(column)
            else:
                columns.append(f"CAST({column} AS {kind}) AS {column}")
        return f"(SELECT {', '.join(columns)} FROM {self.table}) AS atomic_events"

    def _upload_anchors(self, connection: Any, request: DatasetRequest) -> str | None:
        """Put the user's own anchors into a temporary table; returns its name."""
        with connect_duckdb() as local:
            view = read_anchors(local, request)
            if view is None:
                return None
            rows = local.execute(f"SELECT key, anchor_ts, label FROM {view}").fetchall()
        _run(
            connection,
            f"CREATE OR REPLACE TEMPORARY TABLE {ANCHORS_TABLE}"
            " (key VARCHAR, anchor_ts TIMESTAMP_NTZ(6), label INTEGER)",
        )
        for start in range(0, len(rows), ANCHORS_AT_ONCE):
            some = rows[start : start + ANCHORS_AT_ONCE]
            values = ", ".join("(%s, %s, %s)" for _ in some)
            given = [
                part for key, at, label in some for part in (key, at.isoformat(sep=" "), label)
            ]
            _run(connection, f"INSERT INTO {ANCHORS_TABLE} VALUES {values}", given)
        return ANCHORS_TABLE

    def _fetch(self, connection: Any, query: TrainingQuery, result: str) -> pa.Table:
        """Return the built table's rows; what is nested travels as JSON text."""
        schema = output_schema(query)
        names = [_stored(title) for title in schema.names]
        columns = [
            f"TO_JSON({stored}) AS {stored}" if pa.types.is_nested(field.type) else stored
            for stored, field in zip(names, schema, strict=True)
        ]
        order = [names[0], "anchor_ts"] + ([] if query.anchors else ["event_id"])
        found = _run(
            connection,
            f"SELECT {', '.join(columns)} FROM {result} ORDER BY {', '.join(order)}",
        )
        parts = [_cast(batch, schema) for batch in _batches(found)]
        return pa.concat_tables(parts) if parts else schema.empty_table()


def _columns(connection: Any, table: str) -> set[str]:
    described = _run(connection, f"SELECT * FROM {table} LIMIT 0").description
    return {column[0].lower() for column in described}


def _stored(title: str) -> str:
    """Return a column's name in the built table: quoted where the query has quoted it."""
    return title if title in ("anchor_ts", "event_id", "label", "weight") else name(title)


def _batches(found: Any) -> Iterator[pa.Table]:
    batches: Iterable[pa.Table] = found.fetch_arrow_batches()
    return (batch for batch in batches if batch.num_rows)


def _cast(batch: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give a batch the names and types of the training set, column by column."""
    columns = []
    for column, field in zip(batch.columns, schema, strict=True):
        if pa.types.is_nested(field.type):
            columns.append(pa.array(map(_decoded, column.to_pylist()), field.type))
        elif pa.types.is_timestamp(field.type):
            columns.append(column.cast(pa.timestamp("us")).cast(field.type))
        else:
            columns.append(column.cast(field.type))
    return pa.table(columns, schema=schema)


def _decoded(text: str | None) -> Any:
    value = None if text is None else json.loads(text)
    if isinstance(value, dict):  # an OBJECT keeps no order; the highest count comes first
        return sorted(value.items(), key=lambda pair: (-pair[1], pair[0]))
    return value


def _moment(at: datetime) -> str:
    return sqlglot.transpile(f"SELECT {moment(at)}", read="duckdb", write="snowflake")[0][7:]


def _run(connection: Any, query: str, given: list[Any] | None = None) -> Any:
    cursor = connection.cursor()
    try:
        return cursor.execute(query, given)
    except OperationalError:
        raise  # nothing was refused: the connection broke
    except Error as error:
        raise EventsError(
            f"Snowflake refused (query {error.sfqid or 'without an id'}): {error.msg}",
            "Check ATOMIC_TABLE, that SNOWFLAKE_ROLE may read it, and that it may create tables in "
            "SNOWFLAKE_SCHEMA.",
        ) from None


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
