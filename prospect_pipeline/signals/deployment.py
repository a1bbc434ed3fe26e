"""Deploying the configuration: compare with what is published, then publish what is missing.

Publishing twice changes nothing. A definition that differs under a published version is refused:
values counted so far would no longer mean what they say. The backfill date stays what it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

import httpx
from pydantic import BaseModel
from snowplow_signals import Service, Signals, SignalsAPIError, SignalsSandbox, StreamAttributeGroup
from snowplow_signals.registry_client import RegistryObject

from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.errors import DefinitionConflict, SignalsError, SignalsUnavailable

SDK = Signals | SignalsSandbox
Action = Literal["create", "publish", "update", "unchanged", "refuse"]
Body = dict[str, Any]
T = TypeVar("T")

DEFINING = ("attribute_key", "attributes", "ttl", "fields", "batch_source")
"""The fields of a group that make its values what they are."""


@dataclass(frozen=True)
class Change:
    """What is to be done with one object, and what differs where something does.

    A published version of another definition is refused: ``conflict`` is what a deployment raises.
    """

    kind: Literal["attribute group", "service"]
    name: str
    version: int | None
    action: Action
    differs: tuple[str, ...] = ()
    conflict: DefinitionConflict | None = None


@dataclass(frozen=True)
class Deployment:
    """What a deployment found, and did or would do."""

    changes: tuple[Change, Change]
    backfill_since: datetime | None
    warnings: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether anything was, or would be, published."""
        return any(change.action != "unchanged" for change in self.changes)


def deploy(signals: SDK, group: StreamAttributeGroup, service: Service) -> Deployment:
    """Publish a group and its service where they are not published as defined.

    Raises DefinitionConflict where a published version differs, SignalsUnavailable or
    SignalsError where Signals does not answer or refuses; then nothing was changed.
    """
    planned = plan(signals, group, service)
    group_change, service_change = planned.changes
    if group_change.conflict is not None:
        raise group_change.conflict
    wanted: list[RegistryObject] = [
        item.model_copy(update=update)
        for item, change, update in (
            (group, group_change, {"backfill_since_tstamp": planned.backfill_since}),
            (service, service_change, {}),
        )
        if change.action != "unchanged"
    ]
    if wanted:
        call(lambda: signals.publish(wanted))
    return planned


def plan(signals: SDK, group: StreamAttributeGroup, service: Service) -> Deployment:
    """Return what deploying would do, and change nothing.

    Raises SignalsUnavailable or SignalsError where Signals does not answer or refuses.
    """
    known_group = call(lambda: signals.get_attribute_group(group.name, group.version))
    known_service = call(lambda: signals.registry.get_service(service.name))
    kept, warnings = _backfill(group, known_group)
    changes = (_group_change(group, known_group), _service_change(service, known_service))
    return Deployment(changes, kept, tuple(warnings))


def is_published(signals: SDK, group: GroupVersion) -> bool:
    """Return whether Signals has a group's version published.

    Raises SignalsUnavailable or SignalsError where it does not say.
    """
    known = call(lambda: signals.get_attribute_group(group.name, group.version))
    return bool(_dump(known).get("is_published"))


def call(request: Callable[[], T]) -> T | None:
    """Call Signals; None where it answers that there is no such thing."""
    try:
        return request()
    except SignalsAPIError as error:
        if error.status_code == 404:
            return None
        if error.status_code in (401, 403):
            raise SignalsError(
                f"Signals refused the credentials ({error.status_code}).",
                "Check SP_API_KEY, SP_API_KEY_ID and SP_ORG_ID, or SP_SANDBOX_TOKEN.",
            ) from None
        later = error.status_code == 429 or error.status_code >= 500  # the same may pass later
        kind = SignalsUnavailable if later else SignalsError
        raise kind(f"Signals answered {error.status_code}: {error.message}") from None
    except httpx.HTTPError as error:
        raise SignalsUnavailable(
            f"Signals does not answer ({type(error).__name__}).",
            "Check its address and the network; a local one is started by `prospect sandbox`.",
        ) from None


def _group_change(group: StreamAttributeGroup, known: BaseModel | None) -> Change:
    wanted, found = _dump(group), _dump(known)
    if known is None:
        return Change("attribute group", group.name, group.version, "create")
    differs = tuple(field for field in DEFINING if _norm(wanted, field) != _norm(found, field))
    published = bool(found.get("is_published"))
    if differs and published:
        conflict = DefinitionConflict(
            f"Attribute group '{group.name}' version {group.version} is published with another "
            f"definition ({_difference(wanted, found)}).",
            f"Raise SIGNALS_GROUP_VERSION to {(group.version or 1) + 1} to publish the new one "
            "beside it, or restore the old one.",
        )
        return Change("attribute group", group.name, group.version, "refuse", differs, conflict)
    action: Action = "update" if differs else "unchanged" if published else "publish"
    if action == "unchanged":
        differs = tuple(f for f in ("owner", "description") if wanted.get(f) != found.get(f))
        action = "update" if differs else action
    return Change("attribute group", group.name, group.version, action, differs)


def _service_change(service: Service, known: BaseModel | None) -> Change:
    if known is None:
        return Change("service", service.name, None, "create")
    wanted, found = _dump(service), _dump(known)
    fields = ("attribute_groups", "owner", "description")
    differs = tuple(field for field in fields if wanted.get(field) != found.get(field))
    published = bool(found.get("is_published"))
    action: Action = "update" if differs else "unchanged" if published else "publish"
    return Change("service", service.name, None, action, differs)


def _backfill(
    group: StreamAttributeGroup, known: BaseModel | None
) -> tuple[datetime | None, list[str]]:
    """Return the date that stays put, and what to warn of."""
    wanted = group.backfill_since_tstamp
    if known is not None and _dump(known).get("is_published"):
        published: datetime | None = getattr(known, "backfill_since_tstamp", None)
        if wanted is not None and wanted != published:
            return published, [
                f"SIGNALS_BACKFILL_SINCE is {wanted:%Y-%m-%d}, but version {group.version} was "
                f"published {f'with {published:%Y-%m-%d}' if published else 'without one'}, and "
                "that stays. Raise SIGNALS_GROUP_VERSION to backfill anew."
            ]
        return published, []
    if wanted is None:
        return None, [
            "SIGNALS_BACKFILL_SINCE is not set, so Signals starts counting now: for 30 days it "
            "serves less than the model was trained on. Set it to a date at least 30 days ago."
        ]
    return wanted, []


def _difference(wanted: Body, found: Body) -> str:
    """Say which attributes were added, removed or changed."""
    new = {a["name"]: a for a in wanted.get("attributes", [])}
    old = {a["name"]: a for a in found.get("attributes", [])}
    parts = {
        "added": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "changed": sorted(name for name in new.keys() & old.keys() if new[name] != old[name]),
    }
    said = [f"{word}: {', '.join(names)}" for word, names in parts.items() if names]
    return "; ".join(said) or "the attribute key, the ttl, or the order of the attributes"


def _norm(body: Body, field: str) -> Any:
    """Return a field as both sides have it: what the reply adds to the key is left out."""
    value = body.get(field)
    if field == "attribute_key" and isinstance(value, dict):
        aside = ("blobl_path", "is_published", "description", "owner")
        return {name: part for name, part in value.items() if name not in aside}
    return value


def _dump(model: BaseModel | None) -> Body:
    return {} if model is None else model.model_dump(mode="json", exclude_none=True)
