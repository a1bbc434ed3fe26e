"""Which version is the champion: the alias, and a record of every change of it.

A record is a tag of the registered model, ``champion.<moment>``, so that it is where the alias is,
whatever stores the registry. It is written before the alias is moved: a change that nobody
recorded cannot be.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from mlflow.exceptions import MlflowException

from prospect_pipeline import features
from prospect_pipeline.errors import NoModel
from prospect_pipeline.registry.store import LoadedModel, ModelVersion, Registry


@dataclass(frozen=True)
class Change:
    """The alias was moved: from ``previous`` (None: it was nowhere) to ``version``."""

    at: str
    version: str
    previous: str | None
    who: str
    why: str
    back: bool = False


class Champions:
    """Moves the alias. Every method raises RegistryError where MLflow cannot be reached.

    ``confirm`` is given each version before it becomes champion, and may raise.
    """

    def __init__(
        self, registry: Registry, confirm: Callable[[LoadedModel], None] | None = None
    ) -> None:
        self.registry = registry
        self.confirm = confirm
        self._prefix = f"{registry.settings.alias}."

    def current(self) -> ModelVersion | None:
        """Return the champion, None where there is none."""
        try:
            return self.registry.resolve()
        except NoModel:
            return None

    def promote(self, version: ModelVersion, who: str, why: str) -> Change:
        """Let the alias point at a version, which has to load; raises RegistryError."""
        return self._move(version, who, why, back=False)

    def rollback(self, who: str, why: str) -> Change:
        """Let the alias point at the champion before the present one; raises NoModel for none."""
        with self.alone():
            before = self._before()
            if before is None:
                raise NoModel(
                    f"Model '{self.registry.settings.model_name}' has no earlier champion to go "
                    "back to. Choose a version yourself: `prospect promote VERSION`."
                )
            return self._move(self.registry.resolve(before), who, why, back=True)

    def history(self) -> list[Change]:
        """Return every change, the oldest first."""
        name = self.registry.settings.model_name
        with self.registry.connected() as client:
            try:
                tags = client.get_registered_model(name).tags
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return []
        found = [json.loads(text) for tag, text in tags.items() if tag.startswith(self._prefix)]
        return sorted((Change(**one) for one in found), key=lambda change: change.at)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold off others on this machine between a comparison and the change that follows."""
        self.registry.folder.mkdir(parents=True, exist_ok=True)
        with (self.registry.folder / "champion.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _move(self, version: ModelVersion, who: str, why: str, *, back: bool) -> Change:
        loaded = self.registry.load(version)
        loaded.model.score_one(features.vector({}, datetime.now(UTC)))  # as the service will first
        if self.confirm is not None:
            self.confirm(loaded)
        present = self.current()
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        previous = present.version if present else None
        change = Change(at, version.version, previous, who, why, back)
        tag = f"{self._prefix}{at.replace(':', '-').replace('+', '_')}"
        with self.registry.connected() as client:
            client.set_registered_model_tag(version.name, tag, json.dumps(asdict(change)))
            client.set_registered_model_alias(
                version.name, self.registry.settings.alias, version.version
            )
        return change

    def _before(self) -> str | None:
        """Return the champion before the present one; going back twice goes back two steps."""
        present = self.current()
        return earlier(self.history(), present.version if present else None)


def earlier(changes: Iterable[Change], present: str | None) -> str | None:
    """Return the champion before the present one, None without any.

    ``changes`` are the recorded ones, the oldest first; one that was recorded and then cut off is
    known by the next one's ``previous``.
    """
    stack: list[str] = []
    for change in changes:
        _down_to(stack, change.previous)
        if change.back and change.version in stack:
            _down_to(stack, change.version)
        else:
            stack.append(change.version)
    _down_to(stack, present)
    while stack and stack[-1] == present:
        stack.pop()
    return stack[-1] if stack else None


def _down_to(stack: list[str], version: str | None) -> None:
    """Drop what stands on the last place of a version; one that is nowhere changes nothing."""
    if version in stack:
        del stack[len(stack) - stack[::-1].index(version) :]


def whoever() -> str:
    """Return who runs this, for the record; a container may know no name for its user."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # an OSError from Python 3.13 on
        name = f"uid {os.getuid()}"
    return f"{name} on {socket.gethostname()}"
