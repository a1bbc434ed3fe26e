"""A page as a tree of sections and blocks, rendered once into HTML that needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import jinja2

from prospect_pipeline.training.palette import DARK, LIGHT


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar = "text"
    text: str


@dataclass(frozen=True)
class Cell:
    """A number in a table, with what lies beneath it."""

    text: str
    note: str


@dataclass(frozen=True)
class Table:
    """A table: its head, and rows of text, of which the best cells stand out."""

    kind: ClassVar = "table"
    head: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    best: frozenset[tuple[int, int]] = frozenset()
    is_prose: bool = False


def facts(values: Mapping[str, str]) -> Table:
    """Return names and values as a table whose cells are read, not compared."""
    return Table(("What", "Value"), list(values.items()), is_prose=True)


@dataclass(frozen=True)
class Card:
    """A number that is seen first, with what lies beneath it."""

    name: str
    value: str
    note: str


@dataclass(frozen=True)
class Picture:
    """A picture as SVG, with a line that says how to read it."""

    title: str
    svg: str
    note: str


@dataclass(frozen=True)
class Pictures:
    """Pictures side by side, where there is room."""

    kind: ClassVar = "pictures"
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Bar:
    """A signed bar: ``size`` is from -1 to 1, of the room on either side."""

    name: str
    value: str
    number: str
    size: float


@dataclass(frozen=True)
class Person:
    """What is told of one visitor, with bars for what made the score."""

    title: str
    score: str
    outcome: str
    right: bool
    note: str
    bars: Sequence[Bar]
    rest: str


@dataclass(frozen=True)
class People:
    """Visitors side by side, where there is room."""

    kind: ClassVar = "people"
    people: Sequence[Person]


@dataclass(frozen=True)
class Code:
    """Text whose columns stay below each other."""

    kind: ClassVar = "code"
    text: str


Block = Text | Table | Pictures | People | Code


@dataclass(frozen=True)
class Section:
    """A titled part of the page."""

    title: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        """The name by which the table of contents finds it."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Badge:
    """A verdict in a word, and what it rests on."""

    word: str
    good: bool
    text: str


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    lead: str
    badge: Badge | None
    cards: Sequence[Card]
    sections: Sequence[Section]


def render(page: Page) -> str:
    """Return the page as HTML; text is escaped wherever it stands, SVG is not."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("prospect_pipeline.training", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html")
    return template.render(page=page, light=LIGHT, dark=DARK)
