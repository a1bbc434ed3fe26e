"""The running service's answers, beside what the warehouse and the champion give offline."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from snowplow_signals import StreamAttributeGroup
from starlette.testclient import TestClient

from prospect_pipeline.errors import StackError
from prospect_pipeline.orchestration import served
from prospect_pipeline.orchestration.resources import RegistryResource, WarehouseResource
from prospect_pipeline.orchestration.served import served_equals_trained
from prospect_pipeline.registry.champions import Champions
from prospect_pipeline.registry.store import Registry
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.settings import DataSettings, RegistrySettings
from prospect_pipeline.stack.scores import RunningService
from prospect_pipeline_tests.events import DAY, NOW, event, write
from prospect_pipeline_tests.registry.models import (
    register,
    register_champion,
    tiny_model,
    with_tables,
)
from prospect_pipeline_tests.sandbox.conftest import TOKEN, signals_over
from prospect_pipeline_tests.serving.conftest import without_metrics as without_metrics
from prospect_pipeline_tests.serving.services import service
from prospect_pipeline_tests.signals.versions import CHANGED, FIRST, PINNED_FIRST, longer

VISITORS = pd.DataFrame({"domain_userid": ["ann", "bob", "ann", "eve", "who"]})
EVENTS = [
    event("a1", NOW - 10 * DAY, refr_medium="search"),
    event("a2", NOW - 2 * DAY, session="s2"),
    event("b1", NOW - DAY, user="bob", mkt_medium="cpc"),
    event("b2", NOW - DAY + timedelta(hours=1), "submit_form", user="bob"),
    event("e1", NOW - 7 * DAY, user="eve", page_url="https://a.io/pricing"),
]


class InProcess:
    """The service in this process: its own application, asked without a socket."""

    def __init__(self, client: TestClient, **changes: Any) -> None:
        self.client = client
        self.changes = changes

    def address(self) -> str | None:
        return "in this process"

    def score(self, address: str, domain_userid: str) -> dict[str, Any]:
        body = {"domain_userid": domain_userid, "dry_run": True}
        reply = self.client.post("/predict", json=body)
        if reply.status_code != 200:
            raise StackError(reply.text)
        answer: dict[str, Any] = reply.json()
        return answer | {name: change(answer) for name, change in self.changes.items()}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSettings:
    folder = with_tables(tmp_path_factory.mktemp("data"))
    made = DataSettings.load(data_dir=folder)
    EventStore(made).load(write(EVENTS, folder / "events.parquet"))
    return made


@pytest.fixture
def registry(
    data: DataSettings, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Registry:
    """A registered model of the test's own, whose champion is its first version."""
    monkeypatch.setenv("PROSPECT_DATA_DIR", str(data.root))
    monkeypatch.setenv("MODEL_NAME", request.node.name)
    monkeypatch.setattr(served, "LOADING_SECONDS", 0.0)
    made = Registry(RegistrySettings.load(), data)
    register_champion(made, tiny_model(), PINNED_FIRST)
    return made


@contextmanager
def running(
    registry: Registry,
    tmp_path: Path,
    group: StreamAttributeGroup = FIRST,
    **variables: str,
) -> Iterator[TestClient]:
    data = DataSettings.load(data_dir=registry.folder.parent)
    shutil.rmtree(data.root / "signals", ignore_errors=True)  # what another test has published
    with signals_over(data) as signals:
        signals.publish([group])
        given = {
            "MODEL_NAME": registry.settings.model_name,
            "SP_SANDBOX_URL": str(signals.api_client.api_url),
            "SP_SANDBOX_TOKEN": TOKEN,
            "SIGNALS_TIMEOUT_MS": "1500",
            "MODEL_POLL_SECONDS": "0.05",
        }
        with service(data.root, tmp_path, **(given | variables)) as client:
            yield client


