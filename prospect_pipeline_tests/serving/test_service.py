"""The whole service in this process: BentoML's own application, a real registry, a real Signals."""

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from prospect_pipeline.attributes import prospect
from prospect_pipeline.features import COLUMNS
from prospect_pipeline.registry.champions import Champions
from prospect_pipeline.registry.store import Registry
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.scoring import Calibration
from prospect_pipeline.settings import DataSettings, DefinitionSettings
from prospect_pipeline_tests.events import NOW, event, write
from prospect_pipeline_tests.registry.models import (
    register,
    register_champion,
    registry_in,
    tiny_model,
)
from prospect_pipeline_tests.sandbox.conftest import TOKEN, serving, signals_over
from prospect_pipeline_tests.serving.services import SECRET, error, predict, service, until
from prospect_pipeline_tests.serving.standin import ANN, ANNS_COLUMNS, SUNDAY, StandIn

MODEL, NEWER = tiny_model(), tiny_model(seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data directory for the module."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def signals() -> Iterator[StandIn]:
    made = StandIn()
    with serving(made.app) as made.url:
        yield made


@pytest.fixture
def registry(folder: Path, request: pytest.FixtureRequest) -> Registry:
    """A registered model of the test's own."""
    return registry_in(folder, model_name=request.node.name)


Start = Callable[..., Any]


@pytest.fixture
def start(folder: Path, signals: StandIn, registry: Registry, tmp_path: Path) -> Start:
    """Starts a service for the test's own model, over the stand-in."""

    def started(**variables: str) -> Any:
        given = {
            "MODEL_NAME": registry.settings.model_name,
            "SP_SANDBOX_URL": signals.url,
            "SP_SANDBOX_TOKEN": SECRET,
            "SIGNALS_TIMEOUT_MS": "1500",
        }
        return service(folder, tmp_path, **(given | variables))

    return started


@pytest.fixture(scope="module")
def shared(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One service for the tests that only ask it."""
    register_champion(registry_in(folder, model_name="shared"), MODEL)
    made = StandIn()
    working = tmp_path_factory.mktemp("working")
    with (
        serving(made.app) as url,
        service(
            folder,
            working,
            MODEL_NAME="shared",
            SP_SANDBOX_URL=url,
            SP_SANDBOX_TOKEN=SECRET,
            SIGNALS_TIMEOUT_MS="1500",
        ) as client,
    ):
        yield client


def offline(answer: dict[str, Any], model: Any = MODEL) -> float:
    return float(model.score(pd.DataFrame([answer["scoring_attributes"]]))[0])


def test_a_visitor_is_scored_as_offline(shared: TestClient) -> None:
    answer = predict(shared)

    assert list(answer) == [
        "domain_userid", "score", "decision", "model", "signals", "scoring_attributes"
    ]  # fmt: skip
    assert answer["domain_userid"] == "ann"
    assert answer["model"] == {"name": "shared", "version": "1"}
    assert answer["score"] == pytest.approx(offline(answer), abs=1e-6)
    assert answer["score"] == pytest.approx(MODEL.score_one(ANNS_COLUMNS), abs=1e-6)


def test_raw_signals_and_the_models_columns_are_told_in_order(shared: TestClient) -> None:
    answer = predict(shared)

    assert list(answer["signals"].items()) == list(ANN.items())
    assert list(answer["scoring_attributes"].items()) == list(ANNS_COLUMNS.items())
    assert tuple(answer["scoring_attributes"]) == COLUMNS


def test_a_visitor_whom_signals_does_not_know_is_scored(shared: TestClient) -> None:
    answer = predict(shared, "nobody")

    assert answer["signals"] == dict.fromkeys(ANN)
    assert answer["scoring_attributes"]["latest_app_id"] == ""
    assert answer["scoring_attributes"]["num_sessions_l30d"] == 0
    assert 0 < answer["score"] < 1
    assert answer["score"] == pytest.approx(offline(answer), abs=1e-6)


def test_reasons_are_the_largest_first_and_add_up_with_the_base(shared: TestClient) -> None:
    answer = predict(shared, explain=True)

    reasons = answer["reasons"]
    sizes = [abs(reason["contribution"]) for reason in reasons]
    margin = math.log(answer["score"] / (1 - answer["score"]))
    assert sizes == sorted(sizes, reverse=True)
    told = sum(reason["contribution"] for reason in reasons)
    assert answer["base"] + told == pytest.approx(margin, abs=1e-4)
    assert {reason["feature"]: reason["value"] for reason in reasons} == ANNS_COLUMNS


@pytest.mark.parametrize("asked", [{}, {"explain": False}])
def test_reasons_are_told_to_who_asks_alone(shared: TestClient, asked: dict[str, Any]) -> None:
    assert not {"reasons", "base"} & predict(shared, **asked).keys()


def test_nothing_follows_from_a_dry_run_and_it_says_its_moment(
    start: Start, registry: Registry, signals: StandIn
) -> None:
    register_champion(registry, MODEL)
    signals.visitors["bob"] = ANN

    with start(PREDICT_INTERVENTION="offer", PREDICT_INTERVENTION_THRESHOLD="0") as client:
        asked = predict(client, "ann", dry_run=True)
        real = predict(client, "bob")
        until(lambda: signals.pushed != [])

    assert signals.pushed == ["bob"]
    assert asked["moment"] == SUNDAY.isoformat()
    assert "moment" not in real
    assert asked["score"] == real["score"]


def test_a_name_of_any_letters_is_scored(shared: TestClient) -> None:
    for visitor in ("ä" * 128, 'a "b" \\ {c} </script>', "0", " x ", "\u2028", "😀"):
        assert predict(shared, visitor)["domain_userid"] == visitor


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "body: Invalid JSON"),
        ("{}", "domain_userid: Field required"),
        ("{", "body: Invalid JSON"),
        ("not json", "body: Invalid JSON"),
        ('{"domain_userid": "a"} trailing', "body: Invalid JSON"),
        ("[]", "body: Input should be an object"),
        ('["ann"]', "body: Input should be an object"),
        ('"ann"', "body: Input should be an object"),
        ("null", "body: Input should be an object"),
        ("3", "body: Input should be an object"),
        ('{"user": "ann"}', "domain_userid: Field required"),
        ('{"domain_userid": null}', "domain_userid: Input should be a valid string"),
        ('{"domain_userid": 3}', "domain_userid: Input should be a valid string"),
        ('{"domain_userid": true}', "domain_userid: Input should be a valid string"),
        ('{"domain_userid": NaN}', "domain_userid: Input should be a valid string"),
        ('{"domain_userid": ["ann"]}', "domain_userid: Input should be a valid string"),
        ('{"domain_userid": {"a": 1}}', "domain_userid: Input should be a valid string"),
        ('{"domain_userid": ""}', "domain_userid: String should have at least 1 character"),
        (f'{{"domain_userid": "{"x" * 129}"}}', "domain_userid: String should have at most 128"),
        ('{"domain_userid": "a\\u0000b"}', "domain_userid: An identifier has no control"),
        ('{"domain_userid": "a\\nb"}', "domain_userid: An identifier has no control"),
        ('{"domain_userid": "ab\\n"}', "domain_userid: An identifier has no control"),
        ('{"domain_userid": "  "}', "domain_userid: An identifier has no control"),
        ('{"domain_userid": "\\ud800"}', "body: Invalid JSON"),
        ('{"domain_userid": "ann", "explain": 1}', "explain: Input should be a valid boolean"),
        ('{"domain_userid": "ann", "explain": "yes"}', "explain: Input should be a valid boolean"),
        ('{"domain_userid": "ann", "explain": null}', "explain: Input should be a valid boolean"),
        ('{"explain": "yes"}', "domain_userid: Field required; explain: Input should be a valid"),
        (b'{"domain_userid": "\xff"}', "body: Invalid JSON"),
        ("[" * 10_000, "body: Invalid JSON"),
    ],
)
def test_a_bad_body_is_named_for_what_is_wrong(
    shared: TestClient, body: str | bytes, message: str
) -> None:
    reply = shared.post("/predict", content=body, headers={"content-type": "application/json"})

    found = error(reply, 400)

    assert found["code"] == "bad_request"
    assert found["message"].startswith(message)


def test_other_paths_methods_and_types_are_refused_in_json(shared: TestClient) -> None:
    ann = '{"domain_userid": "ann"}'
    pickled = {"content-type": "application/vnd.bentoml+pickle"}

    assert error(shared.get("/nowhere"), 404)["code"] == "not_found"
    assert error(shared.post("/nowhere", json={}), 404)["code"] == "not_found"
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert error(shared.request(method, "/predict"), 405)["code"] == "method_not_allowed"
    for refused in (
        shared.post("/predict", data={"domain_userid": "ann"}),
        shared.post("/predict", files={"domain_userid": b"ann"}),
        shared.post("/predict", content=ann, headers={"content-type": "text/plain"}),
        shared.post("/predict", content=b"\x80\x04N.", headers=pickled),
    ):
        assert error(refused, 415)["code"] == "unsupported_media_type"


def test_the_openapi_page_lists_predict(shared: TestClient) -> None:
    spec = shared.get("/docs.json").json()

    text = json.dumps(spec)
    asked = spec["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert list(asked) == ["application/json"]
    for name in ("domain_userid", "explain", "score", "signals", "scoring_attributes", "reasons",
                 "dry_run", "moment"):  # fmt: skip
        assert f'"{name}"' in text
    assert shared.get("/").status_code == 200


def test_a_service_with_a_model_is_alive_and_ready(shared: TestClient) -> None:
    for path in ("/livez", "/healthz", "/readyz"):
        assert shared.get(path).status_code == 200


def test_the_day_of_the_week_is_that_of_signals_clock(
    start: Start, registry: Registry, signals: StandIn
) -> None:
    register_champion(registry, MODEL)

    with start(PROSPECT_CLOCK="2026-05-06T00:00:00") as client:
        sunday = predict(client)["scoring_attributes"]["day_of_week"]
        signals.clock = datetime(2026, 5, 4, tzinfo=UTC)
        monday = predict(client)["scoring_attributes"]["day_of_week"]
        signals.clock = None
        configured = predict(client)["scoring_attributes"]["day_of_week"]

    assert (sunday, monday, configured) == (7, 1, 3)


@pytest.mark.parametrize("above", [True, False])
def test_the_models_own_threshold_decides(start: Start, registry: Registry, above: bool) -> None:
    score = MODEL.score_one(ANNS_COLUMNS)
    threshold = score - 1e-4 if above else score + 1e-4
    register_champion(registry, replace(MODEL, threshold=threshold))

    with start() as client:
        answer = predict(client)

    assert answer["decision"] == {"prospect": above, "threshold": threshold}


def test_a_calibrated_model_is_served_calibrated(start: Start, registry: Registry) -> None:
    calibrated = replace(MODEL, calibration=Calibration(0.7, -0.4))
    register_champion(registry, calibrated)

    with start() as client:
        answer = predict(client, explain=True)

    assert answer["score"] == pytest.approx(calibrated.score_one(ANNS_COLUMNS), abs=1e-9)
    assert answer["score"] != pytest.approx(MODEL.score_one(ANNS_COLUMNS), abs=1e-3)
    [by_hand] = calibrated.contributions(calibrated.encoder.encode_one(ANNS_COLUMNS))
    told = sum(reason["contribution"] for reason in answer["reasons"])
    assert told + by_hand[-1] == pytest.approx(np.log(answer["score"] / (1 - answer["score"])))


def test_attributes_can_be_left_out_of_the_answer(start: Start, registry: Registry) -> None:
    register_champion(registry, MODEL)

    with start(PREDICT_DETAIL="score") as client:
        plain, explained = predict(client), predict(client, explain=True)

    assert plain.keys() == {"domain_userid", "score", "decision", "model"}
    assert plain["score"] == pytest.approx(MODEL.score_one(ANNS_COLUMNS), abs=1e-6)
    assert explained.keys() == plain.keys() | {"base", "reasons"}
    assert {tuple(reason) for reason in explained["reasons"]} == {("feature", "contribution")}


def test_every_answer_is_of_attributes_read_anew(
    start: Start, registry: Registry, signals: StandIn
) -> None:
    register_champion(registry, MODEL)

    with start() as client:
        before = predict(client)
        signals.visitors["ann"] = ANN | {"num_page_views_l7d": 9}
        after = predict(client)

    assert before["signals"]["num_page_views_l7d"] == 3
    assert after["scoring_attributes"]["num_page_views_l7d"] == 9


def test_without_signals_the_caller_is_told_to_come_again(
    start: Start, registry: Registry, signals: StandIn
) -> None:
    register_champion(registry, MODEL)

    with start(SP_SANDBOX_URL="http://127.0.0.1:9") as client:
        reply = client.post("/predict", json={"domain_userid": "ann"})
        ready = client.get("/readyz")

    found = error(reply, 503)
    assert found["code"] == "signals_unavailable"
    assert reply.headers["retry-after"] == "1"
    assert ready.status_code == 200


@pytest.mark.parametrize(
    ("status", "said"), [(500, "answered 500"), (401, "(401)"), (404, "Is it published")]
)
def test_a_signals_that_refuses_is_unavailable_until_it_answers(
    start: Start, registry: Registry, signals: StandIn, status: int, said: str
) -> None:
    register_champion(registry, MODEL)
    signals.status = status

    with start() as client:
        reply = client.post("/predict", json={"domain_userid": "ann"})
        signals.status = 200
        predict(client)

    found = error(reply, 503)
    assert found["code"] == "signals_unavailable"
    assert said in found["message"]


def test_a_silent_signals_costs_no_more_than_its_budget(
    start: Start, registry: Registry, signals: StandIn
) -> None:
    register_champion(registry, MODEL)
    signals.silent = True

    with start(SIGNALS_TIMEOUT_MS="150") as client:
        reply = client.post("/predict", json={"domain_userid": "ann"})

    assert error(reply, 503)["code"] == "signals_unavailable"


@pytest.mark.parametrize("odd", [{"num_sessions_l7d": 3}, {"num_page_views_l7d": "many"}])
def test_values_of_another_type_are_named_as_what_cannot_be_scored(
    start: Start, registry: Registry, signals: StandIn, odd: dict[str, Any]
) -> None:
    register_champion(registry, MODEL)
    signals.visitors["odd"] = ANN | odd

    with start() as client:
        reply = client.post("/predict", json={"domain_userid": "odd"})
        predict(client)

    found = error(reply, 503)
    assert found["code"] == "attributes_unusable"
    assert next(iter(odd)) in found["message"]


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 10**400, 1e300])
def test_a_number_without_bounds_is_scored_as_a_null(
    start: Start, registry: Registry, signals: StandIn, odd: float
) -> None:
    register_champion(registry, MODEL)
    signals.visitors["odd"] = ANN | {"num_page_views_l7d": odd, "num_conversions_l7d": odd}
    signals.visitors["null"] = ANN | {"num_page_views_l7d": None, "num_conversions_l7d": None}

    with start() as client:
        found, expected = predict(client, "odd"), predict(client, "null")

    assert found["score"] == expected["score"]
    assert found["scoring_attributes"] == expected["scoring_attributes"]


def test_a_bad_body_leaves_no_trace_of_itself_in_the_log(
    start: Start, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    register_champion(registry, MODEL)

    with start() as client:
        client.post("/predict", json={"domain_userid": 31415926})

    assert "31415926" not in caplog.text


def test_without_a_model_the_service_waits_for_one(start: Start, registry: Registry) -> None:
    with start(MODEL_POLL_SECONDS="0.05") as client:
        refused = client.post("/predict", json={"domain_userid": "ann"})
        unready = client.get("/readyz")
        alive = client.get("/livez")
        register_champion(registry, MODEL)
        until(lambda: client.get("/readyz").status_code == 200)
        answer = predict(client)

    found = error(refused, 503)
    assert found["code"] == "no_model"
    assert found["message"] == "No model is loaded yet."
    assert refused.headers["retry-after"] == "1"
    assert error(unready, 503)["code"] == "not_ready"
    assert alive.status_code == 200
    assert answer["model"]["version"] == "1"


def test_a_moved_alias_is_followed_without_a_failed_request(
    start: Start, registry: Registry
) -> None:
    register_champion(registry, MODEL)

    with start(MODEL_POLL_SECONDS="0.05") as client:
        assert predict(client)["model"]["version"] == "1"
        second = register(registry, NEWER)
        assert predict(client)["model"]["version"] == "1"
        Champions(registry).promote(second, "a test", "it is told to")
        answers = [predict(client)]
        while answers[-1]["model"]["version"] == "1":
            assert len(answers) < 5000, "the newer version was never served"
            answers.append(predict(client))

    for answer in answers:
        model = {"1": MODEL, "2": NEWER}[answer["model"]["version"]]
        assert answer["score"] == pytest.approx(offline(answer, model), abs=1e-6)
    assert offline(answers[-1], MODEL) != pytest.approx(answers[-1]["score"], abs=1e-4)


@pytest.mark.parametrize(("wanted", "served"), [("latest", "3"), ("2", "2"), ("1", "1")])
def test_a_version_may_be_chosen(
    start: Start, registry: Registry, wanted: str, served: str
) -> None:
    register(registry, MODEL)
    register_champion(registry, NEWER)
    register(registry, MODEL)

    with start(MODEL_VERSION=wanted) as client:
        assert predict(client)["model"]["version"] == served


def test_a_chosen_version_that_does_not_exist_is_named_in_the_log(
    start: Start, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    register_champion(registry, MODEL)

    with start(MODEL_VERSION="9") as client:
        found = error(client.post("/predict", json={"domain_userid": "ann"}), 503)

    assert found["code"] == "no_model"
    assert "has no version 9" in caplog.text


def test_a_registry_that_is_not_there_leaves_the_service_up_and_unready(start: Start) -> None:
    uri = f"http://user:{SECRET}@127.0.0.1:9"

    with start(MLFLOW_TRACKING_URI=uri) as client:
        found = error(client.post("/predict", json={"domain_userid": "ann"}), 503)
        assert error(client.get("/readyz"), 503)["code"] == "not_ready"
        assert client.get("/livez").status_code == 200

    assert found["code"] == "no_model"
    assert found["message"] == "No model is loaded yet."


def test_only_pages_of_configured_origins_may_ask(start: Start, registry: Registry) -> None:
    register_champion(registry, MODEL)
    ours, theirs = {"origin": "https://ours.io"}, {"origin": "https://theirs.io"}
    ask = {"access-control-request-method": "POST"}

    with start(PREDICT_CORS_ORIGINS="https://ours.io") as client:
        asked = [
            client.post("/predict", json={"domain_userid": "ann"}, headers=h)
            for h in (ours, theirs)
        ]
        before = [client.options("/predict", headers=h | ask) for h in (ours, theirs)]

    name = "access-control-allow-origin"
    assert [reply.headers.get(name) for reply in asked] == ["https://ours.io", None]
    assert [reply.headers.get(name) for reply in before] == ["https://ours.io", None]
    assert [reply.status_code for reply in before] == [200, 400]


def test_without_configured_origins_no_page_may_ask(shared: TestClient) -> None:
    reply = shared.post(
        "/predict", json={"domain_userid": "ann"}, headers={"origin": "https://ours.io"}
    )

    assert [name for name in reply.headers if name.startswith("access-control")] == []


def test_over_the_local_signals_what_is_served_is_what_the_sdk_reads(
    folder: Path, registry: Registry, tmp_path: Path
) -> None:
    register_champion(registry, MODEL)
    data = DataSettings.load(data_dir=tmp_path)
    settings = DefinitionSettings.load()
    events = [
        event("a", NOW, page_url="https://x.io/pricing"),
        event("b", NOW, session="s2", mkt_medium="cpc"),
        event("c", NOW, "submit_form", session="s2"),
    ]
    EventStore(data).load(write(events, tmp_path / "events.parquet"))

    with signals_over(data) as sdk:
        sdk.publish([prospect.attribute_group(settings), prospect.service(settings)])
        known = sdk.get_service_attributes(settings.service_name, "domain_userid", "ann")
        address = {"url": sdk.api_client.api_url, "token": TOKEN, "pid": os.getpid()}
        (folder / "sandbox.json").write_text(json.dumps(address))
        name = registry.settings.model_name
        with service(folder, tmp_path, MODEL_NAME=name, SIGNALS_TIMEOUT_MS="1500") as client:
            answer, stranger = predict(client), predict(client, "nobody")
            (folder / "sandbox.json").unlink()
            still = predict(client)

    assert {"domain_userid": "ann", **answer["signals"]} == known
    assert answer["scoring_attributes"]["num_sessions_l7d"] == 2
    assert answer["scoring_attributes"]["had_conversions_l7d"] == 1
    assert answer["scoring_attributes"]["day_of_week"] == NOW.isoweekday() == 5
    assert answer["score"] == pytest.approx(offline(answer), abs=1e-6)
    assert set(stranger["signals"].values()) == {None}
    assert still == answer


def test_without_a_local_signals_it_is_said_how_to_start_one(
    folder: Path, registry: Registry, tmp_path: Path
) -> None:
    register_champion(registry, MODEL)

    with service(folder, tmp_path, MODEL_NAME=registry.settings.model_name) as client:
        found = error(client.post("/predict", json={"domain_userid": "ann"}), 503)

    assert found["code"] == "signals_unavailable"
    assert "prospect sandbox" in found["message"]


def test_a_bad_setting_ends_the_worker_with_one_message(folder: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(SystemExit) as ended,
        service(folder, tmp_path, PREDICT_RATE_LIMIT="many"),
    ):
        pass

    assert str(ended.value).startswith("Error: PREDICT_RATE_LIMIT: Input should be a valid integer")
