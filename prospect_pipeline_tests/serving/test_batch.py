"""`POST /predict_batch` on the whole service, over a stand-in that answers many at once."""

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from starlette.testclient import TestClient

from prospect_pipeline.attributes import prospect
from prospect_pipeline.registry.store import Registry
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.settings import DataSettings, DefinitionSettings
from prospect_pipeline_tests.events import NOW, event, write
from prospect_pipeline_tests.registry.models import register_champion, registry_in, tiny_model
from prospect_pipeline_tests.sandbox.conftest import TOKEN, serving, signals_over
from prospect_pipeline_tests.serving.services import SECRET, error, predict, service, until

MODEL = tiny_model()
HELD = "held"
LET_GO = threading.Event()
"""Until then a visitor of that name is not answered about."""


@pytest.fixture(scope="module")
def signals() -> Iterator[tuple[str, list[list[str]]]]:
    """Its address and who was asked for in each call; it answers in another order than asked."""
    app, calls = FastAPI(), list[list[str]]()

    @app.post("/api/v1/get-online-attributes")
    async def answer(request: Request) -> Response:
        asked = (await request.json())["attribute_keys"]["domain_userid"]
        calls.append(asked)
        if HELD in asked:
            await asyncio.to_thread(LET_GO.wait, 30)
        visitors = sorted(asked, reverse=True)
        columns = {
            "domain_userid": visitors,
            "num_pricing_views_l30d": [len(visitor) for visitor in visitors],
        }
        return Response(json.dumps(columns), media_type="application/json")

    with serving(app) as url:
        yield url, calls


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    found = registry_in(tmp_path_factory.mktemp("data"), model_name="batches")
    register_champion(found, MODEL)
    return found


@pytest.fixture
def start(registry: Registry, signals: tuple[str, list[list[str]]], tmp_path: Path) -> Any:
    signals[1].clear()
    given = {
        "MODEL_NAME": "batches",
        "SP_SANDBOX_URL": signals[0],
        "SP_SANDBOX_TOKEN": SECRET,
        "SIGNALS_TIMEOUT_MS": "1500",
        "SIGNALS_SHARED_READS": "2",
    }
    return lambda **more: service(registry.folder.parent, tmp_path, **(given | more))


def ask(client: TestClient, *visitors: str) -> Any:
    return client.post("/predict_batch", json={"domain_userids": visitors})


def test_many_visitors_get_the_answers_that_each_would_get(
    start: Any, signals: tuple[str, list[list[str]]]
) -> None:
    visitors = ["ann", "b", "caesar", "b"]
    with start() as client:
        reply = ask(client, *visitors)
        calls = [sorted(call) for call in signals[1]]
        alone = [predict(client, visitor) for visitor in visitors]

    assert reply.status_code == 200
    answer = reply.json()
    assert list(answer) == ["predictions", "model"]
    assert answer["model"] == {"name": "batches", "version": "1"}
    assert answer["predictions"] == [
        {name: value for name, value in one.items() if name != "model"} for one in alone
    ]
    assert sorted(calls) == [["ann", "b"], ["caesar"]]


def test_a_public_site_is_told_scores_alone(start: Any) -> None:
    with start(PREDICT_DETAIL="score") as client:
        [one] = ask(client, "ann").json()["predictions"]

    assert one.keys() == {"domain_userid", "score", "decision"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "domain_userids: Field required"),
        ({"domain_userids": []}, "domain_userids: Name 1 at least"),
        ({"domain_userids": "ann"}, "domain_userids: Input should be a valid array"),
        ({"domain_userids": ["ann", ""]}, "domain_userids.1: String should have at least 1"),
        ({"domain_userids": ["a", "b", "c", "d"]}, "domain_userids: 4 are too many, 3 fit."),
        (
            {"domain_userids": ["a", "b", "c"]},
            "domain_userids: 3 are too many for a limit of 2 a minute.",
        ),
    ],
)
def test_a_bad_batch_is_named_for_what_is_wrong(start: Any, body: Any, message: str) -> None:
    with start(PREDICT_BATCH_LIMIT="3", PREDICT_RATE_LIMIT="2") as client:
        found = error(client.post("/predict_batch", json=body), 400)

    assert found["code"] == "bad_request"
    assert found["message"].startswith(message)


