"""Dagster: its home, its schedule, and whom it tells."""

from pathlib import Path

import pytest

from prospect_pipeline.doctor import automation
from prospect_pipeline_tests.doctor.looking import look, one

SECRET = "s3cret-of-ours"


def test_without_a_home_it_is_said_what_that_means(tmp_path: Path) -> None:
    found = one(look(tmp_path, automation.checks), "Dagster home")

    assert found.status == "not used"
    assert "DAGSTER_HOME" in found.remedy


def test_the_home_of_the_running_system(tmp_path: Path) -> None:
    (tmp_path / "dagster").mkdir()

    found = one(look(tmp_path, automation.checks), "Dagster home")

    assert (found.status, found.found) == ("ok", f"runs are kept in {tmp_path}/dagster")


@pytest.mark.parametrize("home", ["relative", "/nowhere/at/all"])
def test_a_home_that_dagster_would_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    Path("relative").mkdir()
    monkeypatch.setenv("DAGSTER_HOME", home)

    found = one(look(tmp_path, automation.checks), "Dagster home")

    assert (found.status, found.found) == (
        "wrong",
        f"DAGSTER_HOME is {home}, which is no absolute path of a folder",
    )


def test_a_configuration_that_is_no_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dagster.yaml").write_text("a: [")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))

    found = one(look(tmp_path, automation.checks), "Dagster home")

    assert found.status == "wrong"
    assert "dagster.yaml cannot be read" in found.found


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("0 5 * * 1", ("ok", "retraining at '0 5 * * 1', UTC", "")),
        (
            "every monday",
            (
                "wrong",
                "PROSPECT_RETRAIN_CRON: 'every monday' is no cron expression.",
                "set PROSPECT_RETRAIN_CRON to five fields: minute, hour, day of the month, month, "
                "weekday, such as '0 5 * * 1' for Mondays at 05:00",
            ),
        ),
    ],
)
def test_the_cron_expression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cron: str, said: tuple[str, str, str]
) -> None:
    monkeypatch.setenv("PROSPECT_RETRAIN_CRON", cron)

    found = one(look(tmp_path, automation.checks), "Dagster schedule")

    assert (found.status, found.found, found.remedy) == said


@pytest.mark.parametrize(
    ("address", "status"),
    [(None, "not used"), (f"http://x.io/{SECRET}", "warning"), (f"https://x.io/{SECRET}", "ok")],
)
def test_whom_it_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str | None, status: str
) -> None:
    if address:
        monkeypatch.setenv("PROSPECT_ALERT_WEBHOOK", address)

    report = look(tmp_path, automation.checks)

    assert one(report, "Dagster alerts").status == status
    assert SECRET not in str(report.to_dict())
