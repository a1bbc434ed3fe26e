"""Is a training set fit to be trained on? Checks, as data; and the one gate that raises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypedDict

import numpy as np
import pandas as pd

from prospect_pipeline.encoder import as_floats, check_columns
from prospect_pipeline.errors import TrainingError
from prospect_pipeline.features import COLUMNS, FEATURES
from prospect_pipeline.settings import TrainingSettings

KEY = "domain_userid"
ANCHOR = [KEY, "anchor_ts", "event_id"]
NUMERICAL = [feature.name for feature in FEATURES if not feature.categorical]
SHOWN = 5


@dataclass(frozen=True)
class Check:
    """One check: ``blocking`` ones stop training where they fail, others warn."""

    name: str
    passed: bool
    blocking: bool
    description: str
    facts: dict[str, Any] = field(default_factory=dict)


class Rule(NamedTuple):
    """What a check asks of a training set, and whether it blocks."""

    blocking: bool
    asks: str


CHECKS: dict[str, Rule] = {
    "labels_are_binary": Rule(True, "Every label is 0 or 1."),
    "has_both_classes": Rule(True, "There are rows of both labels."),
    "has_enough_converters": Rule(True, "At least MIN_CONVERTERS visitors convert."),
    "anchors_are_unique": Rule(True, "No anchor (visitor, moment, event) stands twice."),
    "no_nulls": Rule(True, "No column holds a null."),
    "numbers_are_finite": Rule(True, "No number is infinite."),
    "labels_are_known": Rule(True, "No label looks past as-of, where it may still change."),
    "label_rate": Rule(False, "The share of positives is a plausible one."),
    "no_constant_columns": Rule(False, "Every column has several values."),
}
"""Every check that needs the frame alone, by name."""

PLAUSIBLE_RATE = (0.0001, 0.5)
"""Rates of a label that are worth modelling.

Websites turn visits into leads at a few in a hundred, rows into them at a few in a thousand. Below
one in ten thousand, the 100 converters that a model needs take a million rows, and the goal is more
likely tracked wrongly than rare. Above one half the goal is no exception: it is an event that
everybody sends, or negatives were sampled without a weight.
"""


def check_dataset(
    frame: pd.DataFrame,
    min_converters: int,
    *,
    as_of: datetime | None = None,
    horizon: timedelta = timedelta(0),
) -> list[Check]:
    """Run every check over a training frame; ``frame`` may be empty.

    ``as_of`` (with a zone) is the moment after which no event was read, ``horizon`` how far ahead
    a label looks; without ``as_of``, whether the labels are known is not checked, and the check
    says so. Raises InputError where a column is missing or of another type.
    """
    check_columns(frame, (*ANCHOR, *COLUMNS, "label"))
    return [
        Check(name, passed, CHECKS[name].blocking, description, facts)
        for name, passed, description, facts in _results(frame, min_converters, as_of, horizon)
    ]


class KnownBy(TypedDict):
    """What says whether a label is known: as-of (None: not checked), and how far it looks ahead."""

    as_of: datetime | None
    horizon: timedelta


def known_by(facts: Mapping[Any, Any], settings: TrainingSettings) -> KnownBy:
    """Return what the labels of a frame are known by; ``facts`` are what the frame says of itself.

    Those of sessions are not checked: which sessions are over, their own span says. Nor are those
    of one's own table, unless as-of was given: they may have become known after the last event.
    """
    by = settings.anchored_by
    checked = by == "visitors" or (by == "table" and facts.get("as_of_given"))
    as_of = datetime.fromisoformat(facts["as_of"]) if checked else None
    return KnownBy(as_of=as_of, horizon=settings.label_horizon)


def require_trainable(
    frame: pd.DataFrame,
    min_converters: int,
    *,
    as_of: datetime | None = None,
    horizon: timedelta = timedelta(0),
) -> None:
    """Raise TrainingError with what to change, where a check of `check_dataset` blocks."""
    for check in check_dataset(frame, min_converters, as_of=as_of, horizon=horizon):
        if check.blocking and not check.passed:
            raise TrainingError(check.description)


def rows_of(scored: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame's rows in the order of ``scored``, which names them by key and event.

    Raises TrainingError where one is not there: then the frame is not the one that was scored.
    """
    names = [KEY, "event_id"]
    found = scored[names].merge(frame, "left", names, indicator="found", validate="1:1")
    missing = int((found["found"] == "left_only").sum())
    if missing:
        raise TrainingError(
            f"{missing:,} of the {len(scored):,} test rows that the model was judged on are not in "
            "training_dataframe: it was built again since. Materialize training_dataframe and all "
            "that follows it in one run (the job `retrain`)."
        )
    return found.drop(columns="found")


def converters(frame: pd.DataFrame) -> int:
    """Return the number of visitors with at least one positive row."""
    return int(frame.loc[frame["label"] == 1, KEY].nunique())


def label_rate(frame: pd.DataFrame) -> float:
    """Return the share of positives, weighted where rows were sampled; 0 where there is no row."""
    weights = frame["weight"] if "weight" in frame.columns else pd.Series(1, frame.index)
    total = float(weights.sum())
    return float(weights[frame["label"] == 1].sum()) / total if total else 0.0


