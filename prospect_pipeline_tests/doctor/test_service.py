"""The scoring service: every kind of trouble has its line, and nothing follows from asking."""

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prospect_pipeline.doctor import service
from prospect_pipeline.doctor.examination import examine
from prospect_pipeline.doctor.report import Report
from prospect_pipeline.doctor.system import System
from prospect_pipeline.registry.store import ModelVersion
from prospect_pipeline_tests.doctor.looking import Handle, lines, look, one, standing_in

SITE = "https://www.example.com"
DEMO = "http://127.0.0.1:8088"
KEY = "a-key-that-is-long-enough"


class Standing:
    """A scoring service that answers what a test chooses, and what it was asked."""

    def __init__(
        self, version: str = "3", allowed: tuple[str, ...] = (SITE,), **status: int
    ) -> None:
        self.version, self.allowed, self.status = version, allowed, status
        self.asked: list[tuple[str, str]] = []
        self.key: str | None = None

    def __call__(
        self, method: str, path: str, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], Any]:
        self.asked.append((method, path))
        if method == "OPTIONS":
            origin = headers["Origin"]
            let_in = origin in self.allowed or "*" in self.allowed
            return (200, {"Access-Control-Allow-Origin": origin}, {}) if let_in else (400, {}, {})
        name = path.strip("/")
        self.key = headers.get("X-API-Key")
        status = self.status.get(name, 200)
        error = {"error": {"code": "signals_unavailable", "message": "Signals is away."}}
        score = {"model": {"name": "prospect_scoring", "version": self.version}, "score": 0.5}
        return status, {}, (score if status == 200 else error) if name == "predict" else {}


