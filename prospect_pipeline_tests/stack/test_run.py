"""`prospect run`, for real: every process, on free ports, ended by itself."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from prospect_pipeline.sandbox.generator import generate
from prospect_pipeline_tests.events import NOW, event, write

pytestmark = pytest.mark.stack

END = datetime(2026, 5, 1, 12, tzinfo=UTC)
SERVICES = ("signals", "predict", "dagster", "mlflow", "website")
ANY_PORTS = [part for name in SERVICES for part in (f"--{name}-port", "0")]


def start(folder: Path, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "prospect_pipeline", "run", *ANY_PORTS, *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"PROSPECT_DATA_DIR": str(folder / "data"), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(2500, 5, END, tmp_path_factory.mktemp("e") / "events.parquet").path


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, events: Path
) -> Iterator[tuple[Path, dict[str, str], list[str]]]:
    """A system that stays up while this module's tests use it."""
    folder = tmp_path_factory.mktemp("run")
    process = start(folder, "--events", events, "--stay", MIN_CONVERTERS="20")
    with staying(process, folder / "data" / "run.json") as (addresses, printed):
        yield folder, addresses, printed


@contextmanager
def staying(
    process: subprocess.Popen[str], run_file: Path
) -> Iterator[tuple[dict[str, str], list[str]]]:
    """Wait until a run stays up, and end it as Ctrl-C does; nothing of it is left then."""
    assert process.stdout is not None
    printed = []
    for line in process.stdout:
        printed.append(line.rstrip())
        if "Ctrl-C ends everything" in line:
            break
    assert run_file.exists(), "\n".join(printed)
    children = psutil.Process(process.pid).children(recursive=True)
    yield json.loads(run_file.read_text()), printed
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert process.returncode == 130
    assert alive == []
    assert not run_file.exists()


def test_visitors_are_scored_over_http_by_the_champion(
    running: tuple[Path, dict[str, str], list[str]],
) -> None:
    _, addresses, printed = running
    [visitor, *_] = [
        line.split("│")[1].strip() for line in printed if "-" in line and "│ 1 " in line
    ]

    answer = requests.post(
        f"{addresses['predict']}/predict", json={"domain_userid": visitor}, timeout=10
    ).json()

    assert 0 < answer["score"] < 1
    assert answer["model"] == {"name": "prospect_scoring", "version": "1"}
    assert len(answer["signals"]) == 19
    assert len(answer["scoring_attributes"]) == 20
    assert answer["scoring_attributes"]["day_of_week"] == 5


def test_every_address_answers(running: tuple[Path, dict[str, str], list[str]]) -> None:
    _, addresses, _ = running

    assert requests.get(addresses["dagster"], timeout=10).ok
    assert requests.get(addresses["mlflow"], timeout=10).ok
    assert requests.get(f"{addresses['signals']}/health", timeout=10).ok
    assert requests.get(f"{addresses['predict']}/readyz", timeout=10).ok
    assert (
        "/predict" in requests.get(f"{addresses['predict']}/docs.json", timeout=10).json()["paths"]
    )


def test_the_schedule_and_the_assets_are_in_dagster(
    running: tuple[Path, dict[str, str], list[str]],
) -> None:
    _, addresses, _ = running
    query = """{ assetNodes { assetKey { path } } schedulesOrError(repositorySelector: {
      repositoryLocationName: "prospect_scoring", repositoryName: "__repository__"}) {
      ... on Schedules { results { name scheduleState { status } } } } }"""

    reply = requests.post(f"{addresses['dagster']}/graphql", json={"query": query}, timeout=30)
    found: dict[str, Any] = reply.json()["data"]

    assert {node["assetKey"]["path"][0] for node in found["assetNodes"]} == {
        "atomic_events",
        "champion",
        "signals_configuration",
        "training_dataframe",
        "registered_model",
        "evaluation_report",
    }
    assert {
        (schedule["name"], schedule["scheduleState"]["status"])
        for schedule in found["schedulesOrError"]["results"]
    } == {("weekly_retraining", "RUNNING"), ("daily_look_at_events", "RUNNING")}


