"""How good a model is on the test part, next to the baselines, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn import metrics as sk

from prospect_pipeline.errors import TrainingError
from prospect_pipeline.scoring import ScoringModel
from prospect_pipeline.training.bootstrap import Draws, Interval, interval, intervals
from prospect_pipeline.training.dataset import KEY
from prospect_pipeline.training.deciles import Decile, deciles
from prospect_pipeline.training.importance import gain
from prospect_pipeline.training.measures import HIGHER_IS_BETTER, Ranked
from prospect_pipeline.training.model import Scores, weights
from prospect_pipeline.training.slices import Slice, slices

Intervals = dict[str, Interval]

MODEL = "model"
"""The column of the model's own scores in a scored frame; the others are baselines."""

IDENTITY = ["domain_userid", "anchor_ts", "event_id", "label", "weight"]


@dataclass(frozen=True)
class Evaluation:
    """The test part, scored, and every number on it: made once, stored with the version.

    ``scored`` has a row for each test anchor, with `IDENTITY` and a column of probabilities for
    each scorer. ``intervals`` has each metric by scorer and name, ``ahead`` how far the model is
    ahead of each baseline, on the same draws of visitors, ``deciles`` the model's tenths, and
    ``importance`` a share of gain by column. ``seed`` is that of the draws.
    Every number is weighted: where negatives were sampled, each counts for those it stands for.
    """

    scored: pd.DataFrame
    threshold: float
    seed: int
    intervals: dict[str, Intervals]
    ahead: dict[str, Intervals]
    deciles: list[Decile]
    importance: dict[str, float]
    slices: list[Slice]

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Every metric, by scorer and name."""
        return {
            scorer: {name: found.value for name, found in own.items()}
            for scorer, own in self.intervals.items()
        }

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

    @cached_property
    def confusion(self) -> list[list[int]]:
        """[[true negatives, false positives], [false negatives, true positives]]."""
        found = sk.confusion_matrix(**self._decisions())
        return np.rint(found).astype(int).tolist()  # type: ignore[no-any-return]

    @cached_property
    def classification_report(self) -> str:
        """scikit-learn's report of the decision."""
        names = ["not converted", "converted"]
        return str(
            sk.classification_report(**self._decisions(), target_names=names, zero_division=0)
        )

    def _decisions(self) -> dict[str, Any]:
        return {
            "y_true": self.scored["label"],
            "y_pred": (self.scored[MODEL] >= self.threshold).astype(int),
            "labels": [0, 1],
            # Without sampling none are passed, so that the report's text counts in whole rows.
            "sample_weight": self.scored["weight"] if self.is_sampled else None,
        }

    def flat_metrics(self) -> dict[str, float]:
        """Return every metric with one name each, the baselines' behind their own."""
        own = dict(self.intervals[MODEL])
        for each in self.deciles:
            own |= {
                f"lift_decile_{each.number}": each.lift,
                f"gain_decile_{each.number}": each.gain,
            }
        flat: dict[str, float] = {}
        for name, found in own.items():
            flat |= {name: found.value, f"{name}.low": found.low, f"{name}.high": found.high}
        for scorer, values in self.metrics.items():
            if scorer != MODEL:
                flat |= {f"{scorer.replace(' ', '_')}.{name}": x for name, x in values.items()}
        return {name: value for name, value in flat.items() if np.isfinite(value)}

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain JSON types."""
        return {
            "threshold": self.threshold,
            "seed": self.seed,
            "metrics": {
                scorer: {name: found.to_dict()["value"] for name, found in own.items()}
                for scorer, own in self.intervals.items()
            },
            "intervals": _stored(self.intervals),
            "ahead": _stored(self.ahead),
            "deciles": [one.to_dict() for one in self.deciles],
            "confusion_matrix": self.confusion,
            "importance": self.importance,
            "slices": [one.to_dict() for one in self.slices],
            "test_rows": len(self.scored),
            "test_positives": int(self.scored["label"].sum()),
            "positive_rate": self.positive_rate,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], scored: pd.DataFrame) -> Self:
        """Rebuild an evaluation from its numbers and its scored frame.

        Raises TrainingError where ``stored`` are not those of this release.
        """
        try:
            return cls(
                scored=scored,
                threshold=stored["threshold"],
                seed=stored["seed"],
                intervals=_rebuilt(stored["intervals"]),
                ahead=_rebuilt(stored["ahead"]),
                deciles=[Decile.from_dict(one) for one in stored["deciles"]],
                importance=stored["importance"],
                slices=[Slice.from_dict(one) for one in stored["slices"]],
            )
        except (KeyError, TypeError) as error:
            raise TrainingError(
                f"The version's evaluation is that of another release ({error!r}); materialize "
                "registered_model, which evaluates anew."
            ) from None


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
    draws = Draws(scored[KEY], scored["weight"].to_numpy(np.float64), seed)
    scorers = [name for name in scored.columns if name not in IDENTITY]
    ranked = {name: Ranked.of(scored["label"], scored[name], threshold) for name in scorers}
    found, ahead = _measured(ranked, draws)
    labelled = test.assign(label=scored["label"].to_numpy())
    return Evaluation(
        scored=scored,
        threshold=threshold,
        seed=seed,
        intervals=found,
        ahead=ahead,
        deciles=deciles(ranked[MODEL], draws),
        importance=gain(model),
        slices=slices(labelled, scored[MODEL].to_numpy(), draws, threshold),
    )


def _measured(
    ranked: Mapping[str, Ranked], draws: Draws
) -> tuple[dict[str, Intervals], dict[str, Intervals]]:
    """Return every scorer's metrics with their intervals, and how far the model is ahead."""
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
        for name in ranked
        if name != MODEL
    }
    return {name: intervals(metrics[name], drawn[name]) for name in ranked}, ahead


def _stored(found: Mapping[str, Intervals]) -> dict[str, Any]:
    return {
        scorer: {name: one.to_dict() for name, one in own.items()} for scorer, own in found.items()
    }


def _rebuilt(stored: Mapping[str, Any]) -> dict[str, Intervals]:
    return {
        scorer: {name: Interval.from_dict(one) for name, one in own.items()}
        for scorer, own in stored.items()
    }
