"""Where negatives were sampled, model and report count each for those that it stands for."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from prospect_pipeline.attributes import prospect
from prospect_pipeline.sandbox.generator import generate
from prospect_pipeline.settings import DefinitionSettings, TrainingSettings
from prospect_pipeline.training.bootstrap import Draws
from prospect_pipeline.training.dataset import KEY
from prospect_pipeline.training.evaluation import Evaluation, evaluate, score_test
from prospect_pipeline.training.model import train
from prospect_pipeline.training.split import Split, split
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse
from prospect_pipeline_tests.training import HOUR, signal_model, signal_split

THRESHOLD = 0.3
RATE = 0.2


def built(events: Path, negative_rate: float) -> pd.DataFrame:
    """The training set of generated events, with all or some of its negatives."""
    settings = TrainingSettings.load(cohort="all", negative_rate=negative_rate)
    group = prospect.attribute_group(DefinitionSettings.load())
    made = DuckDBWarehouse(events).training_set(DatasetRequest(group, settings))
    return made.table.to_pandas()


def rate_error(visitors: "pd.Series[str]", numbers: "pd.Series[float]") -> float:
    """The standard error of a mean over rows, from drawing visitors."""
    draws = Draws(visitors, np.ones(len(visitors)), seed=0)
    return float(np.std([np.average(numbers, weights=weight) for weight in draws]))


def test_scores_are_those_of_all_rows_though_few_negatives_were_kept(tmp_path: Path) -> None:
    events = tmp_path / "events.parquet"
    generate(3000, 5, datetime(2026, 5, 1, 12, tzinfo=UTC), events)
    every, kept = built(events, 1.0), built(events, RATE)
    assert set(kept["weight"]) == {1.0, 1 / RATE}
    parts = split(kept, HOUR)
    learnt = every[KEY].isin({*parts.known[KEY], *parts.calibration[KEY]})
    before, later = every[learnt], every[~learnt]

    def too_high(parts: Split) -> float:
        scores = train(parts, seed=0).model.score(later)
        return float(scores.mean() - later["label"].mean())

    # Both sides of the comparison are samples: who came later, and who was learnt from.
    error = np.hypot(
        rate_error(later[KEY], later["label"]), rate_error(before[KEY], before["label"])
    )
    assert abs(too_high(parts)) < 3 * error
    assert too_high(split(kept.drop(columns="weight"), HOUR)) > 6 * error


def test_weights_count_in_each_part_that_something_is_learnt_from() -> None:
    made, plain = signal_split(), signal_model()

    def heavy(part: pd.DataFrame) -> pd.DataFrame:
        return part.assign(weight=np.where(part["label"] == 1, 1.0, 1 / RATE))

    rounds = train(replace(made, validation=heavy(made.validation)), seed=0).search.chosen
    decided = train(replace(made, calibration=heavy(made.calibration)), seed=0).model

    assert rounds.log_loss < 0.8 * plain.search.chosen.log_loss
    assert decided.calibration.intercept < plain.model.calibration.intercept
    assert decided.threshold != plain.model.threshold


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
    assert form[:2] == ["converted", f"{precision:.2f}"]


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
