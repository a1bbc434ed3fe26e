"""Is an attribute definition sensible? What the SDK lets through, and this package does not.

Sources: Snowplow's "Define attributes" (which aggregation takes which property, type, date part
and time unit) and the SDK's models.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from snowplow_signals import AttributeGroup
from snowplow_signals.models.model import (
    Attribute,
    Criteria,
    SignalsApiModelsViewCriterionCriterion,
)

from prospect_pipeline.attributes.properties import Calculated, Place, column_type, source_of
from prospect_pipeline.errors import DefinitionError, UnsupportedAttribute

WITHOUT_PROPERTY = ("counter", "time_since_last", "time_since_first")
INTEGERS = ("int32", "int64")
NUMBERS = (*INTEGERS, "float", "double")
SCALARS = (*NUMBERS, "string", "bool")
LISTS = tuple(f"{scalar}_list" for scalar in SCALARS)
TYPES: dict[str, tuple[str, ...]] = {
    "counter": NUMBERS,
    **dict.fromkeys(("sum", "min", "max", "mean"), NUMBERS),
    **dict.fromkeys(("first", "last", "most_frequent", "least_frequent"), SCALARS),
    "unique_list": LISTS,
    "approx_count_distinct": NUMBERS,
    "category_count": ("dict",),
    **dict.fromkeys(("time_since_last", "time_since_first"), ("float", "double")),
}
"""The types that each aggregation can have."""

UNSUPPORTED_TYPES = ("bytes", "bytes_list", "timestamp", "unix_timestamp", "unix_timestamp_list")
EXTRACTS = ("hour_of_day", "day_of_week", "month_of_year")
DATED = (
    "first", "last", "unique_list", "most_frequent", "least_frequent", "category_count",
    "approx_count_distinct",
)  # fmt: skip
"""The aggregations that take a date part."""

OUTPUT_COLUMNS = ("anchor_ts", "event_id", "label", "weight")


def time_to_live(attribute: Attribute, group: AttributeGroup) -> timedelta | None:
    """Return the ttl of an attribute without a period: its own, the group's, else the key's."""
    return attribute.ttl or group.ttl or getattr(group.attribute_key, "ttl", None)


def check_group(group: AttributeGroup) -> None:
    """Raise DefinitionError for a group that makes no sense, or that cannot be computed here."""
    if not group.attributes:
        raise DefinitionError(
            f"Attribute group '{group.name}' has no attributes that are calculated from events. "
            "Give it at least one; columns of an external table are not supported."
        )
    seen: set[str] = set()
    for attribute in group.attributes:
        check_attribute(attribute)
        name = attribute.name.casefold()
        if name in seen:
            raise DefinitionError(
                f"Attribute group '{group.name}' has two attributes named '{attribute.name}' "
                "(letter case does not tell columns apart). Rename one of them."
            )
        seen.add(name)
    for owner, ttl in (("group", group.ttl), ("key", getattr(group.attribute_key, "ttl", None))):
        _check_span(f"The {owner} of '{group.name}'", "ttl", ttl)


def check_columns(group: AttributeGroup) -> None:
    """Raise DefinitionError where an attribute has the name of another training column."""
    others = {str(group.attribute_key.name).casefold(), *OUTPUT_COLUMNS}
    for attribute in group.attributes or []:
        if attribute.name.casefold() in others:
            raise DefinitionError(
                f"Attribute '{attribute.name}' has the name of another column of the training set "
                f"({', '.join(sorted(others))}). Rename it."
            )


def check_attribute(attribute: Attribute) -> None:
    """Raise DefinitionError for an attribute that makes no sense though the SDK takes it.

    UnsupportedAttribute where it makes sense, but is not supported here.
    """
    owner = f"Attribute '{attribute.name}'"
    if attribute.period is not None and attribute.ttl is not None:
        raise DefinitionError(
            f"{owner} has both a period and a ttl; a ttl is for attributes without a period. "
            "Remove one of them."
        )
    _check_span(owner, "period", attribute.period)
    _check_span(owner, "ttl", attribute.ttl)
    _check_type(attribute, owner)
    _check_property(attribute, owner)
    if any(event.event_specification_id for event in attribute.events):
        raise UnsupportedAttribute(
            attribute.name,
            "event specifications are not part of the atomic events; name vendor, name and version",
        )
    if attribute.criteria is not None:
        check_criteria(attribute.criteria, attribute.name)
    _check_default(attribute, owner)


def check_criteria(criteria: Criteria, owner: str) -> None:
    """Raise DefinitionError for a criterion whose value does not suit its operator."""
    for criterion in [*(criteria.all or []), *(criteria.any or [])]:
        source_of(criterion.property, owner)
        expected = _expected(criterion)
        if expected is not None:
            raise DefinitionError(
                f"'{owner}' has a criterion '{criterion.operator}' with the value "
                f"{criterion.value!r}; expected {expected}."
            )


def _expected(criterion: SignalsApiModelsViewCriterionCriterion) -> str | None:
    """Return what a criterion's value should have been, None where it is fine."""
    value: Any = criterion.value
    if criterion.operator in ("is null", "is not null"):
        return None
    if criterion.operator == "in":
        return None if isinstance(value, list) else "a list"
    if criterion.operator == "like":
        return None if isinstance(value, str) else "a text, with % and _ as wildcards"
    return "a single value" if value is None or isinstance(value, list) else None


