"""A stand-in for the services that the website talks to: notes what comes, answers as told."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Event = dict[str, Any]

THRESHOLD = 0.3


@dataclass
class Services:
    """Collector, Signals' interventions and ``/predict`` in one application."""

    score: float = 0.12
    signals: dict[str, Any] = field(default_factory=lambda: {"num_page_views_l7d": 1})
    reasons: list[dict[str, Any]] = field(default_factory=list)
    failure: tuple[int, dict[str, str]] | None = None
    events: list[Event] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    interventions: list[dict[str, Any]] = field(default_factory=list)
    closing: bool = False

    def app(self) -> Starlette:
        """Return the application; any origin may ask, with cookies, as at a real collector."""
        routes = [
            Route("/com.snowplowanalytics.snowplow/tp2", self._collect, methods=["POST"]),
            Route("/api/v1/interventions", self._subscribe),
            Route("/predict", self._predict, methods=["POST"]),
        ]
        cors = Middleware(
            CORSMiddleware,
            allow_origin_regex=".*",
            allow_credentials=True,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["Retry-After"],
        )
        return Starlette(routes=routes, middleware=[cors])

    def names(self) -> list[str]:
        """Return what happened so far: ``pv``, ``pp``, or a self-describing event's name."""
        return [name for name, _data in self.described()]

    def described(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every event's name and data."""
        for event in list(self.events):
            if event["e"] == "ue":
                inner = _decoded(event)["data"]
                yield inner["schema"].split("/")[1], inner["data"]
            else:
                yield event["e"], event

    async def _collect(self, request: Request) -> Response:
        self.events += (await request.json())["data"]
        return Response("ok")

    async def _predict(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        if self.failure:
            status, headers = self.failure
            problem = {"error": {"code": "no_model", "message": "No model is loaded yet."}}
            return JSONResponse(problem, status, headers)
        return JSONResponse(
            {
                "domain_userid": body["domain_userid"],
                "score": self.score,
                "decision": {"prospect": self.score >= THRESHOLD, "threshold": THRESHOLD},
                "model": {"name": "prospect_scoring", "version": "7"},
                "signals": self.signals,
                "scoring_attributes": {},
                "reasons": self.reasons,
            }
        )

    async def _subscribe(self, _request: Request) -> Response:
        async def stream() -> AsyncIterator[str]:
            sent = 0
            while not self.closing:
                for intervention in self.interventions[sent:]:
                    yield f"data: {json.dumps(intervention)}\n\n"
                sent = len(self.interventions)
                yield ": still there\n\n"
                await asyncio.sleep(0.05)

        return StreamingResponse(stream(), media_type="text/event-stream")


def _decoded(event: Event) -> dict[str, Any]:
    text = event.get("ue_pr") or base64.urlsafe_b64decode(event["ue_px"] + "==").decode()
    decoded: dict[str, Any] = json.loads(text)
    return decoded
