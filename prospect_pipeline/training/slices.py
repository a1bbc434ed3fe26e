"""How good a score is for some of the visitors, and how early in a visit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from prospect_pipeline.training.bootstrap import Draws, Interval, interval
from prospect_pipeline.training.dataset import KEY, converters
from prospect_pipeline.training.measures import Floats, Ranked

LEAST_CONVERTERS = 20
"""A slice with fewer converting visitors is shown, and judged by nobody."""


@dataclass(frozen=True)
class Slice:
    """Some rows of the test part: how many, and how good the score is on them.

    ``gain`` is by how much the log loss lies below that of the slice's own base rate, as a share of
    it; where it is surely below 0 the score misleads there.
    """

    what: str
    value: str
    rows: int
    converters: int
    label_rate: float
    mean_score: float
    roc_auc: float
    gain: Interval

    @property
    def is_weak(self) -> bool:
        """Whether the score is surely worse than a base rate, among enough converters."""
        return self.converters >= LEAST_CONVERTERS and self.gain.high < 0

    def to_dict(self) -> dict[str, object]:
        """Return it as a row of a table."""
        return vars(self) | {"gain": str(self.gain)}


def slices(test: pd.DataFrame, scores: Floats, draws: Draws) -> list[Slice]:
    """Return every slice of the test part with rows of both classes.

    ``test`` has the model's columns, ``draws`` are of the same rows' visitors.
    """
    found = []
    for what, groups in _groupings(test):
        for value in sorted(groups.unique(), key=str):
            rows = (groups == value).to_numpy()
            if made := _slice(what, str(value), test[rows], scores[rows], draws.of(rows)):
                found.append(made)
    return found


def _groupings(test: pd.DataFrame) -> Iterator[tuple[str, pd.Series[str]]]:
    yield "device", test["latest_device_class"].replace("", "unknown")
    yield "app", test["latest_app_id"].replace("", "unknown")
    yield "first referrer", test["first_refr_medium_l30d"].replace("", "none")
    returning = test["num_sessions_l30d"] > 1
    yield "visitor", returning.map({True: "returning", False: "new"})
    seen = test["num_page_views_l30d"] + test["num_page_pings_l30d"]
    yield "page views and pings so far", _cut(seen, [1, 5, 20])
    order = test.sort_values(["anchor_ts", "event_id"], kind="stable").groupby(KEY).cumcount() + 1
    yield "how early: the visitor's nth row", _cut(order.reindex(test.index), [1, 3, 10], 1)


def _cut(numbers: pd.Series[int], ends: list[int], least: int = 0) -> pd.Series[str]:
    """Return which of a few ranges each number is in, named so that they sort."""
    starts = [least, *(end + 1 for end in ends)]
    names = [
        f"{start} to {end}" if start != end else str(end)
        for start, end in zip(starts, ends, strict=False)
    ]
    places = np.searchsorted(ends, numbers)
    return pd.Series(np.array([*names, f"over {ends[-1]}"])[places], index=numbers.index)


def _slice(what: str, value: str, rows: pd.DataFrame, scores: Floats, draws: Draws) -> Slice | None:
    labels: Floats = rows["label"].to_numpy(float)
    if len(set(labels)) < 2:
        return None
    ranked, weights = Ranked.of(labels, scores, 0.5), draws.weights
    measured = ranked.measure(weights)
    losses = np.empty(len(rows))
    losses[ranked.order] = ranked.losses
    drawn = pd.Series([_gain(labels, losses, weight) for weight in draws])
    return Slice(
        what=what,
        value=value,
        rows=len(rows),
        converters=converters(rows),
        label_rate=float(np.average(labels, weights=weights)),
        mean_score=float(np.average(scores, weights=weights)),
        roc_auc=measured["roc_auc"],
        gain=interval(_gain(labels, losses, weights), drawn),
    )


def _gain(labels: Floats, losses: Floats, weights: Floats) -> float:
    """Return by what share the log loss lies below the base rate's; NaN for one class alone."""
    total = weights.sum()
    rate = weights @ labels / total if total else 0.0
    if not 0 < rate < 1:
        return float("nan")
    base = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    return float(1 - weights @ losses / total / base)
