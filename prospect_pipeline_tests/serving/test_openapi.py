"""The OpenAPI document: that it is valid, and says of this service what is so."""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from starlette.testclient import TestClient

from prospect_pipeline.serving import openapi, schemas
from prospect_pipeline.serving.service import ProspectScoring
from prospect_pipeline.settings import MOST_VISITORS
from prospect_pipeline_tests.sandbox.conftest import serving
from prospect_pipeline_tests.serving.services import SECRET, service, settings
from prospect_pipeline_tests.serving.standin import ANN, StandIn

KEY = "a-key-that-nobody-guesses"
ALWAYS = {"200", "400", "408", "413", "415", "500", "503"}


@pytest.fixture(scope="module")
def signals() -> Iterator[StandIn]:
    made = StandIn(visitors={"ann": ANN, "odd": ANN | {"num_sessions_l7d": 3}})
    with serving(made.app) as made.url:
        yield made


@pytest.fixture(scope="module")
def client(
    champion: Path, signals: StandIn, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    variables = {
        "SP_SANDBOX_URL": signals.url,
        "SP_SANDBOX_TOKEN": SECRET,
        "SIGNALS_TIMEOUT_MS": "1500",
        "SIGNALS_BREAKER_FAILURES": "1000",
        "PREDICT_BATCH_LIMIT": "3",
        "PREDICT_STALE_SECONDS": "300",
        "PREDICT_STALE_VISITORS": "1",
    }
    with service(champion, tmp_path_factory.mktemp("working"), **variables) as client:
        yield client


@pytest.fixture(scope="module")
def document(client: TestClient) -> Any:
    return client.get("/docs.json").json()


def written(folder: Path, **variables: str) -> Any:
    """The document of a service with these settings."""
    with settings(folder, folder, **variables):
        return json.loads(json.dumps(ProspectScoring.openapi_spec.asdict()))


def test_the_document_is_valid(document: Any) -> None:
    schemathesis.openapi.from_dict(document).validate()


def test_an_invalid_document_would_be_noticed(document: Any) -> None:
    wrong = document | {"paths": {"/predict": {"post": {"requestBody": 3}}}}

    with pytest.raises(Exception, match="3 is not of type"):
        schemathesis.openapi.from_dict(wrong).validate()


def test_it_speaks_of_this_service_alone(document: Any) -> None:
    assert list(document["paths"]) == [
        "/predict",
        "/predict_batch",
        "/livez",
        "/readyz",
        "/metrics",
    ]
    assert document["info"]["title"] == "prospect_scoring"
    assert "contact" not in document["info"]
    assert "BentoML" not in json.dumps(document)
    assert set(document["components"]["schemas"]) == {
        name
        for name, found in vars(schemas).items()
        if inspect.isclass(found) and found.__module__ == schemas.__name__
    }


def test_the_limits_are_those_of_the_settings(document: Any, tmp_path: Path) -> None:
    named = document["components"]["schemas"]
    visitor = named["PredictRequest"]["properties"]["domain_userid"]
    visitors = named["PredictBatchRequest"]["properties"]["domain_userids"]

    assert (visitor["minLength"], visitor["maxLength"]) == (1, 128)
    assert (visitors["minItems"], visitors["maxItems"]) == (1, 3)
    assert visitors["items"] == visitor
    assert said(document, "/predict", "413") == "The body is too large: 16,384 bytes are allowed."
    largest = written(
        tmp_path, PREDICT_BATCH_LIMIT=str(MOST_VISITORS), PREDICT_MAX_BODY_BYTES="1024"
    )
    assert said(largest, "/predict", "413") == "The body is too large: 1,024 bytes are allowed."
    assert "10,241,024 bytes" in said(largest, "/predict_batch", "413")


def said(document: Any, path: str, status: str) -> str:
    content = document["paths"][path]["post"]["responses"][status]["content"]["application/json"]
    [example] = content["examples"].values()
    return str(example["value"]["error"]["message"])


@pytest.mark.parametrize(
    ("variables", "more"),
    [
        ({}, set()),
        ({"PREDICT_API_KEY": KEY}, {"401"}),
        ({"PREDICT_RATE_LIMIT": "60"}, {"429"}),
    ],
)
def test_each_status_that_can_come_is_named(
    variables: dict[str, str], more: set[str], tmp_path: Path
) -> None:
    found = written(tmp_path, **variables)

    for path in ("/predict", "/predict_batch"):
        assert set(found["paths"][path]["post"]["responses"]) == ALWAYS | more


def test_keys_are_spoken_of_where_one_is_set(document: Any, tmp_path: Path) -> None:
    closed = written(tmp_path, PREDICT_API_KEY=KEY)

    assert "securitySchemes" not in document["components"]
    assert "security" not in document["paths"]["/predict"]["post"]
    assert closed["components"]["securitySchemes"] == {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    assert closed["paths"]["/predict"]["post"]["security"] == [{"bearer": []}, {"header": []}]
    assert "security" not in closed["paths"]["/livez"]["get"]
    assert KEY not in json.dumps(closed)


def test_where_batches_are_switched_off_they_are_not_spoken_of(tmp_path: Path) -> None:
    found = written(tmp_path, PREDICT_BATCH_LIMIT="0")

    assert "/predict_batch" not in found["paths"]
    assert not [name for name in found["components"]["schemas"] if "Batch" in name]
    schemathesis.openapi.from_dict(found).validate()


def test_what_is_left_out_is_not_called_null(document: Any) -> None:
    text = json.dumps(document["components"]["schemas"])

    assert '"null"' not in text
    assert "null" not in json.dumps(document["components"]["schemas"]["Prediction"])
    assert document["components"]["schemas"]["Prediction"]["required"] == [
        "domain_userid", "score", "decision", "model"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "examples"),
    [
        (schemas.PredictRequest, openapi.ONE_REQUEST),
        (schemas.Prediction, openapi.ONE_ANSWER),
        (schemas.PredictBatchRequest, openapi.MANY_REQUEST),
        (schemas.Predictions, openapi.MANY_ANSWER),
    ],
)
def test_the_examples_are_of_their_schemas(model: Any, examples: dict[str, Any]) -> None:
    for example in examples.values():
        read = model.model_validate(example)
        assert json.loads(read.model_dump_json(exclude_unset=True)).keys() == example.keys()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        *(("/predict", example) for example in openapi.ONE_REQUEST.values()),
        ("/predict", {"domain_userid": "odd"}),
        ("/predict", {"domain_userid": ""}),
        ("/predict_batch", *openapi.MANY_REQUEST.values()),
        ("/predict_batch", {"domain_userids": ["ann", "odd"]}),
        ("/predict_batch", {"domain_userids": ["ann"] * 4}),
    ],
)
def test_an_answer_is_as_the_document_says(
    client: TestClient, document: Any, path: str, body: Any
) -> None:
    conforms(document, path, client.post(path, json=body))


