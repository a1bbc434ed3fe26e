"""The BentoML service: ``POST /predict`` reads a visitor's attributes and scores them."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import bentoml
from pydantic import ValidationError
from starlette.responses import JSONResponse

from prospect_pipeline import features
from prospect_pipeline.errors import NoModel, SignalsError
from prospect_pipeline.registry.store import LoadedModel, Registry
from prospect_pipeline.serving.crossing import Crossings
from prospect_pipeline.serving.edge import Edge, error
from prospect_pipeline.serving.schemas import DomainUserid, DryRun, Explain, Prediction
from prospect_pipeline.serving.scorer import Scorer
from prospect_pipeline.settings import (
    Clock,
    DataSettings,
    DefinitionSettings,
    RegistrySettings,
    ServingSettings,
    SignalsSettings,
)
from prospect_pipeline.signals.client import OnlineAttributes
from prospect_pipeline.signals.connection import connection

KEY = "domain_userid"
RETRY_AFTER = {"Retry-After": "1"}
RENEW_SECONDS = 60

logger = logging.getLogger("prospect.service")


class Expected(logging.Filter):
    """Drops what BentoML logs of a bad body: a traceback, with the caller's input in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is to be kept."""
        return not (record.exc_info and isinstance(record.exc_info[1], ValidationError))


# BentoML keeps a request's context in memory until `traffic.timeout` has passed, so it is short.
@bentoml.service(
    name="prospect_scoring",
    workers=1,
    traffic={"timeout": 2},
    logging={"access": {"enabled": False}},
)
class ProspectScoring:
    """Scores visitors by the champion, on their attributes of this moment."""

    def __init__(self) -> None:
        data = _data()
        signals = SignalsSettings.load()
        registry = RegistrySettings.load()
        self.serving = ServingSettings.load()
        self.clock = Clock.load()
        self.scorer = Scorer(Registry(registry, data), registry.version)
        self.attributes = OnlineAttributes(
            lambda: connection(signals, data),
            DefinitionSettings.load().service_name,
            KEY,
            signals.timeout_ms,
        )
        self.crossings = Crossings(self.serving, self.attributes)
        self.tasks: list[asyncio.Task[None]] = []

    @bentoml.on_startup
    async def start(self) -> None:
        """Load the model and fetch the token; then watch for newer ones, and renew it ahead.

        Whether Signals still has the model's attributes is looked up as often as for a newer model,
        which is taken once Signals has its own.
        """
        logging.getLogger("bentoml._internal.server.http_app").addFilter(Expected())
        await asyncio.to_thread(self.scorer.refresh)
        await self._renew()
        await self._confirm()
        self.tasks = [
            asyncio.create_task(
                self.scorer.watch(self.serving.poll_seconds, self.attributes.is_published)
            ),
            asyncio.create_task(self._keep_renewing()),
            asyncio.create_task(self._keep_confirming()),
        ]

    @bentoml.on_shutdown
    async def end(self) -> None:
        """Stop watching, and close the connections."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.crossings.close()
        await self.attributes.close()

    async def __is_ready__(self) -> bool:
        """Whether a model is loaded (BentoML's readiness)."""
        return self.scorer.ready

    @bentoml.api(route="/predict")
    async def predict(
        self, domain_userid: DomainUserid, explain: Explain = False, dry_run: DryRun = False
    ) -> Prediction:
        """Score one visitor; one whom Signals does not know is scored on empty attributes."""
        try:
            loaded = self.scorer.current()
            values = await self.attributes.read(domain_userid, loaded.group)
        except NoModel:  # why is in the log; a caller is not told where the registry is
            return error(503, "no_model", "No model is loaded yet.", RETRY_AFTER)  # type: ignore[return-value]
        except SignalsError as problem:
            return error(503, "signals_unavailable", str(problem), RETRY_AFTER)  # type: ignore[return-value]
        moment = values.moment or self.clock.now()
        raw = {name: value for name, value in values.attributes.items() if name != KEY}
        answer = self._answer(loaded, domain_userid, raw, moment, explain=explain)
        if dry_run:
            answer["moment"] = moment.isoformat()
        else:
            self.crossings.notice(domain_userid, answer["score"])
        return JSONResponse(answer)  # type: ignore[return-value]

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            await self._renew()

    async def _keep_confirming(self) -> None:
        while True:
            await asyncio.sleep(self.serving.poll_seconds)
            await self._confirm()

    async def _confirm(self) -> None:
        group = self.scorer.current().group if self.scorer.ready else None
        if group is not None:
            with suppress(SignalsError):  # it is in the log, and a request will say so too
                await self.attributes.confirm(group)

    async def _renew(self) -> None:
        try:
            await self.attributes.renew()
        except SignalsError as problem:  # a request will say so too
            logger.warning("%s", problem)

    def _answer(
        self,
        loaded: LoadedModel,
        domain_userid: str,
        raw: dict[str, Any],
        moment: datetime,
        *,
        explain: bool,
    ) -> dict[str, Any]:
        full = self.serving.detail == "full"
        columns = features.vector(raw, moment)
        identity, threshold = loaded.identity, loaded.model.threshold
        score = loaded.model.score_one(columns)
        answer: dict[str, Any] = {
            KEY: domain_userid,
            "score": score,
            "decision": {"prospect": score >= threshold, "threshold": threshold},
            "model": {"name": identity.name, "version": identity.version},
        }
        if full:
            answer |= {"signals": raw, "scoring_attributes": columns}
        if explain:
            answer["reasons"] = [
                {"feature": name, "contribution": contribution}
                | ({"value": columns[name]} if full else {})
                for name, contribution in loaded.model.explain_one(columns)
            ]
        return answer


def _data() -> DataSettings:
    """Return the data directory as it was meant where `bentoml serve` was called.

    A built Bento runs inside its own folder, where a relative path would mean something else.
    """
    data = DataSettings.load()
    inside_bento = (Path.cwd().parent / "bento.yaml").exists()
    if inside_bento and not data.data_dir.is_absolute():
        return DataSettings.load(data_dir=Path(os.environ.get("PWD", ".")) / data.data_dir)
    return data


ProspectScoring.add_asgi_middleware(Edge)  # type: ignore[attr-defined]
