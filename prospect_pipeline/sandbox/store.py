"""The local Signals' events: one Parquet file, written whole or not at all.

Training reads the same file as its warehouse, so both see the same events. Copies of an event are
dropped on loading, by the rule of `attributes.semantics`.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from prospect_pipeline.attributes import expressions
from prospect_pipeline.attributes.expressions import literal, moment, name
from prospect_pipeline.attributes.properties import Source
from prospect_pipeline.errors import EventsError
from prospect_pipeline.settings import DataSettings
from prospect_pipeline.warehouse.duckdb import connect, embedded_events, write_parquet
from prospect_pipeline.warehouse.files import EventFile


@dataclass(frozen=True)
class Loaded:
    """What loading a file did: events kept, and those that count nowhere, by reason."""

    events: int
    duplicate_event_id: int
    null_key: int
    null_event_id: int
    null_derived_tstamp: int

    @property
    def uncounted(self) -> dict[str, int]:
        """The reasons for which events count nowhere, where there are any."""
        counts = dict(vars(self))
        del counts["events"]
        return {reason: count for reason, count in counts.items() if count}


@dataclass(frozen=True)
class _Opened:
    """A version of the file, open for reading."""

    version: int
    connection: duckdb.DuckDBPyConnection
    columns: frozenset[str]


class EventStore:
    """Atomic events of a data directory, to load and to read one visitor's of."""

    def __init__(self, data: DataSettings) -> None:
        self.path = embedded_events(data)
        self._lock = threading.Lock()
        self._opened: _Opened | None = None

    def load(self, source: Path, key: str = "domain_userid") -> Loaded:
        """Replace the events by those of a file; raises EventsError and then changes nothing."""
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
        return Loaded(counts[0] - counts[1], *counts[1:])

    def last_event(self) -> datetime | None:
        """Return when the last event happened, None where there are none."""
        with self._reading() as opened:
            if opened is None:
                return None
            [(last,)] = opened.connection.execute(
                "SELECT MAX(derived_tstamp) FROM events"
            ).fetchall()
        return None if last is None else last.replace(tzinfo=UTC)

    def sample_keys(self, count: int, key: str = "domain_userid") -> list[str]:
        """Return a few identifiers seen in the last week of events, from least to most active."""
        with self._reading() as opened:
            if opened is None:
                return []
            rows = opened.connection.execute(
                f"""SELECT {name(key)} FROM events WHERE {name(key)} IS NOT NULL AND derived_tstamp
                  > (SELECT MAX(derived_tstamp) FROM events) - INTERVAL 7 DAY
                GROUP BY 1 ORDER BY COUNT(*), 1"""
            ).fetchall()
        places = [round(n * (len(rows) - 1) / max(count - 1, 1)) for n in range(count)]
        return [rows[place][0] for place in sorted(set(places))]

    def of_key(
        self, key: Source, identifier: str, columns: Collection[str], until: datetime
    ) -> list[dict[str, Any]]:
        """Return one identifier's events up to a moment, by column; absent columns are null."""
        condition = f"{expressions.identifier(key, 'duckdb')} = {literal(identifier)}"
        return self._read(columns, f"{condition} AND derived_tstamp <= {moment(until)}", key)

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
        return self._read(columns, condition)

    def _read(
        self, columns: Collection[str], condition: str, key: Source | None = None
    ) -> list[dict[str, Any]]:
        with self._reading() as opened:
            if opened is None or (key is not None and key.column not in opened.columns):
                return []
            known = [column for column in columns if column in opened.columns]
            cursor = opened.connection.execute(
                f"SELECT {', '.join(map(name, known))} FROM events WHERE {condition}"
            )
            empty = dict.fromkeys(columns)
            return [
                empty | dict(zip(known, map(_aware, row), strict=True)) for row in cursor.fetchall()
            ]

    @contextmanager
    def _reading(self) -> Iterator[_Opened | None]:
        """Give a cursor over the file as it is now, None where there is none yet."""
        with self._lock:
            if not self.path.exists():
                yield None
                return
            version = self.path.stat().st_mtime_ns
            if self._opened is None or self._opened.version != version:
                self._opened = _open(self.path, version)
            opened = self._opened
            cursor = opened.connection.cursor()
        try:
            yield replace(opened, connection=cursor)
        finally:
            cursor.close()


def _open(path: Path, version: int) -> _Opened:
    connection = duckdb.connect(config={"threads": 1})
    connection.execute(f"CREATE VIEW events AS SELECT * FROM read_parquet({literal(str(path))})")
    columns = {row[0] for row in connection.execute("DESCRIBE events").fetchall()}
    return _Opened(version, connection, frozenset(columns))


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
