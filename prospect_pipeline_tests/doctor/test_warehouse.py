"""The embedded warehouse: whether there are events, and how old the last one is."""

from datetime import timedelta
from pathlib import Path

import pytest

from prospect_pipeline.doctor import rounds, warehouse
from prospect_pipeline.doctor.report import Finding
from prospect_pipeline.settings import Clock
from prospect_pipeline_tests.doctor.looking import look
from prospect_pipeline_tests.events import DAY, NOW, event, write


def seen(tmp_path: Path) -> Finding:
    [found] = look(tmp_path, warehouse.checks).findings
    return found


@pytest.fixture
def events(tmp_path: Path) -> Path:
    folder = tmp_path / "events"
    folder.mkdir()
    return folder


def test_without_events_it_is_said_how_to_get_some(tmp_path: Path) -> None:
    found = seen(tmp_path)

    assert (found.status, found.found) == (
        "warning",
        f"no events yet: there is no {tmp_path}/events",
    )
    assert found.remedy.startswith("load some: prospect run")
    assert not (tmp_path / "events").exists()


def test_a_folder_without_events(tmp_path: Path, events: Path) -> None:
    found = seen(tmp_path)

    assert (found.status, found.found) == (
        "warning",
        f"{events} holds no events: neither Parquet files nor any that were collected.",
    )
    assert found.remedy.startswith("load some: prospect run")


@pytest.mark.parametrize(
    ("seconds", "status", "says"),
    [
        (0, "ok", "(less than a minute ago)"),
        (59, "ok", "(less than a minute ago)"),
        (60, "ok", "(1 minute ago)"),
        (59 * 60 + 59, "ok", "(59 minutes ago)"),
        (3600, "ok", "(1.0 h ago)"),
        (48 * 3600, "ok", "(48.0 h ago)"),
        (49 * 3600, "warning", "(49.0 h ago): more than 48 h"),
    ],
)
def test_the_age_of_the_last_event(
    tmp_path: Path,
    events: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: int,
    status: str,
    says: str,
) -> None:
    write([event("a", NOW - DAY), event("b", NOW)], events / "some.parquet")
    monkeypatch.setenv("PROSPECT_CLOCK", (NOW + timedelta(seconds=seconds)).isoformat())

    found = seen(tmp_path)

    assert found.status == status
    assert found.found == f"2 events in {events}, the last 2026-05-01 12:00 UTC {says}"


def test_an_event_that_is_dated_ahead_says_nothing_of_the_last(
    tmp_path: Path, events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write([event("a", NOW - 3 * DAY), event("b", NOW + DAY)], events / "some.parquet")
    monkeypatch.setenv("PROSPECT_CLOCK", NOW.isoformat())

    found = seen(tmp_path)

    assert found.status == "warning"
    assert "the last 2026-04-28 12:00 UTC (72.0 h ago)" in found.found


@pytest.mark.parametrize(
    ("clock", "now", "remedy"),
    [
        (
            "2026-04-27T11:59",
            "2026-04-27 11:59 UTC by PROSPECT_CLOCK",
            "unset PROSPECT_CLOCK, or set it to a moment after the first of them",
        ),
        ("wall", "2026-04-27 11:59 UTC", warehouse.AHEAD),
    ],
)
def test_events_that_are_all_dated_ahead_are_said_to_be(
    tmp_path: Path,
    events: Path,
    monkeypatch: pytest.MonkeyPatch,
    clock: str,
    now: str,
    remedy: str,
) -> None:
    write([event("a", NOW - 4 * DAY), event("b", NOW)], events / "some.parquet")
    if clock == "wall":
        moment = NOW - 4 * DAY - timedelta(minutes=1)
        monkeypatch.setattr(Clock, "now", lambda *_: moment)
    monkeypatch.setenv("PROSPECT_CLOCK", clock)

    found = seen(tmp_path)

    assert (found.status, found.remedy) == ("warning", remedy)
    assert found.found == (
        f"2 events in {events}, all of them dated ahead: the first is of 2026-04-27 12:00 UTC, "
        f"and now is {now}"
    )


def test_a_file_that_cannot_be_read(tmp_path: Path, events: Path) -> None:
    (events / "some.parquet").write_text("no Parquet")

    found = seen(tmp_path)

    assert found.status == "warning"
    assert "cannot be read" in found.found


def test_snowflake_is_looked_at_in_its_place_where_it_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNOWFLAKE_ACCOUNT", "acme")

    report = look(tmp_path, lambda system: rounds.checks(system)[:3])

    assert report.findings[0].status == "wrong"
    assert "SNOWFLAKE_USER" in report.findings[0].found
