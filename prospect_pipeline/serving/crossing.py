"""Visitors whose score crosses a threshold: Signals is told once of each, and tells their page."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import OrderedDict

from prospect_pipeline.errors import SignalsError
from prospect_pipeline.settings import ServingSettings
from prospect_pipeline.signals.client import OnlineAttributes

MOST_TOLD = 100_000
MOST_AT_ONCE = 50
# An intervention has the same id from whichever worker, so that a page knows it again.
NAMESPACE = uuid.UUID("6f1d7f6c-30c5-4a55-9c35-9d0a3b0d7d51")

logger = logging.getLogger("prospect.service")


class Crossings:
    """Pushes an intervention the first time that a visitor's score is high enough.

    From which score on is a setting, or else the model's own threshold for a prospect.
    A visitor of whom nobody was waiting to be told is tried again with the next score.
    """

    def __init__(self, settings: ServingSettings, attributes: OnlineAttributes) -> None:
        self.name = settings.intervention
        self.threshold = settings.intervention_threshold
        self.attributes = attributes
        self._told: OrderedDict[str, None] = OrderedDict()
        self._telling: set[asyncio.Task[None]] = set()

    def notice(self, visitor: str, score: float, threshold: float) -> None:
        """Take note of a score, and of the threshold of the model that gave it.

        What follows happens aside, and no caller waits for it.
        """
        enough = threshold if self.threshold is None else self.threshold
        if not self.name or score < enough or visitor in self._told:
            return
        if len(self._telling) >= MOST_AT_ONCE:
            return
        self._told[visitor] = None
        if len(self._told) > MOST_TOLD:
            self._told.popitem(last=False)
        task = asyncio.create_task(self._tell(visitor, score))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """Wait for what is being told."""
        await asyncio.gather(*self._telling, return_exceptions=True)

    async def _tell(self, visitor: str, score: float) -> None:
        intervention = {
            "name": self.name,
            "version": 1,
            "intervention_id": str(uuid.uuid5(NAMESPACE, f"{self.name}:{visitor}")),
            "attributes": {"score": f"{score:.4f}"},
        }
        try:
            delivered = await self.attributes.push(visitor, intervention)
        except SignalsError as problem:
            logger.warning("%s", problem)
            delivered = False
        if not delivered:
            self._told.pop(visitor, None)
