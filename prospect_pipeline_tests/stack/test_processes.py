"""What ends a running system, what does not, and what is left of a process that has ended."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from prospect_pipeline.errors import StackError
from prospect_pipeline.settings import DataSettings
from prospect_pipeline.stack.console import Console
from prospect_pipeline.stack.processes import Process, Processes
from prospect_pipeline.stack.run import Run, RunOptions
from prospect_pipeline.stack.services import SPARED, Ports

LONG = ("sleep", "600")


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path / "logs", {}) as started:
        yield started


def kill(process: Process) -> None:
    process.popen.kill()
    process.popen.wait()


def run(folder: Path) -> Run:
    options = RunOptions(None, None, None, DataSettings.load(data_dir=folder), Ports(), stay=True)
    return Run(options, Console())


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("mlflow", "MLflow's web pages are gone"),
        ("dagster-web", "Dagster's web pages are gone"),
        ("dagster-code", "scheduled retraining stops"),
        ("dagster-daemon", "scheduled retraining stops"),
    ],
)
def test_scores_go_on_without_what_they_do_not_need_and_one_line_says_what_is_missing(
    processes: Processes,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    missing: str,
) -> None:
    scoring, other = processes.start("scoring", LONG), processes.start(name, LONG)
    staying = run(tmp_path)
    kill(other)

    staying._watch(processes)
    staying._watch(processes)

    assert capsys.readouterr().out.splitlines() == [
        f"  {name} ended with status -9: {missing}, scores go on. Its log: {other.log}"
    ]
    assert not scoring.ended


@pytest.mark.parametrize("name", ["signals", "scoring"])
def test_what_scores_need_ends_the_whole(processes: Processes, tmp_path: Path, name: str) -> None:
    kill(processes.start(name, LONG))

    with pytest.raises(StackError, match=f"{name} ended with status -9. The end of its log"):
        run(tmp_path)._watch(processes)


def test_until_then_everything_is_needed(processes: Processes) -> None:
    kill(processes.start("mlflow", LONG))

    with pytest.raises(StackError, match="mlflow ended with status -9"):
        processes.check()


def test_what_a_killed_process_had_started_ends_too(processes: Processes) -> None:
    parent = processes.start("mlflow", ["sh", "-c", "sleep 600 & echo; wait"])
    processes.wait_for("its child", lambda: parent.log.stat().st_size > 0, 60)
    [child] = psutil.Process(parent.popen.pid).children()
    kill(parent)

    assert processes.let_go(SPARED) == [parent]

    assert not child.is_running()
    assert processes.started == []
