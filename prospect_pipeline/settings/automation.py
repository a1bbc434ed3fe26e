"""What runs by itself, and who is told."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from prospect_pipeline.settings.addresses import SecretWebAddress, WebAddress
from prospect_pipeline.settings.base import _Settings


def _known_time_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"'{name}' is no time zone's name, such as UTC or Europe/Berlin")
    return name


class AutomationSettings(_Settings):
    """When models are retrained, and who is told where that fails.

    Whether the cron expression is one is for Dagster to say, which reads it.
    """

    retrain_cron: str = Field("0 5 * * 1", validation_alias="PROSPECT_RETRAIN_CRON")
    retrain_timezone: Annotated[str, AfterValidator(_known_time_zone)] = Field(
        "UTC", validation_alias="PROSPECT_RETRAIN_TIMEZONE"
    )
    alert_webhook: SecretWebAddress | None = Field(None, validation_alias="PROSPECT_ALERT_WEBHOOK")
    dagster_ui_url: WebAddress | None = Field(None, validation_alias="DAGSTER_UI_URL")
    predict_url: WebAddress | None = Field(None, validation_alias="PREDICT_URL")
