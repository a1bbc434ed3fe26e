"""From visitors to scores: attributes are read together, encoded, and scored together.

Visitors who are asked for in the same turn of the event loop share one call to Signals and one to
XGBoost. Nobody waits for that: a visitor who comes alone is asked for alone, in the next turn.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from prospect_pipeline import features
from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.errors import InputError, ProspectError, SignalsError
from prospect_pipeline.features import Value
from prospect_pipeline.registry.store import LoadedModel
from prospect_pipeline.scoring import Floats
from prospect_pipeline.serving.metrics import Metrics
from prospect_pipeline.serving.remembered import Remembered
from prospect_pipeline.serving.scorer import Scorer
from prospect_pipeline.settings import Clock
from prospect_pipeline.signals.client import OnlineAttributes
from prospect_pipeline.signals.replies import OnlineValues

Read = Callable[
    [Sequence[str], GroupVersion | None], Awaitable[Sequence[OnlineValues | SignalsError]]
]


@dataclass(slots=True)
class Scored:
    """A visitor's score, with all that it was made of; ``stale`` says that it is of a while ago."""

    visitor: str
    model: LoadedModel
    attributes: dict[str, Any]
    columns: dict[str, Value]
    moment: datetime
    stale: bool = False
    score: float = 0.0


class Predictor:
    """Scores visitors by the model in use, as many together as Signals is asked for in one call."""

    def __init__(
        self,
        scorer: Scorer,
        attributes: OnlineAttributes,
        clock: Clock,
        remembered: Remembered,
        metrics: Metrics,
    ) -> None:
        self.scorer = scorer
        self.attributes = attributes
        self.clock = clock
        self.remembered = remembered
        self.metrics = metrics
        self.together = attributes.together
        self._asked: list[tuple[str, asyncio.Future[Scored]]] = []
        self._answering: set[asyncio.Task[None]] = set()
        self._encoded: tuple[LoadedModel, Floats] | None = None

    async def predict(self, visitor: str) -> Scored:
        """Score one visitor.

        Raises NoModel, SignalsError where their attributes cannot be read, and InputError where
        these cannot be scored.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Scored] = loop.create_future()
        if not self._asked:
            loop.call_soon(self._answer_all)
        self._asked.append((visitor, answer))
        return await answer

    async def predict_many(self, visitors: Sequence[str]) -> list[Scored]:
        """Score visitors, who may be named twice, all by the same version; raises as `predict`."""
        model = self.scorer.current()
        distinct = list(dict.fromkeys(visitors))
        values = await self._read(model, distinct, self.attributes.read_all)
        found: dict[str, Scored | ProspectError] = {}
        for start in range(0, len(distinct), self.together):
            some = distinct[start : start + self.together]
            found |= self._score(model, {visitor: values[visitor] for visitor in some})
            await asyncio.sleep(0)  # others have their turn
        scored = []
        for visitor in visitors:
            one = found[visitor]
            if isinstance(one, ProspectError):
                raise one
            scored.append(one)
        return scored

    async def close(self) -> None:
        """Wait for what is being answered."""
        await asyncio.gather(*self._answering, return_exceptions=True)

    def _answer_all(self) -> None:
        """Begin to answer all who have asked in this turn of the event loop."""
        asked, self._asked = self._asked, []
        for start in range(0, len(asked), self.together):
            task = asyncio.create_task(self._answer(asked[start : start + self.together]))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer(self, asked: Sequence[tuple[str, asyncio.Future[Scored]]]) -> None:
        found: dict[str, Scored | ProspectError] = {}
        problem: Exception | None = None
        try:
            model = self.scorer.current()
            visitors = list(dict.fromkeys(visitor for visitor, _ in asked))
            values = await self._read(model, visitors, self.attributes.read_each)
            found = self._score(model, values)
        except Exception as error:  # whatever it is, everybody is waiting for it
            problem = error
        for visitor, answer in asked:
            one = problem or found[visitor]
            if answer.done():  # its caller has gone
                continue
            if isinstance(one, Exception):
                answer.set_exception(_own(one))
            else:
                answer.set_result(one)

    def _score(
        self, model: LoadedModel, values: Mapping[str, OnlineValues | SignalsError]
    ) -> dict[str, Scored | ProspectError]:
        """Return each visitor's score, or why there is none."""
        began = time.perf_counter()
        found = {who: self._prepared(model, who, one) for who, one in values.items()}
        scored = [one for one in found.values() if isinstance(one, Scored)]
        if scored:
            rows = [one.columns for one in scored]
            scores = model.model.score_rows(rows, self._matrix(model))
            told = self.metrics.score.labels(model.identity.version)
            for one, score in zip(scored, scores.tolist(), strict=True):
                one.score = score
                told.observe(score)
        self.metrics.scoring.observe(time.perf_counter() - began)
        return found

    async def _read(
        self, model: LoadedModel, visitors: list[str], read: Read
    ) -> dict[str, OnlineValues | SignalsError]:
        """Return each distinct visitor's values, or why there are none."""
        try:
            values = await read(visitors, model.group)
        except SignalsError as problem:
            values = [problem] * len(visitors)
        return dict(zip(visitors, values, strict=True))

    def _prepared(
        self, model: LoadedModel, visitor: str, values: OnlineValues | SignalsError
    ) -> Scored | ProspectError:
        """Return a visitor who can be scored: on what is remembered, where there is nothing else.

        Only what can be scored is remembered.
        """
        problem: ProspectError
        if isinstance(values, SignalsError):
            problem = values
        else:
            try:
                prepared = self._unscored(model, visitor, values, stale=False)
            except InputError as odd:
                problem = odd
            else:
                self.remembered.keep(visitor, model.group, values)
                return prepared
        recalled = self.remembered.recall(visitor, model.group)
        return problem if recalled is None else self._unscored(model, visitor, recalled, stale=True)

    def _unscored(
        self, model: LoadedModel, visitor: str, values: OnlineValues, *, stale: bool
    ) -> Scored:
        """Return a visitor without a score yet; raises InputError where there can be none."""
        key = self.attributes.key
        raw = {name: value for name, value in values.attributes.items() if name != key}
        moment = self.clock.now() if stale or values.moment is None else values.moment
        return Scored(visitor, model, raw, features.vector(raw, moment), moment, stale)

    def _matrix(self, model: LoadedModel) -> Floats:
        """Return where rows are encoded: made once for a model, and used by this loop alone."""
        if self._encoded is None or self._encoded[0] is not model:
            names = len(model.model.encoder.names)
            self._encoded = (model, np.empty((self.together, names)))
        return self._encoded[1]


def _own(error: Exception) -> Exception:
    """Return a copy, for each caller adds to its traceback; the same where there can be none."""
    try:
        return copy.copy(error)
    except Exception:  # whatever it is, somebody is waiting for it
        return error
