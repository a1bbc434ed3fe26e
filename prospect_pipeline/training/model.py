"""Training: XGBoost on the 20 columns, and the baselines that it has to beat.

The validation part says which parameters, where several are tried, and how many rounds; the model
then learns from both parts, and the calibration part, which it never saw, says how far its scores
can be believed and from where on a visitor is a prospect. Nothing here sees the test part's labels.
The same frame and seed give the same model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from prospect_pipeline.encoder import Encoder
from prospect_pipeline.features import FEATURES
from prospect_pipeline.scoring import Calibration, ScoringModel
from prospect_pipeline.training.calibration import fit_calibration
from prospect_pipeline.training.dataset import KEY, NUMERICAL
from prospect_pipeline.training.search import (
    NO_SEARCH,
    SPACE,
    Budget,
    Judged,
    Params,
    Search,
    logger,
    search,
)
from prospect_pipeline.training.split import Split
from prospect_pipeline.training.threshold import Rule, Threshold, choose

Scores = npt.NDArray[np.float64]
F1 = Rule.parse("f1")

PARAMS: dict[str, Any] = {
    "objective": "binary:logistic",
    "eval_metric": "logloss",
    "tree_method": "hist",
    "learning_rate": 0.03,
    "max_depth": 3,
    "subsample": 0.5,
    "colsample_bytree": 0.2,
    "reg_lambda": 2.0,
    "max_cat_to_onehot": 16,
}
MAX_ROUNDS = 2000
PATIENCE = 50
LEAF_VISITORS = 50
"""How many visitors a leaf speaks for at least: a visitor's rows say much the same."""
DEFAULTS: dict[str, float] = {
    **{name: PARAMS[name] for name in SPACE if name in PARAMS},
    "leaf_visitors": LEAF_VISITORS,
}
"""What a search varies, as it is trained with where nothing better is found."""
THREADS = 2

CATEGORICAL = [feature.name for feature in FEATURES if feature.categorical]
PRICING = "num_pricing_views_l7d"
TUTORIAL_NUMERICAL = [name for name in NUMERICAL if not name.startswith("had_conversions_")]


@dataclass(frozen=True)
class TrainedModel:
    """A model and how it came about; ``params`` are what it was trained with."""

    model: ScoringModel
    params: dict[str, Any]
    threshold: Threshold
    search: Search


def train(
    split: Split,
    seed: int,
    rule: Rule = F1,
    budget: Budget = NO_SEARCH,
    say: Callable[[str], None] = logger.info,
) -> TrainedModel:
    """Train for as long as the validation part's log loss falls, then on all that was known.

    Within ``budget`` several parameters are tried, of which ``say`` is told.
    """
    encoder = Encoder.fit(split.known)
    train_rows, validation = _matrix(encoder, split.train), _matrix(encoder, split.validation)

    def judge(tried: Params) -> Judged:
        stopped = xgboost.train(
            _params(tried, split.known, seed) | {"nthread": THREADS},
            train_rows,
            num_boost_round=MAX_ROUNDS,
            evals=[(validation, "validation")],
            early_stopping_rounds=PATIENCE,
            verbose_eval=False,
        )
        return Judged(float(stopped.best_score), stopped.best_iteration + 1)

    found = search(judge, DEFAULTS, budget, seed, say)
    chosen = found.chosen
    own = _params(chosen.params, split.known, seed)
    booster = xgboost.train(
        own | {"nthread": THREADS}, _matrix(encoder, split.known), num_boost_round=chosen.rounds
    )
    model, threshold = _decided(ScoringModel(booster, encoder), split.calibration, rule)
    params = own | chosen.params | {"rounds": chosen.rounds, "search_trials": len(found.trials)}
    fitted = {f"calibration_{name}": value for name, value in vars(model.calibration).items()}
    return TrainedModel(model, params | {"threshold_rule": rule.text} | fitted, threshold, found)


def _params(tried: Params, known: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Return XGBoost's parameters for some of `SPACE`.

    ``min_child_weight``, a sum of p (1 - p), is that of as many visitors as a leaf speaks for.
    """
    weight = weights(known)
    rate = float(np.average(known["label"], weights=weight))
    visitor = float(weight.sum()) / known[KEY].nunique() * rate * (1 - rate)
    own = {name: value for name, value in tried.items() if name != "leaf_visitors"}
    return PARAMS | own | {"seed": seed, "min_child_weight": tried["leaf_visitors"] * visitor}


def _decided(model: ScoringModel, held: pd.DataFrame, rule: Rule) -> tuple[ScoringModel, Threshold]:
    """Return the model with calibration and threshold, both chosen on held-out rows."""
    calibrated = replace(model, calibration=_calibration(model, held))
    threshold = choose(rule, held, calibrated.score(held), weights(held))
    return replace(calibrated, threshold=threshold.value), threshold


def _calibration(model: ScoringModel, held: pd.DataFrame) -> Calibration:
    margins = model.margins(model.encoder.encode(held))
    return fit_calibration(margins, held["label"].to_numpy(float), weights(held), held[KEY])


def baselines(split: Split, seed: int) -> dict[str, Scores]:
    """Return the baselines' probabilities of the test part's rows.

    They train on what the model has learnt from. The tutorial's pipeline is Snowplow's: scaled
    counts, one-hot categories, XGBoost's defaults; its transformer leaves out the two
    ``had_conversions_*``, so 18 columns. The rule tells apart whether pricing was viewed within
    seven days, as a salesperson would, and knows the share of positives in either case.
    """
    known = split.known
    tutorial = _pipeline(
        TUTORIAL_NUMERICAL,
        xgboost.XGBClassifier(eval_metric="logloss", random_state=seed, n_jobs=THREADS),
    )
    logistic = _pipeline(NUMERICAL, LogisticRegression(max_iter=2000, random_state=seed))
    rate = float(np.average(known["label"], weights=weights(known)))
    return {
        "tutorial pipeline": _fitted(tutorial, known, split.test),
        "logistic regression": _fitted(logistic, known, split.test),
        "viewed pricing": _viewed_pricing(known, split.test, rate),
        "base rate": np.full(len(split.test), rate),
    }


def _viewed_pricing(known: pd.DataFrame, test: pd.DataFrame, rate: float) -> Scores:
    """Return each row's share of positives among known rows that are alike in that one respect.

    One more row at the base rate keeps a share within 0 and 1, even where no row is alike.
    """
    weight, positive = weights(known), known["label"].to_numpy(np.float64)
    seen = known[PRICING].to_numpy() > 0
    shares = [
        float((weight[rows] @ positive[rows] + rate) / (weight[rows].sum() + 1))
        for rows in (~seen, seen)
    ]
    return np.where(test[PRICING].to_numpy() > 0, shares[1], shares[0])


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
        feature_names=encoder.names,
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
