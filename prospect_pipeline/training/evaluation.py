"""How good a model is on the test part, next to the baselines on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import metrics as sk

from prospect_pipeline.scoring import EPSILON, ScoringModel
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
    """

    scored: pd.DataFrame
    threshold: float
    metrics: dict[str, dict[str, float]]
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
        for scorer, values in self.metrics.items():
            if scorer != MODEL:
                flat |= {f"{scorer.replace(' ', '_')}.{name}": x for name, x in values.items()}
        return flat

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain JSON types."""
        return {
            "threshold": self.threshold,
            "metrics": self.metrics,
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
    scored: pd.DataFrame, test: pd.DataFrame, model: ScoringModel, threshold: float
) -> Evaluation:
    """Evaluate every scorer of a scored frame; ``test`` holds the same rows' columns."""
    scorers = [name for name in scored.columns if name not in IDENTITY]
    labels, weight = scored["label"].to_numpy(), scored["weight"].to_numpy()
    decided = (scored[MODEL].to_numpy() >= threshold).astype(int)
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
        metrics={
            name: measure(labels, scored[name].to_numpy(), weight, threshold) for name in scorers
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


def measure(
    labels: npt.NDArray[Any], scores: Scores, weight: Scores, threshold: float
) -> dict[str, float]:
    """Return the metrics of one scorer; those that need a decision take ``threshold``."""
    bounded = np.clip(scores, EPSILON, 1 - EPSILON)
    decided = (scores >= threshold).astype(int)
    return {
        "roc_auc": float(sk.roc_auc_score(labels, scores, sample_weight=weight)),
        "pr_auc": float(sk.average_precision_score(labels, scores, sample_weight=weight)),
        "log_loss": float(sk.log_loss(labels, bounded, sample_weight=weight)),
        "brier": float(sk.brier_score_loss(labels, bounded, sample_weight=weight)),
        "accuracy": float(sk.accuracy_score(labels, decided, sample_weight=weight)),
        "f1": float(sk.f1_score(labels, decided, sample_weight=weight, zero_division=0)),
        "precision": float(
            sk.precision_score(labels, decided, sample_weight=weight, zero_division=0)
        ),
        "recall": float(sk.recall_score(labels, decided, sample_weight=weight, zero_division=0)),
    }


def best_f1_threshold(labels: npt.NDArray[Any], scores: Scores, weight: Scores) -> float:
    """Return the score from which on a row is called positive, for the highest F1.

    To be chosen on the validation part: the test part judges it.
    """
    precision, recall, thresholds = sk.precision_recall_curve(labels, scores, sample_weight=weight)
    sums = precision[:-1] + recall[:-1]
    f1 = np.divide(2 * precision[:-1] * recall[:-1], sums, out=np.zeros_like(sums), where=sums > 0)
    return float(thresholds[int(np.argmax(f1))])
