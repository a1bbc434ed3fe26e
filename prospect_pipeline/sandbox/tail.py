"""The events that were collected lately, in memory: those of the journal's open segments."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prospect_pipeline.attributes.properties import Source, column_type
from prospect_pipeline.attributes.selection import AtomicEvent, read

_log = logging.getLogger(__name__)


class Tail:
    """Events by the identifiers of any key, found without looking through all of them."""

    def __init__(self) -> None:
        self.events: list[AtomicEvent] = []
        self.last: datetime | None = None
        self._by_key: dict[Source, dict[str, list[AtomicEvent]]] = {}

    @classmethod
    def of_segments(cls, segments: Sequence[Path]) -> Tail:
        """Return the events of segments.

        A line that is still being written is left out; one that is damaged is too, with a warning.
        """
        tail = cls()
        for segment in segments:
            whole = segment.read_text("utf-8", "replace").split("\n")[:-1]
            for number, line in enumerate(whole, start=1):
                try:
                    tail.add([from_line(line)])
                except (ValueError, AttributeError, KeyError, TypeError):
                    _log.warning("%s: line %s is no event, and is left out", segment, number)
        return tail

    def add(self, events: Iterable[AtomicEvent]) -> None:
        """Add events, in the order of their arrival."""
        for event in events:
            self.events.append(event)
            at = event["derived_tstamp"]
            self.last = at if self.last is None else max(self.last, at)
            for key, known in self._by_key.items():
                _file(known, event, key)

    def of_key(
        self, key: Source, identifier: str, columns: Collection[str]
    ) -> list[dict[str, Any]]:
        """Return one identifier's events, with just these columns."""
        if key not in self._by_key:
            known: dict[str, list[AtomicEvent]] = {}
            for event in self.events:
                _file(known, event, key)
            self._by_key[key] = known
        return [_part(event, columns) for event in self._by_key[key].get(identifier, [])]

    def between(
        self,
        since: datetime,
        until: datetime,
        columns: Collection[str],
        app_ids: Collection[str] = (),
    ) -> list[dict[str, Any]]:
        """Return the events after one moment and up to another, of some apps."""
        return [
            _part(event, columns)
            for event in self.events
            if since < event["derived_tstamp"] <= until
            and (not app_ids or event.get("app_id") in app_ids)
        ]


def to_line(event: AtomicEvent) -> str:
    """Return an event as one line of the journal."""
    return json.dumps(
        {c: _written(v) if isinstance(v, datetime) else v for c, v in event.items()},
        ensure_ascii=False,
        separators=(",", ":"),
    )


def from_line(line: str) -> AtomicEvent:
    """Return the event of a line."""
    event: dict[str, Any] = json.loads(line)
    for column, value in event.items():
        if column_type(column) == "timestamp":
            event[column] = datetime.fromisoformat(value).replace(tzinfo=UTC)
    return event


def _written(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _file(known: dict[str, list[AtomicEvent]], event: AtomicEvent, key: Source) -> None:
    identifier = read(event, key)
    if identifier is not None:
        known.setdefault(str(identifier), []).append(event)


def _part(event: AtomicEvent, columns: Collection[str]) -> dict[str, Any]:
    return {column: event.get(column) for column in columns}
