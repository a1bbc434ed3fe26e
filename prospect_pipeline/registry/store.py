"""The model registry: MLflow, wrapped once. SQLite and a folder by default; no pickle anywhere.

A version is found by number: an alias is resolved first, so that a swap in between cannot mix two
versions. The booster is stored in XGBoost's own JSON, and the encoder travels inside the model's
``MLmodel`` file as JSON, with calibration, threshold and the version of the attribute group that it
was trained on, so that a version is whole in itself.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import mlflow
import mlflow.xgboost
import pandas as pd
import requests
import xgboost
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature

from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.encoder import Encoder
from prospect_pipeline.errors import DamagedModel, NoModel, RegistryError
from prospect_pipeline.redaction import shown_address, without_secrets
from prospect_pipeline.registry.attempts import Attempts
from prospect_pipeline.registry.failures import FAILURES, files_that_are_there, first_line, kind
from prospect_pipeline.scoring import Calibration, ScoringModel
from prospect_pipeline.settings import DataSettings, RegistrySettings

HTTP_SECONDS = 5
OWN_VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
"""What MLflow writes into the environment, where it would be taken for a user's setting."""


@dataclass(frozen=True)
class ModelVersion:
    """A registered version, by its number."""

    name: str
    version: str
    run_id: str


@dataclass(frozen=True)
class LoadedModel:
    """A version, the model that it holds, and the attributes that the model has to be given.

    ``group`` is None for a version that was registered before versions said so, ``registered`` the
    moment at which it was.
    """

    identity: ModelVersion
    model: ScoringModel
    group: GroupVersion | None = None
    registered: datetime | None = None


