"""Which version is served, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from prospect_pipeline.settings.base import Names, _Settings


class RegistrySettings(_Settings):
    """Where models are registered, and which version is served."""

    tracking_uri: str | None = Field(None, validation_alias="MLFLOW_TRACKING_URI")
    ui_url: str | None = Field(None, validation_alias="MLFLOW_UI_URL")
    model_name: str = Field("prospect_scoring", validation_alias="MODEL_NAME")
    alias: str = Field("champion", validation_alias="MODEL_ALIAS")
    version: Annotated[str | None, Field(pattern=r"^(latest|[1-9]\d*)$")] = Field(
        None, validation_alias="MODEL_VERSION"
    )


class ServingSettings(_Settings):
    """How the scoring service behaves."""

    detail: Literal["full", "score"] = Field("full", validation_alias="PREDICT_DETAIL")
    poll_seconds: Annotated[float, Field(gt=0, le=86400)] = Field(
        10.0, validation_alias="MODEL_POLL_SECONDS"
    )
    cors_origins: Names = Field((), validation_alias="PREDICT_CORS_ORIGINS")
    intervention: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{0,128}$")] = Field(
        "", validation_alias="PREDICT_INTERVENTION"
    )
    intervention_threshold: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5, validation_alias="PREDICT_INTERVENTION_THRESHOLD"
    )
