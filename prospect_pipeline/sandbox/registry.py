"""The local Signals' registry of attribute keys, groups, services and interventions: SQLite.

A row is one object as the SDK sent it, plus whether it is published. The rules (what exists
already, what must be unpublished first) are Snowplow's documented ones where there are any.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from prospect_pipeline.settings import DataSettings

Kind = Literal["attribute_keys", "attribute_groups", "services", "interventions"]
Body = dict[str, Any]

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS objects (
  kind TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (kind, name, version)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS sent (
  name TEXT NOT NULL, version INTEGER NOT NULL, about TEXT NOT NULL,
  PRIMARY KEY (name, version, about)) WITHOUT ROWID""",
)
VERSIONED = ("attribute_groups", "interventions")


class Exists(Exception):
    """An object of that name and version is there already."""


class Missing(Exception):
    """There is no object of that name and version."""


class InUse(Exception):
    """An object cannot be changed or deleted as asked, for the reason given."""


class Registry:
    """Objects by kind, name and version (0 for the kinds that have none)."""

    def __init__(self, data: DataSettings) -> None:
        self.data = data
        self.path: Path = data.root / "signals" / "registry.db"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.revision = 0
        """Counts the changes, so that whoever makes something of the objects knows of them."""
        with self._transaction() as database:
            for statement in _SCHEMA:
                database.execute(statement)

    def create(self, kind: Kind, name: str, version: int, body: Body) -> None:
        """Add an object; raises Exists."""
        try:
            with self._transaction() as database:
                database.execute(
                    "INSERT INTO objects VALUES (?, ?, ?, ?)",
                    (kind, name, version, json.dumps(body)),
                )
        except sqlite3.IntegrityError:
            raise Exists(f"{_title(kind, name, version)} exists already") from None
        self.revision += 1

    def update(self, kind: Kind, name: str, version: int, body: Body) -> None:
        """Replace an object; raises Missing, or InUse where a published definition would change."""
        with self._transaction() as database:
            stored = _get(database, kind, name, version)
            fixed = kind in VERSIONED and stored.get("is_published")
            if fixed and definition(stored) != definition(body):
                raise InUse(
                    f"{_title(kind, name, version)} is published and its definition differs; "
                    "raise its version, or unpublish it first"
                )
            database.execute(
                "UPDATE objects SET body = ? WHERE kind = ? AND name = ? AND version = ?",
                (json.dumps(body), kind, name, version),
            )
        self.revision += 1

    def delete(self, kind: Kind, name: str, version: int) -> None:
        """Remove an object; raises Missing, or InUse while it is published or referred to."""
        with self._transaction() as database:
            if _get(database, kind, name, version).get("is_published"):
                raise InUse(f"{_title(kind, name, version)} is published; unpublish it first")
            if kind == "attribute_groups":
                users = [
                    service["name"]
                    for service in _all(database, "services")
                    if (name, version) in [(g["name"], g["version"]) for g in _links(service)]
                ]
                if users:
                    raise InUse(
                        f"{_title(kind, name, version)} is used by service {', '.join(users)}; "
                        "change or delete that first"
                    )
            database.execute(
                "DELETE FROM objects WHERE kind = ? AND name = ? AND version = ?",
                (kind, name, version),
            )
            if kind == "interventions":
                database.execute("DELETE FROM sent WHERE name = ? AND version = ?", (name, version))
        self.revision += 1

    def get(self, kind: Kind, name: str, version: int | None = None) -> Body:
        """Return an object, the latest version where none is named; raises Missing."""
        with self._transaction() as database:
            return _get(database, kind, name, version)

    def all(self, kind: Kind) -> list[Body]:
        """Return all objects of a kind, by name and version."""
        with self._transaction() as database:
            return _all(database, kind)

    def mark_sent(self, name: str, version: int, about: Sequence[tuple[str, str]]) -> bool:
        """Remember that an intervention was sent about identifiers; False if it was before."""
        with self._transaction() as database:
            done = database.execute(
                "INSERT OR IGNORE INTO sent VALUES (?, ?, ?)", (name, version, json.dumps(about))
            )
            return done.rowcount == 1

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.path, timeout=10)
        try:
            with database:
                yield database
        finally:
            database.close()


def definition(group: Body) -> Body:
    """Return what an object is: all but whether, and since when, it is computed."""
    aside = ("is_published", "backfill_since_tstamp", "description", "owner", "online")
    return {field: value for field, value in group.items() if field not in aside}


def _links(service: Body) -> list[Body]:
    return [{"version": 1, **link} for link in service.get("attribute_groups", [])]


def _get(database: sqlite3.Connection, kind: Kind, name: str, version: int | None) -> Body:
    query = "SELECT body FROM objects WHERE kind = ? AND name = ?"
    found = (
        database.execute(f"{query} ORDER BY version DESC", (kind, name))
        if version is None
        else database.execute(f"{query} AND version = ?", (kind, name, version))
    ).fetchone()
    if found is None:
        raise Missing(f"{_title(kind, name, version)} does not exist")
    body: Body = json.loads(found[0])
    return body


def _all(database: sqlite3.Connection, kind: Kind) -> list[Body]:
    query = "SELECT body FROM objects WHERE kind = ? ORDER BY name, version"
    return [json.loads(body) for (body,) in database.execute(query, (kind,))]


def _title(kind: Kind, name: str, version: int | None) -> str:
    word = kind.removesuffix("s").replace("_", " ")
    return f"{word} '{name}'" + (f" version {version}" if version else "")
