"""What is answered at each path, and the endpoints around it."""

from __future__ import annotations

import functools
from dataclasses import replace

from starlette.types import ASGIApp

from prospect_pipeline.errors import ProspectError
from prospect_pipeline.serving import answers
from prospect_pipeline.serving.answers import Answer
from prospect_pipeline.serving.bodies import Bodies
from prospect_pipeline.serving.crossing import Crossings
from prospect_pipeline.serving.endpoints import Endpoint, Gate, Slots
from prospect_pipeline.serving.guard import ApiKeys, RateLimit
from prospect_pipeline.serving.logs import RequestLog
from prospect_pipeline.serving.metrics import Metrics
from prospect_pipeline.serving.predictor import Predictor
from prospect_pipeline.serving.refusal import COME_AGAIN_SECONDS, Refusal, refusal
from prospect_pipeline.serving.schemas import PredictBatchRequest, PredictRequest
from prospect_pipeline.serving.tracing import Spans
from prospect_pipeline.settings import ServingSettings


class Handlers:
    """From what was asked to the answer, and a word for what came of it."""

    def __init__(
        self, settings: ServingSettings, predictor: Predictor, crossings: Crossings
    ) -> None:
        self.settings = settings
        self.predictor = predictor
        self.crossings = crossings
        self.full = settings.detail == "full"

    async def predict(self, asked: PredictRequest) -> tuple[Answer, str]:
        """Answer about one visitor; raises ProspectError where there is no score."""
        scored = await self.predictor.predict(asked.domain_userid)
        if not asked.dry_run:
            threshold = scored.model.model.threshold
            self.crossings.notice(scored.visitor, scored.score, threshold)
        answer = answers.of_one(
            scored, full=self.full, explain=asked.explain, dry_run=asked.dry_run
        )
        return answer, "stale" if scored.stale else "scored"

    async def predict_batch(self, asked: PredictBatchRequest) -> tuple[Answer, str]:
        """Answer about many visitors; raises ProspectError where there is no score of one."""
        scored = await self.predictor.predict_many(asked.domain_userids)
        stale = any(one.stale for one in scored)
        return answers.of_many(scored, full=self.full), "stale" if stale else "scored"

    def visitors(self, asked: PredictBatchRequest) -> int:
        """Return how many are asked for; raises Refusal where these are too many."""
        visitors, most, a_minute = (
            len(asked.domain_userids),
            self.settings.batch_limit,
            self.settings.rate_limit,
        )
        if not most:
            raise Refusal.of(404)
        if visitors > most:
            raise Refusal.of(400, f"domain_userids: {visitors:,} are too many, {most:,} fit.")
        if 0 < a_minute < visitors:
            words = f"{visitors:,} are too many for a limit of {a_minute:,} a minute."
            raise Refusal.of(400, f"domain_userids: {words}")
        return visitors

    def told(self, problem: ProspectError) -> Refusal:
        """Return what a caller is told of a problem."""
        left_alone = self.predictor.attributes.breaker.seconds_left
        return refusal(problem, told=self.full, retry_after=max(left_alone, COME_AGAIN_SECONDS))

    def endpoints(self, metrics: Metrics) -> dict[str, ASGIApp]:
        """Return what answers over HTTP, by path."""
        settings = self.settings
        slots = functools.partial(Slots, settings.max_concurrency, self.predictor.together, metrics)
        gate = Gate(
            ApiKeys(settings.api_key),
            RateLimit(settings.rate_limit),
            Bodies(),
            slots(),
            metrics,
            RequestLog(settings.log_sample),
            Spans.load(settings.tracing),
            self.told,
            self.predictor.scorer.version,
        )
        one, many = "/predict", "/predict_batch"
        return {
            one: Endpoint(
                one, PredictRequest, self.predict, lambda _: 1, settings.max_body_bytes, gate
            ),
            many: Endpoint(
                many,
                PredictBatchRequest,
                self.predict_batch,
                self.visitors,
                settings.max_batch_bytes,
                replace(gate, slots=slots()),  # batches keep no single visitor out
            ),
        }
