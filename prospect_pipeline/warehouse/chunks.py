"""A training query, run by DuckDB chunk by chunk.

The first steps run once over all events: they leave a narrow table of every event of the visitors
wanted, in order of visitor and moment, which DuckDB spills to disk where the memory limit says so.
The rest runs over some visitors at a time, so that its windows stay in memory and in the caches,
the cost per event stays the same however many there are, and progress can be shown.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import duckdb
import pyarrow as pa

from prospect_pipeline.attributes.sql import TrainingQuery
from prospect_pipeline.warehouse.base import Progress

CHUNK_ROWS = 400_000
MOST_AT_ONCE = 4
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
        self._rests: dict[int, str] = {}
        self.progress = progress
        self.chunk_rows = chunk_rows

    def prepare(self) -> None:
        """Run the first steps."""
        copies, *_ = self.query.first()
        self._create("TEMP TABLE copies", copies[1])
        if not self.connection.execute("SELECT 1 FROM copies LIMIT 1").fetchall():
            self.query = replace(self.query, unique=True)
        for title, statement in self.query.first():
            if title == "events":
                self._create("TEMP VIEW events", statement)
            elif title == "visitors":
                self._create("TABLE all_visitors", statement)
                self._create("TEMP VIEW visitors", "SELECT * FROM all_visitors")
            elif title == "flagged":
                ordered = f"SELECT * FROM ({statement}) ORDER BY k, ts, event_id"
                self._create("TABLE all_flagged", ordered)
                self._create("TEMP VIEW flagged", "SELECT * FROM all_flagged")
            elif title != "copies":
                self._create(f"TEMP TABLE {title}", statement)

    def audit(self) -> dict[str, int]:
        """Return how many events became no anchor, by reason; before `tables`."""
        counted = self.connection.execute(self.query.audit(whole=False)).fetchall()
        return {reason: count for reason, count in counted if count}

    def tables(self) -> Iterator[pa.Table]:
        """Yield the training rows in order, some visitors at a time; at least one table."""
        chunks = self._chunks() or [Chunk(0, 0, 1, 0)]
        total, done, said = sum(chunk.rows for chunk in chunks), 0, time.monotonic()
        # Most steps of a chunk are too small for all cores, so a few chunks run side by side.
        at_once = min(max(self._threads() // 2, 1), MOST_AT_ONCE)
        with ThreadPoolExecutor(at_once) as pool:
            running: deque[tuple[Chunk, Future[pa.Table]]] = deque()
            while chunks or running:
                while chunks and len(running) <= at_once:
                    chunk = chunks.pop(0)
                    running.append((chunk, pool.submit(self._table, chunk)))
                chunk, built = running.popleft()
                yield built.result()
                done += chunk.rows
                if time.monotonic() - said >= SAY_EVERY:
                    said = time.monotonic()
                    self.progress(f"{done:,} of {total:,} events ({done / total:.0%})")

    def _table(self, chunk: Chunk) -> pa.Table:
        """Run the rest over one chunk, on a connection of its own."""
        within = f"WHERE k BETWEEN {chunk.first} AND {chunk.last}"
        with self.connection.cursor() as own:
            # Tables, not views: DuckDB then knows how many rows there are, and joins accordingly.
            own.execute(
                f"CREATE TEMP TABLE placed AS SELECT *, rowid AS r FROM memory.all_flagged {within}"
            )
            own.execute(f"CREATE TEMP TABLE visitors AS SELECT * FROM memory.all_visitors {within}")
            return own.sql(self._rest(chunk.heaviest)).to_arrow_table()

    def _rest(self, heaviest: int) -> str:
        bits = heaviest.bit_length()
        if bits not in self._rests:
            self._rests[bits] = self.query.rest((1 << bits) - 1)
        return self._rests[bits]

    def _threads(self) -> int:
        [(threads,)] = self.connection.execute("SELECT current_setting('threads')").fetchall()
        return int(threads)

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
        self.connection.execute(f"CREATE {what} AS {statement}")
