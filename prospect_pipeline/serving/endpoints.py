"""The hot path: ``POST /predict`` and ``/predict_batch`` from HTTP to HTTP, without a framework.

What a request needs is done here once: who may ask, how large a body may be, how many at a time.
BentoML's own way costs more than the answer: a task, a timer and a context for each request, which
it keeps in memory until ``traffic.timeout`` has passed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from prospect_pipeline.errors import ProspectError
from prospect_pipeline.serving.answers import Answer
from prospect_pipeline.serving.bodies import Bodies
from prospect_pipeline.serving.guard import ApiKeys, RateLimit
from prospect_pipeline.serving.logs import RequestLog
from prospect_pipeline.serving.metrics import Metrics
from prospect_pipeline.serving.refusal import Refusal, too_busy
from prospect_pipeline.serving.tracing import Spans

Body = TypeVar("Body", bound=BaseModel)
MOST_PROBLEMS = 5
BETTER = {
    "string_pattern_mismatch": "An identifier has no control characters, and is not blank",
    "too_short": "Name 1 at least",
}
"""What is said instead of pydantic's words, by its name of the problem."""

SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
)
JSON = ((b"content-type", b"application/json"), *SECURITY)

logger = logging.getLogger("prospect.service")


class Slots:
    """How much is answered at a time on one path; whoever comes beyond is refused at once.

    A request takes one slot, and one of many visitors as many as it makes calls to Signals.
    """

    def __init__(self, most: int, visitors_each: int, metrics: Metrics) -> None:
        self.most = most
        self.visitors_each = visitors_each
        self.metrics = metrics
        self.taken = 0

    @contextmanager
    def take(self, visitors: int) -> Iterator[None]:
        """Take slots while the block runs; raises Refusal where there are too few.

        One request is let through where none is being answered, however many slots it needs.
        """
        wanted = -(-visitors // self.visitors_each)
        if self.taken and self.taken + wanted > self.most:
            raise too_busy()
        self.taken += wanted
        self.metrics.in_flight.inc()
        try:
            yield
        finally:
            self.taken -= wanted
            self.metrics.in_flight.dec()


@dataclass(frozen=True)
class Gate:
    """What every endpoint of a service shares: keys, limits, and what is told of requests.

    ``told`` says what a caller is told of a problem, ``version`` which model is in use.
    """

    keys: ApiKeys
    rate: RateLimit
    bodies: Bodies
    slots: Slots
    metrics: Metrics
    log: RequestLog
    spans: Spans
    told: Callable[[ProspectError], Refusal]
    version: Callable[[], str | None]


class Endpoint(Generic[Body]):
    """An ASGI application for one path: a JSON body in, JSON out.

    ``answer`` returns what is told and what came of it, a word for metrics and log; ``visitors``
    says how many a body asks for, and raises Refusal where these are too many.
    """

    def __init__(
        self,
        path: str,
        kind: type[Body],
        answer: Callable[[Body], Awaitable[tuple[Answer, str]]],
        visitors: Callable[[Body], int],
        most_bytes: int,
        gate: Gate,
    ) -> None:
        self.path = path
        self.answer = answer
        self.visitors = visitors
        self.most_bytes = most_bytes
        self.gate = gate
        self._validate = kind.__pydantic_validator__.validate_json
        self._seconds = gate.metrics.request.labels(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        began = time.perf_counter()
        with self.gate.spans.span(self.path, scope["headers"]) as span:
            refused: Refusal | None = None
            reason, version = "", self.gate.version()
            try:
                content, outcome = await self._answered(scope, receive)
                version = content["model"]["version"]
            except Refusal as problem:
                refused, outcome = problem, problem.code
            except ProspectError as problem:
                refused, reason = self.gate.told(problem), str(problem)
                outcome = refused.code
            except Exception:  # a bug: the caller is told that there is one, and no more
                logger.exception("A request failed unexpectedly.")
                refused, outcome = Refusal.of(500), "internal"
            status = refused.status if refused else 200
            body = to_json(refused.body if refused else content, inf_nan_mode="null")
            await _respond(send, status, body, refused)
            seconds = time.perf_counter() - began
            self._seconds.observe(seconds)
            self.gate.metrics.outcomes.labels(self.path, outcome, version or "").inc()
            self.gate.log.note(self.path, status, outcome, seconds, version, reason)
            if span is not None:
                span.set_attribute("http.response.status_code", status)
                span.set_attribute("prospect.outcome", outcome)
                span.set_attribute("prospect.model.version", version or "")

    async def _answered(self, scope: Scope, receive: Receive) -> tuple[Answer, str]:
        client = (scope.get("client") or ("",))[0]
        self._admit(scope, client)
        body = await self.gate.bodies.read(receive, self.most_bytes)
        try:
            asked = self._validate(body)
        except ValidationError as error:
            raise Refusal.of(400, in_words(error.errors(include_input=False))) from None
        visitors = self.visitors(asked)
        if visitors > 1:
            self._count(client, visitors - 1)
        with self.gate.slots.take(visitors):
            return await self.answer(asked)

    def _admit(self, scope: Scope, client: str) -> None:
        if scope["method"] != "POST":
            raise Refusal.of(405, f"This path is asked by POST: POST {self.path}.")
        self._count(client, 1)
        headers = dict(scope["headers"])
        if not is_json(headers):
            raise Refusal.of(415)
        if not self.gate.keys.accept(headers.get(b"authorization"), headers.get(b"x-api-key")):
            raise Refusal.of(401)
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self.most_bytes:
            raise Refusal.too_large(self.most_bytes)

    def _count(self, client: str, requests: int) -> None:
        wait = self.gate.rate.wait(client, requests)
        if wait:
            raise Refusal.of(429, retry_after=wait)


def is_json(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a body is said to be JSON, or nothing is said of it, which a page may not do.

    A browser asks first whether a page may send JSON, but lets any page send what has no type.
    """
    content_type = headers.get(b"content-type")
    if content_type is None:
        return b"origin" not in headers
    return content_type.split(b";")[0].strip().lower() == b"application/json"


def in_words(problems: list[Any]) -> str:
    """Return what pydantic found wrong with a body, field by field."""
    words = [
        f"{'.'.join(map(str, problem.get('loc', []))) or 'body'}: "
        f"{BETTER.get(problem.get('type'), problem.get('msg'))}"
        for problem in problems[:MOST_PROBLEMS]
    ]
    more = len(problems) - len(words)
    return "; ".join([*words, f"and {more:,} more"] if more else words)


async def _respond(send: Send, status: int, body: bytes, refused: Refusal | None) -> None:
    headers = [*JSON, (b"content-length", str(len(body)).encode())]
    if refused is not None:
        headers += [(name.encode(), value.encode()) for name, value in refused.headers.items()]
        if status == 405:
            headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
