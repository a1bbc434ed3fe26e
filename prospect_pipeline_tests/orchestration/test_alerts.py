"""A webhook on loopback is told of real runs that fail, and of those that leave a doubt."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pytest
from fastapi import FastAPI, Request, Response

from prospect_pipeline.errors import TrainingError
from prospect_pipeline.orchestration import alerts
from prospect_pipeline.orchestration.alerts import Alert, failed_runs, odd_runs, send
from prospect_pipeline.orchestration.retries import retried_where_it_may_pass
from prospect_pipeline.settings import AutomationSettings
from prospect_pipeline_tests.sandbox.conftest import serving

SECRET = "T0/s3cret"
ALERT = Alert("the run failed", "retrain", "abc", "registered_model", "One class.", "")


@dataclass
class Receiver:
    """Keeps what is posted to it."""

    status: int = 200
    told: list[dict[str, Any]] = field(default_factory=list)
    app: FastAPI = field(default_factory=FastAPI)

    def __post_init__(self) -> None:
        self.app.post(f"/{SECRET}")(self._take)

    async def _take(self, request: Request) -> Response:
        self.told.append(json.loads(await request.body()))
        return Response("ok", self.status)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    made = Receiver()
    with serving(made.app) as url:
        monkeypatch.setenv("PROSPECT_ALERT_WEBHOOK", f"{url}/{SECRET}")
        monkeypatch.setenv("DAGSTER_UI_URL", "http://dagster.local/")
        yield made


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@dg.asset
@retried_where_it_may_pass
def model() -> None:
    raise TrainingError("All rows have label 0; postgres://me:pass@db/x holds them.")


@dg.asset
def data() -> None:
    """Materializes; a check then finds it unfit."""


@dg.asset_check(asset=data, blocking=True)
def has_rows() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, description="There are no rows.")


@dg.asset_check(asset=data)
def is_recent() -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(passed=False, severity=severity, description="It is old.")


@dg.asset(name="champion")
def refusing() -> dg.MaterializeResult[Any]:
    shown = {"challenger": "8", "promoted": False, "reason": "Version 7 stays champion: worse."}
    return dg.MaterializeResult(metadata=shown)


def run(instance: dg.DagsterInstance, *assets: Any) -> dg.ExecuteInProcessResult:
    """Materialize, and let the sensor of the run's end see it."""
    done = dg.materialize(assets, instance=instance, raise_on_error=False)
    event = done.all_events[-1] if done.success else done.get_run_failure_event()
    context = dg.build_run_status_sensor_context("alerts", event, instance, done.dagster_run)
    if done.success:
        odd_runs(context)
    else:
        failed_runs(context.for_run_failure())
    return done


def test_a_failed_run_is_told_in_the_words_of_its_error(
    receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    done = run(instance, model)

    [told] = receiver.told
    words = "All rows have label 0; postgres://db/x holds them."
    page = f"http://dagster.local/runs/{done.run_id}"
    job = done.dagster_run.job_name
    assert told == {
        "text": f"{job}: the run failed at model.\n{words}\n{page}",
        "event": "the run failed",
        "job": job,
        "run_id": done.run_id,
        "step": "model",
        "words": words,
        "url": page,
    }


def test_of_an_error_that_nobody_expected_only_its_class_is_told(
    receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    @dg.asset(name="one")
    @retried_where_it_may_pass
    def caught() -> None:
        raise KeyError("visitor 8e554b10")

    @dg.asset(name="other")
    def uncaught() -> None:
        raise ValueError("visitor 8e554b10")

    run(instance, caught)
    run(instance, uncaught)

    assert [told["words"] for told in receiver.told] == [
        "An error that was not expected (KeyError): see the run in Dagster.",
        "An error that was not expected (ValueError): see the run in Dagster.",
    ]
    assert "8e554b10" not in str(receiver.told)


def test_data_that_is_unfit_is_told_in_the_words_of_the_check(
    receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    @dg.asset(deps=[data])
    def downstream() -> None:
        raise AssertionError("the check stops this")

    run(instance, data, has_rows, is_recent, downstream)

    [told] = receiver.told
    assert told["words"] == "has_rows: There are no rows."


@dg.asset_check(asset=data)
def is_served() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, description="The service gives other scores.")


def test_what_failed_is_told_before_the_error_of_a_check_that_blocks_nothing(
    receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    done = run(instance, data, is_served, is_recent, model)

    [told] = receiver.told
    assert not done.success
    assert (told["step"], told["words"]) == (
        "model",
        "All rows have label 0; postgres://db/x holds them.\n"
        "is_served: The service gives other scores.",
    )


def test_of_two_steps_that_failed_each_is_told(
    receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    run(instance, data, has_rows, model)

    [told] = receiver.told
    assert told["words"] == (
        "has_rows: There are no rows.\nAll rows have label 0; postgres://db/x holds them."
    )


def test_a_warning_and_a_refused_challenger_are_told_of_a_run_that_ends_well(
    receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    run(instance, data, is_recent, refusing)

    [told] = receiver.told
    assert told["event"] == "look at this"
    assert told["words"] == (
        "Version 8 was refused. Version 7 stays champion: worse.\nis_recent: It is old."
    )


def test_a_run_without_a_doubt_tells_nobody(
    receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    run(instance, data)

    assert receiver.told == []


def test_without_a_webhook_nobody_is_told(
    receiver: Receiver, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROSPECT_ALERT_WEBHOOK")

    run(instance, model)

    assert receiver.told == []


def test_a_webhook_that_refuses_or_is_away_is_logged_without_its_address(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("told")
    receiver.status = 410
    assert send(AutomationSettings.load(), ALERT, log) is False
    monkeypatch.setenv("PROSPECT_ALERT_WEBHOOK", f"http://127.0.0.1:1/{SECRET}")
    assert send(AutomationSettings.load(), ALERT, log) is False

    assert [record.message for record in caplog.records if record.name == "told"] == [
        "PROSPECT_ALERT_WEBHOOK answered 410: run abc was told to nobody.",
        "PROSPECT_ALERT_WEBHOOK does not answer (ConnectionError): run abc was told to nobody.",
    ]
    assert SECRET not in caplog.text + repr(AutomationSettings.load())


def test_a_long_error_is_cut(receiver: Receiver) -> None:
    long = Alert("the run failed", "retrain", "abc", "", "x" * 5000, "")

    assert send(AutomationSettings.load(), long, logging.getLogger("told"))

    [told] = receiver.told
    assert len(told["words"]) == alerts.MOST
