"""Definitions over HTTP: attribute keys, attribute groups and services in the registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from snowplow_signals.models.model import AttributeGroupInput, AttributeKeyInput, Service

from prospect_pipeline.attributes.definition import check_group
from prospect_pipeline.attributes.properties import key_source
from prospect_pipeline.sandbox.groups import Groups
from prospect_pipeline.sandbox.registry import Body, Kind, Registry


def definitions(registry: Registry, groups: Groups) -> APIRouter:
    """Create, update, read and delete of attribute keys, attribute groups and services."""
    router = APIRouter(tags=["registry"])
    _keys(router, registry)
    _groups(router, registry, groups)
    _services(router, registry)
    return router


def _keys(router: APIRouter, registry: Registry) -> None:
    @router.post("/attribute_keys/", status_code=201)
    def create_key(key: AttributeKeyInput) -> Body:
        registry.create("attribute_keys", key.name, 0, dump(key))
        return _key_out(dump(key))

    @router.put("/attribute_keys/{name}")
    def update_key(name: str, key: AttributeKeyInput) -> Body:
        registry.update("attribute_keys", name, 0, dump(key))
        return _key_out(dump(key))

    _listed(router, registry, "attribute_keys", _key_out)


def _groups(router: APIRouter, registry: Registry, groups: Groups) -> None:
    @router.post("/attribute_groups/", status_code=201)
    def create_group(group: AttributeGroupInput) -> Body:
        check(group, groups)
        registry.create("attribute_groups", group.name, group.version or 1, dump(group))
        return _group_out(dump(group))

    @router.put("/attribute_groups/{name}/versions/{version}")
    def update_group(name: str, version: int, group: AttributeGroupInput) -> Body:
        check(group, groups)
        registry.update("attribute_groups", name, version, dump(group))
        return _group_out(dump(group))

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
        registry.create("services", service.name, 0, dump(service))
        return dump(service)

    @router.put("/services/{name}")
    def update_service(name: str, service: Service) -> Body:
        _check_links(service, registry)
        registry.update("services", name, 0, dump(service))
        return dump(service)

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


def check(group: AttributeGroupInput, groups: Groups) -> None:
    """Raise DefinitionError for a group that makes no sense or is not supported."""
    known = groups.of(dump(group))
    key_source(known.attribute_key)
    if known.attributes:  # an external table's columns are none of the events' attributes
        check_group(known)


def _check_links(service: Service, registry: Registry) -> None:
    for link in service.attribute_groups:
        registry.get("attribute_groups", link.name, link.version)


def dump(model: Any) -> Body:
    """Return a model of the SDK as plain JSON types, without what is not set."""
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
