"""What was found: an answer for each check, and the remedy where something is not as it should be.

``wrong`` is what is set and does not work, or what scoring needs and is not there; a ``warning``
works, and is to be looked at; ``not used`` is for whoever wants it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rich.text import Text

Status = Literal["ok", "warning", "wrong", "not used"]

STYLES: dict[Status, str] = {"ok": "green", "warning": "yellow", "wrong": "red", "not used": "dim"}
SECONDS = 20
"""How long a check may take; imports on a busy machine, and a server that hangs."""


@dataclass(frozen=True)
class Answer:
    """What a check found, and what to do about it: a command or a setting."""

    status: Status
    found: str
    remedy: str = ""


def ok(found: str) -> Answer:
    """Return that all is well."""
    return Answer("ok", found)


def warning(found: str, remedy: str) -> Answer:
    """Return what works and is to be looked at."""
    return Answer("warning", found, remedy)


def wrong(found: str, remedy: str) -> Answer:
    """Return what does not work."""
    return Answer("wrong", found, remedy)


def unused(found: str, remedy: str = "") -> Answer:
    """Return what is not used, and how it would be."""
    return Answer("not used", found, remedy)


@dataclass(frozen=True)
class Check:
    """Something to look at, and what looks.

    ``look`` may raise: then ``remedy`` helps, where the error has none of its own. ``after`` names
    the checks (by ``key``) that have to be well before this one says anything.
    """

    area: str
    name: str
    look: Callable[[], Answer | Sequence[Answer]]
    remedy: str
    after: tuple[str, ...] = ()
    seconds: float = SECONDS

    @property
    def key(self) -> str:
        """The area and the name."""
        return f"{self.area} {self.name}"


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    area: str
    check: str
    status: Status
    found: str
    remedy: str

    def line(self) -> Text:
        """Return it as a person reads it."""
        what = f"{self.area} {self.check}"
        shown = Text.assemble(
            (f"{self.status:<10}", STYLES[self.status]), f"{what:<24}", self.found
        )
        return shown.append(f" -> {self.remedy}") if self.remedy else shown


@dataclass
class Report:
    """Every finding, and the checks that could not be made because of one that is wrong."""

    findings: list[Finding] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    def count(self, status: Status) -> int:
        """Return how many findings are so."""
        return sum(finding.status == status for finding in self.findings)

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return not self.count("wrong")

    def summary(self) -> str:
        """Return the last line."""
        counts = [_counted(self.count(status), status) for status in STYLES if self.count(status)]
        said = f"{'All is well' if self.well else 'Not all is well'}: {', '.join(counts)}."
        if self.unchecked:
            said += f" Not checked because of that: {', '.join(self.unchecked)}."
        return said

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {
            "well": self.well,
            "counts": {status: self.count(status) for status in STYLES},
            "findings": [asdict(finding) for finding in self.findings],
            "unchecked": self.unchecked,
        }


def _counted(count: int, status: Status) -> str:
    return f"{count} {status}s" if status == "warning" and count > 1 else f"{count} {status}"
