"""The model registry, written: a version with all that belongs to it, and files beside it later.

The booster is stored in XGBoost's own JSON, and the encoder travels inside the model's ``MLmodel``
file as JSON, with calibration, threshold and the version of the attribute group that it was trained
on, so that a version is whole in itself. `store` reads it. Writing needs pandas and all of MLflow,
which serving does without.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import mlflow.xgboost
import pandas as pd
import xgboost
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature

from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.registry.attempts import Attempts
from prospect_pipeline.registry.store import ModelVersion, Registry, carried
from prospect_pipeline.scoring import ScoringModel


def log_version(
    registry: Registry,
    model: ScoringModel,
    *,
    example: pd.DataFrame,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    artifacts: Mapping[str, str | bytes],
    group: GroupVersion | None = None,
    dagster_run: str | None = None,
) -> ModelVersion:
    """Log a run with everything of a model, then register it: a version is whole or absent.

    ``example`` holds a few rows of the model's columns; the signature is that of the encoded
    vector, as XGBoost is given it. ``artifacts`` are contents by file name. ``group`` is what the
    model was trained on, and is served from then on. ``dagster_run`` is the id of the run that
    asks: it has one version at most, which is returned where it is there already. Once there is a
    version, nothing raises: a run of MLflow's that cannot be ended stays open.

    Raises DamagedModel where the version that is there already does not load, and RegistryError
    where MLflow cannot be reached or refuses.
    """
    name = registry.settings.model_name
    with registry.connected() as client:
        attempts = Attempts(client, name, _experiment(registry), dagster_run)
        found = attempts.registered()
        if found is not None:
            return registry.load(ModelVersion(name, str(found.version), found.run_id)).identity
        with attempts.run(tags) as run:
            mlflow.log_params(dict(params))
            _log_artifacts(run.info.run_id, artifacts)
            logged = _log_model(model, example, group)
            # After the model: of metrics that are there before, MLflow asks for each one's history.
            mlflow.log_metrics(dict(metrics), model_id=logged.model_id)
            return _register(client, logged, str(run.info.run_id), attempts)


def add_artifacts(registry: Registry, run_id: str, artifacts: Mapping[str, str | bytes]) -> None:
    """Add files to a version's run; raises RegistryError."""
    with registry.connected():
        _log_artifacts(run_id, artifacts)


def _experiment(registry: Registry) -> str:
    name = registry.settings.model_name
    found = mlflow.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    local = None if registry.settings.tracking_uri else (registry.folder / "artifacts").as_uri()
    return str(mlflow.create_experiment(name, artifact_location=local))


def _log_artifacts(run_id: str, artifacts: Mapping[str, str | bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in artifacts.items():
            raw = content.encode() if isinstance(content, str) else content
            (Path(folder) / name).write_bytes(raw)
        mlflow.log_artifacts(folder, run_id=run_id)


def _log_model(model: ScoringModel, example: pd.DataFrame, group: GroupVersion | None) -> Any:
    """Log a model to MLflow's open run, and return what MLflow knows of it."""
    encoded = pd.DataFrame(model.encoder.encode(example), columns=model.encoder.names)
    return mlflow.xgboost.log_model(
        model.booster,
        name="model",
        model_format="json",  # a damaged UBJSON file makes XGBoost ask for all memory
        signature=infer_signature(encoded, model.score(example)),
        input_example=encoded,
        metadata=carried(model, group),
        pip_requirements=[f"xgboost=={xgboost.__version__}"],
    )


def _register(client: MlflowClient, logged: Any, run_id: str, attempts: Attempts) -> ModelVersion:
    name = attempts.model
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(
        name, logged.model_uri, run_id, tags=attempts.tags, model_id=logged.model_id
    )
    settled = attempts.settled(made)
    return ModelVersion(name, str(settled.version), str(settled.run_id or run_id))
