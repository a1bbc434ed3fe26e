"""What every request passes: JSON only, CORS as configured, and errors in one shape.

``{"error": {"code": ..., "message": ...}}``, for BentoML's own errors too: its bodies are plain
text, or speak of its internals.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prospect_pipeline.settings import ServingSettings

MESSAGES = {
    400: ("bad_request", 'Expected a JSON object such as {"domain_userid": "..."}.'),
    404: ("not_found", "There is no such path; ask POST /predict."),
    405: ("method_not_allowed", "Use POST for /predict."),
    413: ("too_large", "The body is too large."),
    415: ("unsupported_media_type", "Send the body as application/json."),
    429: ("too_busy", "Too many requests at once; try again soon."),
    503: ("not_ready", "The service is not ready: no model is loaded."),
    504: ("timeout", "The request took too long."),
}
INTERNAL = ("internal", "Something went wrong here; it was logged.")


def error(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """Return the one shape of an error."""
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


class Edge:
    """ASGI middleware around the whole service."""

    def __init__(self, app: ASGIApp) -> None:
        origins = ServingSettings.load().cors_origins
        inner: ASGIApp = self._guard(app)
        self.app = (
            CORSMiddleware(
                inner,
                allow_origins=origins,
                allow_methods=["POST"],
                allow_headers=["content-type"],
                expose_headers=["Retry-After"],  # a page that is told when to ask again may see it
            )
            if origins
            else inner
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        await self.app(scope, receive, send)

    def _guard(self, app: ASGIApp) -> ASGIApp:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
            elif scope["method"] == "POST" and not _is_json(Headers(scope=scope)):
                await error(415, *MESSAGES[415])(scope, receive, send)
            else:
                await app(scope, receive, _Rewriting(scope, receive, send))

        return guarded


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
            if self.status >= 400:
                self.headers = Headers(raw=message["headers"])
                return
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
            answer = error(self.status, own["code"], own["message"], kept)
        else:
            code, message = MESSAGES.get(self.status, INTERNAL)
            answer = error(self.status, code, _invalid(said) or message, kept)
        await answer(self.scope, self.receive, self.send)


def _is_json(headers: Headers) -> bool:
    kind = headers.get("content-type", "application/json").split(";")[0].strip().lower()
    return kind == "application/json"


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _invalid(said: Any) -> str | None:
    """Return what pydantic found wrong with the body, field by field."""
    if not isinstance(said, dict) or not isinstance(said.get("detail"), list):
        return None
    problems = [
        f"{'.'.join(map(str, problem.get('loc', []))) or 'body'}: {problem.get('msg')}"
        for problem in said["detail"]
    ]
    return "; ".join(problems) or None
