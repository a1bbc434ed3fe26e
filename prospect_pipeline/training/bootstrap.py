"""How sure a number is: intervals from drawing visitors anew.

A visitor's rows belong together, so that visitors are drawn with replacement, not rows: the cluster
bootstrap (Davison and Hinkley, Bootstrap Methods and their Application, 1997, ch. 3.8). Scorers are
compared on the same draws, which leaves out what is common to both (the paired bootstrap).
Intervals are the percentiles of the draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from prospect_pipeline.training.measures import Floats, Ranked

DRAWS = 400
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A number, and the interval that holds it 95 times of 100; NaN is what is not known."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """How far apart its ends are."""
        return self.high - self.low

    def to_dict(self) -> dict[str, float | None]:
        """Return it as plain JSON types, with null where it is not defined."""
        return {name: end if np.isfinite(end) else None for name, end in vars(self).items()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, float | None]) -> Self:
        """Rebuild one; raises KeyError where ``stored`` is none."""
        ends = (stored[name] for name in ("value", "low", "high"))
        return cls(*(float("nan") if end is None else end for end in ends))

    def __str__(self) -> str:
        if not np.isfinite(self.value):
            return "not known"
        if not np.isfinite(self.width):
            return f"{self.value:.3f} (interval not known)"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


class Draws:
    """The weights of rows in every draw of visitors; the same ones for all that is compared.

    A visitor alone says nothing about others: no row has a weight in any draw.
    """

    def __init__(
        self, visitors: pd.Series[str], weights: Floats, seed: int, draws: int = DRAWS
    ) -> None:
        self.weights = weights
        codes, names = pd.factorize(visitors, sort=True)
        self._codes: npt.NDArray[np.intp] = codes
        chance = np.random.default_rng(seed)
        count = len(names)
        self._times = (
            chance.multinomial(count, np.full(count, 1 / count), draws)
            if count > 1
            else np.zeros((draws, count), dtype=np.int64)
        )

    def of(self, rows: npt.NDArray[np.bool_]) -> Draws:
        """Return the same draws, of some of the rows alone."""
        part = copy(self)
        part.weights, part._codes = self.weights[rows], self._codes[rows]
        return part

    def __iter__(self) -> Iterator[Floats]:
        for times in self._times:
            yield times[self._codes] * self.weights

    def measure(self, ranked: Ranked) -> pd.DataFrame:
        """Return every metric of every draw, a row a draw."""
        return pd.DataFrame([ranked.measure(weights) for weights in self])


def intervals(whole: dict[str, float], drawn: pd.DataFrame) -> dict[str, Interval]:
    """Return each metric with its interval; NaN where no draw defines it."""
    return {name: interval(value, drawn[name]) for name, value in whole.items()}


def interval(value: float, drawn: pd.Series[float]) -> Interval:
    """Return a number with the interval of its draws, of which undefined ones are left out."""
    known = drawn.dropna()
    if known.empty:
        return Interval(value, float("nan"), float("nan"))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(value, float(low), float(high))
