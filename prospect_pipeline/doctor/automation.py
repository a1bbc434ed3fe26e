"""Dagster: where it keeps its runs, when it retrains, and whom it tells; nobody is called."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from prospect_pipeline.doctor.report import Answer, Check, ok, unused, warning, wrong
from prospect_pipeline.doctor.system import System
from prospect_pipeline.settings import AutomationSettings, DataSettings

AREA = "Dagster"
HOME = "set DAGSTER_HOME to a folder of its own, as an absolute path, and make it"


def checks(system: System) -> list[Check]:
    """Return the checks of what runs by itself."""
    settings = system[AutomationSettings]
    running = system[DataSettings].root / "dagster"
    return [
        Check(AREA, "home", lambda: _home(os.environ.get("DAGSTER_HOME"), running), HOME),
        Check(AREA, "schedule", lambda: _schedule(settings), "set PROSPECT_RETRAIN_CRON", (), 60),
        Check(AREA, "alerts", lambda: _alerts(settings), "set PROSPECT_ALERT_WEBHOOK"),
    ]


def _home(named: str | None, running: Path) -> Answer:
    if named:
        home = Path(named)
        if not home.is_absolute() or not home.is_dir():
            return wrong(f"DAGSTER_HOME is {named}, which is no absolute path of a folder", HOME)
    elif running.is_dir():
        home = running
    else:
        words = "DAGSTER_HOME is not set: `dagster dev` forgets its runs when it ends"
        return unused(words, f"{HOME}; `prospect run` has one of its own")
    if not os.access(home, os.W_OK | os.X_OK):
        return wrong(f"{home} may not be written", HOME)
    try:
        yaml.safe_load((home / "dagster.yaml").read_text())
    except FileNotFoundError:
        pass  # Dagster then uses its defaults
    except (OSError, ValueError, yaml.YAMLError) as error:
        words = f"{home / 'dagster.yaml'} cannot be read ({type(error).__name__})"
        return wrong(words, "write it as Dagster's instance configuration, or remove it")
    return ok(f"runs are kept in {home}")


def _schedule(settings: AutomationSettings) -> Answer:
    """Let Dagster read the cron expression; raises SettingsError where it cannot."""
    from prospect_pipeline.orchestration.automation import schedules

    schedules(settings)
    return ok(f"retraining at '{settings.retrain_cron}', {settings.retrain_timezone}")


def _alerts(settings: AutomationSettings) -> Answer:
    if settings.alert_webhook is None:
        words = "nobody is told of runs that fail"
        return unused(words, "set PROSPECT_ALERT_WEBHOOK to a webhook, such as Slack's")
    if not settings.alert_webhook.get_secret_value().startswith("https://"):
        words = "PROSPECT_ALERT_WEBHOOK is no https:// address: who is on the way can read it"
        return warning(words, "use its https:// address")
    return ok("PROSPECT_ALERT_WEBHOOK is told; it was not called")
