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
from dotenv import dotenv_values
from pydantic import ValidationError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from prospect_pipeline.errors import ProspectError, SettingsError, SignalsError
from prospect_pipeline.registry.kept import KeptModel
from prospect_pipeline.registry.store import Registry
from prospect_pipeline.serving import logs, openapi
from prospect_pipeline.serving.answers import Answer
from prospect_pipeline.serving.crossing import Crossings
from prospect_pipeline.serving.edge import Edge, Endpoints
from prospect_pipeline.serving.handlers import Handlers
from prospect_pipeline.serving.metrics import forget_the_dead, metrics
from prospect_pipeline.serving.predictor import Predictor
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
FIRST_MODEL_SECONDS = 5.0
"""How long a worker that starts waits for the token, and for the registry where a model is kept."""

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

    def inject_config(self) -> None:
        """Take over BentoML's configuration; ends the process where settings are bad.

        BentoML does this in the process that starts the workers too, and before them: one that
        ended by itself would be started again and again.
        """
        if self.bento is not None and not _is_worker():
            _hand_on()
        try:
            for settings in SETTINGS:
                settings.load()
        except SettingsError as error:
            sys.exit(f"Error: {error}")
        super().inject_config()

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """Return BentoML's application behind the edge."""
        if _is_worker():
            logs.set_up()
        inner = super().to_asgi(is_main)
        return Edge(inner, lambda: bentoml.get_current_service().endpoints())

    @property
    def openapi_spec(self) -> OpenAPISpecification:
        """The document that BentoML shows at ``/docs.json``, and packs."""
        version = self.bento.tag.version if self.bento else "development"
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
        signals, settings = SignalsSettings.load(), RegistrySettings.load()
        self.serving = ServingSettings.load()
        self.metrics = metrics()
        registry = Registry(settings, data)
        self.scorer = Scorer(registry, settings.version, KeptModel(registry, data), self.metrics)
        self.attributes = OnlineAttributes(
            lambda: connection(signals, data),
            DefinitionSettings.load().service_name,
            KEY,
            signals.timeout_ms,
            Breaker(
                signals.breaker_failures, signals.breaker_seconds, notice=self.metrics.breaker.set
            ),
            signals.shared_reads,
            self.metrics.read,
        )
        remembered = Remembered(self.serving.stale_seconds, self.serving.stale_visitors)
        self.predictor = Predictor(
            self.scorer, self.attributes, Clock.load(), remembered, self.metrics
        )
        self.crossings = Crossings(self.serving, self.attributes)
        self.handlers = Handlers(self.serving, self.predictor, self.crossings)
        self.tasks: list[asyncio.Task[None]] = []

    @bentoml.on_startup
    async def start(self) -> None:
        """Load the model and fetch the token; then watch for newer ones, and renew it ahead.

        Whether Signals still has the model's attributes is looked up as often as for a newer model,
        which is taken once Signals has its own. Neither registry nor Signals is waited for long: a
        model that was kept stands in, and requests wait for the token.
        """
        logging.getLogger("bentoml._internal.server.http_app").addFilter(Expected())
        alone = _is_worker()
        if alone:
            forget_the_dead()
            sys.setswitchinterval(SWITCH_SECONDS)
        loading = asyncio.create_task(asyncio.to_thread(self.scorer.refresh))
        await asyncio.wait([loading], timeout=FIRST_MODEL_SECONDS)
        if not loading.done():
            await asyncio.to_thread(self.scorer.stand_in)
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_TOKEN_SECONDS):
                await self._renew()
        await self._confirm()
        every = self.serving.poll_seconds
        self.tasks = [
            asyncio.create_task(self._watch(loading)),
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

    def endpoints(self) -> Endpoints:
        """Return what answers over HTTP: the two methods below, past BentoML's middlewares."""
        return self.handlers.endpoints(self.metrics)

    @bentoml.api(route="/predict")
    async def predict(
        self, domain_userid: DomainUserid, explain: Explain = False, dry_run: DryRun = False
    ) -> Prediction:
        """Score one visitor; one whom Signals does not know is scored on empty attributes."""
        asked = PredictRequest(domain_userid=domain_userid, explain=explain, dry_run=dry_run)
        return await self._told(self.handlers.predict(asked))  # type: ignore[return-value]

    @bentoml.api(route="/predict_batch")
    async def predict_batch(self, domain_userids: DomainUserids) -> Predictions:
        """Score many visitors, all by the same version; nothing else follows from it.

        Where one of them cannot be scored there is no answer, but an error that says why.
        """
        asked = PredictBatchRequest(domain_userids=domain_userids)
        return await self._told(self.handlers.predict_batch(asked))  # type: ignore[return-value]

    async def _told(self, answer: Awaitable[tuple[Answer, str]]) -> JSONResponse:
        """Return an answer, or what its caller is told, for who asks without the edge."""
        try:
            return JSONResponse((await answer)[0])
        except ProspectError as problem:
            return self.handlers.told(problem).response()

    async def _watch(self, loading: asyncio.Task[bool]) -> None:
        """Follow the model that is meant, once the first look at the registry has ended."""
        await asyncio.wait([loading])
        await self.scorer.watch(self.serving.poll_seconds, self.attributes.is_published)

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


def _is_worker() -> bool:
    """Whether this is a worker of BentoML's, and not what starts them, or a test's process."""
    return bentoml.server_context.worker_index is not None


def _hand_on() -> None:
    """Let a Bento's workers, which run inside its own folder, know the folder of their caller.

    They inherit the environment: so its .env, and PWD, which only shells keep right. What is set
    wins over the file, however it is spelt: settings are read without regard to case.
    """
    os.environ["PWD"] = str(Path.cwd())
    given = {name.upper() for name, value in os.environ.items() if value}
    for name, value in dotenv_values(".env").items():
        if value and name.upper() not in given:
            os.environ[name] = value


def _data() -> DataSettings:
    """Return the data directory as it was meant where `bentoml serve` was called.

    A built Bento runs inside its own folder, where a relative path would mean something else.
    """
    data = DataSettings.load()
    inside_bento = (Path.cwd().parent / "bento.yaml").exists()
    if inside_bento and not data.data_dir.is_absolute():
        return DataSettings.load(data_dir=Path(os.environ.get("PWD", ".")) / data.data_dir)
    return data
