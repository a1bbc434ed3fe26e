"""`prospect evaluate`: how good the model can be expected to be, on visitors whose truth is known.

Each seed draws its own visitors, builds their training set, splits it, trains and calibrates as the
pipeline does, all with the default settings, whatever the environment says. It searches no
parameters, chooses and judges no threshold, asks for no least number of converters, and registers
and promotes nothing. The generator knows every event's true probability, so that a score can be set
against the best one possible: the expected label given the model's columns, learnt from the true
probabilities of ten times as many other visitors.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xgboost

from prospect_pipeline.attributes import prospect
from prospect_pipeline.encoder import Encoder
from prospect_pipeline.features import COLUMNS
from prospect_pipeline.sandbox.generator import generate
from prospect_pipeline.scoring import EPSILON, Floats
from prospect_pipeline.settings import DefinitionSettings, TrainingSettings
from prospect_pipeline.training.bootstrap import Draws, Interval, interval
from prospect_pipeline.training.dataset import KEY
from prospect_pipeline.training.evaluation import IDENTITY, MODEL, score_test
from prospect_pipeline.training.measures import Ranked
from prospect_pipeline.training.model import THREADS, baselines, train
from prospect_pipeline.training.split import split
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse

OTHERS = 10
"""How many times as many visitors the best possible score is learnt from."""

OTHERS_SEED = 1_000_000
FIRST_SEED = 100
"""Training's parameters were chosen on earlier ones: these were never looked at for it."""

TRUE = "p_true"
END = datetime(2026, 11, 1, tzinfo=UTC)
# The defaults, whatever the environment and the clock say.
SETTINGS = TrainingSettings.model_construct(as_of=END.isoformat())
BEST, TRUTH, BASE, TUTORIAL = "best possible", "truth", "base rate", "tutorial pipeline"
BEST_PARAMS: dict[str, Any] = {
    "objective": "binary:logistic",
    "eval_metric": "logloss",
    "learning_rate": 0.06,
    "max_depth": 7,
    "min_child_weight": 20.0,
    "subsample": 0.8,
    "nthread": THREADS,
}


@dataclass(frozen=True)
class Judged:
    """One seed's test part: every scorer's scores, and the expected log loss of each."""

    seed: int
    scored: pd.DataFrame
    losses: dict[str, float]

    def share(self, scorer: str) -> float:
        """Return the share of the best possible gain over the base rate that a scorer reaches."""
        base = self.losses[BASE]
        return (base - self.losses[scorer]) / (base - self.losses[BEST])


