"""The rows that are trained on, the model, and when a version is promoted."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from prospect_pipeline.errors import SettingsError
from prospect_pipeline.settings.base import Names, _Settings, parse_moment


def _parse_cohort(text: str) -> str:
    if text == "all":
        return text
    match = re.fullmatch(r"([0-9]{1,5}):([0-9]{1,5})", text)
    if not match or int(match[1]) <= int(match[2]):
        raise ValueError(
            f"'{text}' is not OLDEST:NEWEST in days before as-of, such as 60:30, nor 'all'"
        )
    return text


Cohort = Annotated[str, AfterValidator(_parse_cohort)]


class TrainingSettings(_Settings):
    """Which rows the training set has, and what a model needs at least."""

    as_of: Annotated[str | None, AfterValidator(lambda x: x and parse_moment(x).isoformat())] = (
        Field(None, validation_alias="PROSPECT_AS_OF")
    )
    anchors: str | None = Field(None, validation_alias="PROSPECT_ANCHORS")
    anchors_horizon_minutes: Annotated[int | None, Field(ge=0, le=60 * 24 * 366)] = Field(
        None, validation_alias="PROSPECT_ANCHORS_HORIZON_MINUTES"
    )
    cohort: Cohort = Field("60:30", validation_alias="PROSPECT_COHORT")
    app_ids: Names = Field(("website", "hs-landing"), validation_alias="PROSPECT_APP_IDS")
    excluded_events: Names = Field(
        ("application_error", "web_vitals", "link_click"),
        validation_alias="PROSPECT_EXCLUDED_EVENTS",
    )
    test_app_ids: Names = Field((), validation_alias="PROSPECT_TEST_APP_IDS")
    exclude_bots: bool = Field(True, validation_alias="PROSPECT_EXCLUDE_BOTS")
    goal_events: Annotated[Names, Field(min_length=1)] = Field(
        ("submit_form",), validation_alias="PROSPECT_GOAL_EVENTS"
    )
    horizon_minutes: Annotated[int, Field(gt=0, le=60 * 24 * 90)] = Field(
        60, validation_alias="PROSPECT_HORIZON_MINUTES"
    )
    goal: str | None = Field(None, validation_alias="PROSPECT_GOAL")
    goal_count: PositiveInt = Field(1, validation_alias="PROSPECT_GOAL_COUNT")
    stop_at_conversion: bool = Field(False, validation_alias="PROSPECT_STOP_AT_CONVERSION")
    anchors_per_visitor: PositiveInt | None = Field(
        None, validation_alias="PROSPECT_ANCHORS_PER_VISITOR"
    )
    negative_rate: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, validation_alias="PROSPECT_NEGATIVE_RATE"
    )
    period_event_limit: PositiveInt = Field(100, validation_alias="SIGNALS_PERIOD_EVENT_LIMIT")
    min_converters: PositiveInt = Field(100, validation_alias="MIN_CONVERTERS")
    freshness_hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        48.0, validation_alias="PROSPECT_FRESHNESS_HOURS"
    )
    count_change: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        0.5, validation_alias="PROSPECT_COUNT_CHANGE"
    )
    threshold: str = Field("f1", validation_alias="PROSPECT_THRESHOLD")
    promotion_margin: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.02, validation_alias="PROSPECT_PROMOTION_MARGIN"
    )
    promotion_calibration: Annotated[float, Field(gt=0, le=1)] = Field(
        0.25, validation_alias="PROSPECT_PROMOTION_CALIBRATION"
    )
    promotion_converters: PositiveInt = Field(30, validation_alias="PROSPECT_PROMOTION_CONVERTERS")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(0, validation_alias="PROSPECT_SEED")
    search_trials: Annotated[int, Field(ge=0, le=1000)] = Field(
        0, validation_alias="PROSPECT_SEARCH_TRIALS"
    )
    # No default: with a bound in time what is found depends on the machine.
    search_seconds: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = Field(
        None, validation_alias="PROSPECT_SEARCH_SECONDS"
    )

    @model_validator(mode="after")
    def _capacity_sees_every_row(self) -> Self:
        """Refuse to count calls a day where rows that would be called were left out."""
        sampled = {
            "PROSPECT_NEGATIVE_RATE is below 1": self.negative_rate < 1,
            "PROSPECT_ANCHORS_PER_VISITOR is set": self.anchors_per_visitor is not None,
            "PROSPECT_ANCHORS names sessions": self.anchored_by == "sessions",
        }
        found = [words for words, is_so in sampled.items() if is_so]
        if found and self.threshold.strip().startswith("capacity"):
            raise ValueError(
                f"PROSPECT_THRESHOLD is '{self.threshold}', but {' and '.join(found)}: a visitor's "
                "best moment may then be left out, so that calls a day cannot be counted. Keep "
                "every row, or choose another rule (f1, precision=0.4, value=200,cost=5)"
            )
        return self

    @property
    def anchored_by(self) -> Literal["visitors", "sessions", "table"]:
        """Where rows and labels come from: the cohort's visitors, sessions, or one's own table."""
        if self.anchors is None:
            return "visitors"
        return "sessions" if ":" in self.anchors else "table"

    @property
    def horizon(self) -> timedelta:
        """How far ahead the label of a cohort's row looks."""
        return timedelta(minutes=self.horizon_minutes)

    @property
    def label_horizon(self) -> timedelta:
        """How long after its row a label is known, whatever the rows are.

        A session's is known when the session is over: within a day, unless something else is said.
        Raises SettingsError for a table of one's own of which nothing is said.
        """
        if self.anchored_by == "visitors":
            return self.horizon
        if self.anchors_horizon_minutes is not None:
            return timedelta(minutes=self.anchors_horizon_minutes)
        if self.anchored_by == "sessions":
            return timedelta(days=1)
        raise SettingsError(
            f"PROSPECT_ANCHORS is '{self.anchors}', a table of your own, and nothing says how long "
            "after its row a label is known. Set PROSPECT_ANCHORS_HORIZON_MINUTES: 43200 where "
            "labels look 30 days ahead, 0 where they are known at once."
        )

    @property
    def as_of_moment(self) -> datetime | None:
        """The "today" of the cohort, or None for just after the last event."""
        return parse_moment(self.as_of) if self.as_of else None
