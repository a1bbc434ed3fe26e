"""The servers that are measured: each a process of its own, on a free port of loopback."""

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from prospect_pipeline.attributes import prospect
from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.scoring import ScoringModel
from prospect_pipeline.settings import DefinitionSettings
from prospect_pipeline.stack.processes import Processes, answers, base_environment, executable
from prospect_pipeline_tests.benchmarks import scored, tutorial
from prospect_pipeline_tests.benchmarks.client import LoadFailed
from prospect_pipeline_tests.registry import models
from prospect_pipeline_tests.serving.services import settings

ROOT = Path(__file__).parents[2]
PACKAGE = "prospect_pipeline_tests.benchmarks"
START_SECONDS = 120.0


@dataclass(frozen=True)
class Server:
    """One that has said that it is ready."""

    url: str
    pid: int

    def workers(self) -> list[psutil.Process]:
        """Return the processes that do a BentoML service's work, its supervisor left out."""
        return psutil.Process(self.pid).children(recursive=True)

    def memory(self) -> float:
        """Return the workers' resident memory in MB."""
        return float(sum(worker.memory_info().rss for worker in self.workers()) / 1e6)


@dataclass(frozen=True)
class Servers:
    """Starts them, over one model and one stand-in for Signals."""

    processes: Processes
    folder: Path
    model: ScoringModel

    def scoring(self, workers: int = 1) -> Server:
        """Start the scoring service."""
        name, config = f"scoring-{workers}", f"services.prospect_scoring.workers={workers}"
        service = "prospect_pipeline.serving.service:ProspectScoring"
        return self._bento(name, service, BENTOML_CONFIG_OPTIONS=config)

    def empty(self) -> Server:
        """Start the empty BentoML endpoint, on BentoML's default settings."""
        return self._bento("empty", f"{PACKAGE}.empty:Empty")

    def empty_alike(self) -> Server:
        """Start it with what the scoring service sets of BentoML's settings."""
        options = "services.empty.traffic.timeout=2 services.empty.logging.access.enabled=false"
        service = f"{PACKAGE}.empty:Empty"
        return self._bento("empty-alike", service, BENTOML_CONFIG_OPTIONS=options)

    def tutorial(self) -> Server:
        """Start the tutorial's endpoint."""
        port = free_port()
        command = [sys.executable, "-m", f"{PACKAGE}.tutorial", str(self.folder / "model.joblib")]
        return self._started("tutorial", [*command, str(port)], port)

    def _bento(self, name: str, service: str, **environment: str) -> Server:
        port = free_port()
        command = [executable("bentoml"), "serve", service, "--host", "127.0.0.1"]
        own = {"BENTOML_HOME": str(self.folder / name)}  # each keeps its metrics there
        return self._started(name, [*command, "--port", str(port)], port, **own | environment)

    def _started(self, name: str, command: list[str], port: int, **environment: str) -> Server:
        process = self.processes.start(name, command, **environment)
        url = f"http://127.0.0.1:{port}"
        self.processes.wait_for(name, lambda: answers(f"{url}/readyz"), START_SECONDS)
        return Server(url, process.popen.pid)


@contextmanager
def servers() -> Iterator[Servers]:
    """Train and register a model, start the stand-in, and end whatever is started at the end."""
    port = free_port()
    told = {"SP_SANDBOX_URL": f"http://127.0.0.1:{port}", "SP_SANDBOX_TOKEN": "token"}
    # Everything shares this machine, which may be busy: no answer is to be given up.
    told |= {"MODEL_POLL_SECONDS": "10", "PREDICT_DETAIL": "full", "SIGNALS_TIMEOUT_MS": "1500"}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with settings(folder / "data", folder, **told):
            frame = scored.training_rows(folder)
            model = scored.train(frame)
            tutorial.write_pipeline(frame, folder / "model.joblib")
            group = GroupVersion.of(prospect.attribute_group(DefinitionSettings.load()))
            models.register_champion(models.registry_in(folder / "data"), model, group)
            path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
            environment = base_environment() | {"PYTHONPATH": path}
            with Processes(folder / "logs", environment) as processes:
                made = Servers(processes, folder, model)
                command = [sys.executable, "-m", f"{PACKAGE}.standin", str(port)]
                made._started("standin", command, port)
                try:
                    yield made
                except LoadFailed as error:
                    for process in processes.started:
                        error.add_note(f"The end of {process.name}'s log:\n{process.tail(4)}")
                    raise


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
