"""Metrics, threshold and counts equal what one works out by hand."""

import dataclasses
import json
from math import log

import numpy as np
import pytest

from prospect_pipeline.errors import TrainingError
from prospect_pipeline.features import COLUMNS
from prospect_pipeline.scoring import EPSILON
from prospect_pipeline.training.evaluation import (
    IDENTITY,
    MODEL,
    Evaluation,
    evaluate,
    score_test,
)
from prospect_pipeline.training.measures import HIGHER_IS_BETTER, Floats, Ranked
from prospect_pipeline.training.model import baselines
from prospect_pipeline_tests.training import signal_model, signal_split

LABELS = np.array([0, 1, 1, 0])
SCORES = np.array([0.1, 0.8, 0.4, 0.5])
EVEN = np.ones(4)
UNEVEN = np.array([1.0, 1.0, 1.0, 3.0])
METRICS = "roc_auc pr_auc log_loss brier accuracy f1 precision recall".split()


def by_hand(weight: np.ndarray = EVEN, threshold: float = 0.5) -> Evaluation:
    test = signal_split().test.head(4)
    scored = test[["domain_userid", "anchor_ts", "event_id"]].assign(
        label=LABELS, weight=weight, **{MODEL: SCORES, "base rate": 0.5}
    )
    return evaluate(scored.reset_index(drop=True), test, signal_model().model, threshold)


def evaluated() -> Evaluation:
    made, model = signal_split(), signal_model().model
    others = {"base rate": baselines(made, seed=0)["base rate"]}
    return evaluate(score_test(made.test, model, others), made.test, model, 0.35)


def measure(labels: Floats, scores: Floats, weight: Floats, threshold: float) -> dict[str, float]:
    found = Ranked.of(labels, scores, threshold).measure(weight)
    return {name: found[name] for name in METRICS}


def test_metrics_equal_those_worked_out_by_hand() -> None:
    assert measure(LABELS, SCORES, EVEN, 0.5) == pytest.approx(
        {
            "roc_auc": 3 / 4,
            "pr_auc": 0.5 * 1 + 0.5 * 2 / 3,
            "log_loss": -(log(0.9) + log(0.8) + log(0.4) + log(0.5)) / 4,
            "brier": (0.01 + 0.04 + 0.36 + 0.25) / 4,
            "accuracy": 0.5,
            "f1": 0.5,
            "precision": 0.5,
            "recall": 0.5,
        }
    )


def test_weighted_metrics_equal_those_worked_out_by_hand() -> None:
    assert measure(LABELS, SCORES, UNEVEN, 0.5) == pytest.approx(
        {
            "roc_auc": 5 / 8,
            "pr_auc": 0.5 * 1 + 0.5 * 2 / 5,
            "log_loss": -(log(0.9) + log(0.8) + log(0.4) + 3 * log(0.5)) / 6,
            "brier": (0.01 + 0.04 + 0.36 + 3 * 0.25) / 6,
            "accuracy": 2 / 6,
            "f1": 1 / 3,
            "precision": 1 / 4,
            "recall": 0.5,
        }
    )


def test_certain_scores_are_bounded_before_the_log_loss() -> None:
    found = measure(np.array([0, 1]), np.array([1.0, 1.0]), np.ones(2), 0.5)

    assert found["log_loss"] == pytest.approx(-(log(EPSILON) + log(1 - EPSILON)) / 2)


def test_calling_nobody_gives_zeros_and_not_an_error() -> None:
    found = measure(LABELS, SCORES, EVEN, 0.9)

    assert (found["precision"], found["recall"], found["f1"]) == (0.0, 0.0, 0.0)
    assert found["accuracy"] == 0.5


def test_confusion_counts_rows_at_the_threshold_as_called() -> None:
    assert by_hand(threshold=0.5).confusion == [[1, 1], [1, 1]]
    assert by_hand(threshold=0.4).confusion == [[1, 1], [0, 2]]
    assert by_hand(threshold=0.1).confusion == [[0, 2], [0, 2]]
    assert by_hand(threshold=0.9).confusion == [[2, 0], [2, 0]]


