"""Tenths of the rows: lift and share found as one works them out by hand, and how sure they are."""

import json

import numpy as np
import pandas as pd
import pytest

from prospect_pipeline.training.bootstrap import Draws
from prospect_pipeline.training.deciles import Decile, deciles
from prospect_pipeline.training.measures import Floats, Ranked

LABELS = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0, 0] + [0] * 9 + [1], float)
SCORES = np.linspace(0.9, 0.1, 20)
EACH = pd.Series([f"v{n:02}" for n in range(20)])


def cut(
    labels: Floats = LABELS, scores: Floats = SCORES, weights: Floats | None = None
) -> list[Decile]:
    draws = Draws(EACH, np.ones(20) if weights is None else weights, seed=0, draws=200)
    return deciles(Ranked.of(labels, scores, 0.5), draws)


def test_lift_and_gain_equal_those_worked_out_by_hand() -> None:
    found = cut()

    assert [one.number for one in found] == list(range(1, 11))
    assert [one.lift.value for one in found] == pytest.approx([4, 2, 2, 0, 0, 0, 0, 0, 0, 2])
    shares = [2 / 5, 3 / 5, *[4 / 5] * 7, 1]
    assert [one.gain.value for one in found] == pytest.approx(shares)


def test_a_weight_counts_for_as_many_rows() -> None:
    heavy = np.where(LABELS == 1, 1.0, 3.0)  # 5 positives, 15 negatives that stand for 45

    first, second, *_ = cut(weights=heavy)

    assert first.gain.value == pytest.approx(3 / 5)  # the best 5 of 50: three positives, 2 of 3
    assert first.lift.value == pytest.approx(6)
    assert second.gain.value == pytest.approx(4 / 5)  # the next 5: 1 of 3, the fourth, 3 of 3


def test_rows_of_one_score_are_spread_evenly() -> None:
    found = cut(scores=np.full(20, 0.25))

    assert [one.lift.value for one in found] == pytest.approx([1] * 10)
    assert [one.gain.value for one in found] == pytest.approx(np.arange(1, 11) / 10)


def test_intervals_hold_the_number_and_the_last_share_is_certain() -> None:
    found = cut()

    assert all(one.lift.low <= one.lift.value <= one.lift.high for one in found)
    assert all(one.gain.low <= one.gain.value <= one.gain.high for one in found)
    assert found[0].lift.low < 4 < found[0].lift.high
    last = found[-1].gain
    assert (last.value, last.low, last.high) == pytest.approx((1, 1, 1))


def test_one_class_alone_has_no_lift() -> None:
    found = cut(labels=np.zeros(20))

    assert {str(one.lift) for one in found} == {str(one.gain) for one in found} == {"not known"}


def test_a_stored_tenth_is_read_back() -> None:
    for one in cut():
        assert Decile.from_dict(json.loads(json.dumps(one.to_dict()))) == one