def counts(frame: pd.DataFrame) -> dict[str, int]:
    """Return how many rows, positives and visitors there are."""
    return {
        "rows": len(frame),
        "positives": int((frame["label"] == 1).sum()),
        "visitors": int(frame[KEY].nunique()),
    }


def moments(frame: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """Return the anchors' moments in UTC; one without a zone is UTC."""
    return pd.to_datetime(frame["anchor_ts"], utc=True).dt.as_unit("us")


def first_seen(frame: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """Return, for each row, the moment in UTC of its visitor's first row."""
    return moments(frame).groupby(frame[KEY]).transform("min")


_Result = tuple[str, bool, str, dict[str, Any]]


def _results(
    frame: pd.DataFrame, min_converters: int, as_of: datetime | None, horizon: timedelta
) -> Iterator[_Result]:
    yield "labels_are_binary", *_binary(frame)
    yield from _classes(frame, min_converters)
    yield from _rows(frame)
    yield "labels_are_known", *_known(frame, as_of, horizon)
    yield "label_rate", *_plausible(frame)
    constant = [n for n in COLUMNS if len(frame) and frame[n].nunique(dropna=False) == 1]
    yield (
        "no_constant_columns",
        not constant,
        f"Columns with one value alone, which cannot help: {', '.join(constant) or 'none'}. "
        "Harmless; if they should vary, look at how their events are tracked.",
        {"constant": constant},
    )


def _classes(frame: pd.DataFrame, min_converters: int) -> Iterator[_Result]:
    rows, positives = len(frame), int((frame["label"] == 1).sum())
    yield (
        "has_both_classes",
        0 < positives < rows,
        f"{positives:,} of {rows:,} rows have label 1; a model needs both classes. Move the cohort "
        "(--cohort, --as-of), or choose another goal (PROSPECT_GOAL_EVENTS).",
        {"rows": rows, "positives": positives},
    )
    found = converters(frame)
    yield (
        "has_enough_converters",
        found >= min_converters,
        f"{found:,} converting visitors, at least {min_converters:,} expected. Take in more "
        "visitors (--cohort), or lower MIN_CONVERTERS if a rough model will do.",
        {"converters": found, "expected": min_converters},
    )


def _rows(frame: pd.DataFrame) -> Iterator[_Result]:
    copies = int(frame.duplicated(ANCHOR).sum())
    yield (
        "anchors_are_unique",
        copies == 0,
        f"{copies:,} rows repeat an anchor (visitor, moment, event); each may stand once. Drop the "
        "copies, or build the data again: events that share an event_id count once.",
        {"copies": copies},
    )
    nulls = {name: int(count) for name, count in frame.isna().sum().items() if count}
    yield (
        "no_nulls",
        not nulls,
        f"Columns with nulls: {nulls or 'none'}; nothing there is 0 or '', never null. Build the "
        "data again from the present definition (features.py says what stands for nothing).",
        {"nulls": nulls},
    )
    numbers = [name for name in (*NUMERICAL, "weight") if name in frame.columns]
    infinite = {name: int(np.isinf(as_floats(frame[name])).sum()) for name in numbers}
    infinite = {name: count for name, count in infinite.items() if count}
    yield (
        "numbers_are_finite",
        not infinite,
        f"Columns with infinite numbers: {infinite or 'none'}; every number is finite. Look at "
        "the events they were computed from, or build the data again.",
        {"infinite": infinite},
    )


def _binary(frame: pd.DataFrame) -> tuple[bool, str, dict[str, Any]]:
    labels = frame["label"].dropna().tolist()
    odd = sorted({repr(label) for label in labels if label not in (0, 1)})
    shown = f"[{', '.join(odd[:SHOWN])}{', ...' if len(odd) > SHOWN else ''}]" if odd else "none"
    words = (
        f"Labels other than 0 and 1: {shown}. Write a label as the number 1 where the goal "
        "follows, as 0 where it does not."
    )
    return not odd, words, {"others": odd[:SHOWN]}


def _plausible(frame: pd.DataFrame) -> tuple[bool, str, dict[str, Any]]:
    rate, (least, most) = label_rate(frame), PLAUSIBLE_RATE
    weighted = "weight" in frame.columns
    words = (
        f"The label rate is {rate:.4%}{' (weighted by row)' if weighted else ''}; between "
        f"{least:.2%} and {most:.0%} is plausible. If it is not, look at the goal "
        "(PROSPECT_GOAL_EVENTS), how far ahead it counts (PROSPECT_HORIZON_MINUTES) and whether "
        "its events are tracked."
    )
    facts = {"label_rate": rate, "least": least, "most": most, "weighted": weighted}
    return least <= rate <= most, words, facts


def _known(
    frame: pd.DataFrame, as_of: datetime | None, horizon: timedelta
) -> tuple[bool, str, dict[str, Any]]:
    if as_of is None:
        return True, "As-of is not given: not checked.", {"checked": False}
    late = int((moments(frame) + horizon > as_of).sum())
    words = (
        f"{late:,} rows have a label that looks past as-of ({as_of.isoformat()}), and may still "
        f"change. Drop the anchors of the last {horizon.total_seconds() / 60:g} minutes, or move "
        "as-of (--as-of, PROSPECT_AS_OF)."
    )
    return late == 0, words, {"checked": True, "late": late}
