"""The service as anyone serves it: `bentoml serve`, with a supervisor and worker processes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from prospect_pipeline.settings import DataSettings
from prospect_pipeline.stack import services
from prospect_pipeline.stack.processes import Process, Processes
from prospect_pipeline_tests.benchmarks import standin
from prospect_pipeline_tests.serving.bentos import ROOT, environment
from prospect_pipeline_tests.serving.services import SECRET


@dataclass(frozen=True)
class Served:
    """One that has said that it is ready; ``process`` is the supervisor."""

    url: str
    process: Process

    @property
    def supervisor(self) -> psutil.Process:
        """The process that starts the workers, and starts them anew."""
        return psutil.Process(self.process.popen.pid)

    def workers(self) -> list[psutil.Process]:
        """Return the processes that answer."""
        return self.supervisor.children()

    def memory(self) -> int:
        """Return what the workers hold in memory, in bytes."""
        return sum(worker.memory_info().rss for worker in self.workers())


@contextmanager
def bentoml_serve(folder: Path, **variables: str) -> Iterator[Served]:
    """Serve the champion of a data directory on a free port while the block runs.

    Signals is a stand-in in a process of its own, unless ``variables`` say where another is.
    """
    ports = services.Ports(0, 0, 0, 0, 0).settled()
    own = {
        "PYTHONPATH": str(ROOT),
        "PROSPECT_DATA_DIR": str(folder),
        "SP_SANDBOX_URL": services.url(ports.signals),
        "SP_SANDBOX_TOKEN": SECRET,
        "SIGNALS_TIMEOUT_MS": "1500",
    }
    with Processes(folder / "logs", environment(**own | variables)) as processes:
        services.start_scoring(processes, DataSettings.load(data_dir=folder), ports.predict)
        if "SP_SANDBOX_URL" not in variables:
            processes.start("signals", [sys.executable, "-m", standin.__name__, str(ports.signals)])
        services.wait_for_scoring(processes, ports.predict)
        yield Served(services.url(ports.predict), processes.started[0])
