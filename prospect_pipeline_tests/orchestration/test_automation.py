"""What runs by itself: schedules by their settings, and what is tried again."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from prospect_pipeline.definitions import build_defs
from prospect_pipeline.errors import (
    DamagedModel,
    DefinitionError,
    EventsError,
    NoModel,
    RegistryError,
    RegistryRefused,
    SettingsError,
    SignalsUnavailable,
    TrainingError,
    WarehouseUnavailable,
)
from prospect_pipeline.orchestration import assets, automation, champion, checks, retries
from prospect_pipeline.orchestration.retries import (
    RETRIES,
    patiently,
    retried_where_it_may_pass,
)
from prospect_pipeline.settings import AutomationSettings


def schedule(name: str) -> dg.ScheduleDefinition:
    made = build_defs().resolve_schedule_def(name)
    assert isinstance(made, dg.ScheduleDefinition)
    return made


def test_retraining_is_weekly_and_on_by_itself() -> None:
    weekly = schedule("weekly_retraining")

    assert (weekly.cron_schedule, weekly.execution_timezone) == ("0 5 * * 1", "UTC")
    assert weekly.job_name == "retrain"
    assert weekly.default_status is dg.DefaultScheduleStatus.RUNNING


def test_when_to_retrain_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROSPECT_RETRAIN_CRON", "30 6 1 * *")
    monkeypatch.setenv("PROSPECT_RETRAIN_TIMEZONE", "Europe/Berlin")

    weekly = schedule("weekly_retraining")

    assert (weekly.cron_schedule, weekly.execution_timezone) == ("30 6 1 * *", "Europe/Berlin")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PROSPECT_RETRAIN_CRON", "weekly", "PROSPECT_RETRAIN_CRON: 'weekly' is no cron expr"),
        ("PROSPECT_RETRAIN_CRON", "0 25 * * 1", "PROSPECT_RETRAIN_CRON: '0 25 \\* \\* 1' is no"),
        ("PROSPECT_RETRAIN_TIMEZONE", "Berlin", "PROSPECT_RETRAIN_TIMEZONE: 'Berlin' is no time"),
        ("PROSPECT_ALERT_WEBHOOK", "hooks/s3cret", "^PROSPECT_ALERT_WEBHOOK: it is no address"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError, match=words) as raised:
        automation.schedules(AutomationSettings.load())

    assert "s3cret" not in str(raised.value)


def test_a_run_of_the_schedule_says_for_which_moment_it_is() -> None:
    monday = datetime(2026, 5, 4, 5, tzinfo=UTC)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(instance, scheduled_execution_time=monday)
        [asked] = schedule("weekly_retraining").evaluate_tick(context).run_requests or []

    assert asked.tags[automation.TICK_TAG] == "2026-05-04T05:00:00+00:00"


def test_every_part_that_reaches_a_server_is_tried_again() -> None:
    reaching = [
        assets.atomic_events, assets.signals_configuration, assets.training_dataframe,
        assets.registered_model, assets.evaluation_report, champion.champion,
        checks.no_leakage, checks.labels_follow, checks.events_are_fresh, checks.events_arrive,
    ]  # fmt: skip

    assert {each.op.retry_policy for each in reaching} == {RETRIES}
    assert checks.training_data_checks.op.retry_policy is None
    delays = [
        dg.RetryPolicy(delay=RETRIES.delay, backoff=RETRIES.backoff).calculate_delay(attempt)
        for attempt in (1, 2, 3)
    ]
    assert delays == [5, 15, 35]


@pytest.mark.parametrize("asset", [assets.training_dataframe, assets.registered_model])
def test_a_week_without_new_data_or_a_new_model_is_noticed(asset: dg.AssetsDefinition) -> None:
    [spec] = asset.specs

    assert spec.freshness_policy == dg.FreshnessPolicy.time_window(fail_window=timedelta(days=8))


def tried(work: Callable[[int], None]) -> tuple[int, dg.ExecuteInProcessResult]:
    """Materialize what fails, and say how often it was tried."""
    attempts = []

    @dg.asset(retry_policy=RETRIES._replace(delay=0, max_retries=2))
    @retried_where_it_may_pass
    def failing(context: dg.AssetExecutionContext) -> None:
        attempts.append(context.retry_number)
        work(context.retry_number)

    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([failing], instance=instance, raise_on_error=False)
    return len(attempts), done


def failure(done: dg.ExecuteInProcessResult) -> Any:
    [event] = [each for each in done.all_events if each.is_step_failure]
    return event.step_failure_data


@pytest.mark.parametrize("error", [SignalsUnavailable, RegistryError, WarehouseUnavailable])
def test_a_server_that_comes_back_costs_no_run(error: type[Exception]) -> None:
    def away_at_first(attempt: int) -> None:
        if attempt == 0:
            raise error("It does not answer.")

    times, done = tried(away_at_first)

    assert (times, done.success) == (2, True)


def test_a_server_that_stays_away_fails_the_run_in_the_end() -> None:
    def away(_: int) -> None:
        raise RegistryError("MLflow does not answer.")

    times, done = tried(away)

    assert (times, done.success) == (3, False)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (EventsError("No events."), "No events."),
        (TrainingError("One class."), "One class."),
        (DefinitionError("No such property."), "No such property."),
        (NoModel("No version 9."), "No version 9."),
        (RegistryRefused("No such parameter."), "No such parameter."),
        (DamagedModel("Version 9 is damaged."), "Version 9 is damaged."),
        (KeyError("label"), "An error that was not expected (KeyError): its trace is in the log."),
    ],
)
def test_what_will_not_pass_is_tried_once_and_says_its_own_words(
    error: Exception, words: str
) -> None:
    def wrong(_: int) -> None:
        raise error

    times, done = tried(wrong)

    assert (times, done.success) == (1, False)
    assert failure(done).user_failure_data.description == words
    assert failure(done).error.cause.cls_name == type(error).__name__


class Away:
    """Fails so many times, and says how often it was asked and how long was waited."""

    def __init__(self, patch: pytest.MonkeyPatch, times: int, error: Exception) -> None:
        self.left, self.error = times, error
        self.asked, self.said, self.waited = 0, list[str](), list[float]()
        patch.setattr(retries.time, "sleep", self.waited.append)

    def __call__(self) -> str:
        self.asked += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "there"


def test_what_is_too_dear_to_be_done_again_waits_for_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = Away(monkeypatch, 3, RegistryError("MLflow does not answer."))

    assert patiently(away, away.said.append) == "there"

    assert away.asked == 4
    bounds = [(0, 10), (10, 20), (30, 40)]  # 5, 15 and 35 seconds, give or take 5
    assert all(low <= n <= high for n, (low, high) in zip(away.waited, bounds, strict=True))
    assert away.said[0] == (
        f"MLflow does not answer. It is tried again in {away.waited[0]:.0f} seconds."
    )


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (RegistryError("MLflow does not answer."), 4),
        (RegistryRefused("No such parameter."), 1),
        (KeyError("label"), 1),
    ],
)
def test_what_stays_away_or_is_refused_ends_the_step_for_good(
    monkeypatch: pytest.MonkeyPatch, error: Exception, asked: int
) -> None:
    away = Away(monkeypatch, 9, error)

    with pytest.raises(dg.Failure) as raised:
        patiently(away, away.said.append)

    assert (away.asked, len(away.waited)) == (asked, asked - 1)
    assert raised.value.allow_retries is False
    assert raised.value.__cause__ is error
