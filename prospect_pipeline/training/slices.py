"""How good a score is for some of the visitors, and how early in a visit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

import numpy as np
import pandas as pd

from prospect_pipeline.training.bootstrap import Draws, Interval, intervals
from prospect_pipeline.training.dataset import KEY, converters
from prospect_pipeline.training.measures import Floats, Ranked

SLICED = (
    "roc_auc", "pr_auc", "log_loss", "brier", "ece", "precision_top_10", "recall_top_10", "f1",
    "log_loss_gain",
)  # fmt: skip
"""What is measured of each slice."""

SESSION = "domain_sessionid"
VISIT_GAP = timedelta(minutes=30)
LEAST_CONVERTERS = 20
"""A slice with fewer converting visitors is shown, and judged by nobody."""


@dataclass(frozen=True)
class Slice:
    """Some rows of the test part: how many, and how good the score is on them.

    ``metrics`` are those of `SLICED`, F1 at the threshold of all; one that the rows do not define
    is NaN.
    """

    what: str
    value: str
    rows: int
    converters: int
    label_rate: float
    mean_score: float
    metrics: Mapping[str, Interval]

    @property
    def gain(self) -> Interval:
        """By what share the log loss lies below that of knowing the slice's own rate alone.

        Where it is surely below 0 the score misleads.
        """
        return self.metrics["log_loss_gain"]

    @property
    def is_weak(self) -> bool:
        """Whether the score is surely worse than a base rate, among enough converters."""
        return self.converters >= LEAST_CONVERTERS and self.gain.high < 0

    def row(self) -> dict[str, object]:
        """Return it as a row of a table."""
        told = {name: str(found) for name, found in self.metrics.items()}
        return {name: value for name, value in vars(self).items() if name != "metrics"} | told

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        metrics = {name: found.to_dict() for name, found in self.metrics.items()}
        return vars(self) | {"metrics": metrics}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild one; raises KeyError or TypeError where ``stored`` is none."""
        metrics = {name: Interval.from_dict(each) for name, each in stored["metrics"].items()}
        return cls(**{**stored, "metrics": metrics})


def slices(test: pd.DataFrame, scores: Floats, draws: Draws, threshold: float = 0.5) -> list[Slice]:
    """Return every slice of the test part with rows of both classes.

    ``test`` has the model's columns, ``draws`` are of the same rows' visitors.
    """
    found = []
    for what, groups in _groupings(test):
        for value in sorted(groups.unique(), key=str):
            rows = (groups == value).to_numpy()
            part, own = test[rows], draws.of(rows)
            if part["label"].nunique() == 2:
                ranked = Ranked.of(part["label"], scores[rows], threshold)
                found.append(_slice(what, str(value), part, scores[rows], ranked, own))
    return found


def _groupings(test: pd.DataFrame) -> Iterator[tuple[str, pd.Series[str]]]:
    yield "device", test["latest_device_class"].replace("", "unknown")
    yield "app", test["latest_app_id"].replace("", "unknown")
    yield "first referrer", test["first_refr_medium_l30d"].replace("", "none")
    returning = test["num_sessions_l30d"] > 1
    yield "visitor", returning.map({True: "returning", False: "new"})
    seen = test["num_page_views_l30d"] + test["num_page_pings_l30d"]
    yield "page views and pings so far", _cut(seen, [1, 5, 20])
    yield "how early: the visit's nth row", _cut(_places(test), [1, 3, 10], 1)


def _places(test: pd.DataFrame) -> pd.Series[int]:
    """Return which row of its visit each row is, from 1 on.

    Visits are the sessions, where the rows name them; else a visit ends where the visitor has no
    row for half an hour, as Snowplow's sessions do. Rows that were not sampled are not counted.
    """
    order = test.sort_values([KEY, "anchor_ts", "event_id"], kind="stable")
    if SESSION in test.columns:
        visit = order[SESSION]
    else:
        visit = (order.groupby(KEY)["anchor_ts"].diff() > VISIT_GAP).groupby(order[KEY]).cumsum()
    return (order.groupby([order[KEY], visit]).cumcount() + 1).reindex(test.index)


def _cut(numbers: pd.Series[int], ends: list[int], least: int = 0) -> pd.Series[str]:
    """Return which of a few ranges each number is in, named so that they sort."""
    starts = [least, *(end + 1 for end in ends)]
    names = [
        f"{start} to {end}" if start != end else str(end)
        for start, end in zip(starts, ends, strict=False)
    ]
    places = np.searchsorted(ends, numbers)
    return pd.Series(np.array([*names, f"over {ends[-1]}"])[places], index=numbers.index)


def _slice(
    what: str, value: str, rows: pd.DataFrame, scores: Floats, ranked: Ranked, draws: Draws
) -> Slice:
    found = intervals(ranked.measure(draws.weights), draws.measure(ranked))
    return Slice(
        what=what,
        value=value,
        rows=len(rows),
        converters=converters(rows),
        label_rate=float(np.average(rows["label"], weights=draws.weights)),
        mean_score=float(np.average(scores, weights=draws.weights)),
        metrics={name: found[name] for name in SLICED},
    )
