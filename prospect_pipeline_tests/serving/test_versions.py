"""Versions of the attribute group side by side: a model is given what it was trained on."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from snowplow_signals import SignalsSandbox
from starlette.testclient import TestClient

from prospect_pipeline.cli import cli
from prospect_pipeline.registry.store import Registry
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.settings import DataSettings
from prospect_pipeline_tests.events import DAY, NOW, event, write
from prospect_pipeline_tests.registry.models import (
    register,
    register_champion,
    registry_in,
    tiny_model,
)
from prospect_pipeline_tests.sandbox.conftest import TOKEN, signals_over
from prospect_pipeline_tests.serving.services import (
    error,
    predict,
    service,
    service_over_http,
    settings,
    until,
)
from prospect_pipeline_tests.signals.versions import (
    CHANGED,
    FIRST,
    PINNED_FIRST,
    PINNED_SECOND,
    SECOND,
    service_of,
)

MODEL, NEWER = tiny_model(), tiny_model(seed=1)
OFTEN = {"MODEL_POLL_SECONDS": "0.05", "SIGNALS_TIMEOUT_MS": "1500"}
VISITORS_AT_ONCE = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data directory for the module."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def registry(folder: Path, request: pytest.FixtureRequest) -> Registry:
    """A registered model of the test's own."""
    return registry_in(folder, model_name=request.node.name)


@pytest.fixture
def signals(tmp_path: Path) -> Iterator[SignalsSandbox]:
    """A local Signals with the first version published: ann has seen one page in 7 days."""
    data = DataSettings.load(data_dir=tmp_path / "signals")
    events = [event("a", NOW - 2 * DAY), event("b", NOW - 10 * DAY)]
    EventStore(data).load(write(events, tmp_path / "events.parquet"))
    with signals_over(data) as sdk:
        sdk.publish([FIRST, service_of(FIRST)])
        yield sdk


@pytest.fixture
def variables(registry: Registry, signals: SignalsSandbox) -> dict[str, str]:
    return {
        "MODEL_NAME": registry.settings.model_name,
        "SP_SANDBOX_URL": str(signals.api_client.api_url),
        "SP_SANDBOX_TOKEN": TOKEN,
        **OFTEN,
    }


def publish_second(signals: SignalsSandbox) -> None:
    """Publish the second version beside the first; the service moves on to it."""
    signals.publish([SECOND, service_of(SECOND)])


def seen(answer: dict[str, Any]) -> tuple[str, int]:
    """The model's version, and how many page views it was given."""
    return answer["model"]["version"], answer["signals"][CHANGED]