def seen(tmp_path: Path, handle: Handle, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Look at a service where version 3 is the champion."""
    with standing_in(handle) as url, ExitStack() as closing:
        monkeypatch.setenv("PREDICT_URL", url)
        system = System(tmp_path, closing)
        system.champion = ModelVersion("prospect_scoring", "3", "a run")
        alone = [
            replace(check, after=tuple(key for key in check.after if "registry" not in key))
            for check in service.checks(system)
        ]
        return examine(alone, lambda _: None)


def test_a_service_that_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREDICT_CORS_ORIGINS", SITE)
    standing = Standing()

    report = seen(tmp_path, standing, monkeypatch)

    assert [(one.check, one.status) for one in report.findings] == [
        ("origins", "ok"), ("live", "ok"), ("ready", "ok"), ("version", "ok"), ("pages", "ok")
    ]  # fmt: skip
    assert one(report, "service pages").found == f"{SITE} let in, other origins refused"
    assert standing.asked == [
        ("GET", "/livez"), ("GET", "/readyz"), ("POST", "/predict"),
        ("OPTIONS", "/predict"), ("OPTIONS", "/predict"),
    ]  # fmt: skip


def test_no_service_runs(tmp_path: Path) -> None:
    report = look(tmp_path, service.checks)

    assert lines(report, "service live") == [
        ("not used", "no scoring service runs here, and PREDICT_URL names none")
    ]
    assert one(report, "service live").remedy == (
        "start it: bentoml serve . --host 127.0.0.1 --port 8080, and set "
        "PREDICT_URL=http://127.0.0.1:8080 (or the whole system: prospect run)"
    )
    assert report.unchecked == []


def test_the_service_of_the_running_system_is_found(tmp_path: Path) -> None:
    with standing_in(Standing()) as url:
        (tmp_path / "run.json").write_text(json.dumps({"predict": url}))
        report = look(tmp_path, service.checks)

    assert lines(report, "service live") == [("ok", f"it answers at {url}")]


@pytest.mark.parametrize(
    ("named", "remedy"),
    [
        ("PREDICT_URL", "start the service there, or check PREDICT_URL"),
        ("run.json", service.START),
    ],
)
def test_a_service_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, remedy: str
) -> None:
    if named == "run.json":
        (tmp_path / named).write_text('{"predict": "http://127.0.0.1:9"}')
    else:
        monkeypatch.setenv(named, "http://127.0.0.1:9/")

    report = look(tmp_path, service.checks)

    assert lines(report, "service live") == [
        ("wrong", "http://127.0.0.1:9/livez does not answer (ConnectionError)")
    ]
    assert one(report, "service live").remedy == remedy


def test_something_else_that_listens_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = seen(tmp_path, Standing(livez=404), monkeypatch)

    found = one(report, "service live")
    assert (found.status, found.remedy) == ("wrong", "check PREDICT_URL")
    assert "404: is it the service?" in found.found


def test_a_service_without_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = seen(tmp_path, Standing(readyz=503), monkeypatch)

    assert lines(report, "service ready") == [
        ("wrong", "it is not ready (503): it has no model, or is ending")
    ]
    assert report.unchecked == ["service version"]


def test_a_service_that_gives_no_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = seen(tmp_path, Standing(predict=503), monkeypatch)

    assert lines(report, "service version") == [
        ("wrong", "it gives no score: 503 Signals is away.")
    ]


def test_the_first_of_its_keys_is_shown_to_the_service_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREDICT_API_KEY", f"{KEY}, another-key-of-sixteen")
    standing = Standing()

    report = seen(tmp_path, standing, monkeypatch)

    assert one(report, "service version").status == "ok"
    assert standing.key == KEY
    assert KEY not in str(report.to_dict())


def test_a_key_that_the_service_does_not_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = seen(tmp_path, Standing(predict=401), monkeypatch)

    assert lines(report, "service version") == [("wrong", "it does not take the key")]
    assert "PREDICT_API_KEY" in one(report, "service version").remedy


def test_a_service_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = seen(tmp_path, Standing(version="2"), monkeypatch)

    assert lines(report, "service version") == [("wrong", "it serves version 2, and not 3")]
    assert "MODEL_POLL_SECONDS" in one(report, "service version").remedy


def test_an_origin_that_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREDICT_CORS_ORIGINS", f"{SITE},https://shop.example.com,https://X.io")

    assert lines(seen(tmp_path, Standing(), monkeypatch), "service pages") == [
        ("wrong", "https://shop.example.com is refused")
    ]


def of_prospect_run(tmp_path: Path, standing: Standing) -> Report:
    """Look at a service that run.json names, beside the demo website."""
    with standing_in(standing) as url:
        (tmp_path / "run.json").write_text(json.dumps({"predict": url, "website": DEMO}))
        return look(tmp_path, service.checks)


def test_the_demo_website_of_prospect_run_may_ask_beside_what_this_shell_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = Standing(allowed=(SITE, DEMO))
    lets_in = f"`prospect run` lets its demo website in, {DEMO}"

    alone = of_prospect_run(tmp_path, standing)
    monkeypatch.setenv("PREDICT_CORS_ORIGINS", SITE)
    beside = of_prospect_run(tmp_path, standing)

    assert lines(alone, "service origins") == [
        ("not used", f"PREDICT_CORS_ORIGINS names none in this shell; {lets_in}")
    ]
    assert lines(alone, "service pages") == [("ok", f"{DEMO} let in, other origins refused")]
    assert lines(beside, "service origins") == [
        ("ok", f"{SITE} may ask, by this shell's setting; {lets_in}")
    ]
    assert lines(beside, "service pages") == [
        ("ok", f"{SITE}, {DEMO} let in, other origins refused")
    ]


def test_a_demo_website_that_is_refused(tmp_path: Path) -> None:
    found = one(of_prospect_run(tmp_path, Standing()), "service pages")

    assert (found.status, found.found) == ("wrong", f"{DEMO} is refused")
    assert found.remedy == "start `prospect run` anew: it lets its demo website in"


def test_a_service_of_another_address_knows_no_demo_website(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = {"predict": "http://127.0.0.1:9", "website": DEMO}
    (tmp_path / "run.json").write_text(json.dumps(running))

    report = seen(tmp_path, Standing(), monkeypatch)

    assert lines(report, "service origins") == [
        (
            "not used",
            "PREDICT_CORS_ORIGINS names none in this shell: no page of another origin may ask",
        )
    ]
    assert lines(report, "service pages") == [("ok", "nobody let in, other origins refused")]


def test_a_service_that_lets_everybody_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = seen(tmp_path, Standing(allowed=("*",)), monkeypatch)

    assert lines(report, "service pages") == [("wrong", "a page of any origin is let in")]


def test_origins_are_looked_at_where_no_service_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREDICT_CORS_ORIGINS", f"{SITE},https://x.io:443,*")

    report = look(tmp_path, service.checks)

    said = "PREDICT_CORS_ORIGINS names https://x.io:443, which no browser sends: "
    assert lines(report, "service origins") == [
        ("wrong", f"{said}browsers leave out port 443"),
        ("warning", "PREDICT_CORS_ORIGINS is *: every page may ask, and see what is answered"),
    ]
    assert report.findings[0].remedy == "write https://x.io"
