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


@dataclass(frozen=True)
class Ratio:
    """One count per another, which trees find slowly by themselves: 0 where there is neither."""

    name: str
    of: str
    per: str


RATIOS: tuple[Ratio, ...] = (
    Ratio("page_pings_per_page_view_l7d", "num_page_pings_l7d", "num_page_views_l7d"),
    Ratio("page_pings_per_page_view_l30d", "num_page_pings_l30d", "num_page_views_l30d"),
    Ratio("form_engagements_per_session_l7d", "num_form_engagements_l7d", "num_sessions_l7d"),
)
"""What the encoder makes of the columns beside them: no column, and nothing that a caller gives."""

MOST = 2**53
"""Beyond it whole numbers are not exact in JSON (RFC 8259, section 6), nor as floats."""

TEXTS = ("string", "categorical", "empty")
NUMBERS = ("integer", "floating", "mixed-integer-float", "boolean", "decimal", "empty")
"""What pandas may infer of a column of texts, or of numbers; nulls have no type."""


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


@dataclass(frozen=True)
class Encoder:
    """Columns to floats: counts as they are, categories as their place in a vocabulary, and ratios.

    The vocabulary is fitted once, on the training part, and travels with the model. A category
    that it does not hold becomes NaN, which XGBoost sends the way of missing values; so do nulls
    and numbers that are not finite or beyond `MOST`.
    """

    columns: tuple[str, ...]
    vocabulary: dict[str, tuple[Value, ...]]
    ratios: tuple[Ratio, ...] = ()
    _codes: dict[str, dict[Value, float]] = field(init=False, repr=False, compare=False)
    _places: tuple[tuple[int, int, int], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        places = {name: place for place, name in enumerate(self.names)}
        ratios = [(places[one.name], places[one.of], places[one.per]) for one in self.ratios]
        object.__setattr__(self, "_places", tuple(ratios))
        codes = {
            name: {category: float(code) for code, category in enumerate(categories)}
            for name, categories in self.vocabulary.items()
        }
        object.__setattr__(self, "_codes", codes)

    @classmethod
    def fit(cls, frame: pd.DataFrame) -> Self:
        """Learn the categories of a training frame that has all of `COLUMNS`.

        Raises InputError where a column is missing or of another type.
        """
        check_columns(frame)
        vocabulary = {
            feature.name: tuple(sorted(frame[feature.name].dropna().unique().tolist()))
            for feature in FEATURES
            if feature.categorical
        }
        return cls(COLUMNS, vocabulary, RATIOS)

    @property
    def names(self) -> list[str]:
        """What XGBoost is given: the columns, then the ratios."""
        return [*self.columns, *(ratio.name for ratio in self.ratios)]

    @property
    def types(self) -> list[str]:
        """XGBoost's feature types, in the names' order: ``c`` categorical, ``q`` quantitative."""
        return ["c" if name in self.vocabulary else "q" for name in self.names]

    @property
    def owners(self) -> list[int]:
        """Each name's column, by place: a ratio is counted to the column that it is of."""
        own = {ratio.name: ratio.of for ratio in self.ratios}
        return [self.columns.index(own.get(name, name)) for name in self.names]

    def encode(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Return the matrix, shape (rows, names).

        Raises InputError where a column is missing or of another type.
        """
        check_columns(frame, self.columns)
        encoded = np.empty((len(frame), len(self.names)), dtype=np.float64)
        for place, name in enumerate(self.columns):
            column = frame[name]
            codes = self._codes.get(name)
            encoded[:, place] = as_floats(column) if codes is None else column.map(codes)
        return self.derive(_known(encoded))

    def encode_one(self, values: Mapping[str, Value]) -> npt.NDArray[np.float64]:
        """Return the same for one row given as a mapping, shape (1, names).

        Raises InputError where a column is missing or cannot be encoded.
        """
        row = np.empty((1, len(self.columns) + len(self.ratios)), dtype=np.float64)
        name = ""
        try:
            for place, name in enumerate(self.columns):
                codes = self._codes.get(name)
                row[0, place] = values[name] if codes is None else codes.get(values[name], np.nan)
        except (KeyError, TypeError, ValueError, OverflowError):
            raise self._refused(values, name) from None
        return self.derive(_known(row))

    def derive(self, encoded: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Fill in the ratios of a matrix, shape (..., names), from its columns, and return it."""
        for place, of, per in self._places:
            encoded[..., place] = encoded[..., of] / np.maximum(encoded[..., per], 1)
        return encoded

    def _refused(self, values: Mapping[str, Value], name: str) -> InputError:
        found = f"of type {type(values[name]).__name__}" if name in values else "missing"
        expected = "a category" if name in self.vocabulary else "a number"
        return InputError(
            f"The row's column {name} is {found}, expected {expected}. Make the row with "
            "features.vector."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads, as plain JSON types."""
        return {
            "columns": list(self.columns),
            "vocabulary": {name: list(values) for name, values in self.vocabulary.items()},
            "ratios": [[ratio.name, ratio.of, ratio.per] for ratio in self.ratios],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild an encoder; raises KeyError where ``stored`` is not one."""
        return cls(
            tuple(stored["columns"]),
            {name: tuple(values) for name, values in stored["vocabulary"].items()},
            tuple(Ratio(*ratio) for ratio in stored.get("ratios", ())),
        )


def check_columns(frame: pd.DataFrame, columns: tuple[str, ...] = COLUMNS) -> None:
    """Raise InputError where the frame lacks a column, or a feature's is of another type."""
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise InputError(
            f"The data lacks the model's column(s) {', '.join(missing)}; "
            f"it has {', '.join(map(str, frame.columns))}. Rebuild it from the same definition."
        )
    wrong = []
    for feature in FEATURES:
        expected, words = (TEXTS, "text") if feature.kind == "text" else (NUMBERS, "numbers")
        if feature.name in columns:
            found = pd.api.types.infer_dtype(frame[feature.name], skipna=True)
            if found not in expected:
                wrong.append(f"{feature.name} (found {found}, expected {words})")
    if wrong:
        raise InputError(
            f"The data has column(s) of another type than the model's: {', '.join(wrong)}. "
            "Rebuild it from the same definition."
        )


def as_floats(column: pd.Series[Any]) -> npt.NDArray[np.float64]:
    """Return a column of numbers, shape (rows,), with NaN for nulls."""
    try:
        return column.to_numpy(np.float64, na_value=np.nan)
    except OverflowError:  # whole numbers of hundreds of digits
        return np.array([np.nan if abs(x) > MOST else x for x in column], dtype=np.float64)


def _known(encoded: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the same, with NaN for numbers that XGBoost, in single precision, would refuse."""
    encoded[abs(encoded) > MOST] = np.nan
    return encoded
