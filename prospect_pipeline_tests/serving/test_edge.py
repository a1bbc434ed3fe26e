"""What every request passes, around small applications of the test's own."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from prospect_pipeline.serving.edge import Edge

OURS, THEIRS = "https://ours.example.com", "https://theirs.example.com"


@pytest.fixture(autouse=True)
def settings_of_this_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PREDICT_CORS_ORIGINS", raising=False)
    monkeypatch.chdir(tmp_path)


@contextmanager
def around(answer: Response) -> Iterator[TestClient]:
    """An application that always answers the same at /predict."""

    async def predict(request: Request) -> Response:
        await request.body()
        return answer

    app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
    with TestClient(Edge(app), raise_server_exceptions=False) as client:
        yield client


def said(answer: Response) -> tuple[int, Any]:
    with around(answer) as client:
        reply = client.post("/predict", json={})
    assert reply.headers["content-type"] == "application/json"
    return reply.status_code, reply.json()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "bad_request"),
        (404, "not_found"),
        (405, "method_not_allowed"),
        (413, "too_large"),
        (415, "unsupported_media_type"),
        (429, "rate_limited"),
        (500, "internal"),
        (502, "internal"),
        (503, "not_ready"),
        (504, "timeout"),
    ],
)
@pytest.mark.parametrize(
    "body",
    ["Traceback (most recent call last): ...", '{"error": "secrets"}', '[{"error": 1}]', "", "3"],
)
def test_a_foreign_error_is_told_in_the_one_shape(status: int, code: str, body: str) -> None:
    found, error = said(PlainTextResponse(body, status))

    assert found == status
    assert error.keys() == {"error"}
    assert error["error"].keys() == {"code", "message"}
    assert error["error"]["code"] == code
    assert "Traceback" not in error["error"]["message"]
    assert "secrets" not in error["error"]["message"]


def test_an_error_of_ours_stays_as_it_is() -> None:
    own = {"error": {"code": "no_model", "message": "Train one."}}

    assert said(JSONResponse(own, 503)) == (503, own)


def test_invalid_fields_are_named_with_what_is_wrong() -> None:
    problems = [
        {"loc": ["domain_userid"], "msg": "Field required"},
        {"loc": ["explain", 0], "msg": "Input should be a valid boolean"},
        {"loc": [], "msg": "Invalid JSON"},
    ]

    _, error = said(JSONResponse({"error": "3 validation errors", "detail": problems}, 400))

    assert error["error"] == {
        "code": "bad_request",
        "message": "domain_userid: Field required; explain.0: Input should be a valid boolean; "
        "body: Invalid JSON",
    }


def test_an_error_in_several_parts_is_told_whole() -> None:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b'{"error": {"code": ', b'"mine", "message"', b': "Whole."}}'):
            yield part

    assert said(StreamingResponse(parts(), 503)) == (
        503,
        {"error": {"code": "mine", "message": "Whole."}},
    )


def test_of_an_errors_headers_only_those_for_the_caller_stay() -> None:
    headers = {"Retry-After": "1", "Allow": "POST", "X-Internal": "secret", "Set-Cookie": "a=b"}

    with around(PlainTextResponse("busy", 429, headers)) as client:
        reply = client.post("/predict", json={})

    assert (reply.headers["retry-after"], reply.headers["allow"]) == ("1", "POST")
    assert not {"x-internal", "set-cookie"} & reply.headers.keys()
    assert int(reply.headers["content-length"]) == len(reply.content)


def test_an_answer_passes_unchanged() -> None:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b'{"error": ', b'{"code": "no error at all"}}'):
            yield part

    with around(StreamingResponse(parts(), 200, {"X-Any": "kept"})) as client:
        reply = client.post("/predict", json={})

    assert reply.status_code == 200
    assert reply.headers["x-any"] == "kept"
    assert reply.text == '{"error": {"code": "no error at all"}}'


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        " application/json ;x=y",
    ],
)
def test_json_is_taken_however_it_is_called(kind: str) -> None:
    with around(PlainTextResponse("fine")) as client:
        assert client.post("/predict", content="{}", headers={"content-type": kind}).text == "fine"


def test_a_body_of_no_said_type_is_taken_for_json() -> None:
    with around(PlainTextResponse("fine")) as client:
        assert client.post("/predict", content=b"{}").text == "fine"


@pytest.mark.parametrize(
    "kind",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/vnd.bentoml+pickle",
        "application/jsonx",
        "application/problem+json",
        "",
    ],
)
def test_what_is_not_json_is_refused(kind: str) -> None:
    with around(PlainTextResponse("never asked")) as client:
        reply = client.post("/predict", content="{}", headers={"content-type": kind})

    assert reply.status_code == 415
    assert reply.json() == {
        "error": {
            "code": "unsupported_media_type",
            "message": "Send the body as application/json.",
        }
    }


def test_other_paths_and_methods_are_told_in_the_one_shape() -> None:
    with around(PlainTextResponse("fine")) as client:
        nowhere, read = client.get("/nowhere"), client.get("/predict")

    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "not_found")
    assert (read.status_code, read.json()["error"]["code"]) == (405, "method_not_allowed")
    assert read.headers["allow"] == "POST"
    assert read.json()["error"]["message"] == "This path is asked by POST."


def test_before_the_service_has_started_nothing_is_answered() -> None:
    async def predict(request: Request) -> Response:
        return PlainTextResponse("a score, whatever the key")

    app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
    reply = TestClient(Edge(app)).post("/predict", json={})  # not entered: it never starts

    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "not_ready")
    assert reply.headers["retry-after"] == "1"


def test_nobody_is_sent_to_where_the_host_header_says() -> None:
    with around(PlainTextResponse("fine")) as client:
        reply = client.post("/predict/", json={}, headers={"host": "theirs.example.com"})

    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_found")
    assert "location" not in reply.headers


def test_a_page_must_say_that_it_sends_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREDICT_CORS_ORIGINS", OURS)

    with around(PlainTextResponse("never asked")) as client:
        replies = [
            client.post("/predict", content=b"{}", headers={"origin": origin})
            for origin in (OURS, THEIRS, "null")
        ]

    assert [reply.status_code for reply in replies] == [415, 415, 415]


def test_a_page_loads_nothing_from_elsewhere() -> None:
    with around(PlainTextResponse("a page")) as client:
        policy = client.post("/predict", json={}).headers["content-security-policy"]

    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("style-src") == "'self' 'unsafe-inline'"
    assert rules.pop("img-src") == "'self' data:"
    assert set(rules.values()) == {"'self'", "'none'"}
    assert {"default-src", "script-src", "connect-src", "frame-ancestors"} <= rules.keys()


def test_what_is_not_http_passes() -> None:
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()

    app = Starlette(routes=[WebSocketRoute("/echo", echo)])
    with TestClient(Edge(app)) as client, client.websocket_connect("/echo") as socket:
        socket.send_text("hello")
        assert socket.receive_text() == "hello"


def test_without_configured_origins_no_page_may_ask() -> None:
    with around(PlainTextResponse("fine")) as client:
        asked = client.post("/predict", json={}, headers={"origin": OURS})
        before = client.options("/predict", headers=preflight(OURS))

    assert asked.text == "fine"
    assert before.status_code == 405
    assert "access-control-allow-origin" not in {**asked.headers, **before.headers}


def preflight(origin: str, method: str = "POST") -> dict[str, str]:
    return {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": "content-type",
    }


def test_pages_of_the_configured_origins_may_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREDICT_CORS_ORIGINS", f"{OURS}, https://also.example.com")

    with around(PlainTextResponse("fine")) as client:
        for origin in (OURS, "https://also.example.com"):
            asked = client.post("/predict", json={}, headers={"origin": origin})
            before = client.options("/predict", headers=preflight(origin))
            assert asked.headers["access-control-allow-origin"] == origin
            assert before.status_code == 200
            assert before.headers["access-control-allow-origin"] == origin
            assert before.headers["access-control-allow-methods"] == "POST"


def test_pages_of_other_origins_may_not_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREDICT_CORS_ORIGINS", OURS)

    with around(PlainTextResponse("fine")) as client:
        asked = client.post("/predict", json={}, headers={"origin": THEIRS})
        before = client.options("/predict", headers=preflight(THEIRS))
        deleting = client.options("/predict", headers=preflight(OURS, "DELETE"))

    assert "access-control-allow-origin" not in {**asked.headers, **before.headers}
    assert (before.status_code, deleting.status_code) == (400, 400)


def test_a_page_that_may_ask_may_read_the_errors_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREDICT_CORS_ORIGINS", OURS)

    with around(PlainTextResponse("busy", 503)) as client:
        refused = client.post("/predict", json={}, headers={"origin": OURS})
        form = client.post("/predict", data={"a": "b"}, headers={"origin": OURS})

    assert (refused.status_code, form.status_code) == (503, 415)
    for reply in (refused, form):
        assert reply.headers["access-control-allow-origin"] == OURS
        assert json.loads(reply.text).keys() == {"error"}
