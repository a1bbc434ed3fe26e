"""Which version is served, and how."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from prospect_pipeline.settings.addresses import WebAddress
from prospect_pipeline.settings.base import Names, _Settings

LEAST_KEY = 16
"""Characters of a key of the service's own."""

MOST_VISITORS = 10_000
"""Of one request, whatever is configured."""

BYTES_EACH = 1024
"""Of a body of many visitors: an id of 128 characters, each written as an escape, fits."""


class RegistrySettings(_Settings):
    """Where models are registered, and which version is served."""

    tracking_uri: str | None = Field(None, validation_alias="MLFLOW_TRACKING_URI")
    ui_url: WebAddress | None = Field(None, validation_alias="MLFLOW_UI_URL")
    model_name: str = Field("prospect_scoring", validation_alias="MODEL_NAME")
    alias: str = Field("champion", validation_alias="MODEL_ALIAS")
    version: Annotated[str | None, Field(pattern=r"^(latest|[1-9]\d*)$")] = Field(
        None, validation_alias="MODEL_VERSION"
    )


class ServingSettings(_Settings):
    """How the scoring service behaves. Every limit is of one worker process."""

    detail: Literal["full", "score"] = Field("full", validation_alias="PREDICT_DETAIL")
    poll_seconds: Annotated[float, Field(gt=0, le=86400)] = Field(
        10.0, validation_alias="MODEL_POLL_SECONDS"
    )
    cors_origins: Names = Field((), validation_alias="PREDICT_CORS_ORIGINS")
    api_key: SecretStr | None = Field(None, validation_alias="PREDICT_API_KEY")
    rate_limit: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        0, validation_alias="PREDICT_RATE_LIMIT"
    )
    max_concurrency: Annotated[int, Field(gt=0, le=10_000)] = Field(
        256, validation_alias="PREDICT_MAX_CONCURRENCY"
    )
    max_body_bytes: Annotated[int, Field(ge=1024, le=2**20)] = Field(
        16_384, validation_alias="PREDICT_MAX_BODY_BYTES"
    )
    batch_limit: Annotated[int, Field(ge=0, le=MOST_VISITORS)] = Field(
        1000, validation_alias="PREDICT_BATCH_LIMIT"
    )
    stale_seconds: Annotated[float, Field(ge=0, le=300)] = Field(
        0.0, validation_alias="PREDICT_STALE_SECONDS"
    )
    stale_visitors: Annotated[int, Field(gt=0, le=1_000_000)] = Field(
        10_000, validation_alias="PREDICT_STALE_VISITORS"
    )
    log_sample: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, validation_alias="PREDICT_LOG_SAMPLE"
    )
    tracing: bool = Field(False, validation_alias="PREDICT_TRACING")
    intervention: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{0,128}$")] = Field(
        "", validation_alias="PREDICT_INTERVENTION"
    )
    intervention_threshold: Annotated[float | None, Field(ge=0, le=1)] = Field(
        None, validation_alias="PREDICT_INTERVENTION_THRESHOLD"
    )

    @property
    def first_key(self) -> str | None:
        """What to send to a service of these settings, None where it wants no key."""
        return self.api_key.get_secret_value().split(",")[0].strip() if self.api_key else None

    @property
    def max_batch_bytes(self) -> int:
        """How large a body of many visitors may be."""
        return self.max_body_bytes + self.batch_limit * BYTES_EACH

    @field_validator("cors_origins")
    @classmethod
    def _origins_as_browsers_send_them(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if origin != "*" and not re.fullmatch(r"https?://[^\s/?#@*]+", origin):
                raise ValueError(
                    f"'{origin}' is no origin. Write it as a browser sends it: "
                    "scheme, host, and a port where there is one, such as https://www.example.com"
                )
        return origins

    @field_validator("api_key")
    @classmethod
    def _keys_that_cannot_be_guessed(cls, key: SecretStr | None) -> SecretStr | None:
        for each in [] if key is None else key.get_secret_value().split(","):
            if len(each.strip()) < LEAST_KEY:
                raise ValueError(
                    f"a key has {len(each.strip())} characters, {LEAST_KEY} at least are expected. "
                    "Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
                )
        return key
