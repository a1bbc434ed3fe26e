"""`prospect sandbox` as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from prospect_pipeline.cli import cli
from prospect_pipeline_tests.events import NOW, event, write
from prospect_pipeline_tests.sandbox.test_payloads import body
from prospect_pipeline_tests.stack.test_run import ANY_PORTS

TP2 = "/com.snowplowanalytics.snowplow/tp2"


@contextmanager
def sandbox(folder: Path, *options: str) -> Iterator[dict[str, str]]:
    command = [sys.executable, "-m", "prospect_pipeline", "sandbox", "--port", "0"]
    with subprocess.Popen(
        [*command, "--data-dir", str(folder), *options], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        url = said.split()[-1]
        assert said.startswith("Local Signals, for development and tests: http://127.0.0.1:")
        with requests.Session() as session:
            session.mount("http://", requests.adapters.HTTPAdapter(max_retries=20))
            assert session.get(f"{url}/health", timeout=20).ok
        try:
            yield json.loads((folder / "sandbox.json").read_text())
        finally:
            os.kill(process.pid, signal.SIGTERM)
            process.stderr.read()
    assert not (folder / "sandbox.json").exists()


def test_it_collects_and_serves_the_website_and_a_restart_forgets_nothing(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--website-port", "0") as found:
        sent = requests.post(f"{found['url']}{TP2}", body({"e": "pv", "duid": "a"}), timeout=10)
        page = requests.get(found["website"], timeout=10)
        assert sent.text == "ok"
        assert page.ok
        assert f'"collector_url": "{found["url"]}"' in page.text
        assert requests.get(f"{found['url']}/docs", timeout=10).ok

    with sandbox(tmp_path) as found:
        assert "website" not in found
        journal = tmp_path / "events" / "journal"
        assert sum(len(path.read_text().splitlines()) for path in journal.glob("*.jsonl")) == 1


def said(folder: Path, *options: str) -> str:
    """Return what it says at its start."""
    command = [sys.executable, "-m", "prospect_pipeline", "sandbox", "--port", "0"]
    command += ["--data-dir", str(folder), "--token", "token-of-a-test", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        words = process.stderr.readline() + process.stderr.readline()
        process.kill()
    return words


def test_the_token_is_shown_and_can_be_kept_out_of_a_log(tmp_path: Path) -> None:
    assert "token token-of-a-test, data in" in said(tmp_path)

    logged = said(tmp_path, "--hide-token")
    assert "token in sandbox.json, data in" in logged
    assert "token-of-a-test" not in logged


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.com"])
def test_an_address_that_others_can_reach_needs_a_flag(host: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["sandbox", "--host", host, "--data-dir", str(tmp_path)])

    assert result.exit_code == 2
    assert f"{host} may be reached by other machines" in result.output


def test_a_second_one_for_the_same_data_is_refused_before_anything_is_loaded(
    tmp_path: Path,
) -> None:
    with sandbox(tmp_path) as found:
        requests.post(f"{found['url']}{TP2}", body({"e": "pv", "duid": "a"}), timeout=10)
        events = write([event("z", NOW)], tmp_path / "events.parquet")
        for command in (["sandbox", "--port", "0"], ["run", "--once", *ANY_PORTS]):
            options = ["--data-dir", str(tmp_path), "--events", str(events)]
            result = CliRunner().invoke(cli, [*command, *options])
            assert str(result.exception).startswith("A local Signals already runs for")
            assert found["url"] in str(result.exception)
        assert not (tmp_path / "events" / "atomic.parquet").exists()


def test_a_folder_that_cannot_be_written_to_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "events").write_text("a file where a folder should be")

    result = CliRunner().invoke(cli, ["sandbox", "--port", "0", "--data-dir", str(tmp_path)])

    assert result.exit_code == 1
    assert str(result.exception).startswith(f"Events cannot be stored under {tmp_path}")
