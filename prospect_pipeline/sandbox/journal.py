"""Lines that are on the disk before whoever sent them is told so.

A journal is a folder of segments, ``000001.jsonl`` and on, each with one JSON object a line. Lines
that arrive together are written together: one write and one ``fdatasync`` for all that have waited.
What a crash leaves half-written at the end was never acknowledged, and is cut off on opening.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import BinaryIO

from prospect_pipeline.writing import sync

MOST_AT_ONCE = 2_000


class _Batch:
    """Lines that are written together, and what tells whoever sent them."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.written: Future[None] = Future()


class Journal:
    """Appends lines to a new segment of a folder, from one thread of its own.

    Its number is the next one, and at least ``first``.
    """

    def __init__(self, folder: Path, first: int = 1) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._waiting: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._filling: _Batch | None = None
        self._batches = threading.Lock()
        self._lock = threading.Lock()
        self._torn = False
        self._segment = self._open(max([first, *(number + 1 for number in self.numbers())]))
        self._thread = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._thread.start()

    def numbers(self) -> list[int]:
        """Return the numbers of the segments, oldest first."""
        return sorted(int(path.stem) for path in self.folder.glob("*.jsonl"))

    def path(self, number: int) -> Path:
        """Return where a segment is."""
        return self.folder / f"{number:06}.jsonl"

    @property
    def current(self) -> int:
        """The number of the segment that is written to."""
        return int(Path(self._segment.name).stem)

    def append(self, lines: Sequence[str]) -> Future[None]:
        """Write lines; the future is done once they are on the disk, or has the OSError.

        Lines that wait together have one future, and are written whole or not at all.
        """
        text = "".join(f"{line}\n" for line in lines).encode()
        with self._batches:
            batch = self._filling
            if batch is None:
                batch = self._filling = _Batch()
                self._waiting.put(batch)
            batch.texts.append(text)
            if len(batch.texts) >= MOST_AT_ONCE:
                self._filling = None
            return batch.written

    def rotate(self) -> int:
        """Begin a new segment; returns the number of the one that is complete now.

        Raises OSError, and then the old one is written to as before.
        """
        with self._lock:
            finished = self.current
            self._begin(finished + 1)
        return finished

    def close(self) -> None:
        """Write what waits, and end."""
        self._waiting.put(None)
        self._thread.join()
        self._segment.close()
        with contextlib.suppress(OSError):
            if not self.path(self.current).stat().st_size:
                self.path(self.current).unlink()

    def _begin(self, number: int) -> None:
        """Write to this segment from now on; raises OSError, and then the old one stays open."""
        self.folder.mkdir(parents=True, exist_ok=True)
        segment = self._open(number)
        self._segment.close()
        self._segment = segment
        self._torn = False

    def _open(self, number: int) -> BinaryIO:
        segment = self.path(number).open("ab", buffering=0)
        sync(self.folder)
        return segment

    def _write_all(self) -> None:
        while (batch := self._waiting.get()) is not None:
            with self._batches:
                if self._filling is batch:
                    self._filling = None
            self._write(batch)

    def _write(self, batch: _Batch) -> None:
        """Write a batch whole, or not at all: where the disk refuses, it is cut off again."""
        try:
            with self._lock:
                if self._torn:
                    self._begin(self.current + 1)
                elif not self._is_in_place():
                    self._begin(self.current)
                self._append(b"".join(batch.texts))
        except OSError as error:
            batch.written.set_exception(error)
        else:
            batch.written.set_result(None)

    def _append(self, text: bytes) -> None:
        start = os.fstat(self._segment.fileno()).st_size
        try:
            left = memoryview(text)
            while left:
                left = left[self._segment.write(left) :]
            os.fdatasync(self._segment.fileno())
        except OSError:
            self._torn = True
            with contextlib.suppress(OSError):
                self._segment.truncate(start)
                self._torn = False
            raise

    def _is_in_place(self) -> bool:
        """Whether the open segment is the one that readers find: the events may be replaced."""
        try:
            found = self.path(self.current).stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(self._segment.fileno()))


def cut_torn_end(path: Path) -> None:
    """Cut off what follows the last line of a segment."""
    with path.open("rb+") as segment:
        size = segment.seek(0, os.SEEK_END)
        end = size
        while end > 0:
            start = max(end - 65536, 0)
            segment.seek(start)
            last = segment.read(end - start).rfind(b"\n")
            if last >= 0:
                end = start + last + 1
                break
            end = start
        if end < size:
            segment.truncate(end)
