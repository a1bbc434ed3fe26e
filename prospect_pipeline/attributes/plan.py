"""How a group's attributes are laid out for SQL: streams, periods and windows, each once.

Events that count for the same reason form a *stream*: one for each selection and property. Several
attributes share a stream, and a window where their period is the same too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from snowplow_signals import AttributeGroup
from snowplow_signals.models.model import Attribute

from prospect_pipeline.attributes import expressions
from prospect_pipeline.attributes.anchors import OPTIONAL_COLUMNS
from prospect_pipeline.attributes.properties import key_source
from prospect_pipeline.errors import UnsupportedAttribute


@dataclass(frozen=True)
class Stream:
    """Events that count for the same reason: a condition, and the value read from them."""

    place: int
    condition: str
    value: str | None


@dataclass(frozen=True)
class Windowed:
    """One attribute over its stream; ``period`` is the place of its period, None for all time."""

    attribute: Attribute
    stream: Stream
    period: int | None

    @property
    def id(self) -> str:
        """A short name for this stream and window."""
        return f"{self.stream.place}_{'all' if self.period is None else self.period}"


@dataclass
class Plan:
    """A group's streams, periods and windows, each once."""

    group: AttributeGroup
    streams: list[Stream] = field(default_factory=list)
    periods: list[timedelta] = field(default_factory=list)
    windows: list[Windowed] = field(default_factory=list)

    @classmethod
    def of(cls, group: AttributeGroup) -> Plan:
        """Check a group's attributes and lay them out; raises DefinitionError."""
        plan = cls(group)
        for attribute in group.attributes or []:
            expressions.check_supported(attribute)
            if attribute.period is None and _ttl(attribute, group) is not None:
                raise UnsupportedAttribute(attribute.name, "a ttl is not compiled to SQL")
            period = None
            if attribute.period is not None:
                if attribute.period not in plan.periods:
                    plan.periods.append(attribute.period)
                period = plan.periods.index(attribute.period)
            plan.windows.append(Windowed(attribute, plan._stream(attribute), period))
        return plan

    def _stream(self, attribute: Attribute) -> Stream:
        condition = expressions.selected(attribute)
        value = None if attribute.aggregation == "counter" else expressions.value(attribute)
        for stream in self.streams:
            if (stream.condition, stream.value) == (condition, value):
                return stream
        stream = Stream(len(self.streams), condition, value)
        self.streams.append(stream)
        return stream

    def of_kind(self, *aggregations: str) -> list[Windowed]:
        """Return the windows of some aggregations, one for each stream and period."""
        found = {w.id: w for w in self.windows if w.attribute.aggregation in aggregations}
        return list(found.values())


def _ttl(attribute: Attribute, group: AttributeGroup) -> timedelta | None:
    return attribute.ttl or group.ttl or getattr(group.attribute_key, "ttl", None)


def needed_columns(group: AttributeGroup) -> set[str]:
    """Return the atomic columns that the query of a group reads."""
    columns = {"event_id", "derived_tstamp", "event_name", "event_vendor", "event_version"}
    columns |= {key_source(group.attribute_key).column, *OPTIONAL_COLUMNS}
    for attribute in group.attributes or []:
        columns |= {source.column for source in expressions.sources(attribute)}
    return columns