def test_answers_in_need_are_as_the_document_says(
    client: TestClient, document: Any, signals: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/predict", json={"domain_userid": "ann"})
    monkeypatch.setattr(signals, "status", 500)
    stale = client.post("/predict", json={"domain_userid": "ann"})
    away = client.post("/predict", json={"domain_userid": "bob"})

    assert stale.json()["stale"] is True
    assert (away.status_code, away.json()["error"]["code"]) == (503, "signals_unavailable")
    conforms(document, "/predict", stale)
    conforms(document, "/predict", away)


def test_refusals_are_as_the_document_says(client: TestClient, document: Any) -> None:
    large = client.post("/predict", content=b" " * 16_385)
    form = client.post("/predict", data={"domain_userid": "ann"})

    assert (large.status_code, form.status_code) == (413, 415)
    conforms(document, "/predict", large)
    conforms(document, "/predict", form)


def test_a_code_of_another_status_would_be_noticed(client: TestClient, document: Any) -> None:
    responses = document["paths"]["/predict"]["post"]["responses"]
    wrong = document | {"paths": {"/predict": {"post": {"responses": {"415": responses["413"]}}}}}
    form = client.post("/predict", data={"domain_userid": "ann"})

    with pytest.raises(Exception, match="unsupported_media_type"):
        conforms(wrong, "/predict", form)


def conforms(document: Any, path: str, reply: Any) -> None:
    """Fail unless the document has this status, with this content and these headers."""
    operation = schemathesis.openapi.from_dict(document)[path]["POST"]
    assert str(reply.status_code) in operation.definition.raw["responses"]
    operation.validate_response(reply)
    for name in operation.definition.raw["responses"][str(reply.status_code)].get("headers", {}):
        assert int(reply.headers[name]) >= 1


def test_the_document_can_be_packed(document: Any) -> None:
    packed = yaml.safe_load(yaml.dump(ProspectScoring.openapi_spec))

    assert packed["openapi"] == document["openapi"]
    assert packed["paths"].keys() == document["paths"].keys()
