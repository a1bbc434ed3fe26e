"""Typed settings from the environment and ``.env``; nothing is read at import.

One class per concern, each read with ``.load()``, which turns whatever is wrong into one
``SettingsError`` that names the variable and never shows a secret.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    EmailStr,
    Field,
    PositiveInt,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as UnparsableSetting

from prospect_pipeline.errors import SettingsError

DEMO_USERS = 20_000
DEMO_SEED = 0


def parse_moment(text: str) -> datetime:
    """Read an ISO date or date-time as UTC; one without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"'{text}' is not an ISO date-time such as 2026-05-01T12:00:00") from None
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"'{text}' is outside of what a date can be in UTC") from None


def _read_moment(value: Any) -> Any:
    return parse_moment(value) if isinstance(value, str) else value


def _parse_cohort(text: str) -> str:
    if text == "all":
        return text
    match = re.fullmatch(r"([0-9]{1,5}):([0-9]{1,5})", text)
    if not match or int(match[1]) <= int(match[2]):
        raise ValueError(
            f"'{text}' is not OLDEST:NEWEST in days before as-of, such as 60:30, nor 'all'"
        )
    return text


def _parse_clock(text: str) -> str:
    if text not in ("wall", "last-event"):
        parse_moment(text)
    return text


def _known_time_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"'{name}' is no time zone's name, such as UTC or Europe/Berlin")
    return name


def _web_address(secret: SecretStr) -> SecretStr:
    if not re.match(r"https?://[^\s/]", secret.get_secret_value()):
        raise ValueError("it is no address that starts with https:// or http://")
    return secret


