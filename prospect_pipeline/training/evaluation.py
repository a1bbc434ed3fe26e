"""How good a model is on the test part, next to the baselines, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics as sk

from prospect_pipeline.scoring import ScoringModel
from prospect_pipeline.training.bootstrap import Draws, Interval, interval, intervals
from prospect_pipeline.training.dataset import KEY
from prospect_pipeline.training.measures import HIGHER_IS_BETTER, Ranked
from prospect_pipeline.training.model import Scores, weights

MODEL = "model"
"""The column of the model's own scores in a scored frame; the others are baselines."""

IDENTITY = ["domain_userid", "anchor_ts", "event_id", "label", "weight"]
EXPLAINED_ROWS = 1000


@dataclass(frozen=True)
class Evaluation:
    """The test part, scored: metrics by scorer, and what the report draws.

    ``scored`` has a row for each test anchor, with `IDENTITY` and a column of probabilities for
    each scorer. ``contributions`` are in log-odds, a row for each of ``explained``.
    ``confusion`` is [[true negatives, false positives], [false negatives, true positives]].
    Every number is weighted: where negatives were sampled, each counts for those it stands for.
    ``intervals`` are those of ``metrics``, and ``ahead`` how far the model is ahead of each
    baseline, on the same draws of visitors; both by scorer and metric.
    """

    scored: pd.DataFrame
    threshold: float
    metrics: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, Interval]]
    ahead: dict[str, dict[str, Interval]]
    confusion: list[list[int]]
    classification_report: str
    importance: dict[str, float]
    explained: pd.DataFrame
    contributions: Scores

    @property
    def headline(self) -> dict[str, float]:
        """The model's own metrics."""
        return self.metrics[MODEL]

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
            "metrics": self.metrics,
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

    ``seed`` is of the draws that the intervals come from.
    """
    scorers = [name for name in scored.columns if name not in IDENTITY]
    labels, weight = scored["label"].to_numpy(), scored["weight"].to_numpy()
    decided = (scored[MODEL].to_numpy() >= threshold).astype(int)
    ranked = {name: Ranked.of(labels, scored[name], threshold) for name in scorers}
    metrics = {name: one.measure(weight) for name, one in ranked.items()}
    draws = Draws(scored[KEY], weight, seed)
    drawn = {name: draws.measure(one) for name, one in ranked.items()}
    # Without sampling no weights are passed, so that the report's text counts in whole rows.
    sampled = weight if (weight != 1).any() else None
    confusion = sk.confusion_matrix(labels, decided, labels=[0, 1], sample_weight=sampled)
    gain = model.booster.get_score(importance_type="gain")
    total = sum(gain.values()) or 1.0
    step = max(len(test) // EXPLAINED_ROWS, 1)
    explained = test.iloc[::step][list(model.encoder.columns)].reset_index(drop=True)
    return Evaluation(
        scored=scored,
        threshold=threshold,
        metrics=metrics,
        intervals={name: intervals(metrics[name], drawn[name]) for name in scorers},
        ahead={
            name: {
                metric: interval(
                    metrics[MODEL][metric] - metrics[name][metric],
                    drawn[MODEL][metric] - drawn[name][metric],
                )
                for metric in HIGHER_IS_BETTER
            }
            for name in scorers
            if name != MODEL
        },
        confusion=np.rint(confusion).astype(int).tolist(),
        classification_report=sk.classification_report(
            labels,
            decided,
            target_names=["no form", "form"],
            sample_weight=sampled,
            zero_division=0,
        ),
        importance={
            name: gain.get(name, 0.0) / total
            for name in sorted(model.encoder.columns, key=lambda n: -gain.get(n, 0.0))
        },
        explained=explained,
        contributions=model.contributions(model.encoder.encode(explained)),
    )
