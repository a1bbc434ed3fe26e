"""Every metric is scikit-learn's, for any weights; what the best rows hold is counted fairly."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from prospect_pipeline.training.measures import HIGHER_IS_BETTER, Floats, Ranked

ROWS = st.lists(
    st.tuples(
        st.integers(0, 1), st.sampled_from([0.1, 0.2, 0.35, 0.5, 0.9]), st.sampled_from([1, 2, 7])
    ),
    min_size=3,
    max_size=40,
).filter(lambda rows: 0 < sum(label for label, *_ in rows) < len(rows))


def columns(rows: list[tuple[int, float, int]]) -> list[Floats]:
    return [np.array(column, float) for column in zip(*rows, strict=True)]


@given(ROWS)
def test_metrics_are_scikit_learns(rows: list[tuple[int, float, int]]) -> None:
    labels, scores, weights = columns(rows)
    found = Ranked.of(labels, scores, 0.35).measure(weights)
    decided, more = scores >= 0.35, {"sample_weight": weights}

    expected: dict[str, Any] = {
        "roc_auc": sk.roc_auc_score(labels, scores, **more),
        "pr_auc": sk.average_precision_score(labels, scores, **more),
        "log_loss": sk.log_loss(labels, scores, **more),
        "brier": sk.brier_score_loss(labels, scores, **more),
        "accuracy": sk.accuracy_score(labels, decided, **more),
        "f1": sk.f1_score(labels, decided, **more, zero_division=0),
        "f2": sk.fbeta_score(labels, decided, beta=2, **more, zero_division=0),
        "precision": sk.precision_score(labels, decided, **more, zero_division=0),
        "recall": sk.recall_score(labels, decided, **more, zero_division=0),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@given(ROWS)
def test_a_weight_counts_a_row_so_many_times(rows: list[tuple[int, float, int]]) -> None:
    labels, scores, weights = columns(rows)
    times = weights.astype(int)
    repeated = Ranked.of(np.repeat(labels, times), np.repeat(scores, times), 0.5)
    once = Ranked.of(labels, scores, 0.5).measure(weights)

    many = repeated.measure(np.ones(times.sum()))

    for name in HIGHER_IS_BETTER.keys() - {"ece"}:  # its bins hold equally many rows
        assert once[name] == pytest.approx(many[name])


def test_the_best_rows_are_counted_and_ties_are_shared() -> None:
    labels = np.array([1, 0, 1, 1, *[0] * 96], float)
    scores = np.array([0.9, 0.8, 0.8, 0.7, *[0.1] * 96])
    found = Ranked.of(labels, scores, 0.75).measure(np.ones(100))

    assert found["precision_top_1"] == 1
    assert found["recall_top_1"] == pytest.approx(1 / 3)
    assert found["precision_top_5"] == pytest.approx(3 / 5)
    assert found["recall_top_10"] == 1
    tied = Ranked.of(labels, np.full(100, 0.03), 0.5).measure(np.ones(100))
    assert tied["precision_top_10"] == pytest.approx(0.03)
    assert tied["recall_top_10"] == pytest.approx(0.1)


def test_the_calibration_error_is_what_the_bins_are_off_by() -> None:
    scores = np.repeat(np.linspace(0.05, 0.95, 10), 20)
    chance = [round(20 * share) for share in np.linspace(0.05, 0.95, 10)]
    labels = np.concatenate([np.arange(20) < count for count in chance]).astype(float)

    assert Ranked.of(labels, scores, 0.5).measure(np.ones(200))["ece"] == pytest.approx(0)
    off = Ranked.of(labels, scores * 0.5, 0.5).measure(np.ones(200))["ece"]
    assert off == pytest.approx(0.25)


def test_one_class_alone_defines_nothing() -> None:
    found = Ranked.of([0, 0], [0.1, 0.2], 0.5).measure(np.ones(2))

    assert all(np.isnan(value) for value in found.values())


def test_gains_rise_from_none_to_all() -> None:
    ranked = Ranked.of([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6], 0.5)

    found = ranked.gains(np.ones(4), np.array([0, 0.25, 0.5, 0.75, 1]))

    assert found.tolist() == [0, 0.5, 0.5, 1, 1]
