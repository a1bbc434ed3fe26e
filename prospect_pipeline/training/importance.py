"""What drives a score: what the model gained from each column, and what is lost without it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from prospect_pipeline.scoring import Floats, ScoringModel

PERMUTED_ROWS = 2000
SHUFFLES = 3


def spread_rows(count: int, most: int) -> npt.NDArray[np.intp]:
    """Return the places of at most so many rows, evenly spread over all of them."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.intp)


def gain(model: ScoringModel) -> dict[str, float]:
    """Return each column's share of what all splits took from the loss, the largest first.

    A ratio's is counted to the column that it is of.
    """
    found, encoder = model.booster.get_score(importance_type="total_gain"), model.encoder
    gained = dict.fromkeys(encoder.columns, 0.0)
    for name, owner in zip(encoder.names, encoder.owners, strict=True):
        gained[encoder.columns[owner]] += found.get(name, 0.0)
    total = sum(gained.values()) or 1.0
    return {name: gained[name] / total for name in sorted(gained, key=lambda name: -gained[name])}


def permutation(
    model: ScoringModel, rows: pd.DataFrame, labels: Floats, weights: Floats, seed: int
) -> dict[str, list[float]]:
    """Return by how much the log loss rises in each shuffle of a column, the largest mean first.

    A column is shuffled among the rows, so that it tells nothing any more and all else stays
    (Fisher, Rudin and Dominici, All Models are Wrong, but Many are Useful, JMLR 2019). Columns that
    say much the same share what they are worth, or hide it from each other. The rows' number bounds
    the time; the same seed gives the same numbers.
    """
    matrix, chance = model.encoder.encode(rows), np.random.default_rng(seed)
    columns = model.encoder.columns
    # Every shuffle's rows below each other, after those as they are: one call predicts them all.
    stacked = np.tile(matrix, (1 + len(columns) * SHUFFLES, 1, 1))
    for place, shuffled in enumerate(stacked[1:]):
        column = place // SHUFFLES
        shuffled[:, column] = chance.permutation(matrix[:, column])
    given = model.encoder.derive(stacked).reshape(-1, matrix.shape[1])
    margins = model.margins(given).reshape(len(stacked), -1)
    scores = model.calibration.probabilities(margins)
    losses = -np.where(labels > 0, np.log(scores), np.log1p(-scores)) @ weights / weights.sum()
    rises = (losses[1:] - losses[0]).reshape(len(columns), SHUFFLES)
    order = np.argsort(-rises.mean(axis=1), kind="stable")
    return {columns[column]: rises[column].tolist() for column in order}
