"""Whether two training sets are the same: short digests of the definition and of the rows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

import duckdb
import pyarrow as pa

from prospect_pipeline.attributes.anchors import EPOCH
from prospect_pipeline.attributes.sql import TrainingQuery


@dataclass(frozen=True)
class Fingerprint:
    """Short digests: equal ones mean the same definition, the same rows, and both.

    The definition is the query without what differs from run to run: as-of, and where the events
    are. Rows are told by their values. So the digests are the same from every warehouse, and an
    event that changes no row changes nothing.
    """

    definition: str
    data: str
    both: str

    @classmethod
    def of(cls, query: TrainingQuery, rows: int, hashes: int) -> Fingerprint:
        """Return that of a query's rows; ``hashes`` is the sum of `row_hashes` over their parts."""
        definition, data = _defined(query), f"{rows}:{hashes}"
        return cls(_digest(definition), _digest(data), _digest(json.dumps([definition, data])))


def row_hashes(connection: duckdb.DuckDBPyConnection, rows: pa.Table) -> int:
    """Return the sum of the rows' hashes: the same in any order, and in any parts together."""
    with connection.cursor() as own:
        own.register("hashed_rows", rows)
        [(found,)] = own.execute("SELECT SUM(HASH(*COLUMNS(*))) FROM hashed_rows").fetchall()
    return int(found or 0)


def _defined(query: TrainingQuery) -> str:
    return replace(
        query,
        anchoring=replace(query.anchoring, as_of=EPOCH),
        source="atomic_events",
        anchors=query.anchors and "anchors",
        dialect="duckdb",
    ).text()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
