"""What the page for the person on call claims."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from prospect_pipeline.cli import cli
from prospect_pipeline.errors import InputError, NoModel, SignalsError
from prospect_pipeline.serving.metrics import Metrics, metrics
from prospect_pipeline.serving.refusal import MESSAGES, Refusal, refusal, too_busy
from prospect_pipeline.settings import ServingSettings, SignalsSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operating.md").read_text()
SOURCES = "".join(
    path.read_text() for path in (ROOT / "prospect_pipeline" / "serving").glob("*.py")
)
ALERTS: Any = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.S)[0])
ERRORS = {
    code: statuses
    for codes, statuses in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([\d, ]+) \|", PAGE, re.M)
    for code in re.findall(r"`(\w+)`", codes)
}


def test_every_error_is_explained_with_its_status() -> None:
    built = [
        *(Refusal.of(status) for status in MESSAGES),
        *(refusal(kind("x"), told=True) for kind in (NoModel, SignalsError, InputError)),
        too_busy(),
        Refusal(400, "disconnected", ""),
        Refusal(400, "origin_not_allowed", ""),
    ]
    named = set(re.findall(r'Refusal\(\s*\d+,\s*"(\w+)"', SOURCES))

    assert named <= ERRORS.keys()
    assert {one.code for one in built} == ERRORS.keys()
    for one in built:
        assert str(one.status) in ERRORS[one.code]


def test_every_metric_is_described_and_nothing_else() -> None:
    assert isinstance(metrics(), Metrics)
    ours = {
        f"{each.name}_total" if each.type == "counter" else each.name
        for each in REGISTRY.collect()
        if each.name.startswith("prospect_")
    }
    told = set(re.findall(r"^\| (`prospect_.*?) \|", PAGE, re.M))
    described = {name for cell in told for name in re.findall(r"`(\w+)`", cell)}

    assert described == ours
    assert len(ours) == len(fields(Metrics))


@pytest.mark.parametrize("rule", ALERTS["groups"][0]["rules"], ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_metrics_that_there_are(rule: dict[str, str]) -> None:
    ours = {
        sample
        for each in REGISTRY.collect()
        for sample in (each.name, f"{each.name}_total", f"{each.name}_bucket")
    }

    asked = re.findall(r"prospect_\w+", rule["expr"])

    assert asked
    assert set(asked) <= ours
    for outcomes in re.findall(r'outcome=~?"([^"]+)"', rule["expr"]):
        assert set(outcomes.split("|")) <= {*ERRORS, "scored", "stale"}


def test_the_commands_are_there() -> None:
    commands = set(re.findall(r"^\$ prospect (\w+)", PAGE, re.M))

    assert commands == {"rollback", "promote"}
    assert commands <= set(cli.commands)


def test_numbers_and_settings_are_those_of_the_code() -> None:
    names = set(re.findall(r"`?((?:PREDICT|SIGNALS)_[A-Z_]+)", PAGE))
    known = {
        str(field.validation_alias)
        for settings in (ServingSettings, SignalsSettings)
        for field in settings.model_fields.values()
    }
    signals = SignalsSettings()

    assert names - {"SIGNALS_BACKFILL_SINCE"} <= known
    assert (signals.breaker_failures, signals.breaker_seconds) == (5, 1)
    assert "after 5 failures in a row" in PAGE
    assert "a trial every second" in PAGE
    assert ServingSettings().log_sample == 0.01
    assert json.dumps(ServingSettings().poll_seconds) == "10.0"
