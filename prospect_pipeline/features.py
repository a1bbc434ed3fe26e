"""The model's ordered columns, each declared over one attribute.

The training set's SQL (`attributes.sql`) and the online vector (`vector` below) are both made
from `FEATURES`; nothing else knows what a column means. The 20 columns are those of Snowplow's
prospect-scoring tutorial, with `num_form_engagements_l7d` as a count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

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


def value(feature: Feature, attributes: Mapping[str, Any], moment: datetime) -> Value:
    """Return one column's value from raw attribute values (missing ones count as null)."""
    if feature.kind == "weekday":
        return moment.isoweekday()
    raw = attributes.get(feature.attribute or "")
    if feature.kind == "text":
        return "" if raw is None else str(raw)
    if feature.kind == "length":
        return 0 if raw is None else len(raw)
    if feature.kind == "flag":
        return int(raw is not None and raw > 0)
    return 0 if raw is None else int(raw)


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


@dataclass(frozen=True)
class Encoder:
    """Columns to floats: counts as they are, categories as their place in a vocabulary.

    The vocabulary is fitted once, on the training part, and travels with the model. A category
    that it does not hold becomes NaN, which XGBoost sends the way of missing values.
    """

    columns: tuple[str, ...]
    vocabulary: dict[str, tuple[Value, ...]]
    _codes: dict[str, dict[Value, float]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        codes = {
            name: {category: float(code) for code, category in enumerate(categories)}
            for name, categories in self.vocabulary.items()
        }
        object.__setattr__(self, "_codes", codes)

    @classmethod
    def fit(cls, frame: pd.DataFrame) -> Self:
        """Learn the categories of a training frame that has all of `COLUMNS`."""
        check_columns(frame)
        vocabulary = {
            feature.name: tuple(sorted(frame[feature.name].unique().tolist()))
            for feature in FEATURES
            if feature.categorical
        }
        return cls(COLUMNS, vocabulary)

    @property
    def types(self) -> list[str]:
        """XGBoost's feature types, in column order: ``c`` categorical, ``q`` quantitative."""
        return ["c" if name in self.vocabulary else "q" for name in self.columns]

    def encode(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Return the matrix, shape (rows, columns)."""
        check_columns(frame, self.columns)
        encoded = np.empty((len(frame), len(self.columns)), dtype=np.float64)
        for place, name in enumerate(self.columns):
            column = frame[name]
            codes = self._codes.get(name)
            encoded[:, place] = column.to_numpy(float) if codes is None else column.map(codes)
        return encoded

    def encode_one(self, values: Mapping[str, Value]) -> npt.NDArray[np.float64]:
        """Return the same for one row given as a mapping, shape (1, columns)."""
        row = np.empty((1, len(self.columns)), dtype=np.float64)
        for place, name in enumerate(self.columns):
            codes = self._codes.get(name)
            row[0, place] = values[name] if codes is None else codes.get(values[name], np.nan)
        return row

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads, as plain JSON types."""
        return {
            "columns": list(self.columns),
            "vocabulary": {name: list(values) for name, values in self.vocabulary.items()},
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild an encoder; raises KeyError where ``stored`` is not one."""
        return cls(
            tuple(stored["columns"]),
            {name: tuple(values) for name, values in stored["vocabulary"].items()},
        )


def check_columns(frame: pd.DataFrame, columns: tuple[str, ...] = COLUMNS) -> None:
    """Raise InputError where the frame lacks one of the model's columns."""
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise InputError(
            f"The training set lacks the model's column(s) {', '.join(missing)}; "
            f"it has {', '.join(map(str, frame.columns))}. Rebuild it from the same definition."
        )
