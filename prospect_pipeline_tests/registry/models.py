"""A real scoring model, small enough to be trained in an instant, and a registry to put it in."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xgboost
from mlflow import MlflowClient

from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.encoder import Encoder
from prospect_pipeline.features import COLUMNS, FEATURES
from prospect_pipeline.registry.champions import Champions
from prospect_pipeline.registry.registration import log_version
from prospect_pipeline.registry.store import ModelVersion, Registry
from prospect_pipeline.scoring import ScoringModel
from prospect_pipeline.settings import DataSettings, RegistrySettings

TEXTS = [feature.name for feature in FEATURES if feature.kind == "text"]


def rows(count: int = 200, seed: int = 0) -> pd.DataFrame:
    """Rows of the model's columns, whose label follows from the pricing views."""
    random = np.random.default_rng(seed)
    made = pd.DataFrame(
        {
            name: random.choice(["", "website", "search"], count)
            if name in TEXTS
            else random.integers(1, 5, count) - (name != "day_of_week")
            for name in COLUMNS
        }
    ).assign(day_of_week=random.integers(1, 8, count))
    eager = made["num_pricing_views_l30d"] + made["day_of_week"] / 4 + random.logistic(size=count)
    return made.assign(label=(eager > 3).astype(int))


def tiny_model(seed: int = 0, rounds: int = 12) -> ScoringModel:
    known = rows(seed=seed)
    encoder = Encoder.fit(known)
    matrix = xgboost.DMatrix(
        encoder.encode(known),
        label=known["label"],
        feature_names=encoder.names,
        feature_types=encoder.types,
        enable_categorical=True,
        nthread=1,
    )
    params = {"objective": "binary:logistic", "max_depth": 3, "seed": seed, "nthread": 1}
    return ScoringModel(xgboost.train(params, matrix, num_boost_round=rounds), encoder)


@cache
def _empty_tables() -> bytes:
    """Return the database that MLflow makes of nothing: once, for it takes it a second."""
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        client = MlflowClient(uri, uri)
        client.search_experiments(max_results=1)
        client.search_registered_models(max_results=1)
        return Path(folder, "mlflow.db").read_bytes()


def with_tables(folder: Path) -> Path:
    """Put MLflow's empty tables where the registry of a data directory has none; return it."""
    database = folder / "mlflow" / "mlflow.db"
    if not database.exists():
        database.parent.mkdir(parents=True, exist_ok=True)
        database.write_bytes(_empty_tables())
    return folder


def registry_in(folder: Path, **settings: Any) -> Registry:
    return Registry(
        RegistrySettings.load(**settings), DataSettings.load(data_dir=with_tables(folder))
    )


def register(
    registry: Registry,
    model: ScoringModel,
    artifacts: dict[str, str | bytes] | None = None,
    group: GroupVersion | None = None,
    dagster_run: str | None = None,
) -> ModelVersion:
    return log_version(
        registry,
        model,
        example=rows(5, seed=9)[list(COLUMNS)],
        params={"max_depth": 3},
        metrics={"auc": 0.75},
        tags={"git_commit": "abc"},
        artifacts={"training.sql": "SELECT 1"} if artifacts is None else artifacts,
        group=group,
        dagster_run=dagster_run,
    )


def register_champion(
    registry: Registry, model: ScoringModel, group: GroupVersion | None = None
) -> ModelVersion:
    version = register(registry, model, group=group)
    Champions(registry).promote(version, "a test", "it is told to")
    return version


def files_of(registry: Registry, version: ModelVersion) -> Path:
    """Return the folder in which a version's files are."""
    [found] = [
        path.parent
        for path in (registry.folder / "artifacts").rglob("MLmodel")
        if f"run_id: {version.run_id}" in path.read_text()
    ]
    return found
