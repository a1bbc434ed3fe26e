"""The model registry, on a real MLflow over SQLite and a folder."""

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import mlflow.xgboost
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from mlflow import MlflowClient

from prospect_pipeline.encoder import Encoder
from prospect_pipeline.errors import DamagedModel, NoModel, RegistryError, RegistryRefused
from prospect_pipeline.registry.champions import Champions
from prospect_pipeline.registry.registration import add_artifacts
from prospect_pipeline.registry.store import ModelVersion, Registry
from prospect_pipeline.settings import DataSettings, RegistrySettings
from prospect_pipeline_tests.registry.models import (
    register,
    register_champion,
    registry_in,
    rows,
    tiny_model,
    with_tables,
)
from prospect_pipeline_tests.sandbox.conftest import serving
from prospect_pipeline_tests.serving.bentos import ROOT, environment
from prospect_pipeline_tests.signals.versions import PINNED_SECOND

MODEL = tiny_model()
SECRET = "s3cret-of-ours"
PICKLES = {".pkl", ".pickle", ".joblib", ".pt", ".npy", ".cloudpickle"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data directory for the module."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(autouse=True)
def settings_of_this_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_UI_URL", "MODEL_NAME", "MODEL_ALIAS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def registry(folder: Path, request: pytest.FixtureRequest) -> Registry:
    """A registered model of the test's own, in the module's data directory."""
    return registry_in(folder, model_name=request.node.name)


@pytest.fixture(scope="module")
def logged(folder: Path) -> tuple[Registry, ModelVersion]:
    """One version that several tests look at, and none changes."""
    registry = registry_in(folder, model_name="looked_at")
    return registry, register_champion(registry, MODEL)


def client(registry: Registry) -> MlflowClient:
    return MlflowClient(registry.uri, registry.uri)


def info(version: ModelVersion) -> Any:
    return mlflow.models.get_model_info(f"models:/{version.name}/{version.version}")


def files(registry: Registry) -> list[Path]:
    return [path for path in (registry.folder / "artifacts").rglob("*") if path.is_file()]


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes connections on a free port, and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_a_loaded_version_scores_as_the_model_that_was_logged(
    logged: tuple[Registry, ModelVersion],
) -> None:
    registry, version = logged
    unseen = rows(100, seed=5).assign(latest_app_id="never seen")

    loaded = registry.load(registry.resolve())

    assert loaded.identity == version
    assert loaded.model.encoder == MODEL.encoder
    for frame in (rows(100, seed=4), unseen):
        assert np.abs(loaded.model.score(frame) - MODEL.score(frame)).max() <= 1e-9


@pytest.mark.parametrize("selector", [None, "latest", "1"])
def test_a_version_is_found_by_alias_by_number_or_as_the_latest(
    logged: tuple[Registry, ModelVersion], selector: str | None
) -> None:
    registry, version = logged

    assert registry.resolve(selector) == version
    assert (version.name, version.version) == ("looked_at", "1")


def test_a_newer_version_is_not_meant_until_it_has_the_alias(registry: Registry) -> None:
    first = register_champion(registry, MODEL)
    second = register(registry, tiny_model(seed=1))

    before = registry.resolve()
    Champions(registry).promote(second, "a test", "it is told to")

    assert before == first
    assert registry.resolve() == second
    assert registry.resolve("latest") == second
    assert registry.resolve("1") == first


def test_the_latest_of_many_versions_is_the_largest_number(registry: Registry) -> None:
    version = register(registry, MODEL)
    made = client(registry)
    for _ in range(10):
        made.create_model_version(version.name, registry.folder.as_uri(), version.run_id)

    assert registry.resolve("latest").version == "11"


def test_versions_of_two_names_do_not_mix(folder: Path, registry: Registry) -> None:
    version = register_champion(registry, MODEL)
    other = registry_in(folder, model_name="another_name")

    with pytest.raises(NoModel):
        other.resolve("latest")
    assert registry.resolve("latest") == version


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [(None, "alias 'champion'"), ("latest", "version latest"), ("7", "version 7")],
)
def test_a_missing_version_is_named_with_what_to_do(
    folder: Path, selector: str | None, wanted: str
) -> None:
    nothing = registry_in(folder, model_name="never_trained")

    with pytest.raises(NoModel) as raised:
        nothing.resolve(selector)

    assert str(raised.value) == (
        f"Model 'never_trained' has no {wanted} in {nothing.uri}. Train one: `prospect run`, or "
        "materialize registered_model in Dagster."
    )


