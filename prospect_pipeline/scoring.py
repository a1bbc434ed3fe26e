"""From the model's columns to a probability: the one definition, offline and online.

Training measures with it and the service answers with it, so that served equals trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import xgboost

from prospect_pipeline.features import Encoder, Value

EPSILON = 1e-6
"""A score stays this far from 0 and 1, so that it is never a certainty."""


@dataclass(frozen=True)
class ScoringModel:
    """A trained booster together with the encoder that was fitted with it."""

    booster: xgboost.Booster
    encoder: Encoder

    def score(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Return the probability of every row of a frame with the model's columns."""
        return self._probabilities(self.encoder.encode(frame))

    def score_one(self, values: Mapping[str, Value]) -> float:
        """Return the probability of one row, by the same booster and encoder."""
        return float(self._probabilities(self.encoder.encode_one(values))[0])

    def explain_one(self, values: Mapping[str, Value]) -> list[tuple[str, float]]:
        """Return each column's signed contribution in log-odds, largest first.

        XGBoost's own ``pred_contribs`` (SHAP values; Lundberg et al. 2018, arXiv:1802.03888);
        the last of them, the base value, is left out.
        """
        contributions = self.contributions(self.encoder.encode_one(values))[0]
        named = zip(self.encoder.columns, contributions[:-1].tolist(), strict=True)
        return sorted(named, key=lambda pair: -abs(pair[1]))

    def contributions(self, matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the contributions in log-odds, shape (rows, columns + 1), base value last."""
        data = xgboost.DMatrix(
            matrix,
            feature_names=list(self.encoder.columns),
            feature_types=self.encoder.types,
            enable_categorical=True,
            nthread=1,
        )
        contributions: npt.NDArray[np.float64] = self.booster.predict(data, pred_contribs=True)
        return contributions

    def _probabilities(self, matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        raw = self.booster.inplace_predict(matrix, validate_features=False)
        return np.clip(np.asarray(raw, dtype=np.float64), EPSILON, 1 - EPSILON)
