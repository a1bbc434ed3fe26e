"""The service's OpenAPI document: what can be asked of it, and every answer that can come.

BentoML makes one too, without our errors and limits, and with null where a field is left out. Here
the schemas are those of `schemas` and the errors those of `refusal`; examples are written out.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from bentoml._internal.service.openapi.specification import Info, OpenAPISpecification, PathItem
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from prospect_pipeline.errors import InputError, NoModel, SignalsError
from prospect_pipeline.serving.refusal import Refusal, refusal, too_busy
from prospect_pipeline.serving.schemas import (
    OTHER_VISITOR,
    VISITOR,
    Error,
    PredictBatchRequest,
    Prediction,
    Predictions,
    PredictRequest,
)
from prospect_pipeline.settings import ServingSettings

Json = dict[str, Any]

SCHEMAS = "#/components/schemas/{model}"
ABOUT = """Scores visitors by the champion, on their attributes of this moment.

Every error, of other paths and methods too, is `{"error": {"code": ..., "message": ...}}`:
the code is for programs, the message for people. Only what is no HTTP gets a line of text."""

SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
RETRY_AFTER = {
    "Retry-After": {
        "description": "When to ask again, in seconds.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}

HEADERS = {
    401: {
        "WWW-Authenticate": {
            "description": "How to show a key.",
            "required": True,
            "schema": {"const": "Bearer"},
        }
    },
    429: RETRY_AFTER,
    503: RETRY_AFTER,
}

MODEL = {"name": "prospect_scoring", "version": "1"}
SCORE = {
    "domain_userid": VISITOR,
    "score": 0.1428,
    "decision": {"prospect": False, "threshold": 0.2734},
    "signals": {"num_page_views_l7d": 3, "num_pricing_views_l7d": None},
    "scoring_attributes": {"num_page_views_l7d": 3, "num_pricing_views_l7d": 0},
}
REASONS = [
    {"feature": "num_page_views_l7d", "value": 3, "contribution": 0.1912},
    {"feature": "num_pricing_views_l7d", "value": 0, "contribution": -0.0867},
]
ONE_REQUEST = {
    "plain": {"domain_userid": VISITOR},
    "explained": {"domain_userid": VISITOR, "explain": True},
    "dry_run": {"domain_userid": VISITOR, "dry_run": True},
}
ONE_ANSWER = {
    "plain": SCORE | {"model": MODEL},
    "explained": SCORE | {"model": MODEL, "base": -1.8968, "reasons": REASONS},
    "dry_run": SCORE | {"model": MODEL, "moment": "2026-05-03T12:00:00+00:00"},
    "stale": SCORE | {"model": MODEL, "stale": True},
}
MANY_REQUEST = {"plain": {"domain_userids": [VISITOR, OTHER_VISITOR]}}
MANY_ANSWER = {
    "plain": {"predictions": [SCORE, SCORE | {"domain_userid": OTHER_VISITOR}], "model": MODEL}
}

MEANINGS = {
    400: "The body is not what was expected; the message names each field that is wrong.",
    401: "No key was sent, or none that is accepted.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is said to be something else than JSON.",
    429: "This client asks too often.",
    500: "A bug. It is in the service's log.",
    503: "There is no score at the moment; the code says why.",
}


class LeftOut(GenerateJsonSchema):
    """JSON Schema of models whose None is no null: the field is left out."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Return the schema of what is there."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Return the schema with its default, where that can be said."""
        made = super().default_schema(schema)
        return {key: value for key, value in made.items() if (key, value) != ("default", None)}

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        """Fields have no titles beside their names."""
        return False


def specification(
    settings: ServingSettings, version: str, words: Mapping[str, str]
) -> OpenAPISpecification:
    """Return the document of a service with these settings.

    ``words`` describe the endpoints; BentoML shows the document and packs it.
    """
    paths = {
        "/predict": _predicting(
            "predict",
            words,
            (PredictRequest, ONE_REQUEST),
            (Prediction, ONE_ANSWER),
            _refusals(settings, settings.max_body_bytes),
        )
    }
    if settings.batch_limit:
        paths["/predict_batch"] = _predicting(
            "predict_batch",
            words,
            (PredictBatchRequest, MANY_REQUEST),
            (Predictions, MANY_ANSWER),
            _refusals(settings, settings.max_batch_bytes),
        )
    components: Json = {"schemas": _schemas(settings.batch_limit)}
    if settings.api_key:
        components["securitySchemes"] = SECURITY
        for path in paths.values():
            path["security"] = [{name: []} for name in SECURITY]
    return OpenAPISpecification(
        openapi="3.1.0",
        info=Info(title="prospect_scoring", version=version, description=ABOUT),
        servers=[{"url": ".", "description": "this service"}],
        paths={path: PathItem(post=operation) for path, operation in paths.items()}
        | {path: PathItem(get=operation) for path, operation in _operating().items()},
        components=components,
    )


def _predicting(
    name: str,
    words: Mapping[str, str],
    asked: tuple[type[BaseModel], Json],
    answered: tuple[type[BaseModel], Json],
    refusals: Iterable[Refusal],
) -> Json:
    return {
        "operationId": name,
        "tags": ["scoring"],
        "description": inspect.cleandoc(words[name]),
        "requestBody": {"required": True, "content": _content(*asked)},
        "responses": {"200": {"description": "Scored.", "content": _content(*answered)}}
        | _errors(refusals),
    }


def _operating() -> dict[str, Json]:
    text = {"text/plain": {"schema": {"type": "string"}}}
    found = {
        "/livez": "The process answers.",
        "/readyz": "A model is loaded.",
        "/metrics": "Metrics in Prometheus' text format.",
    }
    operations: dict[str, Json] = {
        path: {
            "operationId": path.removeprefix("/"),
            "tags": ["operating"],
            "description": words,
            "responses": {"200": {"description": words, "content": text}},
        }
        for path, words in found.items()
    }
    operations["/readyz"]["responses"] |= _errors([Refusal.of(503)])
    return operations


def _refusals(settings: ServingSettings, most_bytes: int) -> list[Refusal]:
    """Return all that can be told instead of a score."""
    found = [Refusal.of(400, "domain_userid: Field required")]
    if settings.api_key:
        found.append(Refusal.of(401))
    found += [Refusal.of(408), Refusal.too_large(most_bytes), Refusal.of(415)]
    if settings.rate_limit:
        found.append(Refusal.of(429, retry_after=1))
    found.append(Refusal.of(500))
    problems = (NoModel(), SignalsError(), InputError())
    return [*found, *(refusal(problem, told=False) for problem in problems), too_busy()]


def _errors(refusals: Iterable[Refusal]) -> Json:
    """Return the responses that tell of refusals, by status: each with its codes and no other."""
    by_status: dict[int, list[Refusal]] = {}
    for each in refusals:
        by_status.setdefault(each.status, []).append(each)
    return {
        str(status): {
            "description": MEANINGS[status],
            "content": _content(Error, {one.code: one.body for one in each}, _coded(each)),
        }
        | ({"headers": HEADERS[status]} if status in HEADERS else {})
        for status, each in by_status.items()
    }


def _coded(refusals: list[Refusal]) -> Json:
    codes = {"code": {"enum": [each.code for each in refusals]}}
    return {"properties": {"error": {"properties": codes}}}


def _content(model: type[BaseModel], examples: Json, more: Json | None = None) -> Json:
    return {
        "application/json": {
            "schema": {"$ref": SCHEMAS.format(model=model.__name__)} | (more or {}),
            "examples": {name: {"value": value} for name, value in examples.items()},
        }
    }


@functools.cache
def _schemas(batch_limit: int) -> Json:
    models: list[type[BaseModel]] = [PredictRequest, Prediction, Error]
    if batch_limit:
        models += [PredictBatchRequest, Predictions]
    _, made = models_json_schema(
        [(model, "validation") for model in models],
        ref_template=SCHEMAS,
        schema_generator=LeftOut,
    )
    schemas: Json = made["$defs"]
    if batch_limit:
        visitors = schemas["PredictBatchRequest"]["properties"]["domain_userids"]
        visitors["maxItems"] = batch_limit
    return schemas