class Registry:
    """Registered versions of the scoring model.

    Every method raises RegistryError where MLflow cannot be reached or refuses.
    """

    def __init__(self, settings: RegistrySettings, data: DataSettings) -> None:
        self.settings = settings
        self.folder = data.root / "mlflow"
        self.uri = settings.tracking_uri or f"sqlite:///{self.folder / 'mlflow.db'}"
        self._prepared = bool(settings.tracking_uri)

    @property
    def address(self) -> str:
        """The tracking address without what may be secret in it."""
        return shown_address(self.uri)

    def check(self) -> None:
        """Raise RegistryError, soon, where a registry server does not answer."""
        if not self.uri.startswith("http"):
            return
        try:
            requests.get(f"{self.uri.rstrip('/')}/health", timeout=HTTP_SECONDS).raise_for_status()
        except requests.RequestException as error:
            raise RegistryError(
                f"MLflow at {self.address} does not answer ({type(error).__name__}). Check "
                "MLFLOW_TRACKING_URI and the server; unset it to use SQLite under the data dir."
            ) from None

    def log_version(
        self,
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
        vector, as XGBoost is given it. ``artifacts`` are contents by file name. ``group`` is what
        the model was trained on, and is served from then on. ``dagster_run`` is the id of the run
        that asks: it has one version at most, which is returned where it is there already. Once
        there is a version, nothing raises: a run of MLflow's that cannot be ended stays open.

        Raises DamagedModel where the version that is there already does not load.
        """
        name = self.settings.model_name
        with self.connected() as client:
            attempts = Attempts(client, name, self._experiment(), dagster_run)
            found = attempts.registered()
            if found is not None:
                return self.load(ModelVersion(name, str(found.version), found.run_id)).identity
            with attempts.run(tags) as run:
                mlflow.log_params(dict(params))
                mlflow.log_metrics(dict(metrics))
                self._log_artifacts(run.info.run_id, artifacts)
                logged = _log_model(model, example, group)
                return self._register(logged, str(run.info.run_id), attempts)

    def add_artifacts(self, run_id: str, artifacts: Mapping[str, str | bytes]) -> None:
        """Add files to a version's run."""
        with self.connected():
            self._log_artifacts(run_id, artifacts)

    def has_artifact(self, run_id: str, name: str) -> bool:
        """Return whether a version's run has a file."""
        with self.connected() as client:
            return any(each.path == name for each in client.list_artifacts(run_id))

    def read_artifact(self, run_id: str, name: str) -> bytes:
        """Return a file of a version's run."""
        with self.connected(), tempfile.TemporaryDirectory() as folder:
            path = mlflow.artifacts.download_artifacts(
                run_id=run_id, artifact_path=name, dst_path=folder
            )
            return Path(path).read_bytes()

    def resolve(self, selector: str | None = None) -> ModelVersion:
        """Return the version that is meant: None the alias's, ``latest`` the newest, or a number.

        Raises NoModel where there is none.
        """
        name = self.settings.model_name
        with self.connected() as client:
            try:
                if selector is None:
                    found = client.get_model_version_by_alias(name, self.settings.alias)
                elif selector == "latest":
                    versions = client.search_model_versions(f"name = '{name}'")
                    found = max(versions, key=lambda each: int(each.version), default=None)
                else:
                    found = client.get_model_version(name, selector)
            except MlflowException as error:
                if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise
                found = None
        if found is None:
            wanted = f"version {selector}" if selector else f"alias '{self.settings.alias}'"
            raise NoModel(
                f"Model '{name}' has no {wanted} in {self.address}. Train one: `prospect run`, or "
                "materialize registered_model in Dagster."
            )
        return ModelVersion(name, str(found.version), str(found.run_id))

    def load(self, version: ModelVersion) -> LoadedModel:
        """Load a version by its number, through XGBoost's own format.

        Raises DamagedModel where it is the version that cannot be loaded, and not MLflow that is
        away.
        """
        uri = f"models:/{version.name}/{version.version}"
        try:
            with self.connected(), files_that_are_there():
                metadata = mlflow.models.get_model_info(uri).metadata or {}
                encoder = Encoder.from_dict(json.loads(metadata["encoder"]))
                scoring = json.loads(metadata.get("scoring", "{}"))
                fitted = {k: float(v) for k, v in scoring.get("calibration", {}).items()}
                calibration = Calibration(**fitted)
                threshold = float(scoring.get("threshold", 0.5))
                pinned = metadata.get("group")
                group = GroupVersion.from_json(pinned) if pinned else None
                booster = mlflow.xgboost.load_model(uri)
        except KeyError:
            raise DamagedModel(
                f"{version.name} version {version.version} carries no encoder, so it was not "
                "registered by this system. Choose another version, or train one."
            ) from None
        except (AttributeError, TypeError, ValueError) as error:  # XGBoost's is a ValueError
            raise DamagedModel(
                f"{version.name} version {version.version} is damaged and cannot be loaded "
                f"({first_line(error)}). Choose another version, or train one."
            ) from None
        booster.set_param({"nthread": 1})
        return LoadedModel(version, ScoringModel(booster, encoder, calibration, threshold), group)

    def run_tags(self, run_id: str) -> dict[str, str]:
        """Return the tags of a version's run."""
        with self.connected() as client:
            return dict(client.get_run(run_id).data.tags)

    def run_params(self, run_id: str) -> dict[str, str]:
        """Return what a version's run was trained with, as text."""
        with self.connected() as client:
            return dict(client.get_run(run_id).data.params)

    def tag_version(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        with self.connected() as client:
            for name, value in tags.items():
                client.set_model_version_tag(version.name, version.version, name, value)

    def run_url(self, run_id: str) -> str:
        """Return a run's address in MLflow's web pages, the path alone where they are unknown."""
        with self.connected() as client:
            experiment = client.get_run(run_id).info.experiment_id
        pages = shown_address(self.settings.ui_url or "") or (
            self.address if self.uri.startswith("http") else ""
        )
        return f"{pages.rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"

    def _register(self, logged: Any, run_id: str, attempts: Attempts) -> ModelVersion:
        name = self.settings.model_name
        client = MlflowClient(self.uri, self.uri)
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

    def _experiment(self) -> str:
        name = self.settings.model_name
        found = mlflow.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        local = None if self.settings.tracking_uri else (self.folder / "artifacts").as_uri()
        return str(mlflow.create_experiment(name, artifact_location=local))

    def _log_artifacts(self, run_id: str, artifacts: Mapping[str, str | bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in artifacts.items():
                raw = content.encode() if isinstance(content, str) else content
                (Path(folder) / name).write_bytes(raw)
            mlflow.log_artifacts(folder, run_id=run_id)

    @contextmanager
    def connected(self) -> Iterator[MlflowClient]:
        """Point MLflow at this registry (it keeps one for the process) and map its errors."""
        if not self.settings.tracking_uri:
            self.folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(HTTP_SECONDS))
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        before = {name: os.environ.get(name) for name in OWN_VARIABLES}
        try:
            mlflow.set_tracking_uri(self.uri)
            mlflow.set_registry_uri(self.uri)
            self._prepare()
            yield MlflowClient(self.uri, self.uri)
        except FAILURES as error:
            said = str(error).strip() or type(error).__name__
            reason = without_secrets(said.splitlines()[0].replace(self.uri, self.address))
            raise kind(error)(
                f"MLflow at {self.address} cannot be used: {reason} Check MLFLOW_TRACKING_URI "
                "and the server."
            ) from None
        finally:
            _restore(before)

    def _prepare(self) -> None:
        """Make the embedded registry's tables, one process at a time: MLflow takes no care."""
        if self._prepared:
            return
        with (self.folder / "mlflow.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            client = MlflowClient(self.uri, self.uri)
            client.search_experiments(max_results=1)
            client.search_registered_models(max_results=1)
        self._prepared = True


def _log_model(model: ScoringModel, example: pd.DataFrame, group: GroupVersion | None) -> Any:
    """Log a model to MLflow's open run, and return what MLflow knows of it."""
    encoded = pd.DataFrame(model.encoder.encode(example), columns=model.encoder.names)
    return mlflow.xgboost.log_model(
        model.booster,
        name="model",
        model_format="json",  # a damaged UBJSON file makes XGBoost ask for all memory
        signature=infer_signature(encoded, model.score(example)),
        input_example=encoded,
        metadata=_carried(model, group),
        pip_requirements=[f"xgboost=={xgboost.__version__}"],
    )


def _carried(model: ScoringModel, group: GroupVersion | None) -> dict[str, str]:
    """Return what a version carries beside its booster, as JSON."""
    scoring = {"calibration": vars(model.calibration), "threshold": model.threshold}
    carried = {"encoder": json.dumps(model.encoder.to_dict()), "scoring": json.dumps(scoring)}
    return carried | ({"group": group.to_json()} if group else {})


def _restore(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
