"""The BentoML service: ``POST /predict`` reads a visitor's attributes and scores them."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import bentoml
from bentoml._internal.service.openapi.specification import OpenAPISpecification
from pydantic import ValidationError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from prospect_pipeline.errors import ProspectError, SettingsError, SignalsError
from prospect_pipeline.registry.kept import KeptModel
from prospect_pipeline.registry.store import Registry
from prospect_pipeline.serving import answers, logs, openapi
from prospect_pipeline.serving.answers import Answer
from prospect_pipeline.serving.bodies import Bodies
from prospect_pipeline.serving.crossing import Crossings
from prospect_pipeline.serving.edge import Edge, Endpoints
from prospect_pipeline.serving.endpoints import Endpoint, Gate, Slots
from prospect_pipeline.serving.guard import ApiKeys, RateLimit
from prospect_pipeline.serving.metrics import metrics
from prospect_pipeline.serving.predictor import Predictor
from prospect_pipeline.serving.refusal import COME_AGAIN_SECONDS, Refusal, refusal
from prospect_pipeline.serving.remembered import Remembered
from prospect_pipeline.serving.schemas import (
    DomainUserid,
    DomainUserids,
    DryRun,
    Explain,
    PredictBatchRequest,
    Prediction,
    Predictions,
    PredictRequest,
)
from prospect_pipeline.serving.scorer import Scorer
from prospect_pipeline.serving.tracing import Spans
from prospect_pipeline.settings import (
    Clock,
    DataSettings,
    DefinitionSettings,
    RegistrySettings,
    ServingSettings,
    SignalsSettings,
)
from prospect_pipeline.signals.breaker import Breaker
from prospect_pipeline.signals.client import OnlineAttributes
from prospect_pipeline.signals.connection import connection

KEY = "domain_userid"
RENEW_SECONDS = 60
FIRST_TOKEN_SECONDS = 2.0

SWITCH_SECONDS = 0.0005
"""How soon a thread gives way: while a newer model is loaded, requests wait so long for a turn."""

SETTINGS = (
    Clock,
    DataSettings,
    DefinitionSettings,
    RegistrySettings,
    ServingSettings,
    SignalsSettings,
)

logger = logging.getLogger("prospect.service")


class OpenService(bentoml.Service):  # type: ignore[misc]
    """A service whose hot path does not go through BentoML's middlewares."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """Return BentoML's application behind the edge; ends the process where settings are bad."""
        try:
            for settings in SETTINGS:
                settings.load()
        except SettingsError as error:
            sys.exit(f"Error: {error}")
        inner = super().to_asgi(is_main)
        return Edge(inner, lambda: bentoml.get_current_service().endpoints())

    @property
    def openapi_spec(self) -> OpenAPISpecification:
        """The document that BentoML shows at ``/docs.json``, and packs."""
        version = self.bento.tag.version if self.bento else "unpacked"
        words = {name: api.doc or "" for name, api in self.apis.items()}
        return openapi.specification(ServingSettings.load(), version, words)


class Expected(logging.Filter):
    """Drops what BentoML logs of a bad body: a traceback, with the caller's input in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is to be kept."""
        return not (record.exc_info and isinstance(record.exc_info[1], ValidationError))