def test_every_scorer_is_measured_on_the_same_rows() -> None:
    made = by_hand(UNEVEN)

    assert list(made.metrics) == [MODEL, "base rate"]
    assert all(list(values) == list(HIGHER_IS_BETTER) for values in made.metrics.values())
    assert made.headline == Ranked.of(LABELS, SCORES, 0.5).measure(UNEVEN)
    assert made.metrics["base rate"] == Ranked.of(LABELS, np.full(4, 0.5), 0.5).measure(UNEVEN)


def test_flat_metrics_name_the_baselines_behind_their_own() -> None:
    flat = evaluated().flat_metrics()

    tenths = [f"{what}_decile_{n}" for what in ("lift", "gain") for n in range(1, 11)]
    own = [*HIGHER_IS_BETTER, *tenths]
    ends = [f"{name}.{end}" for name in own for end in ("low", "high")]
    assert set(flat) == {
        *own, *ends, *(f"base_rate.{name}" for name in HIGHER_IS_BETTER)
    }  # fmt: skip
    assert flat["base_rate.roc_auc"] == 0.5
    assert flat["pr_auc.low"] < flat["pr_auc"] < flat["pr_auc.high"]


def test_the_model_is_compared_on_the_same_draws() -> None:
    made = evaluated()
    ahead = made.ahead["base rate"]["pr_auc"]

    assert list(made.ahead) == ["base rate"]
    assert ahead.value == made.metrics[MODEL]["pr_auc"] - made.metrics["base rate"]["pr_auc"]
    own, other = (made.intervals[name]["pr_auc"] for name in (MODEL, "base rate"))
    assert 0 < ahead.low < ahead.value < ahead.high
    assert ahead.width < own.width + other.width


def test_a_metric_that_few_rows_do_not_define_has_no_interval() -> None:
    made = by_hand().to_dict()  # four rows of two visitors: most draws have one class or visitor

    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_the_numbers_are_plain_json() -> None:
    made = by_hand().to_dict()

    assert json.loads(json.dumps(made)) == made
    assert (made["test_rows"], made["test_positives"]) == (4, 2)
    assert made["confusion_matrix"] == [[1, 1], [1, 1]]


def test_importance_is_a_share_of_each_column_largest_first() -> None:
    importance = by_hand().importance

    assert sorted(importance) == sorted(COLUMNS)
    assert sum(importance.values()) == pytest.approx(1)
    assert list(importance.values()) == sorted(importance.values(), reverse=True)


def test_the_scored_frame_has_a_row_for_each_anchor_and_a_column_for_each_scorer() -> None:
    made = signal_split()
    others = baselines(made, seed=0)

    scored = score_test(made.test, signal_model().model, others)

    assert list(scored.columns) == [*IDENTITY, MODEL, *others]
    assert scored["event_id"].tolist() == made.test["event_id"].tolist()
    assert scored.index.tolist() == list(range(len(made.test)))
    assert scored["weight"].eq(1).all()
    assert np.array_equal(scored[MODEL], signal_model().model.score(made.test))
    assert np.array_equal(scored["base rate"], others["base rate"])


def test_a_stored_evaluation_is_the_one_that_was_made() -> None:
    made = evaluated()

    again = Evaluation.from_dict(json.loads(json.dumps(made.to_dict())), made.scored)

    assert again == dataclasses.replace(made, scored=again.scored)
    assert again.flat_metrics() == made.flat_metrics()
    assert again.confusion == made.confusion


def test_a_stored_evaluation_with_what_is_not_known_is_read_back() -> None:
    made = by_hand()

    again = Evaluation.from_dict(json.loads(json.dumps(made.to_dict())), made.scored)

    assert again.to_dict() == made.to_dict()


@pytest.mark.parametrize("name", ["seed", "intervals", "deciles", "slices"])
def test_the_evaluation_of_another_release_says_what_to_do(name: str) -> None:
    stored = by_hand().to_dict()
    del stored[name]

    with pytest.raises(TrainingError, match=f"another release .*{name}.* materialize registered_m"):
        Evaluation.from_dict(stored, by_hand().scored)


def test_the_numbers_hold_deciles_and_slices() -> None:
    made = evaluated()
    plain = made.to_dict()

    assert plain["deciles"] == [one.to_dict() for one in made.deciles]
    assert [one["what"] for one in plain["slices"]] == [one.what for one in made.slices]
    assert plain["slices"][0]["metrics"]["pr_auc"] == made.slices[0].metrics["pr_auc"].to_dict()
