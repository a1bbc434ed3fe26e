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
from snowplow_signals.models.model import AttributeGroupInput, AttributeKeyInput, Service
from starlette.types import ASGIApp

from prospect_pipeline.attributes.definition import check_group
from prospect_pipeline.attributes.properties import key_source
from prospect_pipeline.errors import DefinitionError
from prospect_pipeline.sandbox.building import building
from prospect_pipeline.sandbox.collector import Collector
from prospect_pipeline.sandbox.datasets import Datasets
from prospect_pipeline.sandbox.front import Front
from prospect_pipeline.sandbox.groups import Groups
from prospect_pipeline.sandbox.inspection import inspection
from prospect_pipeline.sandbox.interventions import Interventions
from prospect_pipeline.sandbox.profiles import Profiles
from prospect_pipeline.sandbox.registry import Body, Exists, InUse, Kind, Missing, Registry
from prospect_pipeline.sandbox.requests import OnlineAttributesRequest
from prospect_pipeline.sandbox.subscriptions import Subscriptions
from prospect_pipeline.sandbox.telling import pushes, rules, stream
from prospect_pipeline.signals.client import CLOCK_HEADER

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
        (_registry(registry, groups), "/registry"),
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


def _registry(registry: Registry, groups: Groups) -> APIRouter:
    """Create, update, read and delete of attribute keys, attribute groups and services."""
    router = APIRouter(tags=["registry"])
    _keys(router, registry)
    _groups(router, registry, groups)
    _services(router, registry)
    return router


def _keys(router: APIRouter, registry: Registry) -> None:
    @router.post("/attribute_keys/", status_code=201)
    def create_key(key: AttributeKeyInput) -> Body:
        registry.create("attribute_keys", key.name, 0, _dump(key))
        return _key_out(_dump(key))

    @router.put("/attribute_keys/{name}")
    def update_key(name: str, key: AttributeKeyInput) -> Body:
        registry.update("attribute_keys", name, 0, _dump(key))
        return _key_out(_dump(key))

    _listed(router, registry, "attribute_keys", _key_out)


def _groups(router: APIRouter, registry: Registry, groups: Groups) -> None:
    @router.post("/attribute_groups/", status_code=201)
    def create_group(group: AttributeGroupInput) -> Body:
        _check(group, groups)
        registry.create("attribute_groups", group.name, group.version or 1, _dump(group))
        return _group_out(_dump(group))

    @router.put("/attribute_groups/{name}/versions/{version}")
    def update_group(name: str, version: int, group: AttributeGroupInput) -> Body:
        _check(group, groups)
        registry.update("attribute_groups", name, version, _dump(group))
        return _group_out(_dump(group))

    @router.get("/attribute_groups/{name}/versions/{version}")
    def get_version(name: str, version: int) -> Body:
        return _group_out(registry.get("attribute_groups", name, version))

    @router.get("/attribute_groups/{name}")
    def get_latest(name: str) -> Body:
        return _group_out(registry.get("attribute_groups", name))

    @router.delete("/attribute_groups/{name}/versions/{version}")
    def delete_version(name: str, version: int) -> Body:
        registry.delete("attribute_groups", name, version)
        return {"ok": True}

    _listed(router, registry, "attribute_groups", _group_out)


def _services(router: APIRouter, registry: Registry) -> None:
    @router.post("/services/", status_code=201)
    def create_service(service: Service) -> Body:
        _check_links(service, registry)
        registry.create("services", service.name, 0, _dump(service))
        return _dump(service)

    @router.put("/services/{name}")
    def update_service(name: str, service: Service) -> Body:
        _check_links(service, registry)
        registry.update("services", name, 0, _dump(service))
        return _dump(service)

    _listed(router, registry, "services", lambda body: body)


def _listed(
    router: APIRouter, registry: Registry, kind: Kind, shape: Callable[[Body], Body]
) -> None:
    """Add what works alike for every kind: list all, and read or delete one without versions."""

    @router.get(f"/{kind}/", name=f"list {kind}")
    def listed() -> list[Body]:
        return [shape(body) for body in registry.all(kind)]

    if kind == "attribute_groups":
        return

    @router.get(f"/{kind}/{{name}}", name=f"get {kind}")
    def get(name: str) -> Body:
        return shape(registry.get(kind, name))

    @router.delete(f"/{kind}/{{name}}", name=f"delete {kind}")
    def delete(name: str) -> Body:
        registry.delete(kind, name, 0)
        return {"ok": True}


def _online(groups: Groups, profiles: Profiles) -> Callable[[OnlineAttributesRequest], Response]:
    """Return what answers a read of attributes; it raises Missing and Refused."""

    def online(request: OnlineAttributesRequest) -> Response:
        moment = profiles.now()
        wanted = request.wanted(groups)
        columns: dict[str, list[Any]] = {}
        for key, identifiers in request.identifiers.items():
            columns[key] = list(identifiers)
            rows = [
                {
                    title: profiles.values(group, identifier, moment)
                    if group.attribute_key.name == key
                    else {}
                    for title, group in wanted.groups.items()
                }
                for identifier in identifiers
            ]
            for shown, title, attribute in wanted.columns:
                columns[shown] = [row[title].get(attribute) for row in rows]
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
        group = groups.of(_dump(request.attribute_group))
        _check(request.attribute_group, groups)
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


def _check(group: AttributeGroupInput, groups: Groups) -> None:
    known = groups.of(_dump(group))
    key_source(known.attribute_key)
    if known.attributes:  # an external table's columns are none of the events' attributes
        check_group(known)


def _check_links(service: Service, registry: Registry) -> None:
    for link in service.attribute_groups:
        registry.get("attribute_groups", link.name, link.version)


def _dump(model: Any) -> Body:
    body: Body = model.model_dump(mode="json", exclude_none=True, by_alias=True)
    return body


def _key_out(body: Body) -> Body:
    return {**body, "blobl_path": None}


def _group_out(body: Body) -> Body:
    """Return a group as `AttributeGroupResponse` has it."""
    key = body["attribute_key"]
    title = f"{body['name']}_v{body.get('version', 1)}"
    return {
        **body,
        "attribute_key": _key_out(key),
        "attribute_key_or_name": key.get("key") or key["name"],
        "attribute_group_or_attribute_key_ttl": body.get("ttl") or key.get("ttl"),
        "full_name": title,
        "feast_name": title,
        "stream_source_name": None,
    }