@dataclass(frozen=True)
class Rehearsal:
    """Every seed, and what they say together."""

    seeds: Sequence[Judged]
    ahead: Interval

    @property
    def scorers(self) -> list[str]:
        """Who was measured, the best possible and the truth last."""
        return list(self.seeds[0].losses)

    def mean(self, scorer: str) -> dict[str, float]:
        """Return a scorer's numbers, as means over the seeds."""
        measured = [_measured(one.scored, scorer) for one in self.seeds]
        return {
            "log_loss": statistics.mean(one.losses[scorer] for one in self.seeds),
            "share": statistics.mean(one.share(scorer) for one in self.seeds),
            **{name: statistics.mean(one[name] for one in measured) for name in measured[0]},
        }

    @property
    def share_of_truth(self) -> float:
        """Return the model's share of what knowing the truth gains: the columns cannot see all."""
        return statistics.mean(
            (one.losses[BASE] - one.losses[MODEL]) / (one.losses[BASE] - one.losses[TRUTH])
            for one in self.seeds
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain JSON types."""
        return {
            "seeds": len(self.seeds),
            "share_of_best_possible_gain": self.mean(MODEL)["share"],
            "share_of_the_truths_gain": self.share_of_truth,
            "pr_auc_over_tutorial": {
                "mean": self.ahead.value,
                "interval": [self.ahead.low, self.ahead.high],
            },
            "scorers": {name: self.mean(name) for name in self.scorers},
        }


def rehearse(seeds: int, users: int, say: Callable[[str], None]) -> Rehearsal:
    """Judge as many seeds; raises TrainingError where there are too few visitors."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        others = []
        for number in range(OTHERS):  # one after the other: they need a tenth of the memory
            say(f"Drawing other visitors: {number * users:,} of {OTHERS * users:,} ...")
            drawn = _frame(users, OTHERS_SEED + number, folder)
            others.append(drawn[[KEY, *COLUMNS, TRUE]])
        say("Learning the best possible score from them ...")
        best = _Best(pd.concat(others, ignore_index=True))
        del others, drawn
        judged = []
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            say(f"Seed {seed}: training on its own {users:,} visitors ...")
            judged.append(_judge(_frame(users, seed, folder), seed, best))
    return Rehearsal(judged, _ahead(judged))


def table(found: Rehearsal) -> str:
    """Return the scorers' numbers as text, best possible and truth last."""
    head = ["", "expected log loss", "of the best gain", "PR AUC", "ROC AUC", "Brier"]
    rows = [head]
    for scorer in found.scorers:
        mean = found.mean(scorer)
        rows.append(
            [scorer, f"{mean['log_loss']:.4f}", f"{mean['share']:.0%}"]
            + [f"{mean[name]:.3f}" for name in ("pr_auc", "roc_auc", "brier")]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
    shares = ", ".join(f"{one.share(MODEL):.0%}" for one in found.seeds)
    return "\n".join(
        [
            *lines,
            f"The model reaches {found.mean(MODEL)['share']:.0%} of the best possible gain over "
            f"the base rate (by seed: {shares}), and {found.share_of_truth:.0%} of what the full "
            "truth would gain, which the columns cannot all see.",
            f"Its PR AUC is {found.ahead} ahead of the tutorial's pipeline.",
        ]
    )


class _Best:
    """The expected label given the model's columns."""

    def __init__(self, known: pd.DataFrame) -> None:
        self.encoder = Encoder.fit(known)
        held = (pd.util.hash_array(known[KEY].to_numpy(object)) % 10 == 0).astype(bool)
        self.booster = xgboost.train(
            BEST_PARAMS,
            self._matrix(known[~held]),
            num_boost_round=1000,
            evals=[(self._matrix(known[held]), "held")],
            early_stopping_rounds=20,
            verbose_eval=False,
        )

    def score(self, frame: pd.DataFrame) -> Floats:
        """Return the probability of every row."""
        found = self.booster.predict(
            self._matrix(frame), iteration_range=(0, self.booster.best_iteration + 1)
        )
        return np.clip(np.asarray(found, np.float64), EPSILON, 1 - EPSILON)

    def _matrix(self, frame: pd.DataFrame) -> xgboost.DMatrix:
        return xgboost.DMatrix(
            self.encoder.encode(frame),
            frame[TRUE],
            feature_names=self.encoder.names,
            feature_types=self.encoder.types,
            enable_categorical=True,
            nthread=THREADS,
        )


def _frame(users: int, seed: int, folder: Path) -> pd.DataFrame:
    """Return the training rows of generated visitors, with their true probabilities."""
    made = generate(users, seed, END, folder / "events.parquet")
    group = prospect.attribute_group(DefinitionSettings.model_construct())
    request = DatasetRequest(group, SETTINGS)
    frame: pd.DataFrame = DuckDBWarehouse(made.path).training_set(request).table.to_pandas()
    truth = pd.read_parquet(made.truth_path, columns=["event_id", TRUE])
    return frame.merge(truth, on="event_id", validate="1:1")


def _judge(frame: pd.DataFrame, seed: int, best: _Best) -> Judged:
    parts = split(frame, SETTINGS.horizon)
    model = train(parts, seed).model
    scored = score_test(parts.test, model, baselines(parts, seed))
    scored[BEST] = best.score(parts.test)
    truth = parts.test[TRUE].clip(EPSILON, 1 - EPSILON).to_numpy()
    scored[TRUTH] = truth
    scorers = [name for name in scored.columns if name not in IDENTITY]
    losses = {name: _expected_loss(truth, scored[name].to_numpy()) for name in scorers}
    return Judged(seed, scored, losses)


def _expected_loss(truth: Floats, scores: Floats) -> float:
    """Return the log loss that scores are expected to have, given every row's true probability."""
    bounded = np.clip(scores, EPSILON, 1 - EPSILON)
    return float(-np.mean(truth * np.log(bounded) + (1 - truth) * np.log1p(-bounded)))


def _measured(scored: pd.DataFrame, scorer: str) -> dict[str, float]:
    found = Ranked.of(scored["label"], scored[scorer], 0.5).measure(scored["weight"].to_numpy())
    return {name: found[name] for name in ("roc_auc", "pr_auc", "brier")}


def _ahead(judged: Sequence[Judged]) -> Interval:
    """Return how far the model's PR AUC is ahead of the tutorial's: the mean over the seeds.

    Each draw takes visitors anew within every seed, and both scorers on the same ones.
    """
    values, drawn = [], []
    for one in judged:
        weight = one.scored["weight"].to_numpy()
        draws = Draws(one.scored[KEY], weight, one.seed)
        own, other = (
            Ranked.of(one.scored["label"], one.scored[name], 0.5) for name in (MODEL, TUTORIAL)
        )
        values.append(own.measure(weight)["pr_auc"] - other.measure(weight)["pr_auc"])
        drawn.append(draws.measure(own)["pr_auc"] - draws.measure(other)["pr_auc"])
    return interval(statistics.mean(values), pd.concat(drawn, axis=1).mean(axis=1))
