"""The running service's scores, beside those of its own version offline."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from starlette.testclient import TestClient

from prospect_pipeline.errors import StackError
from prospect_pipeline.orchestration.resources import RegistryResource
from prospect_pipeline.orchestration.served import served_equals_trained
from prospect_pipeline.registry.store import Registry
from prospect_pipeline.settings import DataSettings, RegistrySettings
from prospect_pipeline.stack.scores import RUN_FILE, RunningService
from prospect_pipeline_tests.registry.models import register, register_champion, tiny_model
from prospect_pipeline_tests.sandbox.conftest import serving
from prospect_pipeline_tests.serving.conftest import without_metrics as without_metrics
from prospect_pipeline_tests.serving.services import SECRET, service
from prospect_pipeline_tests.serving.test_service import ANN, StandIn

VISITORS = pd.DataFrame({"domain_userid": ["ann", "bob", "ann", "eve"]})


class InProcess:
    """The service in this process: its own application, asked without a socket."""

    def __init__(self, client: TestClient, off_by: float = 0.0) -> None:
        self.client = client
        self.off_by = off_by

    def address(self) -> str | None:
        return "in this process"

    def score(self, address: str, domain_userid: str) -> dict[str, Any]:
        body = {"domain_userid": domain_userid, "explain": True}
        answer: dict[str, Any] = self.client.post("/predict", json=body).json()
        return answer | {"score": answer["score"] + self.off_by}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROSPECT_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        made = Registry(RegistrySettings.load(), DataSettings.load())
        register_champion(made, tiny_model())
        yield made


@pytest.fixture
def signals() -> Iterator[str]:
    eager = ANN | {"num_pricing_views_l30d": 4}
    with serving(StandIn(visitors={"ann": ANN, "eve": eager}).app) as url:
        yield url


def running(registry: Registry, signals: str, tmp_path: Path, **variables: str) -> Any:
    given = {"SP_SANDBOX_URL": signals, "SP_SANDBOX_TOKEN": SECRET, "SIGNALS_TIMEOUT_MS": "1500"}
    return service(registry.folder.parent, tmp_path, **given, **variables)


def check(scoring: Any) -> dg.AssetCheckResult:
    result = served_equals_trained(VISITORS, registry=RegistryResource(), scoring=scoring)
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_the_service_scores_as_its_version_does_offline(
    registry: Registry, signals: str, tmp_path: Path
) -> None:
    with running(registry, signals, tmp_path) as client:
        register(registry, tiny_model(seed=1))  # newer, and not what the service uses
        found = check(InProcess(client))

    assert found.passed
    assert found.description is not None
    assert found.description.startswith(
        "3 visitors were scored by the service and offline, by version 1; the scores differ by 0 "
    )


def test_a_service_that_is_off_by_little_is_found_out(
    registry: Registry, signals: str, tmp_path: Path
) -> None:
    with running(registry, signals, tmp_path) as client:
        found = check(InProcess(client, off_by=1e-5))

    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.ERROR
    assert "the scores differ by 1e-05 at most, 1e-06 is allowed. The furthest:" in str(
        found.description
    )


def test_a_service_that_keeps_the_columns_to_itself_is_not_checked(
    registry: Registry, signals: str, tmp_path: Path
) -> None:
    with running(registry, signals, tmp_path, PREDICT_DETAIL="score") as client:
        found = check(InProcess(client))

    assert found.passed
    assert "PREDICT_DETAIL" in str(found.description)


def test_without_a_service_nothing_is_checked(registry: Registry) -> None:
    found = check(RunningService())

    assert (found.passed, found.severity) == (True, dg.AssetCheckSeverity.WARN)
    assert found.description == "No service is running: not checked."


def test_a_service_that_is_named_and_away_warns(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREDICT_URL", "http://127.0.0.1:1")

    found = check(RunningService())

    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "http://127.0.0.1:1 does not answer (ConnectionError)" in str(found.description)


def test_a_system_that_was_killed_leaves_an_address_where_nothing_runs(
    registry: Registry,
) -> None:
    path = DataSettings.load().root / RUN_FILE
    path.write_text('{"predict": "http://127.0.0.1:1"}')

    try:
        assert RunningService().address() is None
        with pytest.raises(StackError, match="does not answer"):
            RunningService().score("http://127.0.0.1:1", "ann")
    finally:
        path.unlink()
