"""The rows in tenths, the best scores first: how often each converts, and what is found so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from prospect_pipeline.training.bootstrap import Draws, Interval, interval
from prospect_pipeline.training.measures import Floats, Ranked

TENTHS = 10
SHARES = np.linspace(0, 1, TENTHS + 1)


@dataclass(frozen=True)
class Decile:
    """One tenth of the rows, by number from 1 on.

    ``lift`` is how many times the average rate it converts at, ``gain`` the share of all positives
    that it and the tenths before it hold.
    """

    number: int
    lift: Interval
    gain: Interval

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {
            "decile": self.number,
            "lift": self.lift.to_dict(),
            "gain": self.gain.to_dict(),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild one; raises KeyError where ``stored`` is none."""
        return cls(
            stored["decile"],
            Interval.from_dict(stored["lift"]),
            Interval.from_dict(stored["gain"]),
        )


def deciles(ranked: Ranked, draws: Draws) -> list[Decile]:
    """Return every tenth of a scorer's rows; ``draws`` are of the same rows' visitors.

    Each draw is cut into its own tenths. Rows of equal score are spread evenly.
    """
    gains = ranked.gains(draws.weights, SHARES)
    drawn = np.array([ranked.gains(weights, SHARES) for weights in draws])
    lifts, drawn_lifts = _lifts(gains), _lifts(drawn)
    return [
        Decile(
            place + 1,
            interval(float(lifts[place]), pd.Series(drawn_lifts[:, place])),
            interval(float(gains[place + 1]), pd.Series(drawn[:, place + 1])),
        )
        for place in range(TENTHS)
    ]


def _lifts(gains: Floats) -> Floats:
    lifts: Floats = np.diff(gains, axis=-1) * TENTHS
    return lifts
