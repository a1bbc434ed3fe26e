"""One endpoint, from HTTP to HTTP, around answers of the test's own."""

import asyncio
import functools
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from prospect_pipeline.errors import InputError, NoModel, ProspectError, SignalsUnavailable
from prospect_pipeline.serving import bodies
from prospect_pipeline.serving.bodies import Bodies
from prospect_pipeline.serving.endpoints import Endpoint, Gate, Slots
from prospect_pipeline.serving.guard import ApiKeys, RateLimit
from prospect_pipeline.serving.logs import RequestLog
from prospect_pipeline.serving.metrics import metrics
from prospect_pipeline.serving.refusal import refusal
from prospect_pipeline.serving.schemas import PredictBatchRequest
from prospect_pipeline.serving.tracing import Spans

KEY = "a-key-that-nobody-guesses"
ANN = b'{"domain_userids": ["ann"]}'
MOST_BYTES = 200


@dataclass
class Setting:
    """An endpoint for visitors, and who has been answered."""

    key: str | None = None
    a_minute: int = 0
    slots: int = 4
    problem: Exception | None = None
    answered: list[list[str]] = field(default_factory=list)
    told: bool = True

    def __post_init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.gate = Gate(
            ApiKeys(SecretStr(self.key) if self.key else None),
            RateLimit(self.a_minute, lambda: 0.0),
            Bodies(),
            Slots(self.slots, 2, metrics()),
            metrics(),
            RequestLog(0),
            Spans(None),
            lambda problem: refusal(problem, told=self.told, retry_after=2.5),
            lambda: "7",
        )
        self.endpoint = Endpoint(
            "/predict_batch",
            PredictBatchRequest,
            self._answer,
            lambda asked: len(asked.domain_userids),
            MOST_BYTES,
            self.gate,
        )

    async def _answer(self, asked: PredictBatchRequest) -> tuple[dict[str, Any], str]:
        await self.goes_on.wait()
        if self.problem:
            raise self.problem
        self.answered.append(asked.domain_userids)
        model = {"name": "m", "version": "7"}
        return {"fine": asked.domain_userids, "nothing": float("nan"), "model": model}, "scored"

    async def ask(
        self, *parts: bytes | None, method: str = "POST", client: str = "1.2.3.4", **headers: str
    ) -> "Reply":
        """Send a body in parts (None: the caller goes away; none at all: it never comes)."""
        left = list(parts)

        async def receive() -> dict[str, Any]:
            if not left:
                await asyncio.Event().wait()
            part = left.pop(0)
            if part is None:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": part, "more_body": bool(left)}

        sent: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            sent.append(message)

        named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        scope = {
            "type": "http",
            "method": method,
            "client": (client, 1234),
            "headers": list(({b"content-type": b"application/json"} | named).items()),
        }
        await self.endpoint(scope, receive, send)
        start, body = sent
        return Reply(start["status"], dict(start["headers"]), body["body"])


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def code(self) -> str:
        """The error's code; that it is one in the one shape is asserted."""
        said = json.loads(self.body)
        assert said.keys() == {"error"}
        assert said["error"].keys() == {"code", "message"}
        return str(said["error"]["code"])

    @property
    def message(self) -> str:
        return str(json.loads(self.body)["error"]["message"])


Case = Callable[..., Awaitable[None]]


def looped(case: Case) -> Callable[..., None]:
    """Run a test in a loop of its own."""

    @functools.wraps(case)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(case(*args, **kwargs))  # type: ignore[arg-type]

    return run


@looped
async def test_an_answer_is_json_that_no_cache_keeps() -> None:
    reply = await Setting().ask(ANN)

    assert (reply.status, reply.body) == (
        200,
        b'{"fine":["ann"],"nothing":null,"model":{"name":"m","version":"7"}}',
    )
    assert reply.headers == {
        b"content-type": b"application/json",
        b"content-length": str(len(reply.body)).encode(),
        b"x-content-type-options": b"nosniff",
        b"cache-control": b"no-store",
        b"referrer-policy": b"no-referrer",
    }


@looped
async def test_a_body_may_come_in_parts() -> None:
    setting = Setting()

    assert (await setting.ask(ANN[:5], ANN[5:9], ANN[9:], b"")).status == 200
    assert setting.answered == [["ann"]]


@looped
async def test_without_a_key_that_is_accepted_nobody_is_answered() -> None:
    setting = Setting(key=KEY)

    refused = [await setting.ask(ANN), await setting.ask(ANN, authorization="Bearer something")]
    accepted = [
        await setting.ask(ANN, authorization=f"Bearer {KEY}"),
        await setting.ask(ANN, x_api_key=KEY),
    ]

    assert [(reply.status, reply.code) for reply in refused] == [(401, "unauthorized")] * 2
    assert [reply.headers[b"www-authenticate"] for reply in refused] == [b"Bearer"] * 2
    assert [reply.status for reply in accepted] == [200, 200]
    assert KEY not in refused[1].body.decode()


