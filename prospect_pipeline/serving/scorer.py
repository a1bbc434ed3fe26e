"""The model in use: loaded, warmed up, and swapped for a newer one without a pause."""

from __future__ import annotations

import asyncio
import ctypes
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

from prospect_pipeline import features
from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.errors import DamagedModel, NoModel, ProspectError, SignalsError
from prospect_pipeline.registry.kept import KeptModel
from prospect_pipeline.registry.store import LoadedModel, Registry
from prospect_pipeline.serving.metrics import Metrics

Published = Callable[[GroupVersion], Awaitable[bool]]
"""Says whether Signals has a group's version published; raises SignalsError where it cannot say."""

logger = logging.getLogger("prospect.scorer")


class Scorer:
    """Holds one loaded version at a time; a failed load keeps the one before.

    Where there is none before, the one that was ``kept`` on the disk stands in: whoever starts anew
    goes on with what was in use, as those do who were not ended.
    """

    def __init__(
        self,
        registry: Registry,
        selector: str | None,
        kept: KeptModel | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.registry = registry
        self.selector = selector
        self.kept = kept
        self.metrics = metrics
        self.problem: str | None = None
        self._loaded: LoadedModel | None = None
        self._waiting: LoadedModel | None = None

    @property
    def ready(self) -> bool:
        """Whether a model is loaded."""
        return self._loaded is not None

    def version(self) -> str | None:
        """Return the number of the version in use, None where there is none yet."""
        return self._loaded.identity.version if self._loaded is not None else None

    def current(self) -> LoadedModel:
        """Return the model in use; raises NoModel where there is none yet."""
        if self._loaded is None:
            raise NoModel(self.problem or "No model is loaded yet.")
        return self._loaded

    def refresh(self) -> bool:
        """Load the version that is meant, where another is in use; return whether it changed."""
        loaded = self._newer()
        if loaded is None:
            return self.stand_in()
        self._use(loaded)
        self._keep(loaded)
        _give_back()
        return True

    def stand_in(self) -> bool:
        """Use the version that was kept on the disk, where there is none in use; return whether."""
        if self.ready or self.kept is None:
            return False
        loaded = self.kept.read()
        if loaded is None:
            return False
        try:
            _try(loaded)
        except Exception as error:  # it was kept by other code than this
            words = str(error).partition("\n")[0]
            logger.warning("What was kept on this disk cannot be used: %s", words)
            return False
        identity = loaded.identity
        logger.warning(
            "Model %s version %s, kept on this disk, stands in: %s",
            identity.name,
            identity.version,
            self.problem or "MLflow has not answered yet.",
        )
        self._use(loaded)
        return True

    async def follow(self, published: Published) -> bool:
        """Refresh, but let a model in use stay until the newer one's attributes are published.

        Where there is none in use yet, the newer one is taken as it is. Returns whether it changed.
        """
        loaded = await asyncio.to_thread(self._newer)
        if loaded is None:
            return False
        try:
            await self._require_published(loaded, published)
        except Exception as error:  # whatever it is, the model in use goes on
            self._waiting = loaded
            self._stay(error)
            return False
        self._use(loaded)
        await asyncio.to_thread(self._keep, loaded)
        await asyncio.to_thread(_give_back)
        return True

    async def watch(self, seconds: float, published: Published) -> None:
        """Follow every so often, for ever, beside the requests."""
        while True:
            await asyncio.sleep(seconds)
            await self.follow(published)

    def _newer(self) -> LoadedModel | None:
        """Return the version that is meant, loaded, None where it is in use or cannot be loaded."""
        try:
            wanted = self.registry.resolve(self.selector)
            if self._loaded is not None and self._loaded.identity == wanted:
                self._waiting, self.problem = None, None
                return None
            if self._waiting is not None and self._waiting.identity == wanted:
                return self._waiting
            loaded = self.registry.load(wanted)
            _try(loaded)
        except Exception as error:  # whatever it is, the model in use goes on, and so does watching
            self._stay(error)
            return None
        return loaded

    def _keep(self, loaded: LoadedModel) -> None:
        if self.kept is not None:
            self.kept.keep(loaded)

    async def _require_published(self, newer: LoadedModel, published: Published) -> None:
        group, used = newer.group, self._loaded
        if used is None or group is None or group == used.group:  # it loses nothing that is there
            return
        if not await published(group):
            raise SignalsError(
                f"Signals has no published {group}, which version {newer.identity.version} was "
                "trained on. Publish it by the job deploy_configuration, or take a version whose "
                "attributes are: `prospect promote VERSION`."
            )

    def _use(self, loaded: LoadedModel) -> None:
        if self.metrics is not None:
            self.metrics.model_taken(loaded, self._loaded)
        self._loaded, self._waiting, self.problem = loaded, None, None
        identity = loaded.identity
        logger.info("Model %s version %s is in use", identity.name, identity.version)

    def _stay(self, error: Exception) -> None:
        if self.metrics is not None:
            self.metrics.model_stays()
        known = isinstance(error, ProspectError)
        problem = str(error) if known else f"loading failed unexpectedly ({type(error).__name__})"
        if problem != self.problem:
            begun = "The model in use stays" if self.ready else "No model is loaded"
            logger.warning("%s: %s", begun, problem, exc_info=not known)
        self.problem = problem


def _try(loaded: LoadedModel) -> None:
    """Score and explain, both slow at first; raises InputError or DamagedModel without a score."""
    columns = features.vector({}, datetime.now(UTC))
    score = loaded.model.score_one(columns)
    if not 0 < score < 1:
        identity = loaded.identity
        raise DamagedModel(
            f"{identity.name} version {identity.version} gives a score of {score}, expected one "
            "between 0 and 1. Choose another version, or train one."
        )
    try:
        loaded.model.explain_one(columns)
        _ = loaded.model.base  # found once, and kept
    except ValueError as error:  # XGBoost's; the scores are what it is loaded for
        words = str(error).partition("\n")[0]
        logger.warning("%s cannot explain its scores (%s).", loaded.identity, words)


def _give_back() -> None:
    """Give the system the memory of the model before, and of loading: glibc would hold it."""
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
