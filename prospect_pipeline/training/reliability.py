"""How large a calibration error may be by chance alone.

Scores that are right have a calibration error too, the larger the fewer visitors convert: in each
group of rows the share of positives strays from the mean score (Bröcker and Smith, Increasing the
Reliability of Reliability Diagrams, Weather and Forecasting 22, 2007). How far is found by
drawing visitors anew, whose rows belong together. What a draw moves a group by, seen from what was
found, is what chance moves it by where the scores are right (bootstrap tests: Davison and Hinkley,
Bootstrap Methods and their Application, 1997, ch. 4.4). Sampled rows need nothing else: each weighs
what it stands for.
"""

from __future__ import annotations

import numpy as np

from prospect_pipeline.training.bootstrap import Draws
from prospect_pipeline.training.measures import Floats, Ranked

RARE = 0.01
"""How often scores that are right have a calibration error beyond what is called chance."""


def chance_error(ranked: Ranked, draws: Draws) -> float:
    """Return the calibration error that scores which are right exceed about once in a hundred.

    ``draws`` are of the visitors of the rows that were ranked; NaN for a visitor alone.
    """

    def by_group(weights: Floats) -> Floats:
        sums: Floats = np.add.reduceat(weights[ranked.order] * ranked.errors, ranked.bins)
        return sums

    found = by_group(draws.weights)
    errors = [
        float(np.abs(by_group(weights) - found).sum() / weights.sum())
        for weights in draws
        if weights.any()
    ]
    return float(np.quantile(errors, 1 - RARE)) if errors else float("nan")
