"""One version of an attribute group: what a model is trained on, and what it has to be served."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from snowplow_signals import AttributeGroup


@dataclass(frozen=True)
class GroupVersion:
    """The name and version of a group, and the names of its attributes in their order.

    Once a version is published its definition stays, so that these name the values themselves.
    """

    name: str
    version: int
    attributes: tuple[str, ...]

    @classmethod
    def of(cls, group: AttributeGroup) -> Self:
        """Return the version that a group of the SDK defines; without a number it is the first."""
        names = tuple(attribute.name for attribute in group.attributes or [])
        return cls(group.name, group.version or 1, names)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; raises ValueError where it is something else."""
        try:
            kept = json.loads(text)
            return cls(kept["name"], kept["version"], tuple(kept["attributes"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"no attribute group's version: {error}") from None

    def to_json(self) -> str:
        """Return it as text that a model or a frame can carry."""
        return json.dumps(asdict(self))

    @property
    def qualified(self) -> list[str]:
        """Its attributes as Signals takes them one by one: ``group_v2:attribute``."""
        return [f"{self.name}_v{self.version}:{attribute}" for attribute in self.attributes]

    def __str__(self) -> str:
        return f"attribute group '{self.name}' version {self.version}"