@looped
async def test_who_asks_too_often_is_told_when_to_come_again() -> None:
    setting = Setting(a_minute=2)
    replies = [await setting.ask(ANN) for _ in range(3)]

    assert [reply.status for reply in replies] == [200, 200, 429]
    assert replies[2].code == "rate_limited"
    assert replies[2].headers[b"retry-after"] == b"30"
    assert (await setting.ask(ANN, client="5.6.7.8")).status == 200


@looped
async def test_each_visitor_of_a_batch_counts() -> None:
    setting = Setting(a_minute=3)
    two = b'{"domain_userids": ["ann", "bob"]}'

    assert [(await setting.ask(two)).status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("said", ["", "201", "2", "-1", "many"])
@looped
async def test_a_body_beyond_the_limit_is_refused_whatever_is_said_of_it(said: str) -> None:
    setting = Setting()
    headers = {"content_length": said} if said else {}

    reply = await setting.ask(b" " * 150, b" " * 51, b"never read", **headers)

    assert (reply.status, reply.code) == (413, "too_large")
    assert reply.message == "The body is too large: 200 bytes are allowed."


@looped
async def test_a_body_up_to_the_limit_is_read() -> None:
    assert (await Setting().ask(ANN + b" " * (MOST_BYTES - len(ANN)))).status == 200


@looped
async def test_a_body_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.01)

    reply = await Setting().ask()

    assert (reply.status, reply.code) == (408, "timeout")


@looped
async def test_who_goes_away_before_the_end_is_not_answered_for() -> None:
    setting = Setting()

    reply = await setting.ask(ANN[:5], None)

    assert reply.code == "disconnected"
    assert setting.answered == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "post"])
@looped
async def test_another_method_is_refused(method: str) -> None:
    reply = await Setting().ask(ANN, method=method)

    assert (reply.status, reply.code) == (405, "method_not_allowed")
    assert reply.headers[b"allow"] == b"POST"
    assert reply.message == "This path is asked by POST: POST /predict_batch."


@pytest.mark.parametrize("kind", ["text/plain", "application/jsonx", "multipart/form-data", ""])
@looped
async def test_another_type_is_refused(kind: str) -> None:
    assert (await Setting().ask(ANN, content_type=kind)).status == 415


@looped
async def test_of_many_problems_the_first_are_named() -> None:
    body = json.dumps({"domain_userids": [1] * 30}).encode()

    reply = await Setting().ask(body)

    assert reply.status == 400
    assert reply.message.startswith("domain_userids.0: Input should be a valid string; domain_")
    assert reply.message.endswith("domain_userids.4: Input should be a valid string; and 25 more")


@looped
async def test_beyond_its_slots_whoever_comes_is_refused_at_once() -> None:
    setting = Setting(slots=2)
    setting.goes_on.clear()
    first, second = (asyncio.create_task(setting.ask(ANN)) for _ in range(2))
    while setting.gate.slots.taken < 2:
        await asyncio.sleep(0)

    refused = await setting.ask(ANN)
    setting.goes_on.set()

    assert (refused.status, refused.code) == (503, "too_busy")
    assert refused.headers[b"retry-after"] == b"1"
    assert [(await each).status for each in (first, second)] == [200, 200]
    assert setting.gate.slots.taken == 0
    assert (await setting.ask(ANN)).status == 200


@looped
async def test_many_visitors_take_as_many_slots_as_calls_to_signals() -> None:
    setting = Setting(slots=3)
    setting.goes_on.clear()
    four = b'{"domain_userids": ["a", "b", "c", "d"]}'
    first = asyncio.create_task(setting.ask(four))
    while not setting.gate.slots.taken:
        await asyncio.sleep(0)

    assert setting.gate.slots.taken == 2
    assert (await setting.ask(four)).code == "too_busy"
    setting.goes_on.set()
    assert (await first).status == 200


@looped
async def test_where_nothing_is_being_answered_even_the_largest_is_let_through() -> None:
    assert (await Setting(slots=1).ask(b'{"domain_userids": ["a", "b", "c", "d"]}')).status == 200


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (NoModel("Its address is secret."), "no_model"),
        (SignalsUnavailable("It is away."), "signals_unavailable"),
        (InputError("It is a list."), "attributes_unusable"),
    ],
)
@looped
async def test_a_problem_has_its_code_and_says_when_to_come_again(
    problem: ProspectError, code: str
) -> None:
    setting = Setting(problem=problem)

    reply = await setting.ask(ANN)

    assert (reply.status, reply.code) == (503, code)
    assert reply.headers[b"retry-after"] == b"3"
    assert setting.gate.slots.taken == 0


@looped
async def test_of_a_problems_words_a_public_site_is_told_nothing_and_the_log_all(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inside = "Signals refused group 'ours' at https://signals.internal."
    told = await Setting(problem=SignalsUnavailable(inside)).ask(ANN)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        untold = await Setting(problem=SignalsUnavailable(inside), told=False).ask(ANN)

    assert told.message == inside
    assert untold.message == "The attributes cannot be read at the moment."
    assert [record.__dict__["reason"] for record in caplog.records] == [inside]


@looped
async def test_a_bug_is_told_as_one_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    reply = await Setting(problem=RuntimeError("of the inside")).ask(ANN)

    assert (reply.status, reply.code) == (500, "internal")
    assert b"inside" not in reply.body
    assert "of the inside" in caplog.text
