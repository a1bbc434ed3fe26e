"""Which events count for an attribute, and what is read from them: the reference in Python.

Event patterns, criteria, properties, date parts and types. What is done with the values that come
out is in `semantics`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from snowplow_signals.models.model import (
    Attribute,
    Criteria,
    EventOutput,
    SignalsApiModelsViewCriterionCriterion,
)

from prospect_pipeline.attributes.properties import Calculated, Place, Source, source_of

AtomicEvent = Mapping[str, Any]
"""One event by column name: timestamps are aware datetimes, JSON columns text or decoded."""


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


def read(event: AtomicEvent, place: Place) -> Any:
    """Return the scalar at a place of an event, or None; a date part is applied."""
    if isinstance(place, Calculated):
        return calculate(place, [_read(event, part) for part in place.parts])
    return _read(event, place)


def calculate(place: Calculated, values: Sequence[Any]) -> Any:
    """Combine the values of a calculated property's parts."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    if place.operation == "coalesce":
        return known[0]
    if place.operation == "concat":
        return place.separator.join(map(as_text, known))
    numbers = [as_number(value) for value in values]
    exact = [float(number) for number in numbers if number is not None]
    return COMBINE[place.operation](exact) if len(exact) == len(values) else None


COMBINE: dict[str, Callable[[Sequence[float]], float]] = {
    "sum": sum,
    "product": math.prod,
    "min": min,
    "max": max,
}


def _read(event: AtomicEvent, source: Source) -> Any:
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
    if source.path and isinstance(value, float):
        value = _JsonFloat(value)
    return value if source.date_part is None else date_part(value, source.date_part)


def _child(value: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return value[step] if step < len(value) else None
    return value.get(step)


DATE_TIME = (
    "[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?"
    "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?"
)
"""A date-time in text, of which a date part can be taken: RFC 3339; UTC where no zone is given."""

NUMBER = "[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?"
"""A number in text."""

INTEGER = "[+-]?[0-9]{1,18}"
"""A number in text that is kept exactly."""


def date_part(value: Any, part: str) -> int | str | None:
    """Return a part of a date-time in UTC: an integer for extracts, a date for truncations."""
    moment = value
    if isinstance(value, str):
        if not re.fullmatch(DATE_TIME, value):
            return None
        try:
            moment = datetime.fromisoformat(re.sub(r"[.][0-9]+", "", value))
        except ValueError:  # such as the 30th of February
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
    if type_ == "bool":
        return {"true": True, "false": False}.get(as_text(value))
    number = as_number(value)
    if number is None or not type_.startswith("int"):
        return number if number is None else float(number)
    return int(number) if abs(number) < 2**63 else None


def as_text(value: Any) -> str:
    """Return a scalar as text: moments in UTC with six digits, numbers as JSON has them."""
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
        return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(value, _JsonFloat):
        return value.text
    return value if isinstance(value, str) else json.dumps(value)


class _JsonFloat(float):
    """A number with a fraction or an exponent from inside JSON, whose text is as DuckDB has it."""

    @property
    def text(self) -> str:
        """The shortest digits, without an exponent from 1e-6 up to 1e21 (as JavaScript has it)."""
        if not math.isfinite(self):
            return json.dumps(float(self))
        exact = Decimal(repr(float(self)))
        if not self or -7 < exact.adjusted() < 21:
            plain = format(exact, "f")
            return plain if "." in plain else f"{plain}.0"
        digits, _, exponent = repr(float(self)).partition("e")
        return f"{digits}e{int(exponent)}"


def as_number(value: Any) -> float | int | None:
    """Return a scalar as a number, None where it is none (or not finite)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 10**18 else float(value)
    if isinstance(value, str):
        if re.fullmatch(INTEGER, value):
            return int(value)
        value = float(value) if re.fullmatch(NUMBER, value) else None
    return value if isinstance(value, float) and math.isfinite(value) else None
