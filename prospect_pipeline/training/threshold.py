"""From which score on a visitor is called a prospect: a rule, applied to held-out rows.

``f1``, ``f2`` (any F-beta) look for the highest; ``precision=0.4`` for the most visitors found of
whom at least so many convert; ``capacity=50`` for at most so many new prospects a day;
``value=200,cost=5`` weighs what a conversion brings against what an action costs: it pays where
score x value is above cost (Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import precision_recall_curve

from prospect_pipeline.errors import SettingsError, TrainingError

Floats = npt.NDArray[np.float64]

_NUMBER = r"(\d+(?:\.\d+)?)"
_RULES = {
    "f": re.compile(f"f{_NUMBER}"),
    "precision": re.compile(f"precision={_NUMBER}"),
    "capacity": re.compile(f"capacity={_NUMBER}"),
    "value": re.compile(f"value={_NUMBER},cost={_NUMBER}"),
}


@dataclass(frozen=True)
class Rule:
    """What the threshold is to be good for; ``numbers`` are those of its text."""

    kind: str
    numbers: tuple[float, ...]
    text: str

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Read a rule; raises SettingsError, with what there is."""
        for kind, pattern in _RULES.items():
            if found := pattern.fullmatch(text.replace(" ", "")):
                rule = cls(kind, tuple(map(float, found.groups())), text)
                if rule._makes_sense():
                    return rule
        raise SettingsError(
            f"'{text}' is no rule for the threshold; expected f1 (or another beta above 0), "
            "precision=0.4 (between 0 and 1), capacity=50 (new prospects a day), or "
            "value=200,cost=5 (a conversion's value above the cost of an action)."
        )

    def _makes_sense(self) -> bool:
        if self.kind == "precision":
            return 0 < self.numbers[0] < 1
        if self.kind == "value":
            return 0 < self.numbers[1] < self.numbers[0]
        return self.numbers[0] > 0


@dataclass(frozen=True)
class Threshold:
    """The score from which on a visitor is a prospect, by which rule, and how it came about."""

    value: float
    rule: str
    why: str


def choose(rule: Rule, held: pd.DataFrame, scores: Floats, weights: Floats) -> Threshold:
    """Choose a threshold on held-out rows (visitor, moment and label), with their scores.

    Capacity counts visitors by their best row, and no weight makes up for a best row that is not
    there. A visitor with m rows above a threshold, of which a share r is kept, is seen above it
    with probability 1 - (1 - r)^m, and m is not known. The only unbiased count of such visitors
    from the k rows that were kept is 1 - (1 - 1/r)^k (the binomial's moments), which at r = 0.1 is
    10, -80, 730, ...: its variance is past all use. So the rule raises TrainingError where a row
    stands for several.
    """
    if rule.kind == "value":
        value, cost = rule.numbers
        why = f"an action of {cost:g} pays where the score is above {cost:g} / {value:g}"
        return Threshold(cost / value, rule.text, why)
    if rule.kind == "capacity":
        if (weights != 1).any():
            raise TrainingError(
                f"PROSPECT_THRESHOLD is '{rule.text}', which counts visitors by their best row, "
                "but some rows of the training data stand for several that were left out. Build it "
                "again with every row (PROSPECT_NEGATIVE_RATE, PROSPECT_ANCHORS), or choose "
                "another rule (f1, precision=0.4, value=200,cost=5)."
            )
        return _within_capacity(rule, held, scores)
    precision, recall, thresholds = precision_recall_curve(
        held["label"], scores, sample_weight=weights
    )
    if rule.kind == "precision":
        return _precise(rule, precision[:-1], recall[:-1], thresholds)
    return _best_f(rule, precision[:-1], recall[:-1], thresholds)


def _best_f(rule: Rule, precision: Floats, recall: Floats, thresholds: Floats) -> Threshold:
    beta = rule.numbers[0] ** 2
    below = beta * precision + recall
    f = np.divide((1 + beta) * precision * recall, below, np.zeros_like(below), where=below > 0)
    best = int(np.argmax(f))
    why = f"the highest F{rule.numbers[0]:g} of the held-out rows, {f[best]:.3f}"
    return Threshold(float(thresholds[best]), rule.text, why)


def _precise(rule: Rule, precision: Floats, recall: Floats, thresholds: Floats) -> Threshold:
    wanted = rule.numbers[0]
    enough = np.flatnonzero(precision >= wanted)
    if not len(enough):
        best = int(np.argmax(precision))
        why = (
            f"no threshold reaches a precision of {wanted:g} on the held-out rows; this one has "
            f"the highest, {precision[best]:.3f}"
        )
        return Threshold(float(thresholds[best]), rule.text, why)
    found = int(enough[np.argmax(recall[enough])])
    why = f"finds {recall[found]:.1%} of the held-out positives at a precision of {wanted:g}"
    return Threshold(float(thresholds[found]), rule.text, why)


def _within_capacity(rule: Rule, held: pd.DataFrame, scores: Floats) -> Threshold:
    """Call as many visitors as fit; each counts once, on the day that he first came."""
    visitors = held.assign(score=scores).groupby("domain_userid").agg(
        first=("anchor_ts", "min"), best=("score", "max")
    )  # fmt: skip
    days = max((visitors["first"].max() - visitors["first"].min()) / timedelta(days=1), 1.0)
    most = int(rule.numbers[0] * days)
    best = np.sort(visitors["best"].to_numpy())[::-1]
    if most >= len(best):
        value, called = 0.0, len(best)
    else:  # above the first one that no longer fits, which several may share
        value = float(np.nextafter(best[most], 1.0))
        called = int((best >= value).sum())
    why = f"calls {called / days:.1f} new visitors a day of {len(best) / days:.1f}"
    return Threshold(value, rule.text, why)
