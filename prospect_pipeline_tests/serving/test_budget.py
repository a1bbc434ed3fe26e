"""Whatever goes wrong with Signals, no request takes longer than its budget plus 50 ms."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from prospect_pipeline_tests.registry.models import register_champion, registry_in, tiny_model
from prospect_pipeline_tests.sandbox.conftest import serving
from prospect_pipeline_tests.serving.faults import SCORED, Case, cases
from prospect_pipeline_tests.serving.proxy import Proxy, proxy_to
from prospect_pipeline_tests.serving.real import bentoml_serve
from prospect_pipeline_tests.serving.standin import KEY, StandIn
from prospect_pipeline_tests.signals.versions import PINNED_FIRST

pytestmark = pytest.mark.long

BUDGET, WITHIN = 0.3, 0.05
REQUESTS, ATTEMPTS = 5, 4
MANY = [f"visitor-{number}" for number in range(20)]


@dataclass
class Asked:
    """The service as it is served, and what is between it and Signals."""

    url: str
    proxy: Proxy
    session: requests.Session

    def slowest(self, path: str, body: dict[str, Any], outcome: int) -> float:
        """Return how long the slowest of some requests took, in seconds."""
        took = []
        for _ in range(REQUESTS):
            began = time.perf_counter()
            reply = self.session.post(f"{self.url}{path}", json=body, timeout=30)
            took.append(time.perf_counter() - began)
            assert reply.status_code == outcome, reply.text
        return max(took)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("data")
    register_champion(registry_in(folder), tiny_model(), PINNED_FIRST)
    told = {"SIGNALS_TIMEOUT_MS": f"{1000 * BUDGET:.0f}", "SIGNALS_BREAKER_FAILURES": "0"}
    with (
        serving(StandIn().app) as url,
        proxy_to(url) as proxy,
        bentoml_serve(folder, SP_SANDBOX_URL=proxy.url, **told) as served,
        requests.Session() as session,
    ):
        yield Asked(served.url, proxy, session)


@pytest.mark.parametrize("case", cases(BUDGET), ids=lambda case: case.name)
def test_no_request_takes_longer_than_the_budget_allows(asked: Asked, case: Case) -> None:
    outcome = 200 if case.outcome == SCORED else 503
    ways: list[tuple[str, dict[str, Any]]] = [("/predict_batch", {f"{KEY}s": MANY})]
    if case.alone:
        ways.append(("/predict", {KEY: "ann"}))

    for path, body in ways:
        slowest = []
        for _ in range(ATTEMPTS):  # a machine that stands still for a moment is no failure
            with asked.proxy.fails(case.fault):
                slowest.append(asked.slowest(path, body, outcome))
            if slowest[-1] <= BUDGET + WITHIN:
                break
        print(f"{case.name} {path}: {1000 * min(slowest):.0f} ms")
        assert min(slowest) <= BUDGET + WITHIN
