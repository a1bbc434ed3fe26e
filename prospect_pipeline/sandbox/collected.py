"""The store of a running local Signals: events go in one by one, durable before they are known."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

import duckdb

from prospect_pipeline.attributes.selection import AtomicEvent
from prospect_pipeline.sandbox.journal import Journal, cut_torn_end
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.sandbox.tail import Tail, to_line
from prospect_pipeline.settings import DataSettings
from prospect_pipeline.warehouse.duckdb import connect, write_parquet
from prospect_pipeline.warehouse.journal import FOLDER, pending, read_segments, sealed
from prospect_pipeline.writing import sync

_log = logging.getLogger(__name__)

SEGMENT_EVENTS = 20_000


class CollectedEvents(EventStore):
    """An event store with a journal of its own; one process at a time may have it open."""

    def __init__(self, data: DataSettings, segment_events: int = SEGMENT_EVENTS) -> None:
        super().__init__(data)
        self.segment_events = segment_events
        done = [int(path.stem.removeprefix("live-")) for path in self.folder.glob("live-*.parquet")]
        self.journal = Journal(self.folder / FOLDER, max(done, default=0) + 1)
        for number in self.journal.numbers():
            cut_torn_end(self.journal.path(number))
        self._arriving: dict[str, Future[None]] = {}
        self._awaited: tuple[Future[None], asyncio.Future[None]] | None = None
        self._sealing: asyncio.Task[None] | None = None
        self._own = Tail()
        self._read_again()

    async def append(
        self,
        events: Sequence[AtomicEvent],
        on_stored: Callable[[Sequence[AtomicEvent]], object] = lambda _: None,
    ) -> list[AtomicEvent]:
        """Store events; returns those that are new, once they are on the disk.

        ``on_stored`` is told of these just before readers find them, so that it still sees what was
        before. A copy of one that is on its way waits for it. Raises OSError, and then keeps none.
        """
        self._forget_replaced()
        new = {e["event_id"]: e for e in reversed(events) if e["event_id"] not in self._ids}
        waits = {id(w): w for e in events if (w := self._arriving.get(e["event_id"])) is not None}
        if new:
            written = self.journal.append([to_line(event) for event in reversed(new.values())])
            self._ids.update(new)
            self._arriving.update(dict.fromkeys(new, written))
            waits[id(written)] = written
        try:
            for wait in waits.values():
                await self.written(wait)
        except OSError:
            self._ids.difference_update(new)
            raise
        finally:
            for event_id in new:
                del self._arriving[event_id]
        kept = list(reversed(new.values()))
        try:
            on_stored(kept)
        finally:
            self._own.add(kept)
        self._in_segment += len(kept)
        if self._in_segment >= self.segment_events and self._sealing is None:
            self._sealing = asyncio.create_task(self._seal())
        return kept

    async def written(self, lines: Future[None]) -> None:
        """Wait until lines are on the disk; raises OSError."""
        if self._awaited is None or self._awaited[0] is not lines:  # many wait for the same
            self._awaited = lines, asyncio.wrap_future(lines)
        await asyncio.shield(self._awaited[1])

    def close(self) -> None:
        """Write what waits, and end."""
        self.journal.close()

    async def _seal(self) -> None:
        """Turn the segments that are complete into Parquet files."""
        self._in_segment = 0
        try:
            self.journal.rotate()
            known = len(self._own.events)
            await asyncio.to_thread(self._write_parquet)
            rest = Tail()
            rest.add(self._own.events[known:])
            self._own = rest
        except (OSError, duckdb.Error):  # the journal still has them: the next time will do
            _log.exception("What was collected could not be written to Parquet under %s",
                           self.folder)  # fmt: skip
        finally:
            self._sealing = None

    def _write_parquet(self) -> None:
        files = self._files()
        complete = [
            path
            for path in pending(self.folder, files)
            if path.stem != f"{self.journal.current:06}"
        ]
        # Whoever reads a segment that has its Parquet file began before: gone by the next time.
        for path in (self.folder / FOLDER).glob("*.jsonl"):
            if sealed(self.folder, path) in files:
                path.unlink()
        for path in complete:
            with connect() as connection:
                query = read_segments(connection, [path])
                if query is not None:
                    write_parquet(connection, query, sealed(self.folder, path))
                    sync(sealed(self.folder, path))
        sync(self.folder)

    def _forget_replaced(self) -> None:
        """Forget what was put away when another file was loaded in its place."""
        if self._known_since != self.loaded:
            self._read_again()

    def _read_again(self) -> None:
        self._known_since = self.loaded
        self._own = Tail.of_segments(pending(self.folder, self._files()))
        self._ids = {event["event_id"] for event in self._own.events} | self._sealed_ids()
        self._in_segment = len(self._own.events)

    def _found(self) -> tuple[list[Path], Tail]:
        self._forget_replaced()
        tail = self._own  # first, so that a segment that is sealed meanwhile is in the files too
        return self._files(), tail

    def _sealed_ids(self) -> set[str]:
        files = [str(path) for path in self.folder.glob("live-*.parquet")]
        if not files:
            return set()
        with connect() as connection, contextlib.suppress(FileNotFoundError):
            rows = connection.execute("SELECT event_id FROM read_parquet(?)", [files]).fetchall()
            return {event_id for (event_id,) in rows}
        return set()
