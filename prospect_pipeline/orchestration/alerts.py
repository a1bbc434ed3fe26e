"""Who is told: a webhook, of runs that failed, and of those that ended well but with a doubt.

Slack's incoming webhooks read ``text``; the other fields are for whatever else listens. The
webhook's address is a secret: it shows nowhere, and one that is away is logged and nothing more.
"""

# Annotations stay real objects here: Dagster reads them.

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import dagster as dg
import requests

from prospect_pipeline import errors
from prospect_pipeline.orchestration.champion import champion
from prospect_pipeline.redaction import shown_address, without_secrets
from prospect_pipeline.settings import AutomationSettings

SECONDS = 5
MOST = 1000
"""Characters of an error that are sent."""

MEANT = {"Failure", *(name for name, one in vars(errors).items() if isinstance(one, type))}
"""Classes of errors that are raised on purpose, in words that are meant to be read."""


@dataclass(frozen=True)
class Alert:
    """What a run has to say; ``step`` is where it failed, ``url`` its page where that is known."""

    event: str
    job: str
    run_id: str
    step: str
    words: str
    url: str

    @property
    def text(self) -> str:
        """The alert as a person reads it."""
        where = f" at {self.step}" if self.step else ""
        lines = [f"{self.job}: {self.event}{where}.", self.words, self.url or f"Run {self.run_id}"]
        return "\n".join(line for line in lines if line)


@dg.run_failure_sensor(default_status=dg.DefaultSensorStatus.RUNNING)
def failed_runs(context: dg.RunFailureSensorContext) -> None:
    """Tell PROSPECT_ALERT_WEBHOOK of every failed run: first why, then what else is wrong."""
    settings, run = AutomationSettings.load(), context.dagster_run
    failed = context.get_step_failure_events()
    step = str(failed[0].step_key) if failed else ""
    words = "\n".join(_reasons(context.instance, run, failed or [context.failure_event]))
    alert = Alert("the run failed", run.job_name, run.run_id, step, words, _page(settings, run))
    send(settings, alert, context.log)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS, default_status=dg.DefaultSensorStatus.RUNNING
)
def odd_runs(context: dg.RunStatusSensorContext) -> None:
    """Tell PROSPECT_ALERT_WEBHOOK of a refused challenger, and of checks that only warn."""
    settings, run = AutomationSettings.load(), context.dagster_run
    checks = [_told(check) for _, check in _failed_checks(context.instance, run)]
    doubts = [*_refused(context.instance, run), *checks]
    if doubts:
        words, page = "\n".join(doubts), _page(settings, run)
        alert = Alert("look at this", run.job_name, run.run_id, "", words, page)
        send(settings, alert, context.log)


def send(settings: AutomationSettings, alert: Alert, log: logging.Logger) -> bool:
    """Post an alert where a webhook is set; return whether it was taken. Raises nothing."""
    if settings.alert_webhook is None:
        return False
    words, url = without_secrets(alert.words)[:MOST], alert.url and shown_address(alert.url)
    alert = replace(alert, words=words, url=url)
    try:
        reply = requests.post(
            settings.alert_webhook.get_secret_value(),
            json={"text": alert.text, **asdict(alert)},
            timeout=SECONDS,
        )
        problem = "" if reply.ok else f"answered {reply.status_code}"
    except requests.RequestException as error:  # its words hold the address
        problem = f"does not answer ({type(error).__name__})"
    if problem:
        log.warning(f"PROSPECT_ALERT_WEBHOOK {problem}: run {alert.run_id} was told to nobody.")
    return not problem


def _own_words(event: dg.DagsterEvent) -> str:
    """Return the message of the error itself, without the classes and frames around it.

    Of an error that nobody expected only its class: it may quote a row of the data.
    """
    error = getattr(event.event_specific_data, "error", None)
    if error is None:
        return event.message or ""
    while error.cause is not None:
        error = error.cause
    if error.cls_name not in MEANT:
        return f"An error that was not expected ({error.cls_name}): see the run in Dagster."
    return str(error.message.strip().split(": ", 1)[-1])


def _reasons(
    instance: dg.DagsterInstance, run: dg.DagsterRun, failures: Sequence[dg.DagsterEvent]
) -> list[str]:
    """Return why a run failed, and after that the errors of checks that did not stop it.

    A step that a blocking check has failed is told in the check's words.
    """
    checks = _failed_checks(instance, run)
    errors = [(at, one) for at, one in checks if one.severity == dg.AssetCheckSeverity.ERROR]
    stopped = {event.step_key for event in failures}
    why = [_told(check) for step, check in errors if step in stopped and check.blocking]
    by_check = {step for step, check in errors if check.blocking}
    why += [_own_words(event) for event in failures if event.step_key not in by_check]
    return [*why, *(_told(check) for _, check in errors if not check.blocking)]


def _told(check: dg.AssetCheckEvaluation) -> str:
    return f"{check.check_name}: {check.description}"


def _failed_checks(
    instance: dg.DagsterInstance, run: dg.DagsterRun
) -> list[tuple[str | None, dg.AssetCheckEvaluation]]:
    """Return the checks that failed, each with the step that made it."""
    records = instance.get_records_for_run(
        run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    found = [record.event_log_entry.dagster_event for record in records]
    checks = [(one.step_key, one.asset_check_evaluation_data) for one in found if one is not None]
    return [(step, check) for step, check in checks if not check.passed]


def _refused(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[str]:
    records = instance.get_records_for_run(
        run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    ).records
    for record in records:
        made = record.asset_materialization
        if made is not None and made.asset_key == champion.key:
            shown = made.metadata
            if not shown["promoted"].value:
                yield f"Version {shown['challenger'].value} was refused. {shown['reason'].value}"


def _page(settings: AutomationSettings, run: dg.DagsterRun) -> str:
    pages = settings.dagster_ui_url
    return f"{pages.rstrip('/')}/runs/{run.run_id}" if pages else ""
