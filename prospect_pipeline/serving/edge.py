"""What every request passes: CORS as configured, JSON only, and errors in one shape.

``{"error": {"code": ..., "message": ...}}``, for BentoML's own errors too: its bodies are plain
text, or speak of its internals.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prospect_pipeline.serving.endpoints import SECURITY, in_words, is_json
from prospect_pipeline.serving.page import PAGE
from prospect_pipeline.serving.refusal import Refusal
from prospect_pipeline.settings import ServingSettings

Endpoints = Mapping[str, ASGIApp]

# Swagger's page shows the address to a validator, which is not loaded.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
REDIRECTS = (301, 302, 303, 307, 308)
PAGES = (*SECURITY, (b"content-security-policy", POLICY.encode()))


class Cors(CORSMiddleware):
    """Starlette's, whose refusal of a preflight is no JSON."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer what a browser asks before it asks."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        words = "Pages of this origin may not ask, or not so. See PREDICT_CORS_ORIGINS."
        kept = {name: answer.headers[name] for name in ("vary",) if name in answer.headers}
        return Refusal(400, "origin_not_allowed", words).response(kept)


class Edge:
    """ASGI application around the whole service.

    ``endpoints`` gives, once the service has started, what answers some paths without BentoML.
    """

    def __init__(self, app: ASGIApp, endpoints: Callable[[], Endpoints] = dict) -> None:
        origins = ServingSettings.load().cors_origins
        self._inner = app
        self._start = endpoints
        self._endpoints: Endpoints | None = None
        self.app: ASGIApp = (
            Cors(
                self._dispatch,
                allow_origins=origins,
                allow_methods=["POST"],
                allow_headers=["content-type", "authorization", "x-api-key"],
                expose_headers=["Retry-After"],  # a page that is told when to ask again may see it
            )
            if origins
            else self._dispatch
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        await self.app(scope, receive, send)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, self._when_started(send))
        elif scope["type"] != "http":
            await self._inner(_readable(scope), receive, send)
        elif self._endpoints is None:  # BentoML's own way to a score knows of no key
            await Refusal.of(503).response()(scope, receive, send)
        elif endpoint := self._endpoints.get(scope["path"]):
            await endpoint(scope, receive, send)
        elif scope["path"].startswith(tuple(self._endpoints)):
            # Another spelling, which BentoML's routes might take for one: "/predict" and a newline.
            await Refusal.of(404).response()(scope, receive, _Rewriting(scope, receive, send))
        elif scope["path"] == "/" and scope["method"] in ("GET", "HEAD"):
            await PAGE(scope, receive, _securing(send))
        elif scope["method"] == "POST" and not is_json(dict(scope["headers"])):
            await Refusal.of(415).response()(scope, receive, _Rewriting(scope, receive, send))
        else:
            await self._inner(_readable(scope), receive, _Rewriting(scope, receive, send))

    def _when_started(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._endpoints = self._start()
            await send(message)

        return sending


class _Rewriting:
    """Holds back an error's body, and sends it in the one shape."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        self.status = 0
        self.body = b""
        self.headers: Headers | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.status in REDIRECTS:  # to wherever the caller's Host header says
                self.status = 404
            if self.status >= 400:
                self.headers = Headers(raw=message["headers"])
                return
            _secure(message)
        if self.status < 400:
            await self.send(message)
            return
        self.body += message.get("body", b"")
        if not message.get("more_body"):
            await self._answer()

    async def _answer(self) -> None:
        kept = {
            name: value
            for name, value in (self.headers or Headers()).items()
            if name in ("retry-after", "allow")
        }
        said = _json(self.body)
        own = said.get("error") if isinstance(said, dict) else None
        if isinstance(own, dict) and "code" in own:
            refusal = Refusal(self.status, own["code"], own["message"])
        else:
            refusal = Refusal.of(self.status, _invalid(said) or _methods(self.status, kept))
        await refusal.response(kept)(self.scope, self.receive, _securing(self.send))


def _readable(scope: Scope) -> Scope:
    """Return a request without headers that are not ASCII, at which BentoML's tracing stumbles."""
    pairs = [pair for pair in scope["headers"] if all(part.isascii() for part in pair)]
    return {**scope, "headers": pairs}


def _securing(send: Send) -> Send:
    async def sending(message: Message) -> None:
        _secure(message)
        await send(message)

    return sending


def _secure(message: Message) -> None:
    if message["type"] == "http.response.start":
        headers = MutableHeaders(raw=message["headers"])
        for name, value in PAGES:
            headers.setdefault(name.decode(), value.decode())
        message["headers"] = headers.raw


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _methods(status: int, headers: Mapping[str, str]) -> str:
    """Return what another method is told, '' where it is not known which there are."""
    allowed = headers.get("allow", "") if status == 405 else ""
    return f"This path is asked by {allowed}." if allowed else ""


def _invalid(said: Any) -> str:
    """Return what pydantic found wrong with the body, field by field, '' where it says nothing."""
    if not isinstance(said, dict) or not isinstance(said.get("detail"), list):
        return ""
    return in_words(said["detail"])
