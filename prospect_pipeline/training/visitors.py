"""A few visitors of the test part, each with what made the score: from the best to the worst."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from prospect_pipeline.features import in_words
from prospect_pipeline.scoring import Floats, ScoringModel
from prospect_pipeline.training.dataset import KEY

VISITORS = 10
REASONS = 6

Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Reason:
    """A column, its value in words, and how far it moved the score, in log-odds."""

    column: str
    value: str
    contribution: float


@dataclass(frozen=True)
class Explained:
    """One moment of one visitor: the score, what happened, and the largest reasons.

    ``rest`` is what all other columns together contribute, ``base`` where every score starts; with
    the reasons they add up to the log-odds of the score.
    """

    visitor: str
    moment: datetime
    why: str
    score: float
    called: bool
    converted: bool
    reasons: tuple[Reason, ...]
    rest: float
    base: float


def explained(
    test: pd.DataFrame, labels: Floats, scores: Floats, model: ScoringModel, threshold: float
) -> list[Explained]:
    """Return a spread of visitors, the highest score first; no visitor stands twice.

    ``labels`` and ``scores`` are those of the rows of ``test``, shape (rows,).
    """
    chosen = _chosen(test[KEY].to_numpy(), labels, scores, threshold)
    chosen = dict(sorted(chosen.items(), key=lambda pair: -scores[pair[0]]))
    rows = test.iloc[list(chosen)]
    contributions = model.contributions(model.encoder.encode(rows))
    found = []
    for place, own in zip(chosen, contributions, strict=True):
        row, largest = test.iloc[place], np.argsort(-np.abs(own[:-1]), kind="stable")[:REASONS]
        names = [model.encoder.columns[column] for column in largest]
        reasons = tuple(
            Reason(name, in_words(name, row[name]), float(own[column]))
            for name, column in zip(names, largest, strict=True)
        )
        found.append(
            Explained(
                visitor=str(row[KEY]),
                moment=row["anchor_ts"],
                why=chosen[place],
                score=float(scores[place]),
                called=bool(scores[place] >= threshold),
                converted=bool(labels[place]),
                reasons=reasons,
                rest=float(own[:-1].sum() - own[largest].sum()),
                base=float(own[-1]),
            )
        )
    return found


def _chosen(
    visitors: npt.NDArray[np.object_], labels: Floats, scores: Floats, threshold: float
) -> dict[int, str]:
    """Return the places of the rows that are shown, and why each is."""
    chosen, seen = dict[int, str](), set[object]()
    for why, places in _wanted(labels, scores, threshold):
        fresh = (int(place) for place in places if visitors[place] not in seen)
        if len(chosen) < VISITORS and (place := next(fresh, None)) is not None:
            chosen[place] = why
            seen.add(visitors[place])
    return chosen


def _wanted(labels: Floats, scores: Floats, threshold: float) -> Iterator[tuple[str, Places]]:
    """Yield what is worth a look, and the rows that show it, the best example first."""
    up = np.argsort(scores, kind="stable")
    down = up[::-1]
    called, converted = scores >= threshold, labels > 0
    yield "a miss: the lowest score of one who converted", _where(up, converted & ~called)
    yield "a false alarm: the highest score of one who did not", _where(down, called & ~converted)
    yield "the highest score that was right", _where(down, called & converted)
    yield "just above the threshold", _where(up, called)
    yield "just below the threshold", _where(down, ~called)
    yield "the lowest score", up
    for percent in (99, 90, 75, 50, 95, 60, 25, 10, 40, 80):
        yield f"scored higher than {percent} % of the rows", up[int(percent / 100 * len(up)) :]


def _where(places: Places, wanted: npt.NDArray[np.bool_]) -> Places:
    return places[wanted[places]]
