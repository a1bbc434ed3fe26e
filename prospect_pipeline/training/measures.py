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
    "log_loss_gain": True,
    "brier": False,
    "ece": False,
    "accuracy": True,
    "f1": True,
    "f2": True,
    "precision": True,
    "recall": True,
    **{f"{what}_top_{share}": True for share in TOP for what in ("precision", "recall")},
}
"""Every metric by name, and whether more of it is better.

``log_loss_gain`` is by what share the log loss lies below that of knowing the base rate alone.
"""


@dataclass(frozen=True)
class Ranked:
    """The rows of one scorer from the best score to the worst, ready to be measured.

    ``order`` (shape (rows,)) puts weights in that order. ``ends`` are how many rows there are up to
    and with each run of equal scores, from 0 on; ``holds`` are the runs with a positive.
    ``called`` is how many rows are at the threshold or above, and ``bins`` where ten groups of
    equally many rows by score begin, for the calibration error. ``losses``, ``squares`` and
    ``errors`` are each row's log loss, squared error, and label less score.
    """

    order: npt.NDArray[np.intp]
    labels: Floats
    ends: npt.NDArray[np.intp]
    holds: npt.NDArray[np.intp]
    called: int
    bins: npt.NDArray[np.intp]
    losses: Floats
    squares: Floats
    errors: Floats

    @classmethod
    def of(cls, labels: npt.ArrayLike, scores: npt.ArrayLike, threshold: float) -> Ranked:
        """Rank rows by score; ``labels`` are 0 or 1."""
        given = np.asarray(scores, np.float64)
        order = np.argsort(-given, kind="stable")
        ranked, truth = given[order], np.asarray(labels, np.float64)[order]
        bounded = np.clip(ranked, EPSILON, 1 - EPSILON)
        ends = np.append(0, np.flatnonzero(np.append(np.diff(ranked) != 0, True)) + 1)
        bins = np.arange(len(ranked)) * BINS // max(len(ranked), 1)
        return cls(
            order=order,
            labels=truth,
            ends=ends,
            holds=np.flatnonzero(np.diff(_counted(truth)[ends]) > 0),
            called=int(np.searchsorted(-ranked, -threshold, side="right")),
            bins=np.flatnonzero(np.diff(bins, prepend=-1)),
            losses=-np.where(truth > 0, np.log(bounded), np.log1p(-bounded)),
            squares=(ranked - truth) ** 2,
            errors=truth - ranked,
        )

    def measure(self, weights: Floats) -> dict[str, float]:
        """Return every metric for rows of these weights, given in the rows' own order.

        A metric that the rows do not define (one class alone) is NaN.
        """
        weight = weights[self.order]
        rows, hits = _counted(weight), _counted(weight * self.labels)
        total, positives = float(rows[-1]), float(hits[-1])
        if not 0 < positives < total:
            return dict.fromkeys(HIGHER_IS_BETTER, float("nan"))
        rate, log_loss = positives / total, _product(weight, self.losses) / total
        base = -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))
        found = {
            **self._areas(rows[self.ends], hits[self.ends]),
            "log_loss": log_loss,
            "log_loss_gain": float(1 - log_loss / base),
            "brier": _product(weight, self.squares) / total,
            "ece": float(np.abs(np.add.reduceat(weight * self.errors, self.bins)).sum()) / total,
            **self._decided(float(rows[self.called]), float(hits[self.called]), positives, total),
            **self._best(rows[self.ends], hits[self.ends]),
        }
        return {name: found[name] for name in HIGHER_IS_BETTER}

    def gains(self, weights: Floats, shares: Floats) -> Floats:
        """Return the share of all positives found among the best rows, by share of rows.

        NaN where there is no positive.
        """
        weight = weights[self.order]
        rows = _counted(weight)[self.ends]
        hits = _counted(weight * self.labels)[self.ends]
        if not hits[-1]:
            return np.full(len(shares), np.nan)
        found: Floats = np.interp(shares * rows[-1], rows, hits) / hits[-1]
        return found

    def _areas(self, rows: Floats, hits: Floats) -> dict[str, float]:
        """Return the areas under both curves: only runs of equal score with positives add to them.

        A positive is above the others that come later, and above half of those of its own run.
        """
        others = rows - hits
        begin, end = self.holds, self.holds + 1
        found = hits[end] - hits[begin]
        above = others[-1] - (others[begin] + others[end]) / 2
        precision = np.divide(hits[end], rows[end], np.ones(len(end)), where=rows[end] > 0)
        return {
            "roc_auc": _product(found, above) / float(hits[-1] * others[-1]),
            "pr_auc": _product(found, precision) / float(hits[-1]),
        }

    @staticmethod
    def _decided(called: float, right: float, positives: float, total: float) -> dict[str, float]:
        """Return what the decision at the threshold is worth."""
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
            right = float(np.interp(wanted, rows, hits))
            found[f"precision_top_{name}"] = right / float(wanted)
            found[f"recall_top_{name}"] = right / float(hits[-1])
        return found


def _counted(weights: Floats) -> Floats:
    """Return what was counted so far, from before the first row on."""
    counted = np.zeros(len(weights) + 1)
    np.cumsum(weights, out=counted[1:])
    return counted


def _product(one: Floats, other: Floats) -> float:
    # BLAS would share this among threads that wait for a core: 100 times slower where others work.
    return float(np.einsum("i,i", one, other))
