"""How a group's attributes are laid out for SQL: streams and windows, each once.

Events that count for the same reason form a *stream*: one for each selection and property. Several
attributes share a stream, and a window where their period or ttl is the same too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from snowplow_signals import AttributeGroup
from snowplow_signals.models.model import Attribute

from prospect_pipeline.attributes import expressions
from prospect_pipeline.attributes.anchors import Anchoring
from prospect_pipeline.attributes.definition import (
    WITHOUT_PROPERTY,
    check_columns,
    check_group,
    time_to_live,
)
from prospect_pipeline.attributes.expressions import Names
from prospect_pipeline.attributes.properties import key_source

EVENT_COLUMNS = ("event_id", "event_vendor", "event_name", "event_version")
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Stream:
    """Events that count for the same reason: a condition, and the value read from them."""

    place: int
    condition: str
    value: str | None

    @property
    def column(self) -> str:
        """The column of ``flagged`` that is null for every event but those of this stream."""
        return f"f{self.place}" if self.value is None else f"v{self.place}"


@dataclass(frozen=True)
class Window:
    """How far back an attribute looks: over a period, until a gap of a ttl, or for ever."""

    kind: Literal["period", "ttl", "ever"]
    microseconds: int = 0
    place: int = 0

    @property
    def id(self) -> str:
        """A short name, such as ``p0``."""
        return "ever" if self.kind == "ever" else f"{self.kind[0]}{self.place}"


@dataclass(frozen=True)
class Windowed:
    """One attribute over its stream and window."""

    attribute: Attribute
    stream: Stream
    window: Window

    @property
    def id(self) -> str:
        """A short name for this stream and window, such as ``3_p0``."""
        return f"{self.stream.place}_{self.window.id}"

    @property
    def kind(self) -> str:
        """The attribute's aggregation."""
        return self.attribute.aggregation


class Plan:
    """A group's streams and windows, each once.

    ``names`` says in which column the value read from a place in an event stands.
    """

    def __init__(self, group: AttributeGroup, names: Names) -> None:
        """Check a group's attributes and lay them out; raises DefinitionError."""
        check_group(group)
        check_columns(group)
        self.streams: list[Stream] = []
        self._windows: list[Window] = []
        self.attributes = [
            Windowed(attribute, self._stream(attribute, names), self._window(attribute, group))
            for attribute in group.attributes or []
        ]

    @property
    def periods(self) -> list[Window]:
        """Every period that is used, once."""
        return [window for window in self._windows if window.kind == "period"]

    def over(self, stream: Stream) -> list[Windowed]:
        """Return the attributes over a stream."""
        return [one for one in self.attributes if one.stream == stream]

    def bounds(self) -> list[tuple[Stream, Window]]:
        """Return every stream and period of which the first event is looked up, once."""
        used = {
            (one.stream.place, one.window.place): one
            for one in self.attributes
            if one.window.kind == "period"
        }
        return [(used[key].stream, used[key].window) for key in sorted(used)]

    def _stream(self, attribute: Attribute, names: Names) -> Stream:
        condition = expressions.selected(attribute, names)
        counted = attribute.aggregation in WITHOUT_PROPERTY
        value = None if counted else expressions.value(attribute, names)
        for stream in self.streams:
            if (stream.condition, stream.value) == (condition, value):
                return stream
        stream = Stream(len(self.streams), condition, value)
        self.streams.append(stream)
        return stream

    def _window(self, attribute: Attribute, group: AttributeGroup) -> Window:
        kind: Literal["period", "ttl"] = "period"
        span = attribute.period
        if span is None:
            kind, span = "ttl", time_to_live(attribute, group)
        if span is None:
            return Window("ever")
        length = span // MICROSECOND
        known = [window for window in self._windows if window.kind == kind]
        for window in known:
            if window.microseconds == length:
                return window
        window = Window(kind, length, len(known))
        self._windows.append(window)
        return window


def attribute_columns(group: AttributeGroup) -> set[str]:
    """Return the atomic columns that say what a group's attributes are worth."""
    columns = {"derived_tstamp", "collector_tstamp", *EVENT_COLUMNS}
    columns |= {key_source(group.attribute_key).column}
    for attribute in group.attributes or []:
        columns |= {source.column for source in expressions.sources(attribute)}
    return columns


def needed_columns(group: AttributeGroup, anchoring: Anchoring) -> set[str]:
    """Return the atomic columns that the training query of a group reads."""
    return attribute_columns(group) | {source.column for source in anchoring.sources()}