def _check_span(owner: str, what: str, span: timedelta | None) -> None:
    if span is not None and span <= timedelta(0):
        raise DefinitionError(f"{owner} has the {what} {span}; it has to be longer than nothing.")


def _check_type(attribute: Attribute, owner: str) -> None:
    kind, type_ = attribute.aggregation, attribute.type
    if type_ in UNSUPPORTED_TYPES:
        raise UnsupportedAttribute(attribute.name, f"type '{type_}' has no values in SQL here")
    if type_ not in TYPES[kind]:
        raise DefinitionError(
            f"{owner} has aggregation '{kind}' with type '{type_}'; expected one of "
            f"{', '.join(TYPES[kind])}."
        )
    timed = kind.startswith("time_since")
    if timed and attribute.time_unit is None:
        raise DefinitionError(
            f"{owner} has aggregation '{kind}' but no time_unit. Give it one of s, min, h, d."
        )
    if not timed and attribute.time_unit is not None:
        raise DefinitionError(
            f"{owner} has a time_unit, which aggregation '{kind}' does not use. Remove it."
        )


def _check_property(attribute: Attribute, owner: str) -> None:
    kind = attribute.aggregation
    if kind in WITHOUT_PROPERTY:
        name = getattr(attribute.property, "name", None)
        if kind != "counter" and attribute.property is not None and name != "derived_tstamp":
            raise DefinitionError(
                f"{owner} has a property, but aggregation '{kind}' always uses derived_tstamp. "
                "Remove it."
            )
        return
    if attribute.property is None:
        raise DefinitionError(
            f"{owner} has aggregation '{kind}' but no property to aggregate. Give it one."
        )
    place = source_of(attribute.property, attribute.name)
    part = None if isinstance(place, Calculated) else place.date_part
    if part is not None:
        _check_date_part(attribute, owner, part)
    elif kind in ("sum", "min", "max", "mean") and not _numeric(place):
        raise DefinitionError(
            f"{owner} has aggregation '{kind}' over '{getattr(place, 'column', 'a text')}', which "
            "holds no numbers. Use a numeric property."
        )


def _numeric(place: Place) -> bool:
    """Whether a place may hold numbers; what is inside JSON is known only when it is read."""
    if isinstance(place, Calculated):
        return place.operation != "concat" and all(map(_numeric, place.parts))
    return bool(place.path) or column_type(place.column) in ("integer", "float")


def _check_date_part(attribute: Attribute, owner: str, part: str) -> None:
    if attribute.aggregation not in DATED:
        raise DefinitionError(
            f"{owner} has aggregation '{attribute.aggregation}' over a date part, which only "
            f"{', '.join(DATED)} take."
        )
    fitting = INTEGERS if part in EXTRACTS else ("string",)
    type_ = attribute.type.removesuffix("_list")
    if attribute.aggregation not in ("category_count", "approx_count_distinct") and (
        type_ not in fitting
    ):
        raise DefinitionError(
            f"{owner} has type '{attribute.type}', but {part} gives "
            f"{'integers' if part in EXTRACTS else 'dates as text'}; expected "
            f"{' or '.join(fitting)} (or a list of them)."
        )


def _check_default(attribute: Attribute, owner: str) -> None:
    default: Any = attribute.default_value
    if default is None:
        return
    scalar = attribute.type.removesuffix("_list")
    accepted: tuple[type, ...] = {"string": (str,), "bool": (bool,)}.get(scalar, (int, float))
    listed = attribute.type.endswith("_list")
    values = default if isinstance(default, list) else [default]
    fits = listed == isinstance(default, list) and all(
        isinstance(value, accepted) and (scalar == "bool") == isinstance(value, bool)
        for value in values
    )
    if not fits or attribute.type == "dict":
        raise DefinitionError(
            f"{owner} has the default_value {default!r}, which is no '{attribute.type}'."
        )