def test_as_of_is_the_first_runs_and_not_that_of_the_schedules(
    running: tuple[Path, dict[str, str], list[str]],
) -> None:
    folder, addresses, _ = running
    query = "{ runsOrError { ... on Runs { results { jobName runConfigYaml } } } }"

    reply = requests.post(f"{addresses['dagster']}/graphql", json={"query": query}, timeout=30)
    [run] = [
        each
        for each in reply.json()["data"]["runsOrError"]["results"]
        if each["jobName"] == "everything"
    ]
    serving = json.loads((folder / "data" / "sandbox.json").read_text())["pid"]

    assert f"as_of: {END.date()}T" in run["runConfigYaml"]
    assert "PROSPECT_AS_OF" not in psutil.Process(serving).environ()


def test_what_is_served_was_compared_with_what_was_trained(
    running: tuple[Path, dict[str, str], list[str]],
) -> None:
    _, addresses, _ = running
    query = """{ assetCheckExecutions(assetKey: {path: ["champion"]}, limit: 1,
      checkName: "served_equals_trained") { status evaluation { description } } }"""

    reply = requests.post(f"{addresses['dagster']}/graphql", json={"query": query}, timeout=30)
    [found] = reply.json()["data"]["assetCheckExecutions"]

    assert found["status"] == "SUCCEEDED", found
    assert (
        "20 visitors were scored by the service, by version 1"
        in (found["evaluation"]["description"])
    )


def test_prospect_score_finds_the_running_service(
    running: tuple[Path, dict[str, str], list[str]],
) -> None:
    folder, _, _ = running
    command = [sys.executable, "-m", "prospect_pipeline", "score", "nobody", "--explain"]

    done = subprocess.run(
        [*command, "--data-dir", str(folder / "data")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    answer = json.loads(done.stdout)
    assert answer["domain_userid"] == "nobody"
    assert len(answer["reasons"]) == 20


def test_a_second_run_on_the_same_data_is_refused(
    running: tuple[Path, dict[str, str], list[str]], events: Path
) -> None:
    folder, _, _ = running

    output, _ = start(folder, "--events", events, "--once").communicate(timeout=60)

    assert "Error: Another `prospect run` uses" in output


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        process = start(tmp_path, "--once", "--predict-port", port)
        output, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert f"Port {port} for predict is in use" in output
    assert "--predict-port" in output


def test_an_mlflow_that_does_not_answer_is_known_before_anything_starts(tmp_path: Path) -> None:
    process = start(tmp_path, "--once", MLFLOW_TRACKING_URI="http://ann:secret@127.0.0.1:9")
    output, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "MLflow at http://127.0.0.1:9 does not answer" in output
    assert "secret" not in output
    assert not (tmp_path / "data" / "events").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"SP_API_URL": "https://signals.example.com"},
            "SP_API_KEY, SP_API_KEY_ID, SP_ORG_ID missing",
        ),
        ({"PROSPECT_ANCHORS": "own.csv"}, "Set PROSPECT_ANCHORS_HORIZON_MINUTES"),
        ({"PROSPECT_THRESHOLD": "best"}, "'best' is no rule for the threshold; expected f1"),
    ],
)
def test_settings_that_make_no_sense_are_known_before_anything_starts(
    tmp_path: Path, settings: dict[str, str], words: str
) -> None:
    process = start(tmp_path, "--once", **settings)
    output, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert words in output


def test_too_few_converters_end_the_run_with_what_to_change(tmp_path: Path) -> None:
    events = write([event("a", NOW), event("b", NOW.replace(hour=20))], tmp_path / "e.parquet")

    process = start(tmp_path, "--events", events, "--cohort", "all", "--once", "--json")
    output, _ = process.communicate(timeout=120)

    assert process.returncode == 1
    assert "a model needs both classes" in output
    assert not (tmp_path / "data" / "run.json").exists()
