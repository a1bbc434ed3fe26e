"""Events that were collected lately: lines of JSON beside a folder's Parquet files.

The local Signals writes an event as one line, ``{"column": value, ...}``: moments as text in UTC,
JSON columns as text, columns that are null left out. A segment ``journal/000001.jsonl`` becomes
``live-000001.parquet`` once it is long; where both are there, the Parquet file counts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import duckdb

from prospect_pipeline.attributes.expressions import literal, name
from prospect_pipeline.attributes.properties import ColumnType, column_type, is_event_column

FOLDER = "journal"
SQL_TYPES: dict[ColumnType, str] = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "float": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP",
    "json": "VARCHAR",
}


def sealed(folder: Path, segment: Path) -> Path:
    """Return the Parquet file that a segment becomes."""
    return folder / f"live-{segment.stem}.parquet"


def pending(folder: Path, files: Collection[Path]) -> list[Path]:
    """Return the segments with events that none of these Parquet files of the folder holds."""
    return [
        segment
        for segment in sorted((folder / FOLDER).glob("*.jsonl"))
        if segment.stat().st_size and sealed(folder, segment) not in files
    ]


def read_segments(connection: duckdb.DuckDBPyConnection, segments: Sequence[Path]) -> str | None:
    """Return a query of the segments' events, typed as the atomic events are; None for none.

    A line that is still being written is left out, and so is one that is no event.
    """
    paths = ", ".join(literal(str(segment)) for segment in segments)
    lines = f"read_ndjson_objects([{paths}], ignore_errors = true)"
    found = connection.execute(
        f"SELECT DISTINCT UNNEST(JSON_KEYS(json)) AS key FROM {lines} ORDER BY key"
    ).fetchall()
    columns = [column for (column,) in found if is_event_column(column)]
    if not columns:
        return None
    shown = ", ".join(
        f"CAST(json ->> {literal(f'$.{column}')} AS {SQL_TYPES[column_type(column)]})"
        f" AS {name(column)}"
        for column in columns
    )
    return f"SELECT {shown} FROM {lines} WHERE JSON_EXISTS(json, '$.event_id')"
