"""Nothing is left of a request once it is answered."""

import asyncio
import gc
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Message

from prospect_pipeline_tests.benchmarks.client import Target
from prospect_pipeline_tests.benchmarks.load import press
from prospect_pipeline_tests.registry.models import register_champion, registry_in, tiny_model
from prospect_pipeline_tests.sandbox.conftest import serving
from prospect_pipeline_tests.serving.real import bentoml_serve
from prospect_pipeline_tests.serving.services import SECRET, service
from prospect_pipeline_tests.serving.standin import KEY, StandIn

FEW, MANY = 500, 3_000
AT_ONCE = 50
FIRST, LAST = 10_000, 300_000
CONNECTIONS, SECONDS = 16, 5.0

numbers = itertools.count()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    register_champion(registry_in(tmp_path), tiny_model())
    with (
        serving(StandIn().app) as url,
        service(
            tmp_path,
            tmp_path,
            SP_SANDBOX_URL=url,
            SP_SANDBOX_TOKEN=SECRET,
            SIGNALS_TIMEOUT_MS="1500",
        ) as started,
    ):
        yield started


async def ask(app: Any) -> None:
    """Ask about a visitor who never came before, past every client that keeps something itself."""
    said: list[Message] = []
    body = json.dumps({KEY: f"visitor-{next(numbers)}"}).encode()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        said.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "headers": [],
        "client": None,
    }
    await app(scope, receive, send)
    assert said[0]["status"] == 200


def objects_after(client: TestClient, requests: int) -> int:
    """Return how many objects there are once so many more requests are answered."""

    async def ask_all() -> None:
        for _ in range(requests // AT_ONCE):
            await asyncio.gather(*(ask(client.app) for _ in range(AT_ONCE)))

    assert client.portal is not None
    client.portal.call(ask_all)
    gc.collect()
    return len(gc.get_objects())


def test_no_object_is_left_of_a_request(client: TestClient) -> None:
    before = objects_after(client, FEW)
    after = objects_after(client, MANY)

    assert after - before < MANY / 20


@pytest.mark.long
def test_memory_stays_flat_over_three_hundred_thousand_requests(tmp_path: Path) -> None:
    register_champion(registry_in(tmp_path), tiny_model())
    memory: list[tuple[int, float]] = []

    with bentoml_serve(tmp_path) as served:
        bodies = tuple(json.dumps({KEY: f"visitor-{number}"}) for number in range(1000))
        target, asked = Target(f"{served.url}/predict", bodies), 0
        while asked < LAST:
            asked += press(target, CONNECTIONS, SECONDS).requests
            memory.append((asked, served.memory() / 1e6))

    print([f"{requests:,}: {megabytes:.1f} MB" for requests, megabytes in memory])
    first = next(megabytes for requests, megabytes in memory if requests >= FIRST)
    assert memory[-1][1] <= 1.1 * first
