"""Where negatives were sampled, every number of the report counts them alike."""

import numpy as np
import pytest

from prospect_pipeline.training.evaluation import Evaluation, evaluate, score_test
from prospect_pipeline_tests.training import signal_model, signal_split

THRESHOLD = 0.3


def judged(negative: float) -> Evaluation:
    test = signal_split().test
    test = test.assign(weight=np.where(test["label"] == 1, 1.0, negative))
    model = signal_model().model
    return evaluate(score_test(test, model, {}), test, model, THRESHOLD)


def test_confusion_matrix_metrics_and_report_agree_on_sampled_negatives() -> None:
    made = judged(4.0)

    (true_negatives, false_positives), (false_negatives, true_positives) = made.confusion
    form = made.classification_report.splitlines()[3].split()

    negatives = int((made.scored["label"] == 0).sum())
    assert true_negatives + false_positives == 4 * negatives
    precision = true_positives / (true_positives + false_positives)
    assert made.headline["precision"] == pytest.approx(precision)
    assert made.headline["recall"] == true_positives / (true_positives + false_negatives)
    assert form[:2] == ["form", f"{precision:.2f}"]


def test_the_positive_rate_is_weighted() -> None:
    made = judged(4.0)
    positives = int(made.scored["label"].sum())

    expected = positives / (positives + 4 * (len(made.scored) - positives))

    assert made.positive_rate == pytest.approx(expected)
    assert made.to_dict()["positive_rate"] == made.positive_rate


def test_without_sampling_the_report_counts_whole_rows() -> None:
    made = judged(1.0)

    assert made.classification_report.splitlines()[2].split()[-1] == str(
        int((made.scored["label"] == 0).sum())
    )
    assert sum(map(sum, made.confusion)) == len(made.scored)
