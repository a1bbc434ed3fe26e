"""What is published to Signals, and how it is reached."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, EmailStr, Field, PositiveInt, SecretStr, model_validator

from prospect_pipeline.settings.addresses import WebAddress
from prospect_pipeline.settings.base import _Settings, read_moment, whole_group


class DefinitionSettings(_Settings):
    """Names, owner and version under which the attributes are published."""

    group_name: str = Field("prospect_scoring_tutorial", validation_alias="SIGNALS_GROUP_NAME")
    group_version: PositiveInt = Field(1, validation_alias="SIGNALS_GROUP_VERSION")
    service_name: str = Field(
        "prospect_scoring_tutorial_service", validation_alias="SIGNALS_SERVICE_NAME"
    )
    owner: EmailStr = Field("prospect-scoring@example.com", validation_alias="SIGNALS_OWNER")
    backfill_since: Annotated[datetime | None, BeforeValidator(read_moment)] = Field(
        None, validation_alias="SIGNALS_BACKFILL_SINCE"
    )


class SignalsSettings(_Settings):
    """How to reach Signals: the real one, a sandbox by address, or (none set) the local one."""

    api_url: WebAddress | None = Field(None, validation_alias="SP_API_URL")
    api_key: SecretStr | None = Field(None, validation_alias="SP_API_KEY")
    api_key_id: SecretStr | None = Field(None, validation_alias="SP_API_KEY_ID")
    org_id: str | None = Field(None, validation_alias="SP_ORG_ID")
    sandbox_url: WebAddress | None = Field(None, validation_alias="SP_SANDBOX_URL")
    sandbox_token: SecretStr | None = Field(None, validation_alias="SP_SANDBOX_TOKEN")
    timeout_ms: Annotated[int, Field(gt=0, le=1500)] = Field(
        300, validation_alias="SIGNALS_TIMEOUT_MS"
    )
    breaker_failures: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        5, validation_alias="SIGNALS_BREAKER_FAILURES"
    )
    breaker_seconds: Annotated[float, Field(gt=0, le=300)] = Field(
        1.0, validation_alias="SIGNALS_BREAKER_SECONDS"
    )
    shared_reads: Annotated[int, Field(gt=0, le=1000)] = Field(
        32, validation_alias="SIGNALS_SHARED_READS"
    )

    @model_validator(mode="after")
    def _whole_groups_only(self) -> Self:
        real = whole_group(self, "SP_API_URL", "SP_API_KEY", "SP_API_KEY_ID", "SP_ORG_ID")
        sandbox = whole_group(self, "SP_SANDBOX_URL", "SP_SANDBOX_TOKEN")
        if real and sandbox:
            raise ValueError(
                "both SP_API_URL and SP_SANDBOX_URL are set; keep the one that is meant"
            )
        return self

    @property
    def target(self) -> Literal["signals", "sandbox", "local"]:
        """Which of the three ways is configured."""
        return "signals" if self.api_url else "sandbox" if self.sandbox_url else "local"
