"""Intervals come from drawing visitors: the same draws for all that is compared."""

import json

import numpy as np
import pandas as pd
import pytest

from prospect_pipeline.training.bootstrap import Draws, interval, intervals
from prospect_pipeline.training.evaluation import MODEL, evaluate, score_test
from prospect_pipeline.training.measures import Floats, Ranked
from prospect_pipeline_tests.training import signal_model, signal_split


def rows(visitors: int, each: int, seed: int = 0) -> tuple["pd.Series[str]", Floats, Floats]:
    """Visitors whose rows all say the same: label and score are the visitor's."""
    chance = np.random.default_rng(seed)
    score = chance.uniform(size=visitors)
    label = (chance.uniform(size=visitors) < score).astype(float)
    names = pd.Series([f"v{n}" for n in range(visitors)]).repeat(each).reset_index(drop=True)
    return names, np.repeat(label, each), np.repeat(score, each)


def test_a_draw_takes_each_visitor_whole_and_as_many_as_there_are() -> None:
    names, *_ = rows(50, 3)
    weights = np.arange(150, dtype=float)

    for drawn in Draws(names, weights, seed=1, draws=20):
        times = (drawn[1:] / weights[1:]).round(9)
        assert all(len(set(times[names[1:] == name])) == 1 for name in set(names))
    ones = list(Draws(names, np.ones(150), seed=1, draws=20))
    assert {drawn.sum() for drawn in ones} == {150}


def test_the_interval_is_that_of_visitors_not_of_rows() -> None:
    few = rows(200, 1)
    many = rows(200, 30)

    def width(given: tuple["pd.Series[str]", Floats, Floats]) -> float:
        names, labels, scores = given
        ranked, weights = Ranked.of(labels, scores, 0.5), np.ones(len(names))
        drawn = Draws(names, weights, seed=0).measure(ranked)
        return intervals(ranked.measure(weights), drawn)["roc_auc"].width

    assert width(many) == pytest.approx(width(few), rel=0.05)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = 0
    for seed in range(60):
        names, labels, scores = rows(150, 2, seed)
        ranked, weights = Ranked.of(labels, scores, 0.5), np.ones(300)
        drawn = Draws(names, weights, seed, draws=200).measure(ranked)
        found = intervals(ranked.measure(weights), drawn)["brier"]
        held += found.low <= 1 / 6 <= found.high  # of scores that are true: E[p (1 - p)]
    assert 51 <= held <= 60


def test_the_same_seed_draws_the_same() -> None:
    names, labels, scores = rows(30, 2)
    ranked = Ranked.of(labels, scores, 0.5)

    first, again = (Draws(names, np.ones(60), 7, draws=10).measure(ranked) for _ in range(2))
    other = Draws(names, np.ones(60), 8, draws=10).measure(ranked)

    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


def test_draws_that_define_nothing_are_left_out() -> None:
    found = interval(0.5, pd.Series([np.nan, 0.4, 0.6, np.nan]))
    none = interval(0.5, pd.Series([np.nan, np.nan]))

    assert 0.4 <= found.low < found.high <= 0.6
    assert str(found).startswith("0.500 (0.4")
    assert np.isnan(none.low)


def test_what_no_draw_defines_is_said_to_be_not_known() -> None:
    none = pd.Series([np.nan, np.nan])

    assert str(interval(0.5, none)) == "0.500 (interval not known)"
    assert str(interval(float("nan"), none)) == "not known"
    assert interval(float("nan"), none).to_dict() == {"value": None, "low": None, "high": None}


@pytest.mark.parametrize("count", [0, 1])
def test_a_visitor_alone_says_nothing_about_others(count: int) -> None:
    names, labels, scores = pd.Series(["v"] * 4), np.array([0, 1, 0, 1.0]), np.arange(4) / 4
    ranked = Ranked.of(labels, scores, 0.5)

    alone = Draws(names, np.ones(4), 0, draws=5)
    found = intervals(ranked.measure(np.ones(4)), alone.measure(ranked))["roc_auc"]

    assert str(found) == "0.750 (interval not known)"
    assert [len(drawn) for drawn in Draws(names.head(count), np.ones(count), 0, draws=2)] == [
        count, count
    ]  # fmt: skip


def test_two_visitors_have_an_interval_where_a_draw_defines_it() -> None:
    names = pd.Series(["a", "a", "b", "b"])
    ranked = Ranked.of(np.array([0, 0, 0, 1]), np.array([0.1, 0.4, 0.2, 0.3]), 0.5)

    found = intervals(
        ranked.measure(np.ones(4)), Draws(names, np.ones(4), 0, draws=50).measure(ranked)
    )

    assert np.isfinite(found["roc_auc"].width)


def test_a_test_part_of_one_visitor_is_judged_without_intervals() -> None:
    test = signal_split().test
    tiny = test.assign(domain_userid="alone", label=[1, *[0] * (len(test) - 1)]).head(3)
    model = signal_model().model

    judged = evaluate(score_test(tiny, model, {"base": model.score(tiny)}), tiny, model, 0.5)

    stored = json.loads(json.dumps(judged.to_dict(), allow_nan=False))
    assert stored["intervals"][MODEL]["log_loss"] == {
        "value": judged.headline["log_loss"], "low": None, "high": None
    }  # fmt: skip
    assert str(judged.intervals[MODEL]["log_loss"]).endswith(" (interval not known)")
    assert all(np.isfinite(value) for value in judged.flat_metrics().values())
