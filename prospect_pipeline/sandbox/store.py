"""The local Signals' events: loaded from a file, and collected one by one.

A folder that training reads as its warehouse, so that both see the same events: ``atomic.parquet``
is what was loaded, written whole or not at all; what was collected is a journal, whose long
segments become Parquet files too (see `warehouse.journal`). Loading another file puts what was
collected away, into a folder ``before-...`` beside it; nothing that was collected is deleted.
Copies of an event are dropped by the rule of `attributes.semantics`: the first to arrive counts.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb

from prospect_pipeline.attributes import expressions
from prospect_pipeline.attributes.expressions import literal, moment, name
from prospect_pipeline.attributes.properties import Source
from prospect_pipeline.errors import EventsError
from prospect_pipeline.sandbox.tail import Tail
from prospect_pipeline.settings import DataSettings
from prospect_pipeline.warehouse.dropped import told
from prospect_pipeline.warehouse.duckdb import connect, embedded_events, write_parquet
from prospect_pipeline.warehouse.files import EventFile
from prospect_pipeline.warehouse.journal import FOLDER, pending


@dataclass(frozen=True)
class Loaded:
    """What loading a file did: events kept, and those that count nowhere, by reason.

    ``put_away`` is the folder into which went what had been collected before.
    """

    events: int
    duplicate_event_id: int
    null_key: int
    null_event_id: int
    null_derived_tstamp: int
    put_away: Path | None = None

    @property
    def uncounted(self) -> dict[str, int]:
        """The reasons for which events count nowhere, where there are any."""
        counts = dict(vars(self))
        del counts["events"], counts["put_away"]
        return {reason: count for reason, count in counts.items() if count}

    @property
    def told(self) -> list[str]:
        """What a person should know of it, a line each."""
        kept = f"What was collected before is in {self.put_away}"
        return [*told(self.uncounted), *([kept] if self.put_away else [])]


@dataclass(frozen=True)
class _Opened:
    """The Parquet files as they were at one moment, open for reading."""

    version: tuple[tuple[Path, int], ...]
    connection: duckdb.DuckDBPyConnection
    columns: frozenset[str]
    last: datetime | None


class EventStore:
    """Atomic events of a data directory, to load and to read one visitor's of."""

    def __init__(self, data: DataSettings) -> None:
        self.folder = embedded_events(data)
        self.path = self.folder / "atomic.parquet"
        self._path = str(self.path)
        self._lock = threading.Lock()
        self._opened: _Opened | None = None
        self._lately: tuple[Any, Tail] = ((), Tail())

    def load(
        self, source: Path, key: str = "domain_userid", *, keep_collected: bool = False
    ) -> Loaded:
        """Replace the events by those of a file; raises EventsError and then changes nothing.

        What was collected is put away, or stays where ``keep_collected``.
        """
        with connect() as connection:
            file = EventFile(connection, source, key)
            file.create_view("loading")
            whole = (
                f"{name(key)} IS NOT NULL AND event_id IS NOT NULL AND derived_tstamp IS NOT NULL"
            )
            [(whole_ones, *counts)] = connection.execute(
                f"""SELECT COUNT_IF({whole}), COUNT(*), COUNT(event_id) - COUNT(DISTINCT event_id),
                  COUNT_IF({name(key)} IS NULL), COUNT_IF(event_id IS NULL),
                  COUNT_IF(derived_tstamp IS NULL) FROM loading"""
            ).fetchall()
            if not whole_ones:
                raise EventsError(
                    f"{source}: each of its {counts[0]} events lacks {key}, event_id or "
                    "derived_tstamp, so none counts; export these columns too."
                )
            arrival = "collector_tstamp" if "collector_tstamp" in file.columns else "NULL"
            kept = f"""SELECT * FROM loading QUALIFY event_id IS NULL OR ROW_NUMBER() OVER (
                PARTITION BY event_id ORDER BY NOT ({whole}), {arrival}, derived_tstamp) = 1
                ORDER BY {name(key)}, derived_tstamp, event_id"""
            write_parquet(connection, kept, self.path)
        put_away = None if keep_collected else self._put_away()
        return replace(Loaded(counts[0] - counts[1], *counts[1:]), put_away=put_away)

    def _put_away(self) -> Path | None:
        """Move what was collected into a folder of its own, which is no part of the events."""
        lines = [path for path in (self.folder / FOLDER).glob("*.jsonl") if path.stat().st_size]
        collected = [*self.folder.glob("live-*.parquet"), *lines]
        if not collected:
            return None
        folder = self.folder / f"before-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        folder.mkdir()
        for path in collected:
            path.rename(folder / path.name)
        return folder

    @property
    def loaded(self) -> int | None:
        """Tells one loaded file from the next; None before the first."""
        try:
            return os.stat(self._path).st_mtime_ns  # noqa: PTH116  asked with every request
        except FileNotFoundError:
            return None

    @property
    def is_empty(self) -> bool:
        """Whether there is no event, neither loaded nor collected."""
        files = self._files()
        return not files and not pending(self.folder, files)

    def last_event(self) -> datetime | None:
        """Return when the last event happened, None where there are none."""
        with self._reading() as (opened, tail):
            known = [last for last in (opened and opened.last, tail.last) if last]
        return max(known, default=None)

    def sample_keys(self, count: int, key: str = "domain_userid") -> list[str]:
        """Return a few identifiers seen in the last week of events, from least to most active."""
        if self.is_empty:
            return []
        with connect() as connection:
            EventFile(connection, self.folder, key).create_view("events", ["derived_tstamp", key])
            rows = connection.execute(
                f"""SELECT {name(key)} FROM events WHERE {name(key)} IS NOT NULL AND derived_tstamp
                  > (SELECT MAX(derived_tstamp) FROM events) - INTERVAL 7 DAY
                GROUP BY 1 ORDER BY COUNT(*), 1"""
            ).fetchall()
        places = [round(n * (len(rows) - 1) / max(count - 1, 1)) for n in range(count)]
        return [rows[place][0] for place in sorted(set(places))]

    def of_keys(
        self, key: Source, identifiers: Sequence[str], columns: Collection[str]
    ) -> list[dict[str, Any]]:
        """Return the events of identifiers, one at least, by column; absent columns are null."""
        wanted = ", ".join(map(literal, identifiers))
        condition = f"{expressions.identifier(key, 'duckdb')} IN ({wanted})"
        with self._reading() as (opened, tail):
            stored = [] if opened is None else _read(opened, columns, condition, key)
            lately = [tail.of_key(key, identifier, columns) for identifier in identifiers]
            return [*stored, *chain.from_iterable(lately)]

    def between(
        self,
        since: datetime,
        until: datetime,
        columns: Collection[str],
        app_ids: Collection[str] = (),
    ) -> list[dict[str, Any]]:
        """Return the events after one moment and up to another."""
        condition = f"derived_tstamp > {moment(since)} AND derived_tstamp <= {moment(until)}"
        if app_ids:
            columns = {*columns, "app_id"}
            condition += f" AND app_id IN ({', '.join(map(literal, app_ids))})"
        with self._reading() as (opened, tail):
            stored = [] if opened is None else _read(opened, columns, condition)
            return [*stored, *tail.between(since, until, columns, app_ids)]

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.parquet"))

    def _found(self) -> tuple[list[Path], Tail]:
        """Return the Parquet files, and what was collected and is in none of them."""
        files = self._files()
        segments = [(path, path.stat().st_size) for path in pending(self.folder, files)]
        if self._lately[0] != segments:
            self._lately = (segments, Tail.of_segments([path for path, _ in segments]))
        return files, self._lately[1]

    @contextmanager
    def _reading(self) -> Iterator[tuple[_Opened | None, Tail]]:
        """Give a cursor over the Parquet files as they are now, and what was collected since."""
        with self._lock:
            files, tail = self._found()
            version = tuple((file, file.stat().st_mtime_ns) for file in files)
            if self._opened is None or self._opened.version != version:
                self._opened = _open(version) if version else None
            opened = self._opened
            cursor = opened.connection.cursor() if opened else None
        try:
            yield replace(opened, connection=cursor) if opened else None, tail
        finally:
            if cursor is not None:
                cursor.close()


def _open(version: tuple[tuple[Path, int], ...]) -> _Opened:
    connection = duckdb.connect(config={"threads": 1})
    files = ", ".join(literal(str(path)) for path, _ in version)
    scan = f"read_parquet([{files}], union_by_name = true)"
    connection.execute(f"CREATE VIEW events AS SELECT * FROM {scan}")
    columns = {row[0] for row in connection.execute("DESCRIBE events").fetchall()}
    [(last,)] = connection.execute("SELECT MAX(derived_tstamp) FROM events").fetchall()
    return _Opened(version, connection, frozenset(columns), _aware(last))


def _read(
    opened: _Opened, columns: Collection[str], condition: str, key: Source | None = None
) -> list[dict[str, Any]]:
    if key is not None and key.column not in opened.columns:
        return []
    known = [column for column in columns if column in opened.columns]
    cursor = opened.connection.execute(
        f"SELECT {', '.join(map(name, known))} FROM events WHERE {condition}"
    )
    empty = dict.fromkeys(columns)
    return [empty | dict(zip(known, map(_aware, row), strict=True)) for row in cursor.fetchall()]


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
