"""What is asked a thousand times a second, answered without the API's whole machinery.

Trackers' requests need nothing of it. A read of attributes that is in order is answered here; one
that is not takes the usual way, which finds the words for what is wrong.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prospect_pipeline.sandbox.registry import Missing
from prospect_pipeline.sandbox.requests import OnlineAttributesRequest, Refused

ONLINE = "/api/v1/get-online-attributes"


class Front:
    """Stands before an application, and leaves to it all that is not asked often."""

    def __init__(
        self,
        app: ASGIApp,
        token: str,
        online: Callable[[OnlineAttributesRequest], Response],
        collector: Sequence[Route] = (),
    ) -> None:
        self.app = app
        self.online = online
        self.collector = Router(collector)
        self._paths = {route.path for route in collector}
        self._endpoints = {
            (method, route.path): route.endpoint
            for route in collector
            for method in route.methods or ()
        }
        self._authorization = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif endpoint := self._endpoints.get((scope["method"], scope["path"])):
            answer = await endpoint(Request(scope, receive))
            await answer(scope, receive, send)
        elif scope["path"] in self._paths:
            await self.collector(scope, receive, send)
        elif scope["path"] == ONLINE and scope["method"] == "POST" and self._is_known(scope):
            await self._read(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(given, self._authorization)

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = await receive()
        if first["type"] == "http.request" and not first.get("more_body"):
            try:
                asked = OnlineAttributesRequest.model_validate_json(first.get("body", b""))
                answer = self.online(asked)
            except (ValidationError, Missing, Refused):
                pass
            else:
                await answer(scope, receive, send)
                return
        given = [first]

        async def again() -> Message:
            return given.pop() if given else await receive()

        await self.app(scope, again, send)
