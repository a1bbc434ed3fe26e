"""The split: by visitor, and forward in time.

Visitors are put in order of their first anchor and cut into train, validation, calibration and
test, so that no visitor is on two sides and later visitors judge what was learnt from earlier ones.
Rows whose horizon reaches past the next part's first anchor are purged: their label was not yet
known when that part begins (purging: López de Prado, Advances in Financial Machine Learning, 2018,
ch. 7). What the validation part has settled, the model is trained once more on both, and on what
was purged between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

import pandas as pd

from prospect_pipeline.errors import TrainingError
from prospect_pipeline.training.dataset import KEY, converters, first_seen

PARTS = ("train", "validation", "calibration", "test")
SHARES = (0.55, 0.17, 0.08, 0.2)


@dataclass(frozen=True)
class Split:
    """The parts of a training frame, and how many rows were purged from each.

    ``known`` has every row of the first two parts' visitors whose label was known when the
    calibration part begins. A split whose parts share a visitor cannot be made: TrainingError.
    """

    train: pd.DataFrame
    validation: pd.DataFrame
    calibration: pd.DataFrame
    test: pd.DataFrame
    known: pd.DataFrame
    purged: dict[str, int]

    def __post_init__(self) -> None:
        judging = (self.calibration, self.test)
        for one, other in [
            *combinations(self.parts().values(), 2),
            *((self.known, j) for j in judging),
        ]:
            _require_apart(one, other)

    def parts(self) -> dict[str, pd.DataFrame]:
        """Return the parts by name, in order of time."""
        return {name: getattr(self, name) for name in PARTS}

    @property
    def learnt_until(self) -> datetime:
        """When the last visitor was first seen whom training or calibration used, in UTC.

        No visitor whose first anchor is later was learnt from.
        """
        last = max(first_seen(part).max() for part in (self.known, self.calibration))
        moment: datetime = last.to_pydatetime()
        return moment

    def facts(self) -> list[dict[str, Any]]:
        """Return a line on each part, as plain JSON types."""
        return [
            {
                "part": name,
                "visitors": int(part[KEY].nunique()),
                "converters": converters(part),
                "rows": len(part),
                "positives": int(part["label"].sum()),
                "purged": self.purged[name],
                "first_anchor": part["anchor_ts"].min().isoformat(),
                "last_anchor": part["anchor_ts"].max().isoformat(),
            }
            for name, part in self.parts().items()
        ]


def split(frame: pd.DataFrame, horizon: timedelta, shares: tuple[float, ...] = SHARES) -> Split:
    """Split a training frame; ``shares`` are of visitors, and the test part takes the rest.

    Raises TrainingError where a part is left without rows of both classes.
    """
    firsts = frame.groupby(KEY)["anchor_ts"].min().rename("first").reset_index()
    firsts = firsts.sort_values(["first", KEY], kind="stable").reset_index(drop=True)
    cuts = [round(sum(shares[:place]) * len(firsts)) for place in range(1, len(PARTS))]
    ends = [*cuts, len(firsts)]

    def known(start: int, end: int) -> tuple[pd.DataFrame, int]:
        """Return some visitors' rows that are known when the next one comes, and the others."""
        part = frame[frame[KEY].isin(set(firsts[KEY].iloc[start:end]))]
        if end == len(firsts):
            return part, 0
        early = part[part["anchor_ts"] + horizon <= firsts["first"].iloc[end]]
        return early, len(part) - len(early)

    parts = {
        name: known(start, end) for name, start, end in zip(PARTS, [0, *cuts], ends, strict=True)
    }
    rows = {name: part for name, (part, _) in parts.items()}
    purged = {name: count for name, (_, count) in parts.items()}
    _require_both_classes(rows, purged)
    return Split(**rows, known=known(0, cuts[1])[0], purged=purged)


def _require_apart(one: pd.DataFrame, other: pd.DataFrame) -> None:
    shared = sorted(set(one[KEY]) & set(other[KEY]))
    if shared:
        raise TrainingError(
            f"{len(shared):,} visitors are on two sides of the split, so that the model would be "
            "judged on whom it learnt from. Build the data again; each visitor has one "
            f"{KEY}."
        )


def _require_both_classes(parts: dict[str, pd.DataFrame], purged: dict[str, int]) -> None:
    for name, part in parts.items():
        positives = int(part["label"].sum())
        if not 0 < positives < len(part):
            raise TrainingError(
                f"The {name} part has {len(part):,} rows, {positives:,} of them positive "
                f"({purged[name]:,} purged); each part needs both classes. Take in more visitors "
                "(--cohort), or a longer span of events."
            )
