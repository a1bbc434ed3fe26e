"""What a score is worth: every metric of one scorer in one pass over its rows, best score first.

The passes are cheap, so that intervals can be had by drawing visitors anew (see `bootstrap`).
Definitions follow scikit-learn's metrics, with weights; precision among the best is interpolated
within rows of equal score, so that their order plays no part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prospect_pipeline.scoring import EPSILON

Floats = npt.NDArray[np.float64]

BINS = 10
TOP = {"1": 0.01, "5": 0.05, "10": 0.10}
"""The shares of rows, the best first, for which precision and recall are given."""

HIGHER_IS_BETTER: dict[str, bool] = {
    "roc_auc": True,
    "pr_auc": True,
    "log_loss": False,
    "brier": False,
    "ece": False,
    "accuracy": True,
    "f1": True,
    "f2": True,
    "precision": True,
    "recall": True,
    **{f"{what}_top_{share}": True for share in TOP for what in ("precision", "recall")},
}
"""Every metric by name, and whether more of it is better."""


@dataclass(frozen=True)
class Ranked:
    """The rows of one scorer from the best score to the worst, ready to be measured.

    ``order`` (shape (rows,)) puts weights in that order, ``ends`` are the places where a run of
    equal scores ends, ``called`` is how many rows are at the threshold or above, and ``bins`` are
    ten groups of equally many rows by score, for the calibration error.
    """

    order: npt.NDArray[np.intp]
    labels: Floats
    scores: Floats
    ends: npt.NDArray[np.intp]
    called: int
    bins: npt.NDArray[np.intp]
    losses: Floats

    @classmethod
    def of(cls, labels: npt.ArrayLike, scores: npt.ArrayLike, threshold: float) -> Ranked:
        """Rank rows by score; ``labels`` are 0 or 1."""
        given = np.asarray(scores, np.float64)
        order = np.argsort(-given, kind="stable")
        ranked, truth = given[order], np.asarray(labels, np.float64)[order]
        bounded = np.clip(ranked, EPSILON, 1 - EPSILON)
        return cls(
            order=order,
            labels=truth,
            scores=ranked,
            ends=np.flatnonzero(np.append(np.diff(ranked) != 0, True)),
            called=int(np.searchsorted(-ranked, -threshold, side="right")),
            bins=np.arange(len(ranked)) * BINS // max(len(ranked), 1),
            losses=-np.where(truth > 0, np.log(bounded), np.log1p(-bounded)),
        )

    def measure(self, weights: Floats) -> dict[str, float]:
        """Return every metric for rows of these weights, given in the rows' own order.

        A metric that the rows do not define (one class alone) is NaN.
        """
        weight = weights[self.order]
        rows, hits = np.cumsum(weight), np.cumsum(weight * self.labels)
        total, positives = float(rows[-1]), float(hits[-1])
        if not 0 < positives < total:
            return dict.fromkeys(HIGHER_IS_BETTER, float("nan"))
        found = {
            **self._areas(rows[self.ends], hits[self.ends]),
            "log_loss": float(weight @ self.losses) / total,
            "brier": float(weight @ (self.scores - self.labels) ** 2) / total,
            "ece": self._calibration_error(weight) / total,
            **self._decided(rows, hits),
            **self._best(rows[self.ends], hits[self.ends]),
        }
        return {name: found[name] for name in HIGHER_IS_BETTER}

    def gains(self, weights: Floats, shares: Floats) -> Floats:
        """Return the share of all positives found among the best rows, by share of rows."""
        weight = weights[self.order]
        rows = np.cumsum(weight)[self.ends]
        hits = np.cumsum(weight * self.labels)[self.ends]
        found: Floats = np.interp(shares * rows[-1], _from_none(rows), _from_none(hits)) / hits[-1]
        return found

    @staticmethod
    def _areas(rows: Floats, hits: Floats) -> dict[str, float]:
        """Return the areas under both curves, at the ends of runs of equal score."""
        recall = hits / hits[-1]
        others = (rows - hits) / (rows[-1] - hits[-1])
        precision = np.divide(hits, rows, out=np.ones_like(hits), where=rows > 0)
        return {
            "roc_auc": float(np.trapezoid(_from_none(recall), _from_none(others))),
            "pr_auc": float(np.diff(recall, prepend=0) @ precision),
        }

    def _calibration_error(self, weight: Floats) -> float:
        """Return the sum over the bins of |positives - expected positives|, weighted."""
        found = np.bincount(self.bins, weight * (self.labels - self.scores), minlength=BINS)
        return float(np.abs(found).sum())

    def _decided(self, rows: Floats, hits: Floats) -> dict[str, float]:
        """Return what the decision at the threshold is worth."""
        called = float(rows[self.called - 1]) if self.called else 0.0
        right = float(hits[self.called - 1]) if self.called else 0.0
        positives, total = float(hits[-1]), float(rows[-1])
        return {
            "accuracy": (right + total - positives - (called - right)) / total,
            "f1": 2 * right / (called + positives),
            "f2": 5 * right / (called + 4 * positives),
            "precision": right / called if called else 0.0,
            "recall": right / positives,
        }

    @staticmethod
    def _best(rows: Floats, hits: Floats) -> dict[str, float]:
        found = {}
        for name, share in TOP.items():
            wanted = share * rows[-1]
            right = float(np.interp(wanted, _from_none(rows), _from_none(hits)))
            found[f"precision_top_{name}"] = right / float(wanted)
            found[f"recall_top_{name}"] = right / float(hits[-1])
        return found


def _from_none(counted: Floats) -> Floats:
    """Return what was counted so far, from before the first row on."""
    return np.concatenate([[0.0], counted])
