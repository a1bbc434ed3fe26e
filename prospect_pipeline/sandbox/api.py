"""The local Signals' HTTP API, as the Signals SDK calls it.

Requests are checked by the SDK's own models. Errors are ``{"detail": ...}``, as the SDK's are.
What the real API has and this one does not is answered 501 with words that say so.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from snowplow_signals.models import TestAttributeGroupRequest
from starlette.types import ASGIApp

from prospect_pipeline.errors import DefinitionError
from prospect_pipeline.sandbox.building import building
from prospect_pipeline.sandbox.collector import Collector
from prospect_pipeline.sandbox.datasets import Datasets
from prospect_pipeline.sandbox.defining import check, definitions, dump
from prospect_pipeline.sandbox.front import Front
from prospect_pipeline.sandbox.groups import Groups
from prospect_pipeline.sandbox.inspection import inspection
from prospect_pipeline.sandbox.interventions import Interventions
from prospect_pipeline.sandbox.profiles import Profiles
from prospect_pipeline.sandbox.registry import Exists, InUse, Missing, Registry
from prospect_pipeline.sandbox.requests import OnlineAttributesRequest
from prospect_pipeline.sandbox.subscriptions import Subscriptions
from prospect_pipeline.sandbox.telling import pushes, rules, stream
from prospect_pipeline.signals.connection import CLOCK_HEADER

Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]


def build_app(
    registry: Registry,
    profiles: Profiles,
    token: str,
    collector: Collector | None = None,
    on_start: Callable[[], None] = lambda: None,
    on_stop: Callable[[], None] = lambda: None,
) -> ASGIApp:
    """Return the application; every call under ``/api`` needs the bearer token.

    With a collector, trackers may send events to it, and what it has seen can be looked at.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        on_start()
        try:
            yield
        finally:
            on_stop()

    app = FastAPI(
        title="Local Signals",
        description="A stand-in for Snowplow Signals, for development and tests.",
        lifespan=lifespan,
    )
    app.get("/health")(_health)
    groups, subscriptions = Groups(registry), Subscriptions()
    values = _online(groups, profiles)
    if collector is not None:
        app.include_router(inspection(collector))
        interventions = Interventions(registry, groups, profiles, subscriptions)
        collector.on_events = interventions.take_in
    app.include_router(stream(groups, subscriptions), prefix="/api/v1")
    for router, prefix in (
        (definitions(registry, groups), "/registry"),
        (rules(registry), "/registry"),
        (_values(values, groups, profiles), ""),
        (pushes(groups, subscriptions), ""),
        (building(Datasets(registry.data, groups)), ""),
        (_absent(), ""),
    ):
        app.include_router(router, prefix=f"/api/v1{prefix}", dependencies=[_secured(token)])
    for error, status in ((Exists, 400), (Missing, 404), (InUse, 409), (DefinitionError, 422)):
        app.add_exception_handler(error, _answer(status))
    return Front(app, token, values, collector.routes() if collector is not None else ())


def _secured(token: str) -> Any:
    """Return the dependency that wants the bearer token."""

    async def authorize(given: Credentials) -> None:
        if given is None or not hmac.compare_digest(given.credentials.encode(), token.encode()):
            raise HTTPException(
                401, "missing or wrong bearer token", headers={"WWW-Authenticate": "Bearer"}
            )

    return Depends(authorize)


def _health() -> dict[str, str]:
    return {"status": "ok"}


def _answer(status: int) -> Callable[[Request, Exception], Response]:
    def answer(_request: Request, error: Exception) -> Response:
        return JSONResponse({"detail": str(error)}, status)

    return answer


def _online(groups: Groups, profiles: Profiles) -> Callable[[OnlineAttributesRequest], Response]:
    """Return what answers a read of attributes; it raises Missing and Refused."""

    def online(request: OnlineAttributesRequest) -> Response:
        moment = profiles.now()
        wanted = request.wanted(groups)
        columns: dict[str, list[Any]] = {}
        for key, identifiers in request.identifiers.items():
            columns[key] = list(identifiers)
            rows = {
                title: profiles.values(group, identifiers, moment)
                for title, group in wanted.groups.items()
                if group.attribute_key.name == key
            }
            nothing: list[dict[str, Any]] = [{}] * len(identifiers)
            for shown, title, attribute in wanted.columns:
                columns[shown] = [row.get(attribute) for row in rows.get(title, nothing)]
        return JSONResponse(columns, headers={CLOCK_HEADER: moment.isoformat()})

    return online


def _values(
    values: Callable[[OnlineAttributesRequest], Response], groups: Groups, profiles: Profiles
) -> APIRouter:
    """Attribute values: online, and of a definition that is being tested."""
    router = APIRouter(tags=["attributes"])

    @router.post("/get-online-attributes", response_model=dict[str, list[Any]])
    async def online(request: OnlineAttributesRequest) -> Response:
        return values(request)

    @router.post("/testing/attribute_groups/")
    def test(request: TestAttributeGroupRequest) -> list[dict[str, Any]]:
        group = groups.of(dump(request.attribute_group))
        check(request.attribute_group, groups)
        return profiles.test(
            group,
            request.window,  # type: ignore[arg-type]
            [app.root for app in request.app_ids or []],
            [key.root for key in request.attribute_key_ids or []],
        )

    return router


def _absent() -> APIRouter:
    """What the real API has and this one does not."""
    router = APIRouter(include_in_schema=False)
    methods = ["GET", "POST", "PUT", "DELETE"]
    for path in (
        "registry/event_logs",
        "engines",
        "event_log",
    ):

        @router.api_route(f"/{path}{{rest:path}}", methods=methods)
        def absent(rest: str, path: str = path) -> None:
            raise HTTPException(501, f"The local Signals has no {path}{rest}; the real one does.")

    return router
