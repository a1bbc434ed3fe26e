"""Clocks: how far others' are from this machine's, as far as that can be known."""

import time
from pathlib import Path
from typing import Any

import pytest

from prospect_pipeline.doctor import clocks, registry, service, signals
from prospect_pipeline.doctor.clocks import from_header, judged
from prospect_pipeline.doctor.web import Reply
from prospect_pipeline_tests.doctor.looking import lines, look, one, standing_in

NOON = "Fri, 01 May 2026 12:00:00 GMT"
AT_NOON = 1777636800.0
AREAS = (signals.checks, registry.checks, service.checks, clocks.checks)


def well(*_: Any) -> tuple[int, dict[str, str], Any]:
    return 200, {}, {}


def replied(asked: float, answered: float) -> Reply:
    return Reply(200, {"date": NOON}, None, AT_NOON + asked, AT_NOON + answered)


@pytest.mark.parametrize(
    ("asked", "answered", "bounds"),
    [
        (0.4, 0.5, (-0.5, 1.6)),  # within the header's second
        (-3.0, -2.9, (2.9, 5.0)),  # asked before it was noon here
        (90.0, 90.1, (-90.1, -88.0)),
        (-1.0, 9.0, (-9.0, 3.0)),  # a slow answer says little
    ],
)
def test_the_bounds_allow_for_whole_seconds_and_the_way(
    asked: float, answered: float, bounds: tuple[float, float]
) -> None:
    assert from_header(replied(asked, answered)) == pytest.approx(bounds)


def test_a_server_that_does_not_say_has_no_bounds() -> None:
    assert from_header(Reply(200, {}, None, 0, 0)) is None
    assert from_header(Reply(200, {"date": "noon"}, None, 0, 0)) is None


@pytest.mark.parametrize(
    ("bounds", "status", "found"),
    [
        ((-1.0, 1.0), "ok", "within 2 s of this machine's"),
        ((-90.0, 90.0), "ok", "within 2 s of this machine's"),
        ((1.9, 3.9), "ok", "within 2 s of this machine's"),
        ((2.5, 4.5), "warning", "2.5 s ahead of this machine's, at least"),
        ((-5.0, -3.0), "warning", "3.0 s behind this machine's, at least"),
        ((60.0, 62.0), "warning", "60.0 s ahead of this machine's, at least"),
        ((61.0, 63.0), "wrong", "61.0 s ahead of this machine's, at least"),
        ((-7203.0, -7200.0), "wrong", "7,200.0 s behind this machine's, at least"),
    ],
)
def test_seconds_are_judged(bounds: tuple[float, float], status: str, found: str) -> None:
    answer = judged(bounds)

    assert (answer.status, answer.found) == (status, found)
    assert bool(answer.remedy) == (status != "ok")


@pytest.mark.parametrize(
    ("ahead", "status"), [(0, "ok"), (20, "warning"), (-20, "warning"), (3600, "wrong")]
)
def test_the_clocks_of_signals_mlflow_and_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: float, status: str
) -> None:
    with standing_in(well, ahead) as url:
        for name in ("SP_SANDBOX_URL", "MLFLOW_TRACKING_URI", "PREDICT_URL"):
            monkeypatch.setenv(name, url)
        monkeypatch.setenv("SP_SANDBOX_TOKEN", "any-token")
        report = look(tmp_path, *AREAS)

    for name in ("Signals", "MLflow", "service"):
        assert one(report, f"clock {name}").status == status, name


def test_a_slow_answer_is_no_wrong_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passing = iter(range(0, 1000, 5))
    monkeypatch.setattr(time, "time", lambda: AT_NOON + next(passing))

    assert from_header(Reply(200, {"date": NOON}, None, time.time(), time.time())) == (-5.0, 2.0)


@pytest.mark.parametrize(
    ("setting", "status", "says"),
    [
        ("wall", "ok", "wall clock"),
        ("last-event", "warning", "as of the last event"),
        ("2026-05-01T12:00:00", "warning", "as of 2026-05-01T12:00:00"),
    ],
)
def test_what_counts_as_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, status: str, says: str
) -> None:
    monkeypatch.setenv("PROSPECT_CLOCK", setting)

    [(found, words)] = lines(look(tmp_path, clocks.checks), "clock now")

    assert found == status
    assert says in words
