"""Which events count for an attribute, and what is read from them: the reference in Python.

Event patterns, criteria, properties, date parts and types. What is done with the values that come
out is in `semantics`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from snowplow_signals import AttributeGroup
from snowplow_signals.models.model import (
    Attribute,
    Criteria,
    EventOutput,
    SignalsApiModelsViewCriterionCriterion,
)

from prospect_pipeline.attributes.properties import Source, source_of
from prospect_pipeline.errors import DefinitionError

AtomicEvent = Mapping[str, Any]
"""One event by column name: timestamps are aware datetimes, JSON columns text or decoded."""


WITHOUT_PROPERTY = ("counter", "time_since_last", "time_since_first")


def check_sensible(attribute: Attribute) -> None:
    """Raise DefinitionError for a definition that makes no sense though the SDK takes it."""
    kind = attribute.aggregation
    if attribute.period is not None and attribute.ttl is not None:
        raise DefinitionError(
            f"Attribute '{attribute.name}' has both a period and a ttl; a ttl is for attributes "
            "without a period. Remove one of them."
        )
    if kind not in WITHOUT_PROPERTY and attribute.property is None:
        raise DefinitionError(
            f"Attribute '{attribute.name}' has aggregation '{kind}' but no property to aggregate. "
            "Give it one."
        )
    if kind.startswith("time_since") and attribute.time_unit is None:
        raise DefinitionError(
            f"Attribute '{attribute.name}' has aggregation '{kind}' but no time_unit. "
            "Give it one of s, min, h, d."
        )


def matches(event: AtomicEvent, attribute: Attribute) -> bool:
    """Whether an event meets one of the attribute's patterns, and its criteria."""
    patterns = attribute.events
    return (not patterns or any(_fits(event, p) for p in patterns)) and (
        attribute.criteria is None or meets(event, attribute.criteria, attribute.name)
    )


def _fits(event: AtomicEvent, pattern: EventOutput) -> bool:
    return (
        pattern.vendor in (None, event.get("event_vendor"))
        and pattern.name in (None, event.get("event_name"))
        and pattern.version in (None, event.get("event_version"))
    )


def meets(event: AtomicEvent, criteria: Criteria, owner: str) -> bool:
    """Whether an event meets all of ``all`` and one of ``any`` (where there are any)."""
    return all(_holds(event, c, owner) for c in criteria.all or []) and (
        not criteria.any or any(_holds(event, c, owner) for c in criteria.any)
    )


def _holds(
    event: AtomicEvent, criterion: SignalsApiModelsViewCriterionCriterion, owner: str
) -> bool:
    value = read(event, source_of(criterion.property, owner))
    if criterion.operator == "is null":
        return value is None
    if criterion.operator == "is not null":
        return value is not None
    return value is not None and OPERATORS[criterion.operator](value, criterion.value)


def like(value: Any, pattern: str) -> bool:
    """SQL's LIKE: ``%`` any text, ``_`` one character, letter case matters, no escapes."""
    parts = (".*" if c == "%" else "." if c == "_" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), as_text(value), flags=re.DOTALL) is not None


def _compare(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Compare a property in the criterion's own type; one that does not fit does not meet it."""

    def holds(value: Any, wanted: Any) -> bool:
        if isinstance(wanted, bool):
            return as_text(value) in ("true", "false") and test(as_text(value) == "true", wanted)
        if isinstance(wanted, int | float):
            number = as_number(value)
            return number is not None and test(number, wanted)
        return test(as_text(value), wanted)

    return holds


_equal = _compare(lambda a, b: a == b)

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": _equal,
    "!=": _compare(lambda a, b: a != b),
    "<": _compare(lambda a, b: a < b),
    ">": _compare(lambda a, b: a > b),
    "<=": _compare(lambda a, b: a <= b),
    ">=": _compare(lambda a, b: a >= b),
    "like": like,
    "in": lambda value, wanted: any(_equal(value, one) for one in wanted),
}


def read(event: AtomicEvent, source: Source) -> Any:
    """Return the scalar at a place of an event, or None; a date part is applied."""
    value = event.get(source.column)
    if source.path and isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            return None
    for step in source.path:
        inside = isinstance(value, list) if isinstance(step, int) else isinstance(value, dict)
        if not inside:
            return None
        value = _child(value, step)
    if isinstance(value, list | dict):
        return None
    return value if source.date_part is None else date_part(value, source.date_part)


def _child(value: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return value[step] if step < len(value) else None
    return value.get(step)


def date_part(value: Any, part: str) -> int | str | None:
    """Return a part of a date-time in UTC: an integer for extracts, a date for truncations."""
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(moment, datetime):
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    day = moment.date()
    parts: dict[str, int | str] = {
        "hour_of_day": moment.hour,
        "day_of_week": moment.isoweekday(),
        "month_of_year": moment.month,
        "active_day": day.isoformat(),
        "active_week": (day - timedelta(days=day.weekday())).isoformat(),
        "active_month": day.replace(day=1).isoformat(),
    }
    return parts[part]


def coerce(value: Any, attribute: Attribute) -> Any:
    """Return a property's value in the attribute's own type, None where it does not fit."""
    type_ = attribute.type.removesuffix("_list")
    if attribute.aggregation in ("category_count", "approx_count_distinct") or type_ == "string":
        return as_text(value)
    if type_ in ("int32", "int64", "double", "float", "unix_timestamp"):
        number = as_number(value)
        return int(number) if number is not None and type_.startswith("int") else number
    if type_ == "bool":
        return {"true": True, "false": False}.get(as_text(value))
    return value


def as_text(value: Any) -> str:
    """Return a scalar as the warehouse casts it to text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
    return value if isinstance(value, str) else json.dumps(value)


def as_number(value: Any) -> float | int | None:
    """Return a scalar as a number, None where it is none."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def check_group(group: AttributeGroup) -> None:
    """Raise DefinitionError for a group that makes no sense."""
    for attribute in group.attributes or []:
        check_sensible(attribute)


def time_to_live(attribute: Attribute, group: AttributeGroup) -> timedelta | None:
    """Return the ttl of an attribute without a period: its own, the group's, else the key's."""
    return attribute.ttl or group.ttl or getattr(group.attribute_key, "ttl", None)
