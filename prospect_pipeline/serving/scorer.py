"""The model in use: loaded, warmed up, and swapped for a newer one without a pause."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from prospect_pipeline import features
from prospect_pipeline.errors import NoModel, ProspectError
from prospect_pipeline.registry.store import LoadedModel, Registry

logger = logging.getLogger("prospect.scorer")


class Scorer:
    """Holds one loaded version at a time; a failed load keeps the one before."""

    def __init__(self, registry: Registry, selector: str | None) -> None:
        self.registry = registry
        self.selector = selector
        self.problem: str | None = None
        self._loaded: LoadedModel | None = None

    @property
    def ready(self) -> bool:
        """Whether a model is loaded."""
        return self._loaded is not None

    def current(self) -> LoadedModel:
        """Return the model in use; raises NoModel where there is none yet."""
        if self._loaded is None:
            raise NoModel(self.problem or "No model is loaded yet.")
        return self._loaded

    def refresh(self) -> bool:
        """Load the version that is meant, where another is in use; return whether it changed."""
        try:
            wanted = self.registry.resolve(self.selector)
            if self._loaded is not None and self._loaded.identity == wanted:
                return False
            loaded = self.registry.load(wanted)
            loaded.model.score_one(features.vector({}, datetime.now(UTC)))  # the first is slow
        except ProspectError as error:
            self._stay(str(error))
            return False
        except Exception as error:  # whatever it is, the model in use goes on, and so does watching
            self._stay(f"loading failed unexpectedly ({type(error).__name__})", trace=True)
            return False
        self._loaded, self.problem = loaded, None
        logger.info("Model %s version %s is in use", wanted.name, wanted.version)
        return True

    def _stay(self, problem: str, *, trace: bool = False) -> None:
        if problem != self.problem:
            logger.warning("The model in use stays: %s", problem, exc_info=trace)
        self.problem = problem

    async def watch(self, seconds: float) -> None:
        """Refresh every so often, for ever, beside the requests."""
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self.refresh)
