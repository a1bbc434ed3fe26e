"""The model registry, read: MLflow, wrapped once. SQLite and a folder by default; no pickle.

A version is found by number: an alias is resolved first, so that a swap in between cannot mix two
versions. What a version consists of is said in `registration`, which writes it. Reading needs no
more than mlflow-skinny, with SQLAlchemy and Alembic for the SQLite database: neither pandas nor
MLflow's own loader for XGBoost, which needs pandas.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import requests
import xgboost
import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.encoder import Encoder
from prospect_pipeline.errors import DamagedModel, NoModel, RegistryError
from prospect_pipeline.redaction import shown_address, without_secrets
from prospect_pipeline.registry.failures import FAILURES, files_that_are_there, first_line, kind
from prospect_pipeline.scoring import Calibration, ScoringModel
from prospect_pipeline.settings import DataSettings, RegistrySettings

HTTP_SECONDS = 5
OWN_VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
"""What MLflow writes into the environment, where it would be taken for a user's setting."""

POOL_OF_THEIRS = ("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW")
"""MLflow's settings of a pool of connections, which no pool does not take."""

OTHER_VERSION = "Choose another version (`prospect promote VERSION`), or train one."
BOOSTER_FILE = "model.json"
"""XGBoost's own JSON: MLflow names it by the format that a model is registered in."""


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
    def _file(self) -> Path | None:
        """The database's file, None where it is no SQLite's."""
        try:
            url = make_url(self.uri)
        except (ArgumentError, ValueError):  # it may be MLflow's own kind of address, or none
            return None
        path = url.database if url.get_backend_name() == "sqlite" else None
        return Path(path) if path and path != ":memory:" else None

    @property
    def address(self) -> str:
        """The tracking address without what may be secret in it."""
        return shown_address(self.uri)

    def check(self) -> None:
        """Raise RegistryError, soon, where a server does not answer as a well MLflow does."""
        if not self.uri.startswith("http"):
            return
        try:
            health = f"{self.uri.rstrip('/')}/health"
            status = requests.get(health, timeout=HTTP_SECONDS).status_code
        except requests.RequestException as error:
            found = f"MLflow at {self.address} does not answer ({type(error).__name__})."
        else:
            if status < 400:
                return
            found = f"MLflow at {self.address} answers {status}."
            if status == 404:
                found = f"{self.address} answers 404, so it is no MLflow."
        raise RegistryError(
            found,
            "Check MLFLOW_TRACKING_URI and the server; unset it to use SQLite under the data dir.",
        )

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

        Raises NoModel where there is none, and makes no registry where there is none either.
        """
        name = self.settings.model_name
        if self._file is not None and not self._file.exists():
            raise NoModel(
                f"There is no registry at {self.address}. Train a model, which makes one: "
                "`prospect run`; or point PROSPECT_DATA_DIR or MLFLOW_TRACKING_URI at yours."
            )
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
            with (
                self.connected() as client,
                files_that_are_there(),
                tempfile.TemporaryDirectory() as folder,
            ):
                found = client.get_model_version(version.name, version.version)
                mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
                loaded = read_version(Path(folder), version)
                registered = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC)
                return replace(loaded, registered=registered)
        except KeyError:
            raise DamagedModel(
                f"{version.name} version {version.version} carries no encoder, so it was not "
                "registered by this system.",
                OTHER_VERSION,
            ) from None
        except (AttributeError, TypeError, ValueError) as error:  # XGBoost's is a ValueError
            raise DamagedModel(
                f"{version.name} version {version.version} is damaged and cannot be loaded "
                f"({first_line(error)}).",
                OTHER_VERSION,
            ) from None

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

    @contextmanager
    def connected(self) -> Iterator[MlflowClient]:
        """Point MLflow at this registry (it keeps one for the process) and map its errors."""
        if not self.settings.tracking_uri:
            self.folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(HTTP_SECONDS))
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        if self._file is not None and not any(map(os.environ.get, POOL_OF_THEIRS)):
            # A connection that is kept would stay with a file that was replaced.
            os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        before = {name: os.environ.get(name) for name in OWN_VARIABLES}
        try:
            mlflow.set_tracking_uri(self.uri)
            mlflow.set_registry_uri(self.uri)
            self._prepare()
            yield MlflowClient(self.uri, self.uri)
        except FAILURES as error:
            reason = without_secrets(first_line(error).replace(self.uri, self.address))
            raise kind(error)(
                f"MLflow at {self.address} cannot be used: {reason}",
                "Check MLFLOW_TRACKING_URI and the server.",
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


def read_version(folder: Path, version: ModelVersion) -> LoadedModel:
    """Return the version whose files, as they are in the registry, are in a folder.

    Raises KeyError where it has no encoder; AttributeError, TypeError, ValueError, YAMLError or
    OSError where it is damaged.
    """
    described = yaml.safe_load((folder / "MLmodel").read_text())
    metadata = described.get("metadata") or {}
    if "encoder" not in metadata:  # somebody else's, whose other files are of no interest
        raise KeyError("encoder")
    booster = xgboost.Booster({"nthread": 1}, model_file=folder / BOOSTER_FILE)
    return assembled(version, booster, metadata)


def carried(model: ScoringModel, group: GroupVersion | None) -> dict[str, str]:
    """Return what a version carries beside its booster, as JSON: what `assembled` reads."""
    scoring = {"calibration": vars(model.calibration), "threshold": model.threshold}
    found = {"encoder": json.dumps(model.encoder.to_dict()), "scoring": json.dumps(scoring)}
    return found | ({"group": group.to_json()} if group else {})


def assembled(
    version: ModelVersion,
    booster: xgboost.Booster,
    metadata: Mapping[str, str],
    registered: datetime | None = None,
) -> LoadedModel:
    """Return a version from its booster and what it carries.

    Raises KeyError where it carries no encoder; AttributeError, TypeError or ValueError where what
    it carries is something else.
    """
    encoder = Encoder.from_dict(json.loads(metadata["encoder"]))
    scoring = json.loads(metadata.get("scoring", "{}"))
    fitted = {name: float(value) for name, value in scoring.get("calibration", {}).items()}
    threshold = float(scoring.get("threshold", 0.5))
    pinned = metadata.get("group")
    group = GroupVersion.from_json(pinned) if pinned else None
    if (booster.feature_names, booster.feature_types) != (encoder.names, encoder.types):
        # XGBoost is not asked to compare them with each request, and would read past a row's end.
        raise ValueError("its booster was trained on other columns than its encoder makes")
    model = ScoringModel(booster, encoder, Calibration(**fitted), threshold)
    return LoadedModel(version, model, group, registered)


def _restore(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