# BentoML keeps a request's context in memory until `traffic.timeout` has passed, so it is short.
@bentoml.service(
    name="prospect_scoring",
    service_class=OpenService,
    workers=1,
    traffic={"timeout": 2},
    logging={"access": {"enabled": False}},
)
class ProspectScoring:
    """Scores visitors by the champion, on their attributes of this moment."""

    def __init__(self) -> None:
        data = _data()
        signals, registry = SignalsSettings.load(), RegistrySettings.load()
        self.serving = ServingSettings.load()
        self.full = self.serving.detail == "full"
        self.metrics = metrics()
        self.breaker = Breaker(
            signals.breaker_failures, signals.breaker_seconds, notice=self.metrics.breaker.set
        )
        self.scorer = Scorer(
            Registry(registry, data),
            registry.version,
            KeptModel(registry, data),
            self.metrics,
        )
        self.attributes = OnlineAttributes(
            lambda: connection(signals, data),
            DefinitionSettings.load().service_name,
            KEY,
            signals.timeout_ms,
            self.breaker,
        )
        self.predictor = Predictor(
            self.scorer,
            self.attributes,
            Clock.load(),
            Remembered(self.serving.stale_seconds, self.serving.stale_visitors),
            self.metrics,
            signals.shared_reads,
        )
        self.crossings = Crossings(self.serving, self.attributes)
        self.tasks: list[asyncio.Task[None]] = []

    @bentoml.on_startup
    async def start(self) -> None:
        """Load the model and fetch the token; then watch for newer ones, and renew it ahead.

        Whether Signals still has the model's attributes is looked up as often as for a newer model,
        which is taken once Signals has its own. Neither registry nor Signals is waited for.
        """
        logging.getLogger("bentoml._internal.server.http_app").addFilter(Expected())
        alone = bentoml.server_context.service_type is not None  # a worker, not a test's process
        if alone:
            logs.set_up()
            sys.setswitchinterval(SWITCH_SECONDS)
        await asyncio.to_thread(self.scorer.refresh)
        with suppress(TimeoutError):  # the token goes on being fetched, and requests wait for it
            async with asyncio.timeout(FIRST_TOKEN_SECONDS):
                await self._renew()
        await self._confirm()
        every = self.serving.poll_seconds
        self.tasks = [
            asyncio.create_task(self.scorer.watch(every, self.attributes.is_published)),
            asyncio.create_task(_again_and_again(self._renew, RENEW_SECONDS)),
            asyncio.create_task(_again_and_again(self._confirm, every)),
        ]
        if alone:
            gc.collect()
            gc.freeze()  # what is there now stays, and collections need not look at it again

    @bentoml.on_shutdown
    async def end(self) -> None:
        """Stop watching, and close the connections."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.predictor.close()
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
        asked = PredictRequest(domain_userid=domain_userid, explain=explain, dry_run=dry_run)
        return await self._told(self._predict(asked))  # type: ignore[return-value]

    @bentoml.api(route="/predict_batch")
    async def predict_batch(self, domain_userids: DomainUserids) -> Predictions:
        """Score many visitors, all by the same version; nothing else follows from it.

        Where one of them cannot be scored there is no answer, but an error that says why.
        """
        asked = PredictBatchRequest(domain_userids=domain_userids)
        return await self._told(self._predict_batch(asked))  # type: ignore[return-value]

    def endpoints(self) -> Endpoints:
        """Return what answers over HTTP: the two methods above, past BentoML's middlewares."""
        gate = Gate(
            ApiKeys(self.serving.api_key),
            RateLimit(self.serving.rate_limit),
            Bodies(),
            Slots(self.serving.max_concurrency, self.predictor.together, self.metrics),
            self.metrics,
            logs.RequestLog(self.serving.log_sample),
            Spans.load(self.serving.tracing),
            self._refusal,
            self.scorer.version,
        )
        one = Endpoint(
            "/predict",
            PredictRequest,
            self._predict,
            lambda _: 1,
            self.serving.max_body_bytes,
            gate,
        )
        many = Endpoint(
            "/predict_batch",
            PredictBatchRequest,
            self._predict_batch,
            self._visitors,
            self.serving.max_batch_bytes,
            gate,
        )
        return {"/predict": one, "/predict_batch": many}

    async def _predict(self, asked: PredictRequest) -> tuple[Answer, str]:
        scored = await self.predictor.predict(asked.domain_userid)
        if not asked.dry_run:
            self.crossings.notice(scored.visitor, scored.score)
        answer = answers.of_one(
            scored, full=self.full, explain=asked.explain, dry_run=asked.dry_run
        )
        return answer, "stale" if scored.stale else "scored"

    def _visitors(self, asked: PredictBatchRequest) -> int:
        visitors, limit = len(asked.domain_userids), self.serving.batch_limit
        if not limit:
            raise Refusal.of(404)
        if visitors > limit:
            raise Refusal.of(400, f"domain_userids: {visitors:,} are too many, {limit:,} fit.")
        return visitors

    async def _predict_batch(self, asked: PredictBatchRequest) -> tuple[Answer, str]:
        scored = await self.predictor.predict_many(asked.domain_userids)
        stale = any(one.stale for one in scored)
        return answers.of_many(scored, full=self.full), "stale" if stale else "scored"

    async def _told(self, answer: Awaitable[tuple[Answer, str]]) -> JSONResponse:
        """Return an answer, or what its caller is told, for who asks without the edge."""
        try:
            return JSONResponse((await answer)[0])
        except Refusal as problem:
            return problem.response()
        except ProspectError as problem:
            return self._refusal(problem).response()

    def _refusal(self, problem: ProspectError) -> Refusal:
        retry_after = max(self.breaker.seconds_left, COME_AGAIN_SECONDS)
        return refusal(problem, told=self.full, retry_after=retry_after)

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


async def _again_and_again(work: Callable[[], Awaitable[None]], seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception:  # a bug, which is no reason never to do it again
            logger.exception("What is done beside the requests failed unexpectedly.")


def _data() -> DataSettings:
    """Return the data directory as it was meant where `bentoml serve` was called.

    A built Bento runs inside its own folder, where a relative path would mean something else.
    """
    data = DataSettings.load()
    inside_bento = (Path.cwd().parent / "bento.yaml").exists()
    if inside_bento and not data.data_dir.is_absolute():
        return DataSettings.load(data_dir=Path(os.environ.get("PWD", ".")) / data.data_dir)
    return data