def test_an_address_that_is_none_is_an_error_of_the_registry(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"MLflow at sqlite:mlflow\.db cannot be used"):
        registry_in(tmp_path, tracking_uri="sqlite:mlflow.db").resolve()


def test_a_pool_of_connections_may_be_set_for_mlflow(tmp_path: Path) -> None:
    data = with_tables(tmp_path)
    asks = (
        "from prospect_pipeline.registry.store import Registry;"
        "from prospect_pipeline.settings import DataSettings, RegistrySettings;"
        "Registry(RegistrySettings.load(), DataSettings.load()).resolve()"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", asks],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=60,
        env=environment(PROSPECT_DATA_DIR=str(data), MLFLOW_SQLALCHEMYSTORE_POOL_SIZE="5"),
    )  # fmt: skip

    assert "NoModel: Model 'prospect_scoring' has no alias 'champion'" in ran.stderr


def test_looking_for_a_version_makes_no_registry(tmp_path: Path) -> None:
    data = DataSettings.load(data_dir=tmp_path / "data")

    for named in (None, f"sqlite:///{tmp_path}/own.db"):
        registry = Registry(RegistrySettings.load(tracking_uri=named), data)
        with pytest.raises(NoModel) as raised:
            registry.resolve()
        assert str(raised.value).startswith(f"There is no registry at {registry.uri}. Train a")
    assert list(tmp_path.rglob("*.db")) == []


@pytest.mark.parametrize(("selector", "wanted"), [(None, "alias 'challenger'"), ("2", "version 2")])
def test_a_known_model_without_what_is_wanted_is_missing_too(
    folder: Path, logged: tuple[Registry, ModelVersion], selector: str | None, wanted: str
) -> None:
    other = registry_in(folder, model_name="looked_at", alias="challenger")

    with pytest.raises(NoModel, match=f"'looked_at' has no {wanted} in"):
        other.resolve(selector)


def test_a_registry_over_the_same_folder_finds_what_was_registered(
    folder: Path, logged: tuple[Registry, ModelVersion]
) -> None:
    again = registry_in(folder, model_name="looked_at")

    assert again.resolve() == logged[1]


def test_the_signature_has_the_models_columns_as_doubles(
    logged: tuple[Registry, ModelVersion],
) -> None:
    signature = info(logged[1]).signature

    columns = [(column["name"], column["type"]) for column in signature.inputs.to_dict()]
    assert columns == [(name, "double") for name in MODEL.encoder.names]
    assert [part["type"] for part in signature.outputs.to_dict()] == ["tensor"]


def test_the_input_example_is_stored_as_xgboost_is_given_it(
    logged: tuple[Registry, ModelVersion],
) -> None:
    folder = Path(mlflow.artifacts.download_artifacts(info(logged[1]).model_uri))
    example = rows(5, seed=9)

    stored = json.loads((folder / "input_example.json").read_text())

    assert stored["columns"] == MODEL.encoder.names
    assert np.array_equal(
        np.array(stored["data"], float), MODEL.encoder.encode(example), equal_nan=True
    )


def test_the_encoder_travels_inside_the_version(logged: tuple[Registry, ModelVersion]) -> None:
    stored = json.loads(info(logged[1]).metadata["encoder"])

    assert Encoder.from_dict(stored) == MODEL.encoder


def test_the_version_of_the_attribute_group_travels_inside_the_version(registry: Registry) -> None:
    version = register(registry, MODEL, group=PINNED_SECOND)

    assert registry.load(version).group == PINNED_SECOND
    assert json.loads(info(version).metadata["group"]) == {
        "name": "prospect_scoring_tutorial",
        "version": 2,
        "attributes": list(PINNED_SECOND.attributes),
    }


def test_a_version_that_names_no_attribute_group_loads_without_one(
    logged: tuple[Registry, ModelVersion],
) -> None:
    registry, version = logged

    assert registry.load(version).group is None
    assert "group" not in info(version).metadata


def test_the_run_holds_params_metrics_and_tags(logged: tuple[Registry, ModelVersion]) -> None:
    registry, version = logged

    data = client(registry).get_run(version.run_id).data

    assert data.params == {"max_depth": "3"}
    assert data.metrics == {"auc": 0.75}
    assert data.tags["git_commit"] == "abc"


