"""Scoring without HTTP: a model of realistic size, and one score against the booster alone."""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost
from rich.table import Table

from prospect_pipeline import features
from prospect_pipeline.attributes import prospect
from prospect_pipeline.encoder import Encoder
from prospect_pipeline.sandbox.generator import generate
from prospect_pipeline.scoring import ScoringModel
from prospect_pipeline.settings import DefinitionSettings, TrainingSettings
from prospect_pipeline.training.model import PARAMS
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse
from prospect_pipeline_tests.benchmarks.standin import ATTRIBUTES

MOMENT = datetime(2026, 5, 1, tzinfo=UTC)
USERS, ROWS = 8_000, 20_000
ROUNDS = 700
"""About as many as the demo's model has."""
CALLS, TURNS = 1_000, 7


def training_rows(folder: Path) -> pd.DataFrame:
    """Return a training set of generated events."""
    path = folder / "events.parquet"
    generate(USERS, 0, MOMENT, path)
    group = prospect.attribute_group(DefinitionSettings.load())
    request = DatasetRequest(group, TrainingSettings.load(cohort="all"))
    return DuckDBWarehouse(path).training_set(request).table.slice(0, ROWS).to_pandas()


def train(frame: pd.DataFrame) -> ScoringModel:
    """Return a model of that training set."""
    encoder = Encoder.fit(frame)
    data = xgboost.DMatrix(
        encoder.encode(frame),
        frame["label"],
        feature_names=encoder.names,
        feature_types=encoder.types,
        enable_categorical=True,
    )
    return ScoringModel(xgboost.train(PARAMS | {"nthread": 1}, data, ROUNDS), encoder)


def score(table: Table, model: ScoringModel) -> None:
    """Add a row: one score from attributes, against the booster on an array that is ready."""
    row = np.ascontiguousarray(model.encoder.encode_one(features.vector(ATTRIBUTES, MOMENT)))

    def predict() -> object:
        return model.booster.inplace_predict(row, validate_features=False)

    def score_one() -> object:
        return model.score_one(features.vector(ATTRIBUTES, MOMENT))

    turns = [(_seconds(predict), _seconds(score_one)) for _ in range(TURNS)]
    alone, whole = (statistics.median(took) for took in zip(*turns, strict=True))
    table.add_row(
        "score: attributes in, probability out",
        f"{whole * 1e6:.0f} µs",
        f"inplace_predict: {alone * 1e6:.0f} µs",
        f"{whole / alone:.2f}",
        "≤ 2",
    )


def _seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    for _ in range(CALLS):
        work()
    return (time.perf_counter() - started) / CALLS