def check(scoring: Any) -> dg.AssetCheckResult:
    result = served_equals_trained(
        VISITORS, registry=RegistryResource(), warehouse=WarehouseResource(), scoring=scoring
    )
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_the_service_answers_what_the_warehouse_and_the_champion_give(
    registry: Registry, tmp_path: Path
) -> None:
    with running(registry, tmp_path) as client:
        found = check(InProcess(client))

    assert found.passed, found.description
    assert found.description == (
        "4 visitors were scored by the service, by version 1, and offline, on what the warehouse "
        "holds of the same moments: every value is the same; the scores differ by 0 at most, 1e-06 "
        "is allowed."
    )


def test_a_signals_that_counts_otherwise_than_the_warehouse_is_found_out(
    registry: Registry, tmp_path: Path
) -> None:
    with running(registry, tmp_path, longer(FIRST)) as client:
        found = check(InProcess(client))

    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.ERROR
    said = str(found.description)
    assert f"2 values differ (attribute {CHANGED}, column {CHANGED})" in said
    assert "ann" not in said
    assert "ann" in str(found.metadata["first_differing"].value)


def test_a_service_whose_score_is_off_by_little_is_found_out(
    registry: Registry, tmp_path: Path
) -> None:
    with running(registry, tmp_path) as client:
        found = check(InProcess(client, score=lambda answer: answer["score"] + 1e-5))

    assert not found.passed
    assert "every value is the same; the scores differ by 1e-05 at most, 1e-06 is allowed" in str(
        found.description
    )


def test_the_model_that_was_just_promoted_is_waited_for(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "LOADING_SECONDS", 20.0)
    second = register(registry, tiny_model(seed=1), group=PINNED_FIRST)

    with running(registry, tmp_path, MODEL_POLL_SECONDS="0.5") as client:
        Champions(registry).promote(second, "a test", "it is told to")
        found = check(InProcess(client))

    assert found.passed
    assert found.metadata["version"].value == "2"


def test_a_service_that_keeps_to_another_version_is_not_compared(
    registry: Registry, tmp_path: Path
) -> None:
    register_champion(registry, tiny_model(seed=1), PINNED_FIRST)

    with running(registry, tmp_path, MODEL_VERSION="1") as client:
        found = check(InProcess(client))

    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "The service uses version 1, and not the champion, 2." in str(found.description)


def test_a_service_of_another_release_is_not_compared(registry: Registry, tmp_path: Path) -> None:
    class Older(InProcess):
        def score(self, address: str, domain_userid: str) -> dict[str, Any]:
            answer = super().score(address, domain_userid)
            del answer["moment"]
            return answer

    with running(registry, tmp_path) as client:
        found = check(Older(client))

    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "does not run this release" in str(found.description)


def test_of_a_service_that_keeps_its_values_to_itself_the_scores_are_compared(
    registry: Registry, tmp_path: Path
) -> None:
    with running(registry, tmp_path, PREDICT_DETAIL="score") as client:
        right = check(InProcess(client))
        wrong = check(InProcess(client, score=lambda answer: answer["score"] / 2))

    assert (right.passed, wrong.passed) == (True, False)
    assert "PREDICT_DETAIL" in str(right.description)


def test_a_champion_of_a_definition_that_is_no_more_is_not_compared(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNALS_GROUP_VERSION", "2")
    monkeypatch.setenv("PREDICT_URL", "http://127.0.0.1:1")

    found = check(RunningService())

    assert found.passed
    assert "version 1, which is defined here no more: not checked." in str(found.description)


def test_without_a_service_nothing_is_checked(registry: Registry) -> None:
    found = check(RunningService())

    assert (found.passed, found.severity) == (True, dg.AssetCheckSeverity.WARN)
    assert found.description == "No service is running: not checked."


def test_a_service_that_is_named_and_away_warns(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREDICT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("MODEL_POLL_SECONDS", "0.01")

    found = check(RunningService())

    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "http://127.0.0.1:1 does not answer (ConnectionError)" in str(found.description)


def test_a_system_that_was_killed_leaves_an_address_where_nothing_runs(
    registry: Registry,
) -> None:
    path = DataSettings.load().run_file
    path.write_text('{"predict": "http://127.0.0.1:1"}')

    try:
        assert RunningService().address() is None
        with pytest.raises(StackError, match="does not answer"):
            RunningService().score("http://127.0.0.1:1", "ann")
    finally:
        path.unlink()
