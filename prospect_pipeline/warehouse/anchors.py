"""Files of the user's own anchors, read by DuckDB."""

from __future__ import annotations

import duckdb

from prospect_pipeline.attributes.expressions import literal, name
from prospect_pipeline.errors import AnchorsError
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.files import READERS


def read_anchors(connection: duckdb.DuckDBPyConnection, request: DatasetRequest) -> str | None:
    """Show the user's own anchors as a view ``anchors`` (key, anchor_ts, label), if there are any.

    Moments without a zone are UTC, others are converted. Returns the view's name; raises
    AnchorsError.
    """
    path, key = request.own_anchors, str(request.group.attribute_key.name)
    if path is None:
        return None
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
