"""A Dagster run registers one version, however often it has to try."""

from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from prospect_pipeline.errors import DamagedModel, RegistryError
from prospect_pipeline.registry import registration
from prospect_pipeline.registry.store import ModelVersion, Registry
from prospect_pipeline_tests.registry.models import register, registry_in, tiny_model

MODEL = tiny_model()
RUN = "8f14e45f-ceea-467f-9575-1a0c7b2b6d4e"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("attempts")


@pytest.fixture
def registry(folder: Path, request: pytest.FixtureRequest) -> Registry:
    return registry_in(folder, model_name=request.node.name)


def away(*_: object, **__: object) -> Any:
    raise MlflowException("timed out")


def numbers(registry: Registry) -> list[str]:
    with registry.connected() as client:
        found = client.search_model_versions(f"name = '{registry.settings.model_name}'")
    return sorted(str(each.version) for each in found)


def statuses(registry: Registry) -> list[str]:
    """Return how MLflow's runs ended, the oldest first."""
    with registry.connected() as client:
        experiment = client.get_experiment_by_name(registry.settings.model_name)
        runs = client.search_runs([experiment.experiment_id], order_by=["start_time ASC"])
    return [run.info.status for run in runs]


def test_a_dagster_run_that_asks_again_is_given_the_version_that_it_has(
    registry: Registry,
) -> None:
    first = register(registry, MODEL, dagster_run=RUN)

    again = register(registry, tiny_model(seed=1), dagster_run=RUN)
    another = register(registry, MODEL, dagster_run="another")

    assert again == first
    assert another.version == "2"
    assert numbers(registry) == ["1", "2"]
    with registry.connected() as client:
        tags = client.get_model_version(first.name, first.version).tags
    assert tags == {"dagster_run_id": RUN}
    assert registry.run_tags(first.run_id)["dagster_run_id"] == RUN


def test_without_a_dagster_run_each_is_a_version_of_its_own(registry: Registry) -> None:
    assert [register(registry, MODEL).version for _ in range(2)] == ["1", "2"]


@pytest.mark.parametrize(
    ("place", "name"),
    [(mlflow, "log_metrics"), (registration, "_register"), (MlflowClient, "create_model_version")],
)
def test_an_attempt_that_was_cut_off_has_failed_and_the_next_one_registers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: Any, name: str
) -> None:
    registry = registry_in(folder, model_name=f"cut_off_at_{name}")
    with monkeypatch.context() as patch, pytest.raises(RegistryError, match="timed out"):
        patch.setattr(place, name, away)
        patch.setattr(MlflowClient, "set_terminated", away)
        register(registry, MODEL, dagster_run=RUN)
    left = statuses(registry)

    version = register(registry, MODEL, dagster_run=RUN)

    assert left == ["RUNNING"]
    assert statuses(registry) == ["FAILED", "FINISHED"]
    assert numbers(registry) == [version.version] == ["1"]
    assert registry.load(version).identity == version


def test_a_version_that_mlflow_made_without_saying_so_is_the_one(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = MlflowClient.create_model_version

    def unanswered(*arguments: Any, **named: Any) -> Any:
        real(*arguments, **named)
        raise MlflowException("timed out")

    with monkeypatch.context() as patch, pytest.raises(RegistryError, match="timed out"):
        patch.setattr(MlflowClient, "create_model_version", unanswered)
        register(registry, MODEL, dagster_run=RUN)
    left = statuses(registry)

    version = register(registry, MODEL, dagster_run=RUN)

    assert numbers(registry) == [version.version] == ["1"]
    assert (left, statuses(registry)) == (["FAILED"], ["FINISHED"])
    assert registry.load(version).identity == version


def test_a_request_that_mlflow_was_sent_twice_makes_one_version(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = MlflowClient.create_model_version

    def sent_twice(*arguments: Any, **named: Any) -> Any:
        real(*arguments, **named)
        return real(*arguments, **named)

    monkeypatch.setattr(MlflowClient, "create_model_version", sent_twice)

    version = register(registry, MODEL, dagster_run=RUN)

    assert version == registry.resolve("latest")
    assert numbers(registry) == ["1"]


@pytest.mark.parametrize("name", ["set_terminated", "search_model_versions"])
def test_once_there_is_a_version_nothing_raises(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    registry = registry_in(folder, model_name=f"raises_at_{name}")
    real = MlflowClient.create_model_version

    def then_away(*arguments: Any, **named: Any) -> Any:
        made = real(*arguments, **named)
        monkeypatch.setattr(MlflowClient, name, away)
        return made

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_model_version", then_away)
        version = register(registry, MODEL, dagster_run=RUN)
    monkeypatch.undo()

    assert version == ModelVersion(registry.settings.model_name, "1", version.run_id)
    assert "MLflow did not answer (MlflowException)" in caplog.text
    assert registry.load(version).identity == version


def test_a_version_of_the_same_run_that_is_damaged_is_named(registry: Registry) -> None:
    version = register(registry, MODEL, dagster_run=RUN)
    for path in (registry.folder / "artifacts").rglob("MLmodel"):
        if f"run_id: {version.run_id}" in path.read_text():
            path.write_text("")

    with pytest.raises(DamagedModel, match="version 1 is damaged"):
        register(registry, MODEL, dagster_run=RUN)

    assert numbers(registry) == ["1"]
