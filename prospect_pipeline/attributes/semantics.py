"""What an attribute is worth at a moment, in plain Python: the reference.

Everything else that computes attributes (the compiled SQL, the local Signals) is tested against
this module. It is written to be read, not to be fast. The rules, for one key and a moment *t*:

1. Selection: events with ``derived_tstamp <= t`` that match one of the event patterns (none
   given: all) and the criteria; an aggregation over a property drops those where it is null.
2. Window: with a period *p*, ``t - p <= derived_tstamp <= t``, and of those the last 100. Without
   one, all; with a ttl the value is gone once no relevant event lies in ``[t - ttl, t]``, and an
   aggregate starts afresh after any gap longer than the ttl.
3. Order: ``(derived_tstamp, event_id)``. Events that share an ``event_id`` count once (that with
   the earliest ``collector_tstamp``). Null key, ``event_id`` or ``derived_tstamp``: not counted.
4. Aggregation, and 5. nothing there: ``default_value``, else None.

Sources: Snowplow's "Define attributes" (aggregations, ordering of unique lists, date parts) and
its prospect-scoring tutorial (the limit of 100 events within a period).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from snowplow_signals import AttributeGroup
from snowplow_signals.models.model import Attribute

from prospect_pipeline.attributes.definition import WITHOUT_PROPERTY, time_to_live
from prospect_pipeline.attributes.properties import Source, key_source, source_of
from prospect_pipeline.attributes.selection import AtomicEvent, coerce, matches, read

PERIOD_EVENT_LIMIT = 100
LIST_LIMIT = 100
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def histories(events: Iterable[AtomicEvent], group: AttributeGroup) -> dict[str, list[AtomicEvent]]:
    """Return every key's events by rule 3: complete, each once, in order."""
    source = key_source(group.attribute_key)
    return {
        key: sorted(own, key=_order)
        for key, own in _by_key(_each_once(events, source), source).items()
    }


def values_at(
    group: AttributeGroup,
    history: Sequence[AtomicEvent],
    moment: datetime,
    *,
    strictly_before: bool = False,
    event_limit: int = PERIOD_EVENT_LIMIT,
) -> dict[str, Any]:
    """Return all values of a group for one key's history (of `histories`) at a moment in UTC."""
    known = [event for event in history if event["derived_tstamp"] <= moment]
    if strictly_before:
        known = [event for event in known if event["derived_tstamp"] < moment]
    return {
        attribute.name: value_of(attribute, group, _relevant(known, attribute), moment, event_limit)
        for attribute in group.attributes or []
    }


def _each_once(events: Iterable[AtomicEvent], key: Source) -> Iterable[AtomicEvent]:
    chosen: dict[str, AtomicEvent] = {}
    for event in events:
        identity = event.get("event_id")
        if identity is None or event.get("derived_tstamp") is None or read(event, key) is None:
            continue
        if identity not in chosen or _arrival(event) < _arrival(chosen[identity]):
            chosen[identity] = event
    return chosen.values()


def _arrival(event: AtomicEvent) -> tuple[datetime, datetime]:
    collected = event.get("collector_tstamp") or datetime.max.replace(tzinfo=UTC)
    return collected, event["derived_tstamp"]


def _by_key(events: Iterable[AtomicEvent], key: Source) -> dict[str, list[AtomicEvent]]:
    own: dict[str, list[AtomicEvent]] = {}
    for event in events:
        own.setdefault(str(read(event, key)), []).append(event)
    return own


def _relevant(known: Sequence[AtomicEvent], attribute: Attribute) -> list[tuple[datetime, Any]]:
    return [
        (event["derived_tstamp"], value)
        for event in known
        if (value := relevant_value(event, attribute)) is not None
    ]


def _order(event: AtomicEvent) -> tuple[datetime, str]:
    return event["derived_tstamp"], event["event_id"]


def relevant_value(event: AtomicEvent, attribute: Attribute) -> Any:
    """Return what an event adds to an attribute, None where it does not count for it (rule 1)."""
    return _property_value(event, attribute) if matches(event, attribute) else None


