"""Signals: every kind of trouble has its line, and nothing is published."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from snowplow_signals import SignalsAPIError, SignalsSandbox
from snowplow_signals.api_client import ApiClient

from prospect_pipeline.attributes import prospect
from prospect_pipeline.doctor import signals, web
from prospect_pipeline.doctor.examination import examine
from prospect_pipeline.doctor.report import Report
from prospect_pipeline.doctor.signals import judged
from prospect_pipeline.doctor.system import System
from prospect_pipeline.settings import DataSettings, DefinitionSettings, SignalsSettings
from prospect_pipeline.signals import tokens
from prospect_pipeline.signals.connection import ADDRESS_FILE, connection
from prospect_pipeline.signals.deployment import deploy
from prospect_pipeline_tests.doctor.looking import (
    findings,
    lines,
    local_signals,
    look,
    one,
    standing_in,
)
from prospect_pipeline_tests.sandbox.conftest import TOKEN, signals_over

SECRET = "s3cret-of-ours"
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
GROUP, SERVICE = "prospect_scoring_tutorial", "prospect_scoring_tutorial_service"
STRANGER = "check SP_SANDBOX_URL, and that the installed snowplow-signals is of its version"
PUBLISH = "dagster job execute -m prospect_pipeline.definitions -j deploy_configuration"


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SignalsSandbox]:
    """A sandbox by address, with nothing published."""
    with signals_over(DataSettings.load(data_dir=tmp_path / "signals")) as connected:
        monkeypatch.setenv("SP_SANDBOX_URL", connected.api_client.api_url)
        monkeypatch.setenv("SP_SANDBOX_TOKEN", TOKEN)
        yield connected


def publish(connected: SignalsSandbox, **given: Any) -> None:
    settings = DefinitionSettings.load(**{"backfill_since": SINCE, **given})
    deploy(connected, prospect.attribute_group(settings), prospect.service(settings))


def seen(tmp_path: Path) -> Report:
    return look(tmp_path / "data", signals.checks)


def real(monkeypatch: pytest.MonkeyPatch, url: str, console: str) -> None:
    """The real Signals at an address, whose tokens come from another."""
    for name, value in {
        "SP_API_URL": url,
        "SP_API_KEY": SECRET,
        "SP_API_KEY_ID": f"{SECRET}-id",
        "SP_ORG_ID": "our-org",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tokens, "CONSOLE", console)


def test_what_is_published_as_defined_is_well(sandbox: SignalsSandbox, tmp_path: Path) -> None:
    publish(sandbox)

    report = seen(tmp_path)

    assert [(one.check, one.status) for one in report.findings] == [
        ("address", "ok"), ("credentials", "ok"), ("attributes", "ok"), ("backfill", "ok"),
        ("service", "ok"), ("read", one(report, "Signals read").status),
    ]  # fmt: skip
    assert lines(report, "Signals address") == [
        ("ok", f"a sandbox answers at {sandbox.api_client.api_url}")
    ]
    assert lines(report, "Signals backfill") == [("ok", "Signals counts since 2026-01-01")]
    assert one(report, "Signals read").found.endswith("ms of the 300 ms of SIGNALS_TIMEOUT_MS")


def test_the_local_signals_needs_no_backfill(tmp_path: Path) -> None:
    data = DataSettings.load(data_dir=tmp_path / "data")
    with local_signals(data.root):
        publish(connection(SignalsSettings.load(), data).sdk())  # type: ignore[arg-type]
        report = seen(tmp_path)

    assert one(report, "Signals address").found.startswith("the local Signals answers at http://")
    assert one(report, "Signals backfill").status == "not used"


def test_no_local_signals_runs(tmp_path: Path) -> None:
    report = seen(tmp_path)

    assert lines(report, "Signals address") == [
        ("wrong", f"no local Signals runs for {tmp_path}/data")
    ]
    assert report.findings[0].remedy.startswith("start it: prospect sandbox")
    assert len(report.unchecked) == 5


def test_an_address_where_nobody_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SP_SANDBOX_URL", f"http://ann:{SECRET}@127.0.0.1:9")
    monkeypatch.setenv("SP_SANDBOX_TOKEN", SECRET)

    report = seen(tmp_path)

    assert lines(report, "Signals address") == [
        ("wrong", "http://127.0.0.1:9 does not answer (ConnectionError)")
    ]
    assert report.findings[0].remedy == "check SP_SANDBOX_URL and the network"
    assert SECRET not in str(report.to_dict())


def test_a_signals_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(web, "SECONDS", 0.2)

    def handle(*_: Any) -> tuple[int, dict[str, str], Any]:
        never.wait(20)
        return 200, {}, {}

    with standing_in(handle) as url:
        monkeypatch.setenv("SP_SANDBOX_URL", url)
        monkeypatch.setenv("SP_SANDBOX_TOKEN", TOKEN)
        report = seen(tmp_path)
        never.set()

    assert lines(report, "Signals address") == [("wrong", f"{url} does not answer (ReadTimeout)")]


@pytest.mark.parametrize("listens", [True, False])
def test_a_local_signals_that_never_answers_is_to_be_ended_and_one_that_is_gone_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listens: bool
) -> None:
    monkeypatch.setattr(web, "SECONDS", 0.2)
    address = tmp_path / "data" / ADDRESS_FILE
    address.parent.mkdir()
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{port.getsockname()[1]}"
        if listens:
            port.listen()
        address.write_text(json.dumps({"url": url, "token": TOKEN}))
        report = seen(tmp_path)

    found = one(report, "Signals address")
    said = "ReadTimeout" if listens else "ConnectionError"
    assert (found.status, found.found) == ("wrong", f"{url} does not answer ({said})")
    assert found.remedy == (signals.ANEW if listens else signals.ADDRESSES["local"])


def test_a_local_signals_that_answers_no_more_is_to_be_started_anew(tmp_path: Path) -> None:
    def handle(method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        return (200 if path == "/" else 503), {}, {}

    with standing_in(handle) as url:
        (tmp_path / "data").mkdir()
        address = tmp_path / "data" / ADDRESS_FILE
        address.write_text(json.dumps({"url": url, "token": TOKEN}))
        found = one(seen(tmp_path), "Signals credentials")

    assert (found.found, found.remedy) == ("Signals answered 503: {}", signals.ANEW)


def test_a_wrong_token(
    sandbox: SignalsSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SP_SANDBOX_TOKEN", SECRET)

    found = one(seen(tmp_path), "Signals credentials")

    assert (found.status, found.remedy) == ("wrong", "check SP_SANDBOX_TOKEN")
    assert found.found == "Signals refused the credentials (401)."


def test_a_wrong_key_gets_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with standing_in(lambda *_: (401, {}, {"message": SECRET})) as url:
        real(monkeypatch, url, console=url)
        report = seen(tmp_path)

    found = one(report, "Signals credentials")
    assert found.status == "wrong"
    assert found.found == "Snowplow's console gave no token (401)."
    assert found.remedy == "check SP_API_KEY, SP_API_KEY_ID and SP_ORG_ID"
    assert one(report, "Signals address").found == f"Snowplow Signals answers at {url}"
    assert SECRET not in str(report.to_dict())


def test_a_console_that_is_away_says_nothing_of_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with standing_in(lambda *_: (200, {}, {})) as url:
        real(monkeypatch, url, console="http://127.0.0.1:9")
        found = one(seen(tmp_path), "Signals credentials")

    assert (found.status, found.remedy) == ("wrong", "check SP_API_URL and the network")


def test_a_right_key_gets_a_token_that_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = jwt.encode({"exp": 4_000_000_000}, "k" * 32)
    data = DataSettings.load(data_dir=tmp_path / "data")
    monkeypatch.setattr(ApiClient, "_fetch_token", lambda _: token)  # from a fixed address
    with (
        local_signals(data.root, token),
        standing_in(lambda *_: (200, {}, {"accessToken": token})) as console,
    ):
        at = connection(SignalsSettings.load(), data)
        publish(at.sdk())  # type: ignore[arg-type]
        real(monkeypatch, at.url, console)
        report = seen(tmp_path)

    assert lines(report, "Signals credentials") == [("ok", "a token was fetched, and taken")]
    assert one(report, "Signals attributes").status == "ok"
    assert report.unchecked == []
    assert token not in str(report.to_dict())


def test_what_is_not_published(sandbox: SignalsSandbox, tmp_path: Path) -> None:
    report = seen(tmp_path)

    assert lines(report, "Signals attributes") == [("wrong", f"{GROUP} version 1 is not published")]
    assert lines(report, "Signals service") == [("wrong", f"{SERVICE} is not published")]
    assert one(report, "Signals service").remedy == f"publish it: {PUBLISH}"
    with pytest.raises(SignalsAPIError, match="404"):
        sandbox.get_attribute_group(GROUP, 1)


def test_another_definition_under_the_same_version(
    sandbox: SignalsSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(sandbox)
    monkeypatch.setattr(prospect, "ATTRIBUTES", prospect.ATTRIBUTES[:-1])

    found = one(seen(tmp_path), "Signals attributes")

    assert found.status == "wrong"
    assert found.found == (
        f"Attribute group '{GROUP}' version 1 is published with another definition "
        "(removed: num_engaged_campaigns_l30d)."
    )
    assert found.remedy == f"raise SIGNALS_GROUP_VERSION, then publish: {PUBLISH}"


def test_a_service_of_another_version(
    sandbox: SignalsSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(sandbox)
    publish(sandbox, group_version=2)

    report = seen(tmp_path)

    assert one(report, "Signals attributes").status == "ok"
    assert lines(report, "Signals service") == [
        ("wrong", f"{SERVICE} differs from what is defined in attribute_groups")
    ]


def test_another_owner_is_a_warning(
    sandbox: SignalsSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(sandbox)
    monkeypatch.setenv("SIGNALS_OWNER", "new@example.com")

    assert lines(seen(tmp_path), "Signals attributes") == [
        ("warning", f"{GROUP} version 1 differs from what is defined in owner")
    ]


def test_no_backfill_date_is_a_warning(sandbox: SignalsSandbox, tmp_path: Path) -> None:
    settings = DefinitionSettings.load()
    deploy(sandbox, prospect.attribute_group(settings), prospect.service(settings))

    report = seen(tmp_path)

    assert one(report, "Signals backfill").status == "warning"
    assert "SIGNALS_BACKFILL_SINCE" in one(report, "Signals backfill").remedy
    assert report.well


def test_another_backfill_date_than_was_published_is_a_warning(
    sandbox: SignalsSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(sandbox)
    monkeypatch.setenv("SIGNALS_BACKFILL_SINCE", "2026-03-01")

    [(status, found)] = lines(seen(tmp_path), "Signals backfill")

    assert status == "warning"
    assert "2026-01-01, and that stays" in found


@pytest.mark.parametrize(
    ("took", "status"),
    [(0.4, "ok"), (150, "ok"), (150.1, "warning"), (300, "warning"), (301, "wrong")],
)
def test_a_read_is_judged_by_the_budget(took: float, status: str) -> None:
    answer = judged(took, 300, "of SIGNALS_TIMEOUT_MS")

    assert answer.status == status
    assert answer.found == f"a read takes {took:.1f} ms of the 300 ms of SIGNALS_TIMEOUT_MS"
    assert ("SIGNALS_TIMEOUT_MS" in answer.remedy) == (status != "ok")


RUNNING, HERE = "1200 ms that the running service allows", "250 ms of SIGNALS_TIMEOUT_MS"


@pytest.mark.parametrize(
    ("said", "predict_url", "budget"),
    [
        ({"signals_timeout_ms": "1200"}, "", RUNNING),
        ({"signals_timeout_ms": 1200}, "http://127.0.0.1:8080/", RUNNING),
        ({"signals_timeout_ms": "1200"}, "http://127.0.0.1:9", HERE),
        ({"signals_timeout_ms": "1200"}, "no address", HERE),
        ({}, "", HERE),
    ],
)
def test_the_time_of_a_read_is_compared_with_the_service_that_runs_where_it_is_known(
    sandbox: SignalsSandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: dict[str, Any],
    predict_url: str,
    budget: str,
) -> None:
    publish(sandbox)
    run_file = tmp_path / "data" / "run.json"
    run_file.parent.mkdir()
    run_file.write_text(json.dumps({"predict": "http://127.0.0.1:8080"} | said))
    monkeypatch.setenv("PREDICT_URL", predict_url)
    monkeypatch.setenv("SIGNALS_TIMEOUT_MS", "250")

    assert one(seen(tmp_path), "Signals read").found.endswith(f" ms of the {budget}")


def test_a_read_that_signals_refuses(
    sandbox: SignalsSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(sandbox)
    target = sandbox.api_client.api_url

    def handle(method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        if path.endswith("get-online-attributes"):
            return 500, {}, {}
        return 307, {"location": target + path}, {}

    found = _read_through(handle, tmp_path, monkeypatch)

    assert (found.status, found.found) == ("wrong", "Signals answered 500.")


def test_a_read_that_leaves_attributes_out(
    sandbox: SignalsSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(sandbox)
    target = sandbox.api_client.api_url
    answer = {name: [None] for name in (a.name for a in prospect.ATTRIBUTES[1:])}

    def handle(method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        if path.endswith("get-online-attributes"):
            return 200, {}, answer
        return 307, {"location": target + path}, {}

    found = _read_through(handle, tmp_path, monkeypatch)

    assert (found.status, found.found) == ("wrong", "it answers without latest_app_id")


def _read_through(handle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Only the read: what it depends on is another test's."""
    with standing_in(handle) as url, ExitStack() as closing:
        monkeypatch.setenv("SP_SANDBOX_URL", url)
        system = System(tmp_path / "data", closing)
        [read] = [each for each in signals.checks(system) if each.name == "read"]
        [found] = examine([replace(read, after=())], lambda _: None).findings
    return found


