"""From the model's columns to a probability: the one definition, offline and online.

Training measures with it and the service answers with it, so that served equals trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xgboost

from prospect_pipeline import native
from prospect_pipeline.encoder import Encoder
from prospect_pipeline.features import Value
from prospect_pipeline.trees import Paths

if TYPE_CHECKING:
    import pandas as pd

EPSILON = 1e-6
"""A score stays this far from 0 and 1, so that it is never a certainty."""


Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """What turns the booster's log-odds into those of the score; by default nothing changes."""

    slope: float = 1.0
    intercept: float = 0.0

    def probabilities(self, margins: Floats) -> Floats:
        """Return probabilities, never quite 0 or 1."""
        found: Floats = 1 / (1 + np.exp(-(self.slope * margins + self.intercept)))
        return np.clip(found, EPSILON, 1 - EPSILON)


@dataclass(frozen=True)
class ScoringModel:
    """A trained booster with all that was fitted with it: encoder, calibration, threshold.

    From a score of ``threshold`` on a visitor is called a prospect.
    """

    booster: xgboost.Booster
    encoder: Encoder
    calibration: Calibration = Calibration()
    threshold: float = 0.5

    def score(self, frame: pd.DataFrame) -> Floats:
        """Return the probability of every row of a frame with the model's columns."""
        return self.calibration.probabilities(self.margins(self.encoder.encode(frame)))

    def score_one(self, values: Mapping[str, Value]) -> float:
        """Return the probability of one row, by the same booster and encoder."""
        return float(self.score_rows([values])[0])

    def score_rows(self, rows: Sequence[Mapping[str, Value]], out: Floats | None = None) -> Floats:
        """Return the probability of rows given as mappings, shape (rows,).

        ``out``, of shape (rows or more, names), is where they are encoded: who scores all the time
        makes it once. Raises InputError where a column is missing or cannot be encoded.
        """
        matrix = np.empty((len(rows), len(self.encoder.names))) if out is None else out[: len(rows)]
        for place, values in enumerate(rows):
            matrix[place] = self.encoder.encode_row(values)
        return self.calibration.probabilities(self.margins(matrix))

    def explain_one(self, values: Mapping[str, Value]) -> list[tuple[str, float]]:
        """Return each column's signed contribution in log-odds, largest first.

        They are what `contributions` says of the row but for the base value, found faster: the
        first call, which reads the trees, takes longer.
        """
        if self._paths is None:
            parts = self.contributions(self.encoder.encode_one(values))[0, :-1]
        else:
            own = self._paths.contributions(np.array(self.encoder.encode_row(values)))
            parts = self.calibration.slope * (own @ self.encoder.ownership[:-1, :-1])
        named = zip(self.encoder.columns, parts.tolist(), strict=True)
        return sorted(named, key=lambda pair: -abs(pair[1]))

    @cached_property
    def base(self) -> float:
        """What every score begins with, in log-odds: the contributions of a row are added to it."""
        return float(self.contributions(np.zeros((1, len(self.encoder.names))))[0, -1])

    @cached_property
    def _paths(self) -> Paths | None:
        return Paths.of(self.booster, len(self.encoder.names))

    def contributions(self, matrix: Floats) -> Floats:
        """Return the contributions in log-odds, shape (rows, columns + 1), base value last.

        XGBoost's own ``pred_contribs`` (SHAP values; Lundberg et al. 2018, arXiv:1802.03888). They
        are those of the score: each row's sum is the log-odds of its score. What a ratio
        contributes is counted to the column that it is of.
        """
        # Names and types cost time: they were compared when the version was loaded.
        data = xgboost.DMatrix(matrix, nthread=1)
        given = self.booster.predict(data, pred_contribs=True, validate_features=False)
        found: Floats = given.astype(np.float64) @ self.encoder.ownership
        found *= self.calibration.slope
        found[:, -1] += self.calibration.intercept
        return found

    def margins(self, matrix: Floats) -> Floats:
        """Return the booster's own log-odds, before calibration, shape (rows,)."""
        return native.margins(self.booster, matrix)