def test_batches_can_be_switched_off(start: Any) -> None:
    with start(PREDICT_BATCH_LIMIT="0") as client:
        assert error(ask(client, "ann"), 404)["code"] == "not_found"
        predict(client)


def test_a_batch_whose_signals_is_away_is_one_error(start: Any) -> None:
    with start(SP_SANDBOX_URL="http://127.0.0.1:9") as client:
        reply = ask(client, "ann", "bob", "caesar")

    assert error(reply, 503)["code"] == "signals_unavailable"


def test_as_many_batches_as_are_allowed_keep_no_single_visitor_out(
    start: Any, signals: tuple[str, list[list[str]]]
) -> None:
    with start(PREDICT_MAX_CONCURRENCY="1") as client, ThreadPoolExecutor(1) as aside:
        held = aside.submit(ask, client, HELD)
        try:
            until(lambda: [HELD] in signals[1])
            another = ask(client, "bob")
            predict(client, "ann")
        finally:
            LET_GO.set()
        assert held.result().status_code == 200

    assert error(another, 503)["code"] == "too_busy"


def test_keys_and_limits_are_those_of_the_settings(start: Any) -> None:
    key = "a-key-that-nobody-guesses"
    with start(PREDICT_API_KEY=key, PREDICT_RATE_LIMIT="4") as client:
        unknown = client.post("/predict", json={"domain_userid": "ann"})
        client.headers["authorization"] = f"Bearer {key}"
        predict(client)
        allowed = ask(client, "ann", "bob")
        beyond = client.post("/predict", json={"domain_userid": "ann"})
        alive = client.get("/livez")

    assert error(unknown, 401)["code"] == "unauthorized"
    assert allowed.status_code == 200
    assert error(beyond, 429)["code"] == "rate_limited"
    assert int(beyond.headers["retry-after"]) > 0
    assert alive.status_code == 200
    assert alive.headers["x-content-type-options"] == "nosniff"


@contextmanager
def over_local_signals(
    registry: Registry, folder: Path, events: list[dict[str, Any]]
) -> Iterator[TestClient]:
    """The service over a local Signals that holds events, and has read none of them yet."""
    data, definition = DataSettings.load(data_dir=folder), DefinitionSettings.load()
    EventStore(data).load(write(events, folder / "events.parquet"))
    with signals_over(data) as sdk:
        sdk.publish([prospect.attribute_group(definition), prospect.service(definition)])
        with service(
            registry.folder.parent,
            folder,
            MODEL_NAME="batches",
            SP_SANDBOX_URL=sdk.api_client.api_url,
            SP_SANDBOX_TOKEN=TOKEN,
            SIGNALS_TIMEOUT_MS="1500",
        ) as client:
            yield client


def test_over_the_local_signals_a_batch_is_what_each_would_get(
    registry: Registry, tmp_path: Path
) -> None:
    events = [
        event("a", NOW, user="ann", page_url="https://x.io/pricing"),
        event("b", NOW, user="bob"),
        event("c", NOW, "submit_form", user="bob"),
    ]
    visitors = ["bob", "nobody", "ann"]

    with over_local_signals(registry, tmp_path, events) as client:
        together = ask(client, *visitors).json()["predictions"]
        alone = [predict(client, visitor) for visitor in visitors]

    assert [one["signals"] for one in together] == [one["signals"] for one in alone]
    assert [one["score"] for one in together] == [one["score"] for one in alone]
    assert together[0]["signals"]["num_conversions_l7d"] == 1
    assert together[2]["signals"]["num_pricing_views_l7d"] == 1


def test_over_the_local_signals_a_thousand_visitors_are_scored_whom_it_has_not_read_yet(
    registry: Registry, tmp_path: Path
) -> None:
    visitors = [f"visitor-{number}" for number in range(1000)]
    events = [event(who, NOW, user=who) for who in visitors]

    with over_local_signals(registry, tmp_path, events) as client:
        reply = ask(client, *visitors)

    assert reply.status_code == 200
    views = [one["signals"]["num_page_views_l7d"] for one in reply.json()["predictions"]]
    assert views == [1] * 1000
