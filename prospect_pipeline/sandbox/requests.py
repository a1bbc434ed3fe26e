"""The one request for online attributes, in its two forms: of a service, or of named attributes."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import HTTPException
from pydantic import BaseModel
from snowplow_signals import AttributeGroup, AttributeKeyIdentifiers
from snowplow_signals.models.model import QualifiedAttributeName

from prospect_pipeline.sandbox.groups import Groups
from prospect_pipeline.sandbox.registry import Body


class Refused(HTTPException):
    """A request that makes no sense."""


@dataclass(frozen=True)
class Wanted:
    """The groups to compute, and the reply's columns: (shown name, group, attribute)."""

    groups: dict[str, AttributeGroup]
    columns: list[tuple[str, str, str]]


class OnlineAttributesRequest(BaseModel):
    """``service`` or ``attributes`` (``group_v1:name``), for identifiers by attribute key."""

    attribute_keys: AttributeKeyIdentifiers
    service: str | None = None
    attributes: list[QualifiedAttributeName] | None = None
    full_attribute_names: bool | None = False

    @property
    def identifiers(self) -> dict[str, list[str]]:
        """The identifiers asked for, by attribute key."""
        return self.attribute_keys.root or {}

    def wanted(self, known: Groups) -> Wanted:
        """Look up what is asked for; raises Missing, or Refused where nothing is."""
        if self.service is not None:
            return self._of_service(known.service(self.service), known)
        if not self.attributes:
            raise Refused(422, "name a service, or attributes as group_v1:attribute")
        groups: dict[str, AttributeGroup] = {}
        columns = []
        for qualified in self.attributes:
            title, attribute = qualified.root.split(":")
            name, version = title.rsplit("_v", 1)
            groups[title] = known.get(name, int(version))
            if attribute not in _names(groups[title]):
                raise Refused(404, f"attribute '{qualified.root}' does not exist")
            columns.append((self._shown(title, attribute), title, attribute))
        return Wanted(groups, columns)

    def _of_service(self, service: Body, known: Groups) -> Wanted:
        groups: dict[str, AttributeGroup] = {}
        for link in service["attribute_groups"]:
            group = known.get(link["name"], link.get("version", 1))
            groups[f"{group.name}_v{group.version}"] = group
        columns = [
            (self._shown(title, attribute), title, attribute)
            for title, group in groups.items()
            for attribute in _names(group)
        ]
        return Wanted(groups, columns)

    def _shown(self, title: str, attribute: str) -> str:
        return f"{title}:{attribute}" if self.full_attribute_names else attribute


def _names(group: AttributeGroup) -> list[str]:
    return [attribute.name for attribute in group.attributes or []]
