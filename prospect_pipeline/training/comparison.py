"""A version beside the champion of its time: the same test rows, the same draws of visitors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from prospect_pipeline.scoring import ScoringModel
from prospect_pipeline.training.bootstrap import Draws, Interval, interval
from prospect_pipeline.training.dataset import KEY
from prospect_pipeline.training.evaluation import MODEL, Evaluation
from prospect_pipeline.training.importance import gain
from prospect_pipeline.training.measures import Ranked

COMPARED = ("roc_auc", "pr_auc", "log_loss", "brier", "ece", "precision", "recall")


@dataclass(frozen=True)
class Measured:
    """What a champion's own model is worth on another version's test rows.

    ``change`` is each metric of the new version less the champion's; ``importance`` has the
    champion's share of gain by column.
    """

    metrics: Mapping[str, float]
    change: Mapping[str, Interval]
    importance: Mapping[str, float]


@dataclass(frozen=True)
class Before:
    """The champion of the time when a version was judged.

    ``facts`` has, by name, what was known of it and what is known of the new version. ``measured``
    is None where the champion no longer loads or scores; ``problem`` says why.
    """

    version: str
    facts: Mapping[str, tuple[str, str]]
    measured: Measured | None = None
    problem: str = ""


def measure(evaluation: Evaluation, test: pd.DataFrame, champion: ScoringModel) -> Measured:
    """Measure a champion at its own threshold; ``test`` has the columns of the evaluation's rows.

    Raises InputError where ``test`` lacks a column that the champion needs.
    """
    scored = evaluation.scored
    weight = scored["weight"].to_numpy(np.float64)
    draws = Draws(scored[KEY], weight, evaluation.seed)
    new = Ranked.of(scored["label"], scored[MODEL], evaluation.threshold)
    old = Ranked.of(scored["label"], champion.score(test), champion.threshold)
    metrics = old.measure(weight)
    drawn = draws.measure(new) - draws.measure(old)
    change = {
        name: interval(evaluation.headline[name] - metrics[name], drawn[name]) for name in COMPARED
    }
    return Measured({name: metrics[name] for name in COMPARED}, change, gain(champion))
