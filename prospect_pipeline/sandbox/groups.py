"""The registry's attribute groups, as the SDK's objects: each made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from snowplow_signals import AttributeGroup, AttributeKey

from prospect_pipeline.sandbox.registry import Body, Missing, Registry

T = TypeVar("T")


class Groups:
    """Looks groups up by name and version, with their attribute key as it is registered."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._revision = -1
        self._made: dict[object, object] = {}

    def get(self, name: str, version: int | None = None) -> AttributeGroup:
        """Return a group, the latest version where none is named; raises Missing."""
        return self._once(
            ("group", name, version),
            lambda: self.of(self.registry.get("attribute_groups", name, version)),
        )

    def published(self, name: str, attribute: str) -> AttributeGroup | None:
        """Return the latest published version of a group that has an attribute, if there is any."""
        return self._once(("published", name, attribute), lambda: self._published(name, attribute))

    def service(self, name: str) -> Body:
        """Return a service; raises Missing."""
        return self._once(("service", name), lambda: self.registry.get("services", name))

    def rules(self) -> list[Body]:
        """Return the published interventions."""
        return self._once(
            "rules",
            lambda: [b for b in self.registry.all("interventions") if b.get("is_published")],
        )

    def key(self, name: str) -> AttributeKey:
        """Return an attribute key as it is registered, else the column of that name."""
        try:
            return AttributeKey.model_validate(self.registry.get("attribute_keys", name))
        except Missing:
            return AttributeKey(name=name)

    def of(self, body: Body) -> AttributeGroup:
        """Return a group as it was sent, with its attribute key as registered."""
        key = body["attribute_key"]
        if not {"key", "property", "external_column"} & key.keys():
            key = self.key(key["name"]).model_dump(exclude_none=True)
        return AttributeGroup.model_validate(
            {"owner": "-@example.com", **body, "attribute_key": key}
        )

    def _published(self, name: str, attribute: str) -> AttributeGroup | None:
        versions = [
            body
            for body in self.registry.all("attribute_groups")
            if body["name"] == name
            and body.get("is_published")
            and attribute in [one["name"] for one in body.get("attributes", [])]
        ]
        latest = max(versions, key=lambda body: int(body.get("version", 1)), default=None)
        return None if latest is None else self.get(name, int(latest.get("version", 1)))

    def _once(self, what: object, make: Callable[[], T]) -> T:
        """Return what was made, until the registry changes."""
        if self._revision != self.registry.revision:
            self._made.clear()
            self._revision = self.registry.revision
        if what not in self._made:
            self._made[what] = make()
        return self._made[what]  # type: ignore[return-value]
