"""Explained visitors are a spread of scores, and their bars add up to the score."""

import numpy as np
import pytest

from prospect_pipeline.features import in_words
from prospect_pipeline.training.visitors import REASONS, VISITORS, Explained, explained
from prospect_pipeline_tests.training import anchor, frame, signal_model, signal_split

THRESHOLD = 0.3


def told(threshold: float = THRESHOLD) -> list[Explained]:
    test, model = signal_split().test, signal_model().model
    labels = test["label"].to_numpy(float)
    return explained(test, labels, model.score(test), model, threshold)


def test_ten_visitors_from_the_highest_score_to_the_lowest() -> None:
    shown = told()

    assert len({one.visitor for one in shown}) == len(shown) == VISITORS
    assert [one.score for one in shown] == sorted((one.score for one in shown), reverse=True)
    assert all(one.called == (one.score >= THRESHOLD) for one in shown)


def test_reasons_rest_and_base_add_up_to_the_log_odds_of_the_score() -> None:
    for one in told():
        sizes = [abs(reason.contribution) for reason in one.reasons]
        total = sum(reason.contribution for reason in one.reasons) + one.rest + one.base
        assert total == pytest.approx(np.log(one.score / (1 - one.score)), abs=1e-4)
        assert len(sizes) == REASONS
        assert sizes == sorted(sizes, reverse=True)


def test_the_surprises_are_among_them() -> None:
    test, model = signal_split().test, signal_model().model
    scores, labels = model.score(test), test["label"].to_numpy()
    shown = {one.why.split(":")[0]: one for one in told()}

    miss, alarm = shown["a miss"], shown["a false alarm"]
    assert miss.score == scores[(labels == 1) & (scores < THRESHOLD)].min()
    assert (miss.called, miss.converted) == (False, True)
    assert alarm.score == scores[(labels == 0) & (scores >= THRESHOLD)].max()
    assert (alarm.called, alarm.converted) == (True, False)
    assert shown["just above the threshold"].score >= THRESHOLD
    assert shown["just below the threshold"].score < THRESHOLD


def test_a_reason_says_the_columns_value() -> None:
    rows = signal_split().test.set_index(["domain_userid", "anchor_ts"])

    for one in told():
        row = rows.loc[(one.visitor, one.moment)]
        assert all(r.value == in_words(r.column, row[r.column]) for r in one.reasons)


def test_where_there_are_few_visitors_each_stands_once() -> None:
    test = frame(anchor("a", 0, 0), anchor("a", 1, 0), anchor("b", 2, 0))
    model = signal_model().model

    shown = explained(test, np.zeros(3), model.score(test), model, THRESHOLD)

    assert sorted(one.visitor for one in shown) == ["a", "b"]
