"""Interventions over HTTP: their rules in the registry, direct pushes, and the stream of them.

The stream is public, as Snowplow documents it: who knows an identifier may have its interventions.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import StreamingResponse
from snowplow_signals.models import InterventionInstance, RuleInterventionInput

from prospect_pipeline.attributes.properties import key_source
from prospect_pipeline.errors import DefinitionError
from prospect_pipeline.sandbox import criteria
from prospect_pipeline.sandbox.groups import Groups
from prospect_pipeline.sandbox.registry import Body, Registry
from prospect_pipeline.sandbox.subscriptions import Subscriber, Subscriptions, Target


def rules(registry: Registry) -> APIRouter:
    """Create, update, read and delete of rule-based interventions."""
    router = APIRouter(prefix="/interventions", tags=["registry"])

    @router.post("/", status_code=201)
    def create(rule: RuleInterventionInput) -> Body:
        body = _checked(rule)
        registry.create("interventions", rule.name, body["version"], body)
        return body

    @router.put("/{name}/versions/{version}")
    def update(name: str, version: int, rule: RuleInterventionInput) -> Body:
        body = _checked(rule)
        registry.update("interventions", name, version, body)
        return body

    @router.get("/")
    def listed() -> list[Body]:
        return registry.all("interventions")

    @router.get("/{name}")
    def get_latest(name: str) -> Body:
        return registry.get("interventions", name)

    @router.get("/{name}/versions/{version}")
    def get_version(name: str, version: int) -> Body:
        return registry.get("interventions", name, version)

    @router.delete("/{name}/versions/{version}")
    def delete(name: str, version: int) -> Body:
        registry.delete("interventions", name, version)
        return {"ok": True}

    return router


def pushes(groups: Groups, subscriptions: Subscriptions) -> APIRouter:
    """Direct interventions, for whoever is subscribed at that moment."""
    router = APIRouter(tags=["interventions"])

    @router.post("/interventions")
    async def push(intervention: InterventionInstance, request: Request) -> dict[str, str]:
        body = intervention.model_dump(mode="json", exclude_none=True)
        body.setdefault("intervention_id", str(uuid.uuid4()))
        body.setdefault("attributes", {})
        delivered = [
            subscriptions.deliver(target, body, keep=False) for target in _targets(request, groups)
        ]
        return {"status": "success" if any(delivered) else "undelivered"}

    return router


def stream(groups: Groups, subscriptions: Subscriptions) -> APIRouter:
    """The server-sent events of what is told to some identifiers."""
    router = APIRouter(tags=["interventions"])

    @router.get("/interventions", response_class=StreamingResponse)
    async def subscribe(request: Request) -> StreamingResponse:
        subscriber = subscriptions.open(_targets(request, groups))
        headers = {
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
            "Access-Control-Allow-Origin": "*",
        }
        return StreamingResponse(
            _lines(subscriber, subscriptions), media_type="text/event-stream", headers=headers
        )

    return router


async def _lines(subscriber: Subscriber, subscriptions: Subscriptions) -> AsyncIterator[str]:
    try:
        async for intervention in subscriber.interventions():
            yield ": here\n\n" if intervention is None else f"data: {json.dumps(intervention)}\n\n"
    finally:
        subscriptions.close(subscriber)


def _targets(request: Request, groups: Groups) -> list[Target]:
    """Return the attribute keys and identifiers that a request names; raises 400 and 404."""
    targets = [(name, value) for name, value in request.query_params.multi_items() if value]
    if not targets:
        raise HTTPException(400, "name attribute keys and identifiers, as ?domain_userid=...")
    for name in {name for name, _ in targets}:
        try:
            key_source(groups.key(name))
        except (DefinitionError, ValueError):
            raise HTTPException(404, f"attribute key '{name}' does not exist") from None
    return targets


def _checked(rule: RuleInterventionInput) -> Body:
    body: dict[str, Any] = rule.model_dump(mode="json", exclude_none=True, by_alias=True)
    criteria.check(body["criteria"], rule.name)
    return {"version": 1, "is_published": False, **body}
