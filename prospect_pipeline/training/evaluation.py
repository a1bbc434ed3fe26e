"""How good a model is on the test part, next to the baselines, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import metrics as sk

from prospect_pipeline.scoring import ScoringModel
from prospect_pipeline.training.bootstrap import Draws, Interval, interval, intervals
from prospect_pipeline.training.dataset import KEY
from prospect_pipeline.training.importance import PERMUTED_ROWS, gain, permutation, spread_rows
from prospect_pipeline.training.measures import HIGHER_IS_BETTER, Ranked
from prospect_pipeline.training.model import Scores, weights
from prospect_pipeline.training.slices import Slice, slices
from prospect_pipeline.training.visitors import Explained, explained

Intervals = dict[str, Interval]

MODEL = "model"
"""The column of the model's own scores in a scored frame; the others are baselines."""

IDENTITY = ["domain_userid", "anchor_ts", "event_id", "label", "weight"]
EXPLAINED_ROWS = 1000
"""How many rows at most have their contributions drawn."""


@dataclass(frozen=True)
class Evaluation:
    """The test part, scored: metrics by scorer, and what the report draws.

    ``scored`` has a row for each test anchor, with `IDENTITY` and a column of probabilities for
    each scorer. ``contributions`` are in log-odds, a row for each of ``explained``;
    ``importance`` is a share of gain by column, ``permutation`` what shuffling a column adds to the
    log loss, for each shuffle.
    ``confusion`` is [[true negatives, false positives], [false negatives, true positives]].
    Every number is weighted: where negatives were sampled, each counts for those it stands for.
    ``intervals`` are those of ``metrics``, and ``ahead`` how far the model is ahead of each
    baseline, on the same draws of visitors; both by scorer and metric.
    """

    scored: pd.DataFrame
    threshold: float
    seed: int
    metrics: dict[str, dict[str, float]]
    intervals: dict[str, Intervals]
    ahead: dict[str, Intervals]
    confusion: list[list[int]]
    classification_report: str
    importance: dict[str, float]
    permutation: dict[str, list[float]]
    slices: list[Slice]
    explained: pd.DataFrame
    contributions: Scores
    visitors: list[Explained]

    @property
    def headline(self) -> dict[str, float]:
        """The model's own metrics."""
        return self.metrics[MODEL]

    @property
    def has_both_classes(self) -> bool:
        """Whether curves and metrics are defined at all."""
        return bool(self.scored["label"].nunique() == 2)

    @property
    def is_sampled(self) -> bool:
        """Whether some rows stand for several."""
        return bool((self.scored["weight"] != 1).any())

    @property
    def positive_rate(self) -> float:
        """The share of positives in the test part: what PR AUC has to beat."""
        return float(np.average(self.scored["label"], weights=self.scored["weight"]))

    def flat_metrics(self) -> dict[str, float]:
        """Return every metric with one name each, the baselines' behind their own."""
        flat = dict(self.headline)
        for name, found in self.intervals[MODEL].items():
            flat |= {f"{name}.low": found.low, f"{name}.high": found.high}
        for scorer, values in self.metrics.items():
            if scorer != MODEL:
                flat |= {f"{scorer.replace(' ', '_')}.{name}": x for name, x in values.items()}
        return {name: value for name, value in flat.items() if np.isfinite(value)}

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain JSON types."""
        return {
            "threshold": self.threshold,
            "metrics": {
                scorer: {name: _plain(value) for name, value in own.items()}
                for scorer, own in self.metrics.items()
            },
            "intervals": {
                scorer: {name: found.to_dict() for name, found in own.items()}
                for scorer, own in self.intervals.items()
            },
            "ahead": {
                scorer: {name: found.to_dict() for name, found in own.items()}
                for scorer, own in self.ahead.items()
            },
            "confusion_matrix": self.confusion,
            "importance": self.importance,
            "permutation": self.permutation,
            "slices": [one.to_dict() | {"gain": one.gain.to_dict()} for one in self.slices],
            "test_rows": len(self.scored),
            "test_positives": int(self.scored["label"].sum()),
            "positive_rate": self.positive_rate,
        }


def score_test(
    test: pd.DataFrame, model: ScoringModel, baselines: Mapping[str, Scores]
) -> pd.DataFrame:
    """Return the scored frame of a test part."""
    scored = test.assign(weight=weights(test))[IDENTITY].copy()
    scored[MODEL] = model.score(test)
    for name, scores in baselines.items():
        scored[name] = scores
    return scored.reset_index(drop=True)


def evaluate(
    scored: pd.DataFrame,
    test: pd.DataFrame,
    model: ScoringModel,
    threshold: float,
    seed: int = 0,
) -> Evaluation:
    """Evaluate every scorer of a scored frame; ``test`` holds the same rows' columns.

    ``seed`` is of the draws that the intervals come from, and of the shuffles.
    """
    labels, weight = scored["label"].to_numpy(np.float64), scored["weight"].to_numpy(np.float64)
    scores = scored[MODEL].to_numpy()
    draws = Draws(scored[KEY], weight, seed)
    metrics, found, ahead = _measured(scored, threshold, draws)
    confusion, report = _decided(labels, scores >= threshold, weight)
    shown = test.iloc[spread_rows(len(test), EXPLAINED_ROWS)]
    shown = shown[list(model.encoder.columns)].reset_index(drop=True)
    shuffled = spread_rows(len(test), PERMUTED_ROWS)
    return Evaluation(
        scored=scored,
        threshold=threshold,
        seed=seed,
        metrics=metrics,
        intervals=found,
        ahead=ahead,
        confusion=confusion,
        classification_report=report,
        importance=gain(model),
        permutation=permutation(
            model, test.iloc[shuffled], labels[shuffled], weight[shuffled], seed
        ),
        slices=slices(test.assign(label=labels), scores, draws),
        explained=shown,
        contributions=model.contributions(model.encoder.encode(shown)),
        visitors=explained(test, labels, scores, model, threshold),
    )


def _measured(
    scored: pd.DataFrame, threshold: float, draws: Draws
) -> tuple[dict[str, dict[str, float]], dict[str, Intervals], dict[str, Intervals]]:
    """Return every scorer's metrics, their intervals, and how far the model is ahead."""
    scorers = [name for name in scored.columns if name not in IDENTITY]
    ranked = {name: Ranked.of(scored["label"], scored[name], threshold) for name in scorers}
    metrics = {name: one.measure(draws.weights) for name, one in ranked.items()}
    drawn = {name: draws.measure(one) for name, one in ranked.items()}
    ahead = {
        name: {
            metric: interval(
                metrics[MODEL][metric] - metrics[name][metric],
                drawn[MODEL][metric] - drawn[name][metric],
            )
            for metric in HIGHER_IS_BETTER
        }
        for name in scorers
        if name != MODEL
    }
    return metrics, {name: intervals(metrics[name], drawn[name]) for name in scorers}, ahead


def _decided(
    labels: Scores, called: npt.NDArray[np.bool_], weight: Scores
) -> tuple[list[list[int]], str]:
    """Return the confusion matrix and scikit-learn's report of the decision."""
    # Without sampling no weights are passed, so that the report's text counts in whole rows.
    sampled = weight if (weight != 1).any() else None
    given = {"labels": [0, 1], "sample_weight": sampled}
    confusion = sk.confusion_matrix(labels, called.astype(int), **given)
    report = sk.classification_report(
        labels,
        called.astype(int),
        target_names=["not converted", "converted"],
        zero_division=0,
        **given,
    )
    return np.rint(confusion).astype(int).tolist(), report


def _plain(number: float) -> float | None:
    """Return a number as JSON knows it: null where it is not defined."""
    return number if np.isfinite(number) else None