def test_artifacts_are_read_back_byte_by_byte(registry: Registry) -> None:
    contents: dict[str, str | bytes] = {
        "training.sql": "SELECT 'é'\n",
        "picture.png": b"\x89PNG\r\n\x00",
        "evaluation.json": "{}",
    }
    version = register(registry, MODEL, contents)
    add_artifacts(registry, version.run_id, {"later.txt": "added"})

    read = {name: registry.read_artifact(version.run_id, name) for name in (*contents, "later.txt")}

    assert read == {
        "training.sql": "SELECT 'é'\n".encode(),
        "picture.png": b"\x89PNG\r\n\x00",
        "evaluation.json": b"{}",
        "later.txt": b"added",
    }


def test_an_artifact_that_does_not_exist_is_an_error_of_the_registry(
    logged: tuple[Registry, ModelVersion],
) -> None:
    registry, version = logged

    with pytest.raises(RegistryError, match="no_such_file"):
        registry.read_artifact(version.run_id, "no_such_file")


def test_nothing_that_is_stored_is_a_pickle(logged: tuple[Registry, ModelVersion]) -> None:
    stored = files(logged[0])

    assert {"model.json", "MLmodel", "training.sql"} <= {path.name for path in stored}
    assert [p for p in stored if p.suffix in PICKLES or "python_model" in p.name] == []
    assert [p for p in stored if p.read_bytes()[:1] == b"\x80"] == []


def test_everything_is_kept_under_the_data_directory(
    folder: Path, logged: tuple[Registry, ModelVersion]
) -> None:
    registry, version = logged
    run = client(registry).get_run(version.run_id)

    assert registry.uri == f"sqlite:///{folder}/mlflow/mlflow.db"
    assert run.info.artifact_uri.startswith((folder / "mlflow" / "artifacts").as_uri())
    assert list(Path.cwd().iterdir()) == []


def test_a_version_of_somebody_elses_is_refused(registry: Registry) -> None:
    mlflow.set_tracking_uri(registry.uri)
    mlflow.set_registry_uri(registry.uri)
    folder = (registry.folder / "artifacts").as_uri()
    experiment = mlflow.create_experiment("somebody else's", artifact_location=folder)
    with mlflow.start_run(experiment_id=experiment) as run:
        made = mlflow.xgboost.log_model(
            MODEL.booster, name="model", model_format="ubj", pip_requirements=["xgboost"]
        )
    name = registry.settings.model_name
    client(registry).create_registered_model(name)
    client(registry).create_model_version(name, made.model_uri, run.info.run_id)

    with pytest.raises(RegistryError, match=f"{name} version 1 carries no encoder"):
        registry.load(registry.resolve("latest"))


def test_a_failed_registration_leaves_no_version(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="no/such"):
        register(registry, MODEL, {"no/such/folder.txt": "x"})

    with pytest.raises(NoModel):
        registry.resolve("latest")


def test_a_runs_address_is_a_path_where_the_pages_are_unknown(
    folder: Path, logged: tuple[Registry, ModelVersion]
) -> None:
    registry, version = logged
    experiment = client(registry).get_run(version.run_id).info.experiment_id
    shown = registry_in(folder, model_name="looked_at", ui_url="http://127.0.0.1:5000/")
    path = f"/#/experiments/{experiment}/runs/{version.run_id}"

    assert registry.run_url(version.run_id) == path
    assert shown.run_url(version.run_id) == f"http://127.0.0.1:5000{path}"


