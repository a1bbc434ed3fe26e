"""Whatever goes wrong between the service and Signals has one outcome, and is over when it is over.

Each fault hits a request alone, several that share a call, and one that asks for many visitors,
all at once: of visitors who were never read, and of such as were read a moment before.
"""

import asyncio
import gc
import itertools
import logging
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from prospect_pipeline_tests.registry.models import register_champion, registry_in, tiny_model
from prospect_pipeline_tests.sandbox.conftest import serving
from prospect_pipeline_tests.serving.faults import SCORED, Case, cases
from prospect_pipeline_tests.serving.proxy import Proxy, proxy_to
from prospect_pipeline_tests.serving.services import SECRET, error, service
from prospect_pipeline_tests.serving.standin import ANN, KEY, StandIn
from prospect_pipeline_tests.signals.versions import PINNED_FIRST

BUDGET = 1.5
WITHIN = 0.05
"""How much longer than the budget a request may take, by its promise, in seconds."""

MODEL = tiny_model()
UNIQUE = "num_page_views_l30d"
"""Every visitor has a number of their own, by which mixed up answers would be found out."""


def one(client: TestClient, visitors: list[str]) -> list[httpx.Response]:
    return [client.post("/predict", json={KEY: visitors[0]})]


def together(client: TestClient, visitors: list[str]) -> list[httpx.Response]:
    """Ask in the same turn of the service's own loop, so that the requests share a call."""

    async def ask() -> list[httpx.Response]:
        inside = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=inside, base_url="http://here") as asking:
            asked = [asking.post("/predict", json={KEY: visitor}) for visitor in visitors]
            return await asyncio.gather(*asked)

    assert client.portal is not None
    return client.portal.call(ask)


def batch(client: TestClient, visitors: list[str]) -> list[httpx.Response]:
    return [client.post("/predict_batch", json={f"{KEY}s": visitors})]


Way = Callable[[TestClient, list[str]], list[httpx.Response]]
SHARED: tuple[Way, ...] = (together, batch)
WAYS: tuple[Way, ...] = (one, *SHARED)


@dataclass
class Served:
    """The service, the Signals behind it, and what is between them."""

    client: TestClient
    signals: StandIn
    proxy: Proxy
    numbers: Iterator[int]

    def strangers(self) -> list[str]:
        """Three visitors who were never read before."""
        made = {f"visitor-{n}": ANN | {UNIQUE: n} for n in itertools.islice(self.numbers, 3)}
        self.signals.visitors |= made
        return list(made)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One service for all; the breaker opens with every failure, and lets the next one through."""
    folder, signals, unseen = tmp_path_factory.mktemp("data"), StandIn(), list[str]()
    register_champion(registry_in(folder), MODEL, PINNED_FIRST)
    told = {
        "SP_SANDBOX_TOKEN": SECRET,
        "SIGNALS_TIMEOUT_MS": f"{1000 * BUDGET:.0f}",
        "SIGNALS_BREAKER_FAILURES": "1",
        "SIGNALS_BREAKER_SECONDS": "1e-9",
        "PREDICT_STALE_SECONDS": "300",
    }
    handler = logging.Handler()
    handler.emit = lambda record: unseen.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("asyncio").addHandler(handler)
    with (
        serving(signals.app) as signals.url,
        proxy_to(signals.url) as proxy,
        service(folder, folder, SP_SANDBOX_URL=proxy.url, **told) as client,
    ):
        yield Served(client, signals, proxy, itertools.count(10))
    gc.collect()  # a task whose error nobody has read says so when it is collected
    logging.getLogger("asyncio").removeHandler(handler)
    assert unseen == []


def scores(reply: httpx.Response) -> list[dict[str, Any]]:
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json().get("predictions", [reply.json()])
    return found


def check_scored(served: Served, reply: httpx.Response, *, stale: bool) -> None:
    for found in scores(reply):
        own = served.signals.visitors[found[KEY]][UNIQUE]
        assert found["signals"][UNIQUE] == found["scoring_attributes"][UNIQUE] == own
        assert found["score"] == pytest.approx(MODEL.score_one(found["scoring_attributes"]))
        assert found.get("stale", False) == stale


def check_quiet(caplog: pytest.LogCaptureFixture) -> None:
    for record in caplog.records:
        assert record.levelno < logging.ERROR
        assert record.exc_info is None
        assert "Traceback" not in record.getMessage()
        assert SECRET not in record.getMessage()


@dataclass
class Asked:
    """What visitors were answered, and how long the slowest of the answers took."""

    strangers: list[httpx.Response]
    known: list[httpx.Response]
    seconds: float


def ask(served: Served, ways: tuple[Way, ...], known: list[list[str]]) -> Asked:
    """Ask in every way at once, for visitors who were never read and for those who were."""

    def timed(way: Way, visitors: list[str]) -> tuple[list[httpx.Response], float]:
        began = time.perf_counter()
        return way(served.client, visitors), time.perf_counter() - began

    strangers = [served.strangers() for _ in ways]
    with ThreadPoolExecutor(2 * len(ways)) as at_once:
        found = [*at_once.map(timed, ways * 2, strangers + known)]
    replies = [answered for answered, _ in found]
    first, second = (
        itertools.chain(*part) for part in (replies[: len(ways)], replies[len(ways) :])
    )
    return Asked([*first], [*second], max(seconds for _, seconds in found))


@pytest.mark.parametrize("case", cases(BUDGET), ids=lambda case: case.name)
def test_a_fault_has_its_outcome_in_time_and_is_over_when_it_is_over(
    served: Served, caplog: pytest.LogCaptureFixture, case: Case
) -> None:
    ways = WAYS if case.alone else SHARED
    known = [served.strangers() for _ in ways]
    for way, visitors in zip(ways, known, strict=True):
        way(served.client, visitors)
    for _ in range(4):  # a machine that stands still for a moment is no failure
        with served.proxy.fails(case.fault):
            during = ask(served, ways, known)
        after = ask(served, ways, known)

        for reply in during.strangers:
            if case.outcome == SCORED:
                check_scored(served, reply, stale=False)
            else:
                found = error(reply, 503)
                assert found["code"] == case.outcome
                assert re.match(case.words, found["message"]), found["message"]
        for reply in during.known:
            check_scored(served, reply, stale=case.outcome != SCORED)
        for reply in after.strangers + after.known:
            check_scored(served, reply, stale=False)
        check_quiet(caplog)
        if during.seconds <= BUDGET + WITHIN + 4 * after.seconds:
            return
    pytest.fail(f"{during.seconds:.3f} s are too many; without the fault {after.seconds:.3f} s")


@pytest.mark.parametrize("way", SHARED)
def test_several_visitors_share_a_call(served: Served, way: Way) -> None:
    visitors, before = served.strangers(), served.proxy.reads

    way(served.client, visitors)

    assert served.proxy.reads - before == 1
    assert served.signals.asked[-1] == visitors
