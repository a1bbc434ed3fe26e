"""A training query, run by DuckDB chunk by chunk.

The first steps run once over all events: they leave a narrow table of every event of the visitors
wanted, in order of visitor and moment, which DuckDB spills to disk where the memory limit says so.
The rest runs over some visitors at a time, so that its windows stay in memory and in the caches,
the cost per event stays the same however many there are, and progress can be shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from prospect_pipeline.attributes.sql import TrainingQuery
from prospect_pipeline.warehouse.base import Progress

CHUNK_ROWS = 500_000
SAY_EVERY = 2.0


@dataclass(frozen=True)
class Chunk:
    """Visitors by number, from ``first`` to ``last``; the heaviest has so many rows."""

    first: int
    last: int
    heaviest: int
    rows: int


class ChunkedBuild:
    """One run of a training query over the events that its source names."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        query: TrainingQuery,
        progress: Progress,
        chunk_rows: int = CHUNK_ROWS,
    ) -> None:
        self.connection = connection
        self.query = query
        self.progress = progress
        self.chunk_rows = chunk_rows

    def prepare(self) -> None:
        """Run the first steps."""
        for title, statement in self.query.first():
            if title == "events":
                self._create("VIEW events", statement)
            elif title == "flagged":
                self._create("TABLE all_flagged", f"SELECT * FROM ({statement}) ORDER BY k, ts")
            elif title == "visitors":
                self._create("TABLE all_visitors", statement)
                self._create("VIEW visitors", "SELECT * FROM all_visitors")
            else:
                self._create(f"TABLE {title}", statement)
        self._create("VIEW flagged", "SELECT * FROM all_flagged")

    def audit(self) -> dict[str, int]:
        """Return how many events became no anchor, by reason; before `tables`."""
        counted = self.connection.execute(self.query.audit(whole=False)).fetchall()
        return {reason: count for reason, count in counted if count}

    def tables(self) -> Iterator[pa.Table]:
        """Yield the training rows in order, some visitors at a time; at least one table."""
        chunks = self._chunks() or [Chunk(0, 0, 1, 0)]
        total, done, said = sum(chunk.rows for chunk in chunks), 0, time.monotonic()
        for chunk in chunks:
            within = f"WHERE k BETWEEN {chunk.first} AND {chunk.last}"
            self._create("VIEW flagged", f"SELECT * FROM all_flagged {within}")
            self._create("VIEW visitors", f"SELECT * FROM all_visitors {within}")
            yield self.connection.sql(self.query.rest(chunk.heaviest)).to_arrow_table()
            done += chunk.rows
            if time.monotonic() - said >= SAY_EVERY:
                said = time.monotonic()
                self.progress(f"{done:,} of {total:,} events ({done / total:.0%})")

    def _chunks(self) -> list[Chunk]:
        found = self.connection.execute(
            f"""
            SELECT MIN(k), MAX(k), MAX(rows), SUM(rows)
            FROM (
              SELECT k, rows, (SUM(rows) OVER (ORDER BY k) - rows) // {self.chunk_rows} AS chunk
              FROM (SELECT k, COUNT(*) AS rows FROM all_flagged GROUP BY k) AS heavy
            ) AS placed GROUP BY chunk ORDER BY chunk"""
        ).fetchall()
        return [Chunk(*map(int, row)) for row in found]

    def _create(self, what: str, statement: str) -> None:
        self.connection.execute(f"CREATE OR REPLACE TEMP {what} AS {statement}")
