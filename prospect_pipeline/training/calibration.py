"""Calibration: that of all who score 10 %, one in ten converts.

Platt's scaling on the log-odds (Platt, Probabilistic Outputs for Support Vector Machines, 1999),
drawn towards changing nothing: held-out converters are few, and a model trained on log loss needs
little. A visitor's rows say much the same, so that all rows together count as much as there are
visitors.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from prospect_pipeline.scoring import Calibration, Floats

SPREAD = 0.05
"""How far slope and intercept are expected from 1 and 0: the prior's standard deviation."""


def fit_calibration(
    margins: Floats, labels: Floats, weights: Floats, visitors: pd.Series[str]
) -> Calibration:
    """Fit slope and intercept on held-out rows; ``margins`` are the model's own log-odds."""
    share = weights * (visitors.nunique() / weights.sum())

    def penalized(found: Floats) -> tuple[float, Floats]:
        slope, intercept = found
        odds = slope * margins + intercept
        loss = share @ (np.logaddexp(0, odds) - labels * odds)
        wrong = share * (1 / (1 + np.exp(-odds)) - labels)
        away = (found - np.array([1.0, 0.0])) / SPREAD**2
        gradient = np.array([wrong @ margins, wrong.sum()]) + away
        return float(loss + 0.5 * away @ (found - np.array([1.0, 0.0]))), gradient

    found = minimize(penalized, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    return Calibration(float(max(found[0], 0.05)), float(found[1]))
