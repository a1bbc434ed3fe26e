"""A Signals that fails again and again is left alone but for a trial, and taken back at once."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from prospect_pipeline_tests.registry.models import register_champion, registry_in, tiny_model
from prospect_pipeline_tests.sandbox.conftest import serving
from prospect_pipeline_tests.serving.faults import answers, hangs_up
from prospect_pipeline_tests.serving.proxy import Proxy, proxy_to
from prospect_pipeline_tests.serving.services import SECRET, error, service, until
from prospect_pipeline_tests.serving.standin import KEY, StandIn

FAILURES = 3
SOON, LATE = 0.2, 300
DOWN = answers("500 Oops")


@dataclass
class Served:
    """A service, and the proxy through which it sees Signals."""

    client: TestClient
    proxy: Proxy

    def ask(self) -> Any:
        return self.client.post("/predict", json={KEY: "ann"})

    def ask_for_many(self) -> Any:
        return self.client.post("/predict_batch", json={f"{KEY}s": ["ann", "bob"]})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data directory with a champion for the module."""
    made = tmp_path_factory.mktemp("data")
    register_champion(registry_in(made), tiny_model())
    return made


@pytest.fixture
def signals() -> Iterator[Proxy]:
    made = StandIn()
    with serving(made.app) as url, proxy_to(url) as proxy:
        yield proxy


@contextmanager
def served(folder: Path, signals: Proxy, seconds: float) -> Iterator[Served]:
    """A service whose breaker opens for so many seconds."""
    told = {
        "SP_SANDBOX_URL": signals.url,
        "SP_SANDBOX_TOKEN": SECRET,
        "SIGNALS_TIMEOUT_MS": "1500",
        "SIGNALS_BREAKER_FAILURES": str(FAILURES),
        "SIGNALS_BREAKER_SECONDS": str(seconds),
    }
    with service(folder, folder, **told) as client:
        yield Served(client, signals)


def test_after_failures_in_a_row_nobody_connects_and_callers_are_told_when_to_come_again(
    folder: Path, signals: Proxy
) -> None:
    with served(folder, signals, LATE) as asked, signals.fails(hangs_up):
        for _ in range(FAILURES):
            error(asked.ask(), 503)
        connected, reads = signals.connections, signals.reads
        refused = [ask() for _ in range(10) for ask in (asked.ask, asked.ask_for_many)]

    assert reads >= FAILURES
    assert (signals.connections, signals.reads) == (connected, reads)
    for reply in refused:
        found = error(reply, 503)
        assert found["code"] == "signals_unavailable"
        assert "Signals cannot be reached" in found["message"]
        assert LATE / 2 < int(reply.headers["retry-after"]) <= LATE


def test_one_trial_is_made_every_so_many_seconds(folder: Path, signals: Proxy) -> None:
    with served(folder, signals, SOON) as asked, signals.fails(DOWN):
        for _ in range(FAILURES - 1):
            asked.ask()
        began = time.monotonic()
        while signals.reads < FAILURES + 3:
            reply = asked.ask()
            assert error(reply, 503)["message"].endswith("Signals answered 500.")
            assert reply.headers["retry-after"] == "1"
            assert time.monotonic() - began < 60
        seconds = time.monotonic() - began

    assert (signals.reads - FAILURES) * SOON <= seconds


def test_the_first_success_takes_signals_back(folder: Path, signals: Proxy) -> None:
    with served(folder, signals, SOON) as asked:
        with signals.fails(DOWN):
            for _ in range(FAILURES):
                assert asked.ask().status_code == 503
        until(lambda: asked.ask().status_code == 200)
        before = signals.reads
        assert [asked.ask().status_code for _ in range(5)] == [200] * 5
        with signals.fails(DOWN):  # and only as many failures in a row as at first open it again
            for _ in range(FAILURES):
                asked.ask()

    assert signals.reads - before == 5 + FAILURES


def test_failures_that_are_not_in_a_row_change_nothing(folder: Path, signals: Proxy) -> None:
    with served(folder, signals, LATE) as asked:
        for _ in range(2):
            with signals.fails(DOWN):
                for _ in range(FAILURES - 1):
                    assert asked.ask().status_code == 503
            assert asked.ask().status_code == 200