class Visitors:
    """Ask over HTTP without a pause, and keep the status of every answer and what was seen."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[tuple[int, tuple[str, int] | None]] = []
        self.unanswered: list[Exception] = []
        self._leave = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(VISITORS_AT_ONCE)]

    def _ask(self) -> None:
        with requests.Session() as session:
            # Or it reads the whole environment, in which MLflow puts and takes while it is read.
            session.trust_env = False
            while not self._leave.is_set():
                asked = {"domain_userid": "ann"}
                try:
                    reply = session.post(f"{self.url}/predict", json=asked, timeout=60)
                except requests.RequestException as problem:
                    self.unanswered.append(problem)
                    return
                self.answers.append((reply.status_code, seen(reply.json()) if reply.ok else None))

    @contextmanager
    def asking(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._leave.set()
            for thread in self._threads:
                thread.join(timeout=60)

    def wait_for(self, version: str) -> None:
        """Wait until a new answer is of a version."""
        start, deadline = len(self.answers), time.monotonic() + 60
        while version not in [given and given[0] for _, given in self.answers[start:]]:
            assert not self.unanswered
            assert time.monotonic() < deadline, f"version {version} was never served"
            self._leave.wait(0.05)


def prospect(*command: str) -> None:
    """Give a command while the service runs, in the environment that both have."""
    given = CliRunner().invoke(cli, [*command, "--why", "a test"], catch_exceptions=False)
    assert given.exit_code == 0, given.output


def test_through_a_swap_and_back_every_visitor_is_answered_on_the_models_own_attributes(
    folder: Path,
    registry: Registry,
    signals: SignalsSandbox,
    variables: dict[str, str],
    tmp_path: Path,
) -> None:
    register_champion(registry, MODEL, PINNED_FIRST)
    register(registry, NEWER, group=PINNED_SECOND)

    with service_over_http(folder, tmp_path, **(variables | {"MODEL_POLL_SECONDS": "0.5"})) as url:
        visitors = Visitors(url)
        with visitors.asking():
            visitors.wait_for("1")
            publish_second(signals)
            visitors.wait_for("1")
            prospect("promote", "2")
            visitors.wait_for("2")
            prospect("rollback")
            visitors.wait_for("1")

    assert visitors.unanswered == []
    assert {status for status, _ in visitors.answers} == {200}
    assert {given for _, given in visitors.answers} == {("1", 1), ("2", 2)}


def test_a_person_is_refused_a_version_that_could_score_nobody(
    folder: Path,
    registry: Registry,
    signals: SignalsSandbox,
    variables: dict[str, str],
    tmp_path: Path,
) -> None:
    register_champion(registry, MODEL, PINNED_SECOND)
    register_champion(registry, NEWER, PINNED_FIRST)

    with settings(folder, tmp_path, **variables):
        refused = [CliRunner().invoke(cli, command) for command in (["promote", "1"], ["rollback"])]
        publish_second(signals)
        prospect("promote", "1")

    for given in refused:
        assert "has not published attribute group 'prospect_scoring_tutorial' version 2" in str(
            given.exception
        )
        assert "SIGNALS_GROUP_VERSION=2" in str(given.exception)
    assert registry.resolve().version == "1"


def test_a_version_that_does_not_say_what_it_was_trained_on_is_given_the_services(
    folder: Path,
    registry: Registry,
    signals: SignalsSandbox,
    variables: dict[str, str],
    tmp_path: Path,
) -> None:
    register_champion(registry, MODEL)

    with service(folder, tmp_path, **variables) as client:
        before = seen(predict(client))
        publish_second(signals)
        after = seen(predict(client))

    assert (before, after) == (("1", 1), ("1", 2))


def refused(client: TestClient) -> bool:
    return client.post("/predict", json={"domain_userid": "ann"}).status_code == 503


def test_a_model_whose_attributes_were_unpublished_scores_nobody_until_they_are_back(
    folder: Path,
    registry: Registry,
    signals: SignalsSandbox,
    variables: dict[str, str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    register_champion(registry, MODEL, PINNED_FIRST)
    publish_second(signals)

    with service(folder, tmp_path, **variables) as client:
        assert seen(predict(client)) == ("1", 1)
        signals.unpublish([FIRST])
        until(lambda: refused(client))
        unpublished = client.post("/predict", json={"domain_userid": "ann"})
        signals.publish([FIRST])
        until(lambda: not refused(client))
        assert seen(predict(client)) == ("1", 1)
        signals.unpublish([FIRST])
        signals.delete([FIRST])
        until(lambda: refused(client))
        deleted = client.post("/predict", json={"domain_userid": "ann"})

    for reply in (unpublished, deleted):
        assert error(reply, 503)["code"] == "signals_unavailable"
        assert reply.headers["retry-after"] == "1"
    said = [one.getMessage() for one in caplog.records if one.name == "prospect.signals"]
    assert len(said) == 2
    for words in said:
        assert "no published attribute group 'prospect_scoring_tutorial' version 1" in words


def test_a_first_model_without_its_attributes_is_loaded_and_found_out_by_its_first_visitor(
    folder: Path,
    registry: Registry,
    signals: SignalsSandbox,
    variables: dict[str, str],
    tmp_path: Path,
) -> None:
    publish_second(signals)
    signals.unpublish([SECOND])
    register_champion(registry, MODEL, PINNED_SECOND)

    with service(folder, tmp_path, **(variables | {"MODEL_POLL_SECONDS": "3600"})) as client:
        found = error(client.post("/predict", json={"domain_userid": "ann"}), 503)
        ready = client.get("/readyz").status_code

    assert found["code"] == "signals_unavailable"
    assert "version 2" in found["message"]
    assert ready == 200


def test_a_new_champion_is_taken_once_its_attributes_are_published(
    folder: Path,
    registry: Registry,
    signals: SignalsSandbox,
    variables: dict[str, str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    register_champion(registry, MODEL, PINNED_FIRST)

    def waits() -> bool:
        said = [one.getMessage() for one in caplog.records if one.name == "prospect.scorer"]
        return any("version 2, which version 2 was trained on" in words for words in said)

    with service(folder, tmp_path, **variables) as client:
        register_champion(registry, NEWER, PINNED_SECOND)
        until(waits)
        assert seen(predict(client)) == ("1", 1)
        publish_second(signals)
        until(lambda: seen(predict(client)) == ("2", 2))
