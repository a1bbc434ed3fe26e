"""Is a training set fit to be trained on? Checks, as data; and the one gate that raises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from prospect_pipeline.errors import TrainingError
from prospect_pipeline.features import COLUMNS, check_columns

KEY = "domain_userid"
ANCHOR = [KEY, "anchor_ts", "event_id"]


@dataclass(frozen=True)
class Check:
    """One check: ``blocking`` ones stop training where they fail, others warn."""

    name: str
    passed: bool
    blocking: bool
    description: str
    facts: dict[str, Any] = field(default_factory=dict)


CHECKS: dict[str, bool] = {
    "has_both_classes": True,
    "has_enough_converters": True,
    "anchors_are_unique": True,
    "no_nulls": True,
    "labels_are_binary": True,
    "labels_are_known": True,
    "no_constant_columns": False,
}
"""Every check by name, and whether it blocks."""


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
    says so. Raises InputError where a column is missing.
    """
    check_columns(frame, (*ANCHOR, *COLUMNS, "label"))
    return [
        Check(name, passed, CHECKS[name], description, facts)
        for name, passed, description, facts in _results(frame, min_converters, as_of, horizon)
    ]


def require_trainable(frame: pd.DataFrame, min_converters: int) -> None:
    """Raise TrainingError with what to change, where a blocking check fails."""
    for check in check_dataset(frame, min_converters):
        if check.blocking and not check.passed:
            raise TrainingError(check.description)


def converters(frame: pd.DataFrame) -> int:
    """Return the number of visitors with at least one positive row."""
    return int(frame.loc[frame["label"] == 1, KEY].nunique())


def _results(
    frame: pd.DataFrame, min_converters: int, as_of: datetime | None, horizon: timedelta
) -> Iterator[tuple[str, bool, str, dict[str, Any]]]:
    rows, positives = len(frame), int((frame["label"] == 1).sum())
    rate = positives / rows if rows else 0.0
    yield (
        "has_both_classes",
        0 < positives < rows,
        f"{positives:,} of {rows:,} rows have label 1; a model needs both classes. Move the cohort "
        "(--cohort, --as-of), or choose another goal (PROSPECT_GOAL_EVENTS).",
        {"rows": rows, "positives": positives, "label_rate": rate},
    )
    found = converters(frame)
    yield (
        "has_enough_converters",
        found >= min_converters,
        f"{found:,} converting visitors, at least {min_converters:,} expected. Take in more "
        "visitors (--cohort), or lower MIN_CONVERTERS if a rough model will do.",
        {"converters": found, "expected": min_converters},
    )
    copies = int(frame.duplicated(ANCHOR).sum())
    yield (
        "anchors_are_unique",
        copies == 0,
        f"{copies:,} rows repeat an anchor (visitor, moment, event); each may stand once.",
        {"copies": copies},
    )
    nulls = {name: int(count) for name, count in frame.isna().sum().items() if count}
    yield (
        "no_nulls",
        not nulls,
        f"Columns with nulls: {nulls or 'none'}; nothing there is 0 or '', never null.",
        {"nulls": nulls},
    )
    odd = sorted(set(frame["label"].dropna().tolist()) - {0, 1})
    yield (
        "labels_are_binary",
        not odd,
        f"Labels other than 0 and 1: {odd or 'none'}.",
        {"others": [str(label) for label in odd]},
    )
    yield "labels_are_known", *_known(frame, as_of, horizon)
    constant = [name for name in COLUMNS if rows and frame[name].nunique(dropna=False) == 1]
    yield (
        "no_constant_columns",
        not constant,
        f"Columns with one value alone, which cannot help: {', '.join(constant) or 'none'}.",
        {"constant": constant},
    )


def _known(
    frame: pd.DataFrame, as_of: datetime | None, horizon: timedelta
) -> tuple[bool, str, dict[str, Any]]:
    if as_of is None:
        return True, "As-of is not given: not checked.", {"checked": False}
    moments = pd.to_datetime(frame["anchor_ts"], utc=True)  # one without a zone is UTC
    late = int((moments + horizon > as_of).sum())
    words = (
        f"{late:,} rows have a label that looks past as-of ({as_of.isoformat()}), and may still "
        f"change. Drop the anchors of the last {horizon.total_seconds() / 60:g} minutes, or move "
        "as-of (--as-of, PROSPECT_AS_OF)."
    )
    return late == 0, words, {"checked": True, "late": late}
