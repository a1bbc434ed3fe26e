"""The endpoint of Snowplow's tutorial, rebuilt from its description: what ``/predict`` replaces.

Flask's own server, a pipeline of scikit-learn over one row's DataFrame, and the SDK, which opens a
connection for every call. Lists are counted and texts that are missing are empty, unlike there: a
scaler takes no lists, and an encoder of texts no number. Run as a process of its own, with the
pipeline's file and the port as its arguments.
"""

import os
import sys
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import xgboost
from flask import Flask, jsonify, request
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from snowplow_signals import SignalsSandbox

from prospect_pipeline.features import COLUMNS, FEATURES, Feature

CATEGORICAL = [feature.name for feature in FEATURES if feature.categorical]
NUMERICAL = [f.name for f in FEATURES if not f.categorical and f.kind != "flag"]
SERVICE = "prospect_scoring_tutorial_service"


def write_pipeline(frame: pd.DataFrame, path: Path) -> None:
    """Fit the pipeline on a training set, and write it."""
    scaled = ("num", StandardScaler(), NUMERICAL)
    encoded = ("cat", OneHotEncoder(handle_unknown="ignore"), CATEGORICAL)
    classifier = xgboost.XGBClassifier(eval_metric="logloss", random_state=0)
    steps = [("preprocessor", ColumnTransformer([scaled, encoded])), ("classifier", classifier)]
    joblib.dump(Pipeline(steps).fit(frame[list(COLUMNS)], frame["label"]), path)


def value(feature: Feature, values: dict[str, Any]) -> Any:
    """Return a column's value as the tutorial has it: by name alone, what is missing is nothing."""
    found = values.get(feature.name)
    if found is None:
        return "" if feature.kind == "text" else 0
    return len(found) if feature.kind == "length" else found


def application(pipeline: Path) -> Flask:
    """Return the endpoint."""
    app, model = Flask("tutorial"), joblib.load(pipeline)
    signals = SignalsSandbox(
        api_url=os.environ["SP_SANDBOX_URL"], sandbox_token=os.environ["SP_SANDBOX_TOKEN"]
    )

    @app.get("/readyz")
    def ready() -> str:
        return "ready"

    @app.post("/predict")
    def predict() -> Any:
        visitor = request.get_json()["domain_userid"]
        values = signals.get_service_attributes(
            name=SERVICE, attribute_key="domain_userid", identifier=visitor
        )
        columns = {feature.name: value(feature, values) for feature in FEATURES}
        score = float(model.predict_proba(pd.DataFrame([columns]))[0, 1])
        return jsonify(signals=values, scoring_attributes=columns, score=score)

    return app


if __name__ == "__main__":
    application(Path(sys.argv[1])).run("127.0.0.1", int(sys.argv[2]))