CALLS = {
    "check": lambda registry: registry.check(),
    "resolve": lambda registry: registry.resolve(),
    "load": lambda registry: registry.load(ModelVersion("m", "1", "r")),
    "log": lambda registry: register(registry, MODEL),
    "read": lambda registry: registry.read_artifact("r", "training.sql"),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_server_that_is_not_there_is_named_without_its_secret(tmp_path: Path, call: str) -> None:
    gone = registry_in(tmp_path, tracking_uri=f"http://user:{SECRET}@127.0.0.1:9")
    began = time.monotonic()

    with pytest.raises(RegistryError) as raised:
        CALLS[call](gone)

    assert time.monotonic() - began < 15
    assert "http://127.0.0.1:9" in str(raised.value)
    assert SECRET not in str(raised.value)


def test_a_server_that_never_answers_is_given_up_within_seconds(tmp_path: Path) -> None:
    with silent_server() as address:
        silent = registry_in(tmp_path, tracking_uri=f"http://user:{SECRET}@{address}")
        began = time.monotonic()

        with pytest.raises(RegistryError) as raised:
            silent.check()

    assert time.monotonic() - began < 10
    assert address in str(raised.value)
    assert SECRET not in str(raised.value)


def test_a_server_that_refuses_is_named_without_its_secret(tmp_path: Path) -> None:
    app = FastAPI()

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    def refuse(path: str) -> JSONResponse:
        return JSONResponse({"error_code": "PERMISSION_DENIED", "message": "who are you?"}, 403)

    with serving(app) as url:
        address = url.removeprefix("http://")
        closed = registry_in(tmp_path, tracking_uri=f"http://user:{SECRET}@{address}")
        for call in ("check", "resolve"):
            with pytest.raises(RegistryError) as raised:
                CALLS[call](closed)
            assert f"MLflow at {url}" in str(raised.value)
            assert SECRET not in str(raised.value)


def test_the_address_of_a_database_is_shown_without_its_secret(tmp_path: Path) -> None:
    registry = registry_in(tmp_path, tracking_uri=f"postgresql://user:{SECRET}@127.0.0.1:9/mlflow")

    assert "127.0.0.1:9" in registry.address
    assert SECRET not in registry.address


def test_checking_the_embedded_registry_needs_no_server(
    logged: tuple[Registry, ModelVersion],
) -> None:
    logged[0].check()


def test_a_database_that_cannot_be_opened_is_an_error_of_the_registry(tmp_path: Path) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").write_text("not a database")

    with pytest.raises(RegistryError, match="cannot be used"):
        registry_in(tmp_path).resolve()


def description(registry: Registry, version: ModelVersion) -> Path:
    """Return the file that describes a version's model."""
    described = (registry.folder / "artifacts").rglob("MLmodel")
    [found] = [path for path in described if f"run_id: {version.run_id}" in path.read_text()]
    return found


DAMAGES: dict[str, tuple[str, str]] = {
    "a key that this release does not know": ('"slope": 1.0', '"slope": 1.0, "knots": 3'),
    "a slope that is no number": ('"slope": 1.0', '"slope": null'),
    "a vocabulary of another kind": ('"vocabulary": {', '"vocabulary": [], "other": {'),
    "scoring of another kind": ("scoring: '{", "scoring: '[]'\n  kept: '{"),
    "half a file": ("metadata:", "metadata: {"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_version_whose_files_hold_something_else_is_damaged(
    registry: Registry, damage: str
) -> None:
    version = register(registry, MODEL)
    found = description(registry, version)
    before, after = DAMAGES[damage]
    assert found.read_text().count(before) == 1
    found.write_text(found.read_text().replace(before, after))

    with pytest.raises(DamagedModel, match="version 1 is damaged and cannot be loaded"):
        registry.load(version)


def test_an_empty_description_of_a_model_is_damage(registry: Registry) -> None:
    version = register(registry, MODEL)
    description(registry, version).write_text("")

    with pytest.raises(DamagedModel, match="is damaged"):
        registry.load(version)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("{")])
def test_a_booster_that_is_lost_or_cut_off_is_damage(
    registry: Registry, damage: Callable[[Path], Any]
) -> None:
    version = register(registry, MODEL)
    damage(description(registry, version).with_name("model.json"))

    with pytest.raises(DamagedModel, match="version 1 is damaged and cannot be loaded"):
        registry.load(version)


def test_a_version_that_was_loaded_leaves_no_files_behind(
    logged: tuple[Registry, ModelVersion], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, version = logged
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    registry.load(version)

    assert list(tmp_path.iterdir()) == []


REFUSED = {
    "a parameter": lambda registry: registry.tag_version(ModelVersion("m", "0", "r"), {"": "x"}),
    "a file that is not there": lambda registry: registry.read_artifact(
        register(registry, MODEL).run_id, "no_such_file"
    ),
    "a run that is gone": lambda registry: registry.run_tags("f" * 32),
}


@pytest.mark.parametrize("call", REFUSED)
def test_what_mlflow_refuses_is_told_from_what_may_pass(registry: Registry, call: str) -> None:
    with pytest.raises(RegistryRefused, match="cannot be used"):
        REFUSED[call](registry)


def test_a_server_that_does_not_answer_may_pass(tmp_path: Path) -> None:
    with pytest.raises(RegistryError) as raised:
        registry_in(tmp_path, tracking_uri="http://127.0.0.1:9").resolve()

    assert type(raised.value) is RegistryError