def test_something_else_that_listens_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with standing_in(lambda *_: (200, {}, ["a page"])) as url:
        monkeypatch.setenv("SP_SANDBOX_URL", url)
        monkeypatch.setenv("SP_SANDBOX_TOKEN", TOKEN)
        report = seen(tmp_path)

    [found] = findings(report, "Signals credentials")
    assert (found.status, found.remedy) == ("wrong", STRANGER)
    assert found.found == f"{signals.STRANGE}: its answer is of another shape (ValidationError)"
    assert len(report.unchecked) == 4


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (200, "Signals answered 200: Failed to decode response: <h1>A page of ours</h1>"),
        (302, "Signals answered 302: Failed to decode response: <h1>A page of ours</h1>"),
        (404, "it answers 404 with a page"),
    ],
)
def test_a_page_that_answers_in_place_of_signals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, found: str
) -> None:
    with standing_in(lambda *_: (status, {}, b"<h1>A page of ours</h1>")) as url:
        monkeypatch.setenv("SP_SANDBOX_URL", url)
        monkeypatch.setenv("SP_SANDBOX_TOKEN", TOKEN)
        report = seen(tmp_path)

    assert lines(report, "Signals credentials") == [("wrong", f"{signals.STRANGE}: {found}")]
    assert one(report, "Signals credentials").remedy == STRANGER


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (400, STRANGER),
        (403, "check SP_SANDBOX_TOKEN"),
        (503, "check SP_SANDBOX_URL and the network"),
    ],
)
def test_only_a_refusal_of_who_asks_is_about_the_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, remedy: str
) -> None:
    with standing_in(lambda *_: (status, {}, {"detail": "no"})) as url:
        monkeypatch.setenv("SP_SANDBOX_URL", url)
        monkeypatch.setenv("SP_SANDBOX_TOKEN", TOKEN)
        found = one(seen(tmp_path), "Signals credentials")

    assert (found.status, found.remedy) == ("wrong", remedy)


def test_the_proxy_before_signals_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with standing_in(lambda *_: (401, {}, {})) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.replace("//", f"//ann:{SECRET}@"))
        monkeypatch.setenv("SP_SANDBOX_URL", "http://signals.invalid")
        monkeypatch.setenv("SP_SANDBOX_TOKEN", TOKEN)
        report = seen(tmp_path)

    assert lines(report, "Signals address") == [
        ("ok", f"a sandbox answers at http://signals.invalid, through the proxy {proxy}")
    ]
    assert SECRET not in str(report.to_dict())


def test_a_proxy_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://ann:{SECRET}@127.0.0.1:9")
    monkeypatch.setenv("SP_SANDBOX_URL", "http://signals.invalid")
    monkeypatch.setenv("SP_SANDBOX_TOKEN", TOKEN)

    report = seen(tmp_path)

    said = "http://signals.invalid does not answer (ProxyError), through the proxy"
    assert lines(report, "Signals address") == [("wrong", f"{said} http://127.0.0.1:9")]
    assert report.findings[0].remedy == (
        "check SP_SANDBOX_URL and the network, HTTP(S)_PROXY and NO_PROXY too"
    )
    assert SECRET not in str(report.to_dict())
