"""Each check is made within its time, whatever becomes of the others."""

import threading
from typing import Any

import pytest

from prospect_pipeline.doctor.examination import examine
from prospect_pipeline.doctor.report import (
    Answer,
    Check,
    Finding,
    Report,
    ok,
    unused,
    warning,
    wrong,
)
from prospect_pipeline.errors import SignalsError

SECRET = "s3cret-of-ours"


def check(name: str, look: Any, *after: str, seconds: float = 20) -> Check:
    return Check("area", name, look, "a remedy", tuple(f"area {each}" for each in after), seconds)


def answering(answer: Answer) -> Any:
    return lambda: answer


def made(*checks: Check) -> Report:
    return examine(checks, lambda _: None)


def said(report: Report) -> list[tuple[str, str, str, str]]:
    return [(one.check, one.status, one.found, one.remedy) for one in report.findings]


def failing(error: BaseException) -> Any:
    def look() -> Answer:
        raise error

    return look


def test_an_error_that_nobody_expected_is_that_checks_line_alone() -> None:
    report = made(
        check("first", failing(ZeroDivisionError(SECRET))),
        check("ended", failing(SystemExit(3))),
        check("last", answering(ok("fine"))),
    )

    assert said(report) == [
        ("first", "wrong", "it failed in a way of its own (ZeroDivisionError)", "a remedy"),
        ("ended", "wrong", "it failed in a way of its own (SystemExit)", "a remedy"),
        ("last", "ok", "fine", ""),
    ]


def test_an_error_that_was_raised_on_purpose_says_what_it_found() -> None:
    report = made(check("first", failing(SignalsError("Signals\nanswered 500."))))

    assert said(report) == [("first", "wrong", "Signals answered 500.", "a remedy")]


def test_the_remedy_of_an_error_is_said_once_and_in_place_of_the_checks() -> None:
    error = SignalsError("Signals refused (401).", "Check SP_SANDBOX_TOKEN.")

    report = made(check("first", failing(error)))

    assert str(error) == "Signals refused (401). Check SP_SANDBOX_TOKEN."
    assert said(report) == [
        ("first", "wrong", "Signals refused (401).", "check SP_SANDBOX_TOKEN"),
    ]


def test_a_check_that_hangs_is_left_alone() -> None:
    never = threading.Event()
    report = made(
        check("hangs", lambda: never.wait() and ok(""), seconds=0.05),
        check("last", answering(ok("fine"))),
    )
    never.set()

    assert said(report) == [
        ("hangs", "wrong", "no answer within 0.05 s", "a remedy"),
        ("last", "ok", "fine", ""),
    ]


def test_what_depends_on_something_wrong_is_named_and_not_made() -> None:
    report = made(
        check("first", answering(wrong("broken", "mend it"))),
        check("second", failing(AssertionError), "first"),
        check("third", failing(AssertionError), "second"),
        check("other", answering(ok("fine"))),
    )

    assert [one.check for one in report.findings] == ["first", "other"]
    assert report.unchecked == ["area second", "area third"]
    assert report.summary() == (
        "Not all is well: 1 ok, 1 wrong. Not checked because of that: area second, area third."
    )


def test_what_depends_on_something_that_is_not_used_is_silent() -> None:
    report = made(
        check("first", answering(unused("nothing runs"))),
        check("broken", answering(wrong("broken", "mend it"))),
        check("second", failing(AssertionError), "first", "broken"),
    )

    assert [one.check for one in report.findings] == ["first", "broken"]
    assert report.unchecked == []


def test_what_depends_on_a_warning_is_made() -> None:
    report = made(
        check("first", answering(warning("slow", "hurry"))),
        check("second", answering(ok("fine")), "first"),
    )

    assert [one.status for one in report.findings] == ["warning", "ok"]


@pytest.mark.parametrize(
    ("answers", "well"),
    [
        ([ok("")], True),
        ([warning("", ""), unused("")], True),
        ([ok(""), wrong("", "")], False),
    ],
)
def test_all_is_well_unless_something_is_wrong(answers: list[Answer], well: bool) -> None:
    report = made(Check("area", "several", lambda: answers, "a remedy"))

    assert report.well is well
    assert report.to_dict()["well"] is well


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([ok(""), ok("")], "All is well: 2 ok."),
        ([warning("", "")], "All is well: 1 warning."),
        ([warning("", ""), warning("", ""), unused("")], "All is well: 2 warnings, 1 not used."),
    ],
)
def test_the_last_line_counts(answers: list[Answer], says: str) -> None:
    assert made(Check("area", "several", lambda: answers, "a remedy")).summary() == says


def test_findings_are_told_as_soon_as_they_are_known() -> None:
    told: list[Finding] = []

    def second() -> Answer:
        assert [one.check for one in told] == ["first"]
        return ok("after the first was told")

    report = examine([check("first", answering(ok("fine"))), check("second", second)], told.append)

    assert report.findings == told
    assert [one.status for one in told] == ["ok", "ok"]


def test_a_secret_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROSPECT_ALERT_WEBHOOK", f"https://hooks.example.com/{SECRET}")
    words = f"refused at https://ann:{SECRET}@x.io, password={SECRET}"
    hook = f"https://hooks.example.com/{SECRET} is away"

    report = made(check("first", answering(wrong(words, hook))))

    assert SECRET not in str(report.to_dict())
    assert SECRET not in report.findings[0].line().plain


def test_a_line_says_status_check_finding_and_remedy() -> None:
    report = made(check("first", answering(wrong("it is [bold]broken[/bold]", "mend it"))))

    assert report.findings[0].line().plain == (
        "wrong     area first              it is [bold]broken[/bold] -> mend it"
    )


def test_a_page_that_was_answered_is_cut_short() -> None:
    [finding] = made(check("first", answering(wrong("x" * 5000, "mend it")))).findings

    assert len(finding.found) < 700
