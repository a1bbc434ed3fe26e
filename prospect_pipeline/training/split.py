"""The split: by visitor, and forward in time.

Visitors are put in order of their first anchor and cut into train, validation and test, so that no
visitor is on two sides and later visitors judge what was learnt from earlier ones. Rows whose
horizon reaches past the next part's first anchor are purged: their label was not yet known when
that part begins (purging: López de Prado, Advances in Financial Machine Learning, 2018, ch. 7).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pandas as pd

from prospect_pipeline.errors import TrainingError
from prospect_pipeline.training.dataset import KEY, converters

PARTS = ("train", "validation", "test")
SHARES = (0.6, 0.15, 0.25)


@dataclass(frozen=True)
class Split:
    """Three parts of a training frame, and how many rows were purged from each."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    purged: dict[str, int]

    def parts(self) -> dict[str, pd.DataFrame]:
        """Return the parts by name, in order of time."""
        return {name: getattr(self, name) for name in PARTS}

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


def split(
    frame: pd.DataFrame, horizon: timedelta, shares: tuple[float, float, float] = SHARES
) -> Split:
    """Split a training frame; ``shares`` are of visitors, and the test part takes the rest.

    Raises TrainingError where a part is left without rows of both classes.
    """
    firsts = frame.groupby(KEY)["anchor_ts"].min().rename("first").reset_index()
    firsts = firsts.sort_values(["first", KEY], kind="stable").reset_index(drop=True)
    cuts = [round(sum(shares[:place]) * len(firsts)) for place in (1, 2)]
    parts: dict[str, pd.DataFrame] = {}
    purged: dict[str, int] = {}
    for name, start, end in zip(PARTS, [0, *cuts], [*cuts, len(firsts)], strict=True):
        part = frame[frame[KEY].isin(set(firsts[KEY].iloc[start:end]))]
        known = part
        if end < len(firsts):
            known = part[part["anchor_ts"] + horizon <= firsts["first"].iloc[end]]
        parts[name], purged[name] = known, len(part) - len(known)
    _require_both_classes(parts, purged)
    return Split(**parts, purged=purged)


def _require_both_classes(parts: dict[str, pd.DataFrame], purged: dict[str, int]) -> None:
    for name, part in parts.items():
        positives = int(part["label"].sum())
        if not 0 < positives < len(part):
            raise TrainingError(
                f"The {name} part has {len(part):,} rows, {positives:,} of them positive "
                f"({purged[name]:,} purged); each part needs both classes. Take in more visitors "
                "(--cohort), or a longer span of events."
            )
