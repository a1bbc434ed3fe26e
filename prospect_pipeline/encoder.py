"""From the model's columns to numbers: what XGBoost is given, in training and in serving.

Counts stay, categories become their place in a vocabulary, and a few ratios stand beside them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from prospect_pipeline.errors import InputError
from prospect_pipeline.features import COLUMNS, FEATURES, MOST, Value

if TYPE_CHECKING:
    import pandas as pd

TEXTS = ("string", "categorical", "empty")
NUMBERS = ("integer", "floating", "mixed-integer-float", "boolean", "decimal", "empty")
"""What pandas may infer of a column of texts, or of numbers; nulls have no type."""


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

    @cached_property
    def ownership(self) -> npt.NDArray[np.float64]:
        """The owners as 0 and 1, shape (names + 1, columns + 1): the base value is its own."""
        return np.eye(len(self.columns) + 1)[[*self.owners, len(self.columns)]]

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
        return np.array([self.encode_row(values)], dtype=np.float64)

    def encode_row(self, values: Mapping[str, Value]) -> list[float]:
        """Return the same for one row as plain numbers: for one row numpy is the slower one."""
        row: list[float] = []
        name = ""
        try:
            for name in self.columns:
                value, codes = values[name], self._codes.get(name)
                if codes is not None:
                    row.append(codes.get(value, math.nan))
                else:
                    number = math.nan if value is None else float(value)
                    row.append(number if abs(number) <= MOST else math.nan)
        except (KeyError, TypeError, ValueError, OverflowError):
            raise self._refused(values, name) from None
        for _, of, per in self._places:
            row.append(row[of] / max(row[per], 1.0))
        return row

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
    from pandas.api.types import infer_dtype  # serving has no frames, and no pandas

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
            found = infer_dtype(frame[feature.name], skipna=True)
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
