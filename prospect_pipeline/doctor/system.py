"""The system as it is set up here: its settings, and what they lead to."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from prospect_pipeline.doctor.running import Running
from prospect_pipeline.errors import SettingsError
from prospect_pipeline.settings import (
    AutomationSettings,
    Clock,
    DataSettings,
    DefinitionSettings,
    RegistrySettings,
    ServingSettings,
    SignalsSettings,
    SnowflakeSettings,
    TrainingSettings,
    _Settings,
)
from prospect_pipeline.signals.connection import Connection, connection

if TYPE_CHECKING:
    from prospect_pipeline.registry.store import LoadedModel, ModelVersion

KINDS: tuple[type[_Settings], ...] = (
    DataSettings,
    Clock,
    SignalsSettings,
    DefinitionSettings,
    SnowflakeSettings,
    TrainingSettings,
    RegistrySettings,
    ServingSettings,
    AutomationSettings,
)

S = TypeVar("S", bound=_Settings)


class System:
    """The settings, each class read once, and what the checks have found out so far.

    Checks leave here what later ones need: ``champion`` is the version that is to be served,
    ``model`` the same loaded, ``snowflake`` the open connection. ``closing`` closes what they open.
    """

    def __init__(self, data_dir: Path | None, closing: ExitStack) -> None:
        self.closing = closing
        self.champion: ModelVersion | None = None
        self.model: LoadedModel | None = None
        self.snowflake: Any = None
        self.problems: dict[type[_Settings], str] = {}
        self._settings: dict[type[_Settings], _Settings] = {}
        for kind in KINDS:
            given = {"data_dir": data_dir} if kind is DataSettings else {}
            try:
                self._settings[kind] = kind.load(**given)
            except SettingsError as error:
                self.problems[kind] = str(error)

    def has(self, *kinds: type[_Settings]) -> bool:
        """Whether all of these settings can be read."""
        return all(kind in self._settings for kind in kinds)

    def __getitem__(self, kind: type[S]) -> S:
        if kind not in self._settings:
            raise SettingsError(self.problems[kind])
        return cast(S, self._settings[kind])

    @cached_property
    def signals(self) -> Connection:
        """Where Signals is; raises SignalsUnavailable where the local one does not run."""
        return connection(self[SignalsSettings], self[DataSettings])

    @cached_property
    def service(self) -> str | None:
        """The scoring service's address: PREDICT_URL, else that of `prospect run`."""
        named = self[AutomationSettings].predict_url
        return named.rstrip("/") if named else self._running.predict

    @property
    def running(self) -> Running:
        """What `prospect run` says, where the scoring service is its own; else nothing."""
        own = self.has(AutomationSettings) and self.service == self._running.predict
        return self._running if own else Running()

    @cached_property
    def _running(self) -> Running:
        return Running.read(self[DataSettings].run_file)
