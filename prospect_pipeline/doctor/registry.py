"""The registry: reached, with a version that can be served. MLflow makes no table or folder."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url

from prospect_pipeline import features
from prospect_pipeline.attributes import prospect
from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.doctor.report import Answer, Check, ok, warning, wrong
from prospect_pipeline.doctor.signals import CREDENTIALS, PUBLISH
from prospect_pipeline.doctor.system import System
from prospect_pipeline.errors import NoModel
from prospect_pipeline.redaction import shown_address
from prospect_pipeline.settings import DataSettings, DefinitionSettings, RegistrySettings
from prospect_pipeline.signals.deployment import is_published

if TYPE_CHECKING:
    from prospect_pipeline.registry.store import ModelVersion, Registry

AREA = "registry"
ADDRESS, VERSION, MODEL = f"{AREA} address", f"{AREA} version", f"{AREA} model"
SECONDS = 60
"""MLflow takes seconds to import, and asks a server more than once."""

REACH = "check MLFLOW_TRACKING_URI and the server; unset it to use SQLite under the data dir"
TRAIN = "train one: prospect run, or materialize registered_model in Dagster"
OTHER = "choose another version: prospect promote VERSION"
UPGRADE = "run `mlflow db upgrade` on it with the release of MLflow that is installed here"
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


def checks(system: System) -> list[Check]:
    """Return the checks of the registry."""
    seen = _Registry(system)
    return [
        Check(AREA, "address", seen.address, REACH, seconds=SECONDS),
        Check(AREA, "version", seen.version, TRAIN, after=(ADDRESS,), seconds=SECONDS),
        Check(AREA, "model", seen.model, OTHER, after=(VERSION,), seconds=SECONDS),
        Check(
            AREA, "attributes", seen.attributes, f"publish them: {PUBLISH}", (MODEL, CREDENTIALS)
        ),
    ]


class _Registry:
    """The registry as it is found, behind an address that makes nothing where it is missing."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.settings = system[RegistrySettings]
        self.embedded = system[DataSettings].root / "mlflow" / "mlflow.db"
        self.uri = self.settings.tracking_uri or f"sqlite:///{self.embedded}"
        self.shown = shown_address(self.uri)

    @cached_property
    def registry(self) -> Registry:
        """The registry, as if its address had been set: it then makes no folder of its own."""
        from prospect_pipeline.registry.store import Registry

        named = self.settings.model_copy(update={"tracking_uri": self.uri})
        return Registry(named, self.system[DataSettings])

    def address(self) -> Answer:
        if self.uri.split("://")[0].split("+")[0] in DATABASES:
            return _database(self.uri)
        if self.uri.startswith("http"):
            self.registry.check()
            return ok(f"MLflow answers at {self.shown}")
        return wrong(
            f"{self.shown} is neither a server nor a database: it is not looked into, because "
            "MLflow would make folders in it",
            "set MLFLOW_TRACKING_URI to https://..., or to a database such as sqlite:///PATH",
        )

    def version(self) -> Sequence[Answer]:
        """The alias points at a version, and the one that MODEL_VERSION names is there."""
        name, alias, wanted = self.settings.model_name, self.settings.alias, self.settings.version
        newest = self._resolve("latest")
        if newest is None:
            return [wrong(f"no version of '{name}' is registered yet", TRAIN)]
        found = []
        if champion := self._resolve(None):
            self.system.champion = champion
            found.append(ok(f"{alias} is version {champion.version} of {name}"))
        else:
            remedy = f"choose one: prospect promote VERSION (the newest is {newest.version})"
            nowhere = f"alias '{alias}' of {name} points at no version"
            found.append((warning if wanted else wrong)(nowhere, remedy))
        if wanted:
            self.system.champion = self._resolve(wanted)
            if served := self.system.champion:
                found.append(ok(f"version {served.version} is served: MODEL_VERSION is {wanted}"))
            else:
                words = f"MODEL_VERSION is {wanted}, and {name} has no such version"
                found.append(
                    wrong(
                        words, f"unset it, or set one that is there (the newest: {newest.version})"
                    )
                )
        return found

    def model(self) -> Answer:
        """The version loads, and scores a visitor of whom nothing is known."""
        assert self.system.champion is not None
        loaded = self.registry.load(self.system.champion)
        score = loaded.model.score_one(features.vector({}, datetime.now(UTC)))
        self.system.model = loaded
        version = loaded.identity.version
        return ok(f"version {version} loads, and scores a visitor without attributes {score:.4f}")

    def attributes(self) -> Answer:
        """Signals has the attributes that the version was trained on."""
        assert self.system.model is not None
        group, version = self.system.model.group, self.system.model.identity.version
        defined = GroupVersion.of(prospect.attribute_group(self.system[DefinitionSettings]))
        if group is None:
            return warning(f"version {version} does not say its attribute group's version", TRAIN)
        if not is_published(self.system.signals.sdk(), group):
            return wrong(
                f"version {version} was trained on {group}, which Signals has not published",
                f"set SIGNALS_GROUP_VERSION={group.version} and publish it: {PUBLISH}; or {OTHER}",
            )
        if group != defined:
            words = f"version {version} was trained on {group}; defined here is {defined.version}"
            return warning(words, f"once its values are whole, {TRAIN}")
        return ok(f"version {version} was trained on {group}, which Signals has published")

    def _resolve(self, selector: str | None) -> ModelVersion | None:
        try:
            return self.registry.resolve(selector)
        except NoModel:
            return None


def _database(uri: str) -> Answer:
    """Look whether a database holds the tables of this MLflow: it would make or change them."""
    from prospect_pipeline.registry.failures import FAILURES, first_line

    place, shown = make_url(uri), shown_address(uri)
    if place.get_backend_name() == "sqlite" and not Path(place.database or "").is_file():
        return wrong(f"no model is registered yet: there is no {place.database}", TRAIN)
    engine = sqlalchemy.create_engine(place)
    try:
        with engine.connect() as connection:
            present = MigrationContext.configure(connection).get_current_revision()
    except FAILURES as error:
        return wrong(f"{shown} cannot be used: {first_line(error)}", REACH)
    finally:
        engine.dispose()
    if present is None:
        return wrong(f"no model is registered yet: {shown} holds no tables of MLflow", TRAIN)
    scripts = str(files("mlflow.store") / "db_migrations")
    if present != ScriptDirectory(scripts).get_current_head():
        return wrong(f"{shown} holds the tables of another release of MLflow", UPGRADE)
    return ok(f"{shown} holds MLflow's tables")