def value_of(
    attribute: Attribute,
    group: AttributeGroup,
    relevant: Sequence[tuple[datetime, Any]],
    moment: datetime,
    event_limit: int = PERIOD_EVENT_LIMIT,
) -> Any:
    """Return an attribute's value, given what its events up to a moment add, in order."""
    window = _window(attribute, group, relevant, moment, event_limit)
    result = AGGREGATIONS[attribute.aggregation](attribute, window, moment) if window else None
    return attribute.default_value if result is None else result


def _window(
    attribute: Attribute,
    group: AttributeGroup,
    relevant: Sequence[tuple[datetime, Any]],
    moment: datetime,
    event_limit: int,
) -> Sequence[tuple[datetime, Any]]:
    if attribute.period is not None:
        since = moment - attribute.period
        return [pair for pair in relevant[-event_limit:] if pair[0] >= since]
    ttl = time_to_live(attribute, group)
    if ttl is None or not relevant:
        return relevant
    if relevant[-1][0] < moment - ttl:
        return []
    start = len(relevant) - 1
    while start > 0 and relevant[start][0] - relevant[start - 1][0] <= ttl:
        start -= 1
    return relevant[start:]


def _property_value(event: AtomicEvent, attribute: Attribute) -> Any:
    if attribute.aggregation in WITHOUT_PROPERTY:
        return True  # no property: the event itself is what counts
    value = read(event, source_of(attribute.property, attribute.name))
    return None if value is None else coerce(value, attribute)


def _values(window: Sequence[tuple[datetime, Any]]) -> list[Any]:
    return [value for _, value in window]


def _by_last_seen(window: Sequence[tuple[datetime, Any]]) -> list[Any]:
    """Return the distinct values, oldest last sight first."""
    seen: dict[Any, None] = {}
    for _, value in window:
        seen.pop(value, None)
        seen[value] = None
    return list(seen)


def _ranked(window: Sequence[tuple[datetime, Any]], sign: int) -> Any:
    """Return the value with the highest (or lowest) count; of ties, the one seen last."""
    counts = Counter(_values(window))
    return max(
        enumerate(_by_last_seen(window)), key=lambda place: (sign * counts[place[1]], place[0])
    )[1]


def _category_count(window: Sequence[tuple[datetime, Any]]) -> dict[str, int]:
    counts = Counter(_values(window))
    newest_first = reversed(_by_last_seen(window))
    highest = sorted(newest_first, key=lambda value: -counts[value])[:LIST_LIMIT]
    return {value: counts[value] for value in highest}


def _total(attribute: Attribute, values: list[Any]) -> float | int:
    return sum(values) if attribute.type.startswith("int") else math.fsum(values)


def _elapsed(attribute: Attribute, since: datetime, moment: datetime) -> float:
    seconds = (moment - since) / timedelta(seconds=1)
    return max(seconds, 0.0) / UNITS[attribute.time_unit or "s"]


Aggregation = Callable[[Attribute, Sequence[tuple[datetime, Any]], datetime], Any]

AGGREGATIONS: dict[str, Aggregation] = {
    "counter": lambda _a, window, _t: len(window),
    "sum": lambda a, window, _t: _total(a, _values(window)),
    "min": lambda _a, window, _t: min(_values(window)),
    "max": lambda _a, window, _t: max(_values(window)),
    "mean": lambda _a, window, _t: math.fsum(_values(window)) / len(window),
    "first": lambda _a, window, _t: window[0][1],
    "last": lambda _a, window, _t: window[-1][1],
    "unique_list": lambda _a, window, _t: _by_last_seen(window)[-LIST_LIMIT:],
    "most_frequent": lambda _a, window, _t: _ranked(window, 1),
    "least_frequent": lambda _a, window, _t: _ranked(window, -1),
    "approx_count_distinct": lambda _a, window, _t: len(set(_values(window))),
    "category_count": lambda _a, window, _t: _category_count(window),
    "time_since_last": lambda a, window, t: _elapsed(a, window[-1][0], t),
    "time_since_first": lambda a, window, t: _elapsed(a, window[0][0], t),
}
"""Every aggregation that the SDK's ``Attribute`` allows, over a window that is not empty."""