Cohort = Annotated[str, AfterValidator(_parse_cohort)]
ClockSetting = Annotated[str, AfterValidator(_parse_clock)]
Names = Annotated[tuple[str, ...], NoDecode]


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        frozen=True,
        hide_input_in_errors=True,  # they may be secrets
    )

    @model_validator(mode="before")
    @classmethod
    def _split_lists(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Let a tuple of names be written ``a,b,c``."""
        for name, field in cls.model_fields.items():
            for key in (name, str(field.validation_alias)):
                if field.annotation == tuple[str, ...] and isinstance(values.get(key), str):
                    values[key] = tuple(x.strip() for x in values[key].split(",") if x.strip())
        return values

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment; keyword arguments win over it."""
        try:
            return cls(**{k: v for k, v in overrides.items() if v is not None})
        except ValidationError as error:
            raise SettingsError(_explain(error, cls)) from None
        except UnparsableSetting as error:
            raise SettingsError(f"Settings cannot be read: {error}") from None


def _explain(error: ValidationError, settings: type[_Settings]) -> str:
    """Say what is wrong, by variable; a field that was given as an argument has one too."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in problem["loc"])
        if name in settings.model_fields:
            name = str(settings.model_fields[name].validation_alias)
        message = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{name}: {message}" if name else message)
    return "; ".join(lines)


class DataSettings(_Settings):
    """Where the embedded defaults keep everything."""

    data_dir: Path = Field(Path("data"), validation_alias="PROSPECT_DATA_DIR")
    memory_limit: Annotated[str, Field(pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$")] = Field(
        "4GB", validation_alias="PROSPECT_MEMORY_LIMIT"
    )

    @property
    def root(self) -> Path:
        """The data directory as an absolute path."""
        return self.data_dir.expanduser().resolve()


class Clock(_Settings):
    """What everything takes as now: the wall clock, the last event, or a fixed moment."""

    setting: ClockSetting = Field("wall", validation_alias="PROSPECT_CLOCK")

    @property
    def needs_events(self) -> bool:
        """Whether `now` needs to be told when the last event was."""
        return self.setting == "last-event"

    def now(self, last_event: datetime | None = None) -> datetime:
        """Return the moment in UTC; ``last_event`` is needed for ``last-event`` alone."""
        if self.setting == "last-event" and last_event is not None:
            return last_event
        if self.setting in ("wall", "last-event"):
            return datetime.now(UTC)
        return parse_moment(self.setting)


class DefinitionSettings(_Settings):
    """Names, owner and version under which the attributes are published."""

    group_name: str = Field("prospect_scoring_tutorial", validation_alias="SIGNALS_GROUP_NAME")
    group_version: PositiveInt = Field(1, validation_alias="SIGNALS_GROUP_VERSION")
    service_name: str = Field(
        "prospect_scoring_tutorial_service", validation_alias="SIGNALS_SERVICE_NAME"
    )
    owner: EmailStr = Field("prospect-scoring@example.com", validation_alias="SIGNALS_OWNER")
    backfill_since: Annotated[datetime | None, BeforeValidator(_read_moment)] = Field(
        None, validation_alias="SIGNALS_BACKFILL_SINCE"
    )


class SignalsSettings(_Settings):
    """How to reach Signals: the real one, a sandbox by address, or (none set) the local one."""

    api_url: str | None = Field(None, validation_alias="SP_API_URL")
    api_key: SecretStr | None = Field(None, validation_alias="SP_API_KEY")
    api_key_id: SecretStr | None = Field(None, validation_alias="SP_API_KEY_ID")
    org_id: str | None = Field(None, validation_alias="SP_ORG_ID")
    sandbox_url: str | None = Field(None, validation_alias="SP_SANDBOX_URL")
    sandbox_token: SecretStr | None = Field(None, validation_alias="SP_SANDBOX_TOKEN")
    # Below the two seconds after which the service ends a request.
    timeout_ms: Annotated[int, Field(gt=0, le=1500)] = Field(
        300, validation_alias="SIGNALS_TIMEOUT_MS"
    )

    @model_validator(mode="after")
    def _whole_groups_only(self) -> Self:
        real = _group(self, "SP_API_URL", "SP_API_KEY", "SP_API_KEY_ID", "SP_ORG_ID")
        sandbox = _group(self, "SP_SANDBOX_URL", "SP_SANDBOX_TOKEN")
        if real and sandbox:
            raise ValueError(
                "both SP_API_URL and SP_SANDBOX_URL are set; keep the one that is meant"
            )
        return self

    @property
    def target(self) -> Literal["signals", "sandbox", "local"]:
        """Which of the three ways is configured."""
        return "signals" if self.api_url else "sandbox" if self.sandbox_url else "local"


class SnowflakeSettings(_Settings):
    """The warehouse; with none of these set it is DuckDB."""

    account: str | None = Field(None, validation_alias="SNOWFLAKE_ACCOUNT")
    user: str | None = Field(None, validation_alias="SNOWFLAKE_USER")
    password: SecretStr | None = Field(None, validation_alias="SNOWFLAKE_PASSWORD")
    private_key_path: Path | None = Field(None, validation_alias="SNOWFLAKE_PRIVATE_KEY_PATH")
    warehouse: str | None = Field(None, validation_alias="SNOWFLAKE_WAREHOUSE")
    role: str | None = Field(None, validation_alias="SNOWFLAKE_ROLE")
    database: str | None = Field(None, validation_alias="SNOWFLAKE_DATABASE")
    schema_: str | None = Field(None, validation_alias="SNOWFLAKE_SCHEMA")
    atomic_table: str | None = Field(None, validation_alias="ATOMIC_TABLE")
    private_key_password: SecretStr | None = Field(
        None, validation_alias="SNOWFLAKE_PRIVATE_KEY_PASSWORD"
    )
    training_table: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = Field(
        "PROSPECT_TRAINING_SET", validation_alias="SNOWFLAKE_TRAINING_TABLE"
    )
    statement_timeout: PositiveInt = Field(
        3600, validation_alias="SNOWFLAKE_STATEMENT_TIMEOUT_SECONDS"
    )

    @model_validator(mode="after")
    def _whole_group_only(self) -> Self:
        needed = ("account", "user", "warehouse", "database", "schema_", "atomic_table")
        variables = [str(type(self).model_fields[name].validation_alias) for name in needed]
        secret = self.password is not None or self.private_key_path is not None
        whole = _group(self, *variables)
        if whole and not secret:
            raise ValueError(
                "SNOWFLAKE_ACCOUNT is set but neither SNOWFLAKE_PASSWORD nor "
                "SNOWFLAKE_PRIVATE_KEY_PATH; set one of them"
            )
        if not whole and (secret or self.role is not None):
            raise ValueError(
                "SNOWFLAKE_PASSWORD, SNOWFLAKE_PRIVATE_KEY_PATH or SNOWFLAKE_ROLE is set, but "
                f"{', '.join(variables)} missing; set all of them or none"
            )
        return self

    @property
    def configured(self) -> bool:
        """Whether the warehouse is Snowflake."""
        return self.account is not None


def _group(settings: _Settings, *variables: str) -> bool:
    """Whether a group of variables is set; a half-set one is an error that names the rest."""
    by_alias = {str(f.validation_alias): n for n, f in type(settings).model_fields.items()}
    missing = [v for v in variables if getattr(settings, by_alias[v]) is None]
    present = [v for v in variables if v not in missing]
    if present and missing:
        raise ValueError(
            f"{', '.join(present)} set, but {', '.join(missing)} missing; "
            f"set all of {', '.join(variables)} or none"
        )
    return bool(present)


class RegistrySettings(_Settings):
    """Where models are registered, and which version is served."""

    tracking_uri: str | None = Field(None, validation_alias="MLFLOW_TRACKING_URI")
    ui_url: str | None = Field(None, validation_alias="MLFLOW_UI_URL")
    model_name: str = Field("prospect_scoring", validation_alias="MODEL_NAME")
    alias: str = Field("champion", validation_alias="MODEL_ALIAS")
    version: Annotated[str | None, Field(pattern=r"^(latest|[1-9]\d*)$")] = Field(
        None, validation_alias="MODEL_VERSION"
    )


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


class AutomationSettings(_Settings):
    """When models are retrained, and who is told where that fails.

    Whether the cron expression is one is for Dagster to say, which reads it.
    """

    retrain_cron: str = Field("0 5 * * 1", validation_alias="PROSPECT_RETRAIN_CRON")
    retrain_timezone: Annotated[str, AfterValidator(_known_time_zone)] = Field(
        "UTC", validation_alias="PROSPECT_RETRAIN_TIMEZONE"
    )
    alert_webhook: Annotated[SecretStr, AfterValidator(_web_address)] | None = Field(
        None, validation_alias="PROSPECT_ALERT_WEBHOOK"
    )
    dagster_ui_url: str | None = Field(None, validation_alias="DAGSTER_UI_URL")
    predict_url: str | None = Field(None, validation_alias="PREDICT_URL")
