"""Files of atomic events, read by DuckDB into one shape.

CSV, gzipped CSV and Parquet; upper- or lower-case columns; JSON columns as text or nested types;
timestamps without a zone are UTC. Whatever cannot be used is an EventsError that says why.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import duckdb

from prospect_pipeline.attributes.expressions import literal, name
from prospect_pipeline.attributes.properties import column_type, is_event_column
from prospect_pipeline.errors import EventsError
from prospect_pipeline.warehouse.journal import SQL_TYPES, pending, read_segments

REQUIRED = ("event_id", "derived_tstamp", "event_name", "event_vendor", "event_version")
READERS = {
    ".csv": "read_csv({}, header = true, all_varchar = true)",
    ".csv.gz": "read_csv({}, header = true, all_varchar = true)",
    ".parquet": "read_parquet({}, union_by_name = true)",
}


class EventFile:
    """A file (or folder of Parquet files) of atomic events, seen through a DuckDB connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path, key_column: str) -> None:
        self.connection = connection
        self.path = path
        self.scan = self._folder() if path.is_dir() else _scan(path)
        self.columns = self._describe()
        self._check((*REQUIRED, key_column))

    def create_view(self, view: str, columns: Collection[str] | None = None) -> None:
        """Show the events as a view with canonical names and types.

        ``columns`` that the file lacks are null; None takes all event columns of the file.
        """
        wanted = sorted(columns) if columns is not None else sorted(self.columns)
        shown = ", ".join(f"{self._canonical(column)} AS {name(column)}" for column in wanted)
        self._run(f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT {shown} FROM {self.scan}")
        self._check_values(view)

    def _folder(self) -> str:
        """Return what a folder holds: Parquet files, and events that were collected lately."""
        parts = []
        files = sorted(self.path.glob("*.parquet"))
        segments = pending(self.path, files)
        if files:
            listed = f"[{', '.join(literal(str(file)) for file in files)}]"
            parts.append(f"SELECT * FROM {READERS['.parquet'].format(listed)}")
        if segments and (lately := read_segments(self.connection, segments)):
            parts.append(lately)
        if not parts:
            raise EventsError(
                f"{self.path} holds no events: neither Parquet files nor any that were collected.",
                "Load a file with --events, or send some to the local Signals.",
            )
        return f"({' UNION ALL BY NAME '.join(parts)}) AS events"

    def _describe(self) -> dict[str, tuple[str, str]]:
        """Return the file's event columns: canonical name to (own name, DuckDB type)."""
        columns: dict[str, tuple[str, str]] = {}
        for own, type_, *_ in self._run(f"DESCRIBE SELECT * FROM {self.scan}"):
            canonical = own.strip().lower()
            columns[canonical] = (own, type_)
        return {c: known for c, known in columns.items() if is_event_column(c) or c in REQUIRED}

    def _check(self, required: tuple[str, ...]) -> None:
        missing = [column for column in required if column not in self.columns]
        if missing:
            raise EventsError(
                f"{self.path} lacks the required column(s) {', '.join(missing)}; it has "
                f"{', '.join(sorted(self.columns)) or 'none of the atomic columns'}. Export "
                "Snowplow's atomic events with at least these columns."
            )

    def _check_values(self, view: str) -> None:
        own, type_ = self.columns["derived_tstamp"]
        bad = f"{name(own)} IS NOT NULL AND {self._canonical('derived_tstamp')} IS NULL"
        [(rows, unreadable, example)] = self._run(
            f"SELECT COUNT(*), COUNT_IF({bad}), ANY_VALUE(CAST({name(own)} AS VARCHAR)) "
            f"FILTER (WHERE {bad}) FROM {self.scan}"
            if type_ == "VARCHAR"
            else f"SELECT COUNT(*), 0, NULL FROM {view}"
        )
        if not rows:
            raise EventsError(f"{self.path} holds no events; give a file with at least one.")
        if unreadable:
            raise EventsError(
                f"{self.path}: {unreadable} of {rows} values of derived_tstamp are no timestamps, "
                f"such as '{example}'; write them like 2026-05-01 12:00:00.000."
            )

    def _canonical(self, column: str) -> str:
        type_ = column_type(column)
        if column not in self.columns:
            return f"CAST(NULL AS {SQL_TYPES[type_]})"
        own, stored = self.columns[column]
        quoted = name(own)
        if type_ == "json":
            if stored == "VARCHAR":
                return f"CASE WHEN JSON_VALID({quoted}) THEN {quoted} END"
            return f"CAST(TO_JSON({quoted}) AS VARCHAR)"
        if type_ == "timestamp" and stored == "VARCHAR":
            return f"CAST(TRY_CAST({quoted} AS TIMESTAMPTZ) AS TIMESTAMP)"
        if type_ in ("text", "timestamp"):
            return f"CAST({quoted} AS {SQL_TYPES[type_]})"
        return f"TRY_CAST({quoted} AS {SQL_TYPES[type_]})"

    def _run(self, query: str) -> list[tuple[str, ...]]:
        try:
            return self.connection.execute(query).fetchall()  # type: ignore[no-any-return]
        except duckdb.Error as error:
            reason = str(error).strip().splitlines()[0]
            raise EventsError(
                f"{self.path} cannot be read ({reason}). Expected atomic events as CSV, gzipped "
                "CSV or Parquet."
            ) from None


def _scan(path: Path) -> str:
    if not path.exists():
        raise EventsError(f"{path} does not exist; give a file of atomic events.")
    if path.stat().st_size == 0:
        raise EventsError(f"{path} is empty; give a file with at least one event.")
    for ending, reader in READERS.items():
        if path.name.lower().endswith(ending):
            return reader.format(literal(str(path)))
    raise EventsError(
        f"{path} is none of {', '.join(READERS)}; convert it, or name it by what it is."
    )
