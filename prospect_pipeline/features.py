"""The model's ordered columns, each declared over one attribute.

The training set's SQL (`attributes.sql`) and the online vector (`vector` below) are both made
from `FEATURES`; nothing else knows what a column means. The 20 columns are those of Snowplow's
prospect-scoring tutorial, with `num_form_engagements_l7d` as a count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np

from prospect_pipeline.errors import InputError

Kind = Literal["text", "count", "length", "flag", "weekday"]
Value = str | int


@dataclass(frozen=True)
class Feature:
    """One column of the model.

    ``kind`` says how it follows from its attribute: ``text`` and ``count`` are the value itself
    (nothing there is '' or 0), ``length`` the number of elements of a unique list, ``flag``
    whether a count is above zero (0 or 1), and ``weekday`` the ISO day of the week (1 Monday to
    7 Sunday) of the moment itself in UTC, from no attribute.
    """

    name: str
    kind: Kind
    attribute: str | None

    @property
    def categorical(self) -> bool:
        """Whether the model treats the column as a set of categories."""
        return self.kind in ("text", "weekday")


def _value(name: str) -> Feature:
    return Feature(name, "count", name)


def _length(name: str) -> Feature:
    return Feature(name, "length", name)


def _text(name: str) -> Feature:
    return Feature(name, "text", name)


FEATURES: tuple[Feature, ...] = (
    _text("latest_app_id"),
    Feature("day_of_week", "weekday", None),
    _text("latest_device_class"),
    _length("num_sessions_l7d"),
    _length("num_apps_l7d"),
    _value("num_page_views_l7d"),
    _value("num_page_pings_l7d"),
    _value("num_pricing_views_l7d"),
    Feature("had_conversions_l7d", "flag", "num_conversions_l7d"),
    _value("num_form_engagements_l7d"),
    _length("num_sessions_l30d"),
    _length("num_apps_l30d"),
    _value("num_page_views_l30d"),
    _value("num_page_pings_l30d"),
    _value("num_pricing_views_l30d"),
    Feature("had_conversions_l30d", "flag", "num_conversions_l30d"),
    _value("num_media_events_l30d"),
    _text("first_refr_medium_l30d"),
    _text("first_mkt_medium_l30d"),
    _length("num_engaged_campaigns_l30d"),
)

COLUMNS: tuple[str, ...] = tuple(feature.name for feature in FEATURES)


MOST = 2**53
"""Beyond it whole numbers are not exact in JSON (RFC 8259, section 6), nor as floats."""


def value(feature: Feature, attributes: Mapping[str, Any], moment: datetime) -> Value:
    """Return one column's value from raw attribute values (missing ones count as null).

    A number that is not finite, or beyond `MOST`, is as null: it counts nothing. Raises InputError
    where the attribute's value is of another type than the column needs.
    """
    if feature.kind == "weekday":
        return moment.isoweekday()
    raw = attributes.get(feature.attribute or "")
    if feature.kind == "text":
        return "" if raw is None else str(raw)
    if raw is None:
        return 0
    if feature.kind == "length":
        if not isinstance(raw, (list, tuple, np.ndarray)):
            raise _mistyped(feature, raw, "a list")
        return len(raw)
    if isinstance(raw, (str, list, dict)):
        raise _mistyped(feature, raw, "a number")
    number = _within(raw)
    return int(number > 0) if feature.kind == "flag" else int(number)


def _within(raw: Any) -> float:
    """Return a number, or 0 where it is none that counts."""
    try:
        number = float(raw)
    except OverflowError:  # a whole number of hundreds of digits
        return 0.0
    return number if abs(number) <= MOST else 0.0


def _mistyped(feature: Feature, raw: Any, expected: str) -> InputError:
    return InputError(
        f"Attribute {feature.attribute} is of type {type(raw).__name__}, expected {expected}. "
        "Publish the present definition to Signals by the job deploy_configuration."
    )


def expression(feature: Feature) -> str:
    """Return the same as SQL over the attributes' names, where a list stands as its length."""
    if feature.kind == "weekday":
        return "ISODOW(anchor_ts)"
    raw = f'"{feature.attribute}"'
    if feature.kind == "text":
        return f"COALESCE({raw}, '')"
    if feature.kind == "flag":
        return f"CASE WHEN {raw} > 0 THEN 1 ELSE 0 END"
    return f"COALESCE({raw}, 0)"


def vector(attributes: Mapping[str, Any], moment: datetime) -> dict[str, Value]:
    """Return the 20 columns, in order, for one visitor at a moment in UTC."""
    return {feature.name: value(feature, attributes, moment) for feature in FEATURES}


DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NAMED: dict[tuple[str, Value], str] = {
    (feature.name, number): day
    for feature in FEATURES
    if feature.kind == "weekday"
    for number, day in enumerate(DAYS, 1)
}


def in_words(column: str, value: Value) -> str:
    """Return a column's value as a person reads it: a day of the week has a name."""
    return NAMED.get((column, value), str(value))
