"""A version beside the champion of its time: the same test rows, the same draws of visitors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from prospect_pipeline.scoring import ScoringModel
from prospect_pipeline.training.bootstrap import Draws, Interval, interval
from prospect_pipeline.training.dataset import KEY, converters, first_seen
from prospect_pipeline.training.evaluation import MODEL, Evaluation
from prospect_pipeline.training.importance import gain
from prospect_pipeline.training.measures import Floats, Ranked

COMPARED = ("roc_auc", "pr_auc", "log_loss", "brier", "ece", "precision", "recall")


@dataclass(frozen=True)
class Worth:
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
    measured: Worth | None = None
    problem: str = ""


def measure(evaluation: Evaluation, test: pd.DataFrame, champion: ScoringModel) -> Worth:
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
    return Worth({name: metrics[name] for name in COMPARED}, change, gain(champion))


@dataclass(frozen=True)
class Judges:
    """The test rows that two versions are compared on: which, shape (rows,), and in words whose."""

    rows: npt.NDArray[np.bool_]
    words: str


def judges(test: pd.DataFrame, champion: str, learnt_until: datetime | None, least: int) -> Judges:
    """Choose the rows of visitors whom a champion has not learnt from: those first seen later.

    Where fewer than ``least`` of them convert, or nobody knows until when it has learnt, all rows
    are taken. Those that it has learnt from flatter it, so that a challenger which is not worse on
    all of them is not worse.
    """
    whole, total = np.ones(len(test), dtype=bool), f"{test[KEY].nunique():,}"
    if learnt_until is None:
        words = f"it is not known whom version {champion} has learnt from"
        return Judges(whole, f"all {total} test visitors ({words})")
    later = (first_seen(test) > learnt_until).to_numpy()
    visitors, converting = f"{test.loc[later, KEY].nunique():,}", converters(test[later])
    after = f"first seen after all whom version {champion} has learnt from"
    if later.all() or converting >= least:
        return Judges(later, f"{visitors} of {total} test visitors ({after})")
    few = f"of {visitors} {after} {converting:,} convert, {least:,} expected"
    return Judges(whole, f"all {total} test visitors ({few}; the others flatter it)")


def worse_by(
    scored: pd.DataFrame, champion: Floats, draws: Draws, rows: npt.NDArray[np.bool_]
) -> Interval:
    """Return by what share of the champion's log loss the model's is worse, on some rows.

    ``champion`` has its scores of all rows of ``scored``, shape (rows,); ``draws`` are of their
    visitors.
    """
    labels, some = scored["label"].to_numpy()[rows], draws.of(rows)
    new, old = (
        Ranked.of(labels, given[rows], 0.5) for given in (scored[MODEL].to_numpy(), champion)
    )
    value = new.measure(some.weights)["log_loss"] / old.measure(some.weights)["log_loss"] - 1
    return interval(value, some.measure(new)["log_loss"] / some.measure(old)["log_loss"] - 1)
