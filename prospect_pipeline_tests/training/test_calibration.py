"""Calibration mends what is off, and leaves alone what is not."""

import numpy as np
import pandas as pd
import pytest

from prospect_pipeline.scoring import Calibration, Floats
from prospect_pipeline.training.calibration import fit_calibration


def held(count: int, slope: float, intercept: float) -> tuple[Floats, Floats]:
    """Margins, and labels whose true log-odds are ``slope * margin + intercept``."""
    chance = np.random.default_rng(3)
    margins = chance.normal(-1, 1.5, count)
    truth = 1 / (1 + np.exp(-(slope * margins + intercept)))
    return margins, (chance.uniform(size=count) < truth).astype(float)


def names(count: int, each: int = 1) -> "pd.Series[str]":
    return pd.Series([f"v{n // each}" for n in range(count)])


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.6, -0.4), (1.5, 0.8)])
def test_many_visitors_show_what_is_off(slope: float, intercept: float) -> None:
    margins, labels = held(400_000, slope, intercept)

    found = fit_calibration(margins, labels, np.ones(400_000), names(400_000))

    assert found.slope == pytest.approx(slope, abs=0.06)
    assert found.intercept == pytest.approx(intercept, abs=0.06)


def test_few_visitors_change_little_however_many_rows_they_have() -> None:
    margins, labels = held(5_000, 0.3, 1.5)

    few = fit_calibration(margins, labels, np.ones(5_000), names(5_000, each=1000))
    many = fit_calibration(margins, labels, np.ones(5_000), names(5_000))

    assert 0.9 < few.slope < 1
    assert many.slope < 0.5


def test_a_weight_counts_a_row_so_many_times() -> None:
    margins, labels = held(400, 0.6, 0.3)
    weights = np.where(labels > 0, 1.0, 3.0)
    times = weights.astype(int)

    weighted = fit_calibration(margins, labels, weights, names(400))
    repeated = fit_calibration(
        np.repeat(margins, times), np.repeat(labels, times), np.ones(times.sum()),
        names(400).repeat(times),
    )  # fmt: skip

    assert weighted.slope == pytest.approx(repeated.slope, abs=1e-4)
    assert weighted.intercept == pytest.approx(repeated.intercept, abs=1e-4)


def test_nothing_fitted_changes_nothing() -> None:
    margins = np.array([-2.0, 0.0, 3.0])

    assert Calibration().probabilities(margins) == pytest.approx(1 / (1 + np.exp(-margins)))
    assert Calibration(1, 100).probabilities(margins).max() < 1
