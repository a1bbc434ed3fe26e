"""Scores that are right stray by chance, the more the fewer convert; wrong ones stray further."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from prospect_pipeline.scoring import Floats
from prospect_pipeline.training.bootstrap import Draws
from prospect_pipeline.training.measures import Ranked
from prospect_pipeline.training.promotion import Floors
from prospect_pipeline.training.reliability import chance_error

RATE = 0.1
TRIES = 60

Wrong = Callable[[Floats], Floats]
Visits = tuple["pd.Series[str]", Floats, Floats]


def visits(converters: int, seed: int) -> Visits:
    """Rows of visitors of whom so many are expected to convert: visitor, label, true log-odds.

    Each row tells more of the visitor (the odds are multiplied by its likelihood ratio), and all of
    a visitor's rows have the same label.
    """
    chance = np.random.default_rng([converters, seed])
    count = round(converters / RATE)
    before = chance.normal(-2.7, 1.2, count)
    converts = chance.random(count) < 1 / (1 + np.exp(-before))
    codes = np.repeat(np.arange(count), np.minimum(chance.geometric(0.25, count), 30))
    told = pd.Series(chance.normal(np.where(converts, 0.125, -0.125)[codes], 0.5))
    odds = before[codes] + told.groupby(codes).cumsum().to_numpy()
    return pd.Series(codes).map("v{}".format), converts[codes].astype(float), odds


def right(odds: Floats) -> Floats:
    return 1 / (1 + np.exp(-odds))


def doubled(odds: Floats) -> Floats:
    return np.minimum(2 * right(odds), 0.999)


def steeper(odds: Floats) -> Floats:
    return right(2 * odds)


def errors(drawn: Visits, wrong: Wrong, kept: float = 1.0) -> tuple[float, float]:
    """The calibration error of scores that are wrong in some way, and the one by chance.

    Of the negatives a share is ``kept``, each of which weighs more.
    """
    visitors, labels, odds = drawn
    rows = (labels > 0) | (np.random.default_rng(len(labels)).random(len(labels)) < kept)
    weights = np.where(labels > 0, 1.0, 1 / kept)[rows]
    ranked = Ranked.of(labels[rows], wrong(odds[rows]), 0.5)
    by_chance = chance_error(ranked, Draws(visitors[rows], weights, 0, draws=200))
    return ranked.measure(weights)["ece"], by_chance


def refused(converters: int, wrong: Wrong, tries: int = TRIES, kept: float = 1.0) -> float:
    """How often scores that are wrong in some way would be refused."""
    found = []
    for seed in range(tries):
        drawn = visits(converters, seed)
        error, by_chance = errors(drawn, wrong, kept)
        found.append(error > max(by_chance, Floors().calibration * drawn[1].mean()))
    return float(np.mean(found))


@pytest.mark.parametrize("converters", [30, 50, 100])
def test_scores_that_are_right_are_hardly_ever_refused(converters: int) -> None:
    assert refused(converters, right) <= 0.05


def test_scores_that_are_right_are_hardly_ever_refused_where_negatives_were_sampled() -> None:
    assert refused(50, right, kept=0.25) <= 0.05


@pytest.mark.parametrize("wrong", [doubled, steeper])
def test_scores_that_are_wrong_are_refused(wrong: Wrong) -> None:
    assert refused(100, wrong, tries=25) == 1.0


def test_the_error_by_chance_is_the_one_of_visitors_not_of_rows() -> None:
    visitors, labels, odds = visits(50, 0)
    often = pd.concat([visitors] * 9), np.tile(labels, 9), np.tile(odds, 9)

    _, once = errors((visitors, labels, odds), right)
    _, again = errors(often, right)

    assert again == pytest.approx(once, rel=0.02)


def test_fewer_converters_leave_more_to_chance() -> None:
    _, few = errors(visits(30, 0), right)
    _, many = errors(visits(300, 0), right)

    assert few > 2 * many


def test_a_visitor_alone_says_nothing_of_chance() -> None:
    ranked = Ranked.of([0, 1], [0.2, 0.3], 0.5)

    assert np.isnan(chance_error(ranked, Draws(pd.Series(["v", "v"]), np.ones(2), 0, draws=5)))
