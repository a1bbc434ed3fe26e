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

MOST_AT_ONCE = 2_000


class Journal:
    """Appends lines to the newest segment of a folder, from one thread of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._waiting: queue.SimpleQueue[tuple[bytes, Future[None]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._segment = self._open(max(self.numbers(), default=0) + 1)
        self._thread = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._thread.start()

    def numbers(self) -> list[int]:
        """Return the numbers of the segments, oldest first; torn ends are cut off."""
        return sorted(int(path.stem) for path in self.folder.glob("*.jsonl"))

    def path(self, number: int) -> Path:
        """Return where a segment is."""
        return self.folder / f"{number:06}.jsonl"

    @property
    def current(self) -> int:
        """The number of the segment that is written to."""
        return int(Path(self._segment.name).stem)

    def append(self, lines: Sequence[str]) -> Future[None]:
        """Write lines; the future is done once they are on the disk, or has the OSError."""
        written: Future[None] = Future()
        text = "".join(f"{line}\n" for line in lines)
        self._waiting.put((text.encode(), written))
        return written

    def rotate(self) -> int:
        """Begin a new segment; returns the number of the one that is complete now."""
        with self._lock:
            finished = self.current
            self._segment.close()
            self._segment = self._open(finished + 1)
        return finished

    def close(self) -> None:
        """Write what waits, and end."""
        self._waiting.put(None)
        self._thread.join()
        self._segment.close()
        with contextlib.suppress(OSError):
            if not self.path(self.current).stat().st_size:
                self.path(self.current).unlink()

    def _reopen(self) -> None:
        number = self.current
        self._segment.close()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._segment = self._open(number)

    def _open(self, number: int) -> BinaryIO:
        segment = self.path(number).open("ab", buffering=0)
        _sync_folder(self.folder)
        return segment

    def _write_all(self) -> None:
        ended = False
        while not ended:
            batch = [self._waiting.get()]
            while len(batch) < MOST_AT_ONCE:
                try:
                    batch.append(self._waiting.get_nowait())
                except queue.Empty:
                    break
            ended = None in batch
            self._write([one for one in batch if one is not None])

    def _write(self, batch: list[tuple[bytes, Future[None]]]) -> None:
        """Write a batch whole, or not at all: where the disk refuses, it is cut off again."""
        if not batch:
            return
        failure: OSError | None = None
        with self._lock:
            if not os.fstat(self._segment.fileno()).st_nlink:  # removed: the events were replaced
                self._reopen()
            start = os.fstat(self._segment.fileno()).st_size
            try:
                _write_whole(self._segment, b"".join(text for text, _ in batch))
                os.fdatasync(self._segment.fileno())
            except OSError as error:
                failure = error
                with contextlib.suppress(OSError):
                    self._segment.truncate(start)
        for _, written in batch:
            if failure is None:
                written.set_result(None)
            else:
                written.set_exception(failure)


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


def _write_whole(segment: BinaryIO, text: bytes) -> None:
    left = memoryview(text)
    while left:
        left = left[segment.write(left) :]


def _sync_folder(folder: Path) -> None:
    """Have the folder itself on the disk, so that a new segment is found again."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
