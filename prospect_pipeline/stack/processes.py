"""The processes of the running system: started with a log each, watched, and ended as a whole."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import requests

from prospect_pipeline.errors import StackError

POLL_SECONDS = 0.2
GRACE_SECONDS = 8.0


@dataclass(frozen=True)
class Process:
    """One started process; what it prints goes to its log."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def ended(self) -> str:
        """How it ended, in words; empty as long as it runs."""
        status = self.popen.poll()
        return "" if status is None else f"{self.name} ended with status {status}"

    def tail(self, lines: int = 12) -> str:
        """Return the last lines of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


class Processes:
    """A context in which processes are started; leaving it ends every one of them."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self.logs = logs
        self.environment = dict(environment)
        self.started: list[Process] = []

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], **environment: str) -> Process:
        """Start a process in a session of its own, so that Ctrl-C reaches this process alone."""
        log = self.logs / f"{name}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment | environment,
                start_new_session=True,
            )
        process = Process(name, popen, log)
        self.started.append(process)
        return process

    def wait_for(self, name: str, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until something is so; raises StackError where a process died, or in time."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise StackError(
                    f"{name} was not ready after {seconds:.0f} s. Its log: {self.logs}."
                )
            time.sleep(POLL_SECONDS)

    def check(self) -> None:
        """Raise StackError where one of the processes has ended."""
        for process in self.started:
            if process.ended:
                raise StackError(
                    f"{process.ended}. The end of its log, {process.log}:\n{process.tail()}"
                )

    def let_go(self, names: Collection[str]) -> list[Process]:
        """Return which of the named have ended: from now on they are no part of the whole."""
        gone = [process for process in self.started if process.name in names and process.ended]
        _end(gone)
        self.started = [process for process in self.started if process not in gone]
        return gone

    def memory(self) -> int:
        """Return the resident memory of all processes and of this one, in bytes."""
        total = psutil.Process().memory_info().rss
        for process in chain.from_iterable(map(_family, self.started)):
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue  # it has just ended
        return int(total)

    def stop(self) -> None:
        """End every process and what it started."""
        _end(self.started)
        self.started.clear()


def answers(url: str) -> bool:
    """Whether an address answers 200."""
    try:
        return requests.get(url, timeout=2).status_code == 200
    except requests.RequestException:
        return False


def executable(name: str) -> str:
    """Return a command's path in the environment that this process runs in."""
    import sys

    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else name


def _end(processes: Sequence[Process]) -> None:
    """End processes and what they started: first asked, then, after a while, made to.

    A process that runs is asked alone, and ends its own; of one that has ended each is asked.
    """
    members = list[psutil.Process]()
    for process in reversed(processes):
        family = _family(process)
        members += family
        for each in family if process.ended else family[:1]:
            _signal(each, psutil.Process.terminate)
    _, alive = psutil.wait_procs(members, timeout=GRACE_SECONDS)
    for each in alive:
        _signal(each, psutil.Process.kill)
    psutil.wait_procs(alive, timeout=GRACE_SECONDS)
    for process in processes:
        process.popen.poll()


def _family(process: Process) -> list[psutil.Process]:
    """Return a process and what it started; where it has ended, what is left in its session."""
    pid = process.popen.pid
    if process.ended:
        return [each for each in psutil.process_iter() if _session(each) == pid]
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except OSError:
        return None  # it has just ended


def _signal(process: psutil.Process, act: Callable[[psutil.Process], None]) -> None:
    try:
        act(process)
    except psutil.Error:
        return  # it has just ended


def base_environment() -> dict[str, str]:
    """Return this process' environment with the tools' usage reporting off and output quiet."""
    return os.environ | {
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "DO_NOT_TRACK": "1",
        "BENTOML_DO_NOT_TRACK": "True",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONUNBUFFERED": "1",
    }
