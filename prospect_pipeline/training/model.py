"""Training: XGBoost on the 20 columns, and the baselines that it has to beat.

Early stopping looks at the validation part; nothing here sees the test part's labels. The same
frame and seed give the same model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from prospect_pipeline.features import FEATURES, Encoder
from prospect_pipeline.scoring import ScoringModel
from prospect_pipeline.training.split import Split

Scores = npt.NDArray[np.float64]

PARAMS: dict[str, Any] = {
    "objective": "binary:logistic",
    "eval_metric": "logloss",
    "tree_method": "hist",
    "learning_rate": 0.06,
    "max_depth": 5,
    "min_child_weight": 8.0,
    "subsample": 0.8,
    "colsample_bytree": 0.8,
    "reg_lambda": 2.0,
    "max_cat_to_onehot": 16,
}
MAX_ROUNDS = 600
PATIENCE = 30
THREADS = 2

CATEGORICAL = [feature.name for feature in FEATURES if feature.categorical]
NUMERICAL = [feature.name for feature in FEATURES if not feature.categorical]
TUTORIAL_NUMERICAL = [name for name in NUMERICAL if not name.startswith("had_conversions_")]


@dataclass(frozen=True)
class TrainedModel:
    """A model and how it came about.

    The booster holds the best ``rounds`` (in ``params``) alone, so scoring needs no range of them.
    """

    model: ScoringModel
    params: dict[str, Any]


def train(split: Split, seed: int) -> TrainedModel:
    """Train on the train part, stopping where the validation part's log loss no longer falls."""
    encoder = Encoder.fit(split.train)
    params = PARAMS | {"seed": seed, "nthread": THREADS}
    booster = xgboost.train(
        params,
        _matrix(encoder, split.train),
        num_boost_round=MAX_ROUNDS,
        evals=[(_matrix(encoder, split.validation), "validation")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )
    rounds = booster.best_iteration + 1
    return TrainedModel(
        ScoringModel(booster[:rounds], encoder), PARAMS | {"seed": seed, "rounds": rounds}
    )


def baselines(split: Split, seed: int) -> dict[str, Scores]:
    """Return the baselines' probabilities of the test part's rows.

    They train on the train and the validation part, as they need none to stop early. The tutorial's
    pipeline is Snowplow's: scaled counts, one-hot categories, XGBoost's defaults; its transformer
    leaves out the two ``had_conversions_*``, so 18 columns.
    """
    known = pd.concat([split.train, split.validation])
    tutorial = _pipeline(
        TUTORIAL_NUMERICAL,
        xgboost.XGBClassifier(eval_metric="logloss", random_state=seed, n_jobs=THREADS),
    )
    logistic = _pipeline(NUMERICAL, LogisticRegression(max_iter=2000, random_state=seed))
    rate = float(np.average(known["label"], weights=weights(known)))
    return {
        "tutorial pipeline": _fitted(tutorial, known, split.test),
        "logistic regression": _fitted(logistic, known, split.test),
        "base rate": np.full(len(split.test), rate),
    }


def weights(frame: pd.DataFrame) -> Scores:
    """Return the rows' weights: 1, but for negatives that stand for several."""
    if "weight" not in frame.columns:
        return np.ones(len(frame))
    return frame["weight"].to_numpy(np.float64)


def _matrix(encoder: Encoder, frame: pd.DataFrame) -> xgboost.DMatrix:
    return xgboost.DMatrix(
        encoder.encode(frame),
        label=frame["label"].to_numpy(np.float64),
        weight=weights(frame),
        feature_names=list(encoder.columns),
        feature_types=encoder.types,
        enable_categorical=True,
        nthread=THREADS,
    )


def _pipeline(numerical: list[str], classifier: Any) -> Pipeline:
    columns = ColumnTransformer(
        [
            ("num", StandardScaler(), numerical),
            ("cat", OneHotEncoder(handle_unknown="ignore"), CATEGORICAL),
        ]
    )
    return Pipeline([("columns", columns), ("classifier", classifier)])


def _fitted(pipeline: Pipeline, known: pd.DataFrame, test: pd.DataFrame) -> Scores:
    pipeline.fit(known, known["label"], classifier__sample_weight=weights(known))
    scores: Scores = pipeline.predict_proba(test)[:, 1].astype(np.float64)
    return scores
