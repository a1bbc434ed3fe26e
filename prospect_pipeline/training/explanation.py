"""What makes the scores of the test part: shuffled columns, contributions, a few visitors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from prospect_pipeline.scoring import Floats, ScoringModel
from prospect_pipeline.training.evaluation import MODEL, Evaluation
from prospect_pipeline.training.importance import PERMUTED_ROWS, permutation, spread_rows
from prospect_pipeline.training.visitors import Explained, explained

EXPLAINED_ROWS = 1000
"""How many rows at most have their contributions drawn."""


@dataclass(frozen=True)
class Explanation:
    """What makes a model's scores.

    ``permutation`` is what shuffling a column adds to the log loss, for each shuffle.
    ``contributions`` are in log-odds, shape (rows, columns + 1), a row for each of ``rows``, which
    have the model's columns; the last one is where every score starts.
    """

    permutation: dict[str, list[float]]
    rows: pd.DataFrame
    contributions: Floats
    visitors: list[Explained]


def explain(evaluation: Evaluation, test: pd.DataFrame, model: ScoringModel) -> Explanation:
    """Explain a model's scores; ``test`` has the columns of the evaluation's rows."""
    scored = evaluation.scored
    labels, weight = scored["label"].to_numpy(np.float64), scored["weight"].to_numpy(np.float64)
    shown = test.iloc[spread_rows(len(test), EXPLAINED_ROWS)]
    shown = shown[list(model.encoder.columns)].reset_index(drop=True)
    shuffled = spread_rows(len(test), PERMUTED_ROWS)
    return Explanation(
        permutation=permutation(
            model, test.iloc[shuffled], labels[shuffled], weight[shuffled], evaluation.seed
        ),
        rows=shown,
        contributions=model.contributions(model.encoder.encode(shown)),
        visitors=explained(test, labels, scored[MODEL].to_numpy(), model, evaluation.threshold),
    )
