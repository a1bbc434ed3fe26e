"""The services of the running system: where each listens, how it starts, when it is ready."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from prospect_pipeline.errors import StackError
from prospect_pipeline.settings import DataSettings, RegistrySettings, SignalsSettings
from prospect_pipeline.signals.connection import connection
from prospect_pipeline.stack.dagster_runs import LOCATION
from prospect_pipeline.stack.processes import Processes, answers, executable

HOST = "127.0.0.1"
START_SECONDS = 120
PATIENCE_MS = 1500

SPARED = {
    "mlflow": "MLflow's web pages are gone",
    "dagster-web": "Dagster's web pages are gone",
    "dagster-code": "scheduled retraining stops",
    "dagster-daemon": "scheduled retraining stops",
}
"""What scores do not need, once there is a champion: the processes, and what is missing then."""

DAGSTER_YAML = """# One run at a time, so that trainings never meet; no usage data, no newsletter.
telemetry:
  enabled: false
nux:
  enabled: false
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    max_concurrent_runs: 1
    dequeue_interval_seconds: 1
"""


@dataclass(frozen=True)
class Ports:
    """Where each service is to listen; 0 takes any free one."""

    signals: int = 8787
    predict: int = 8080
    dagster: int = 3000
    mlflow: int = 5050
    website: int = 8088

    def settled(self) -> Ports:
        """Return ports that are free now; raises StackError where one that was named is not."""
        return Ports(**{name: _free_port(name, port) for name, port in vars(self).items()})


def url(port: int) -> str:
    """Return the address of a port on this machine."""
    return f"http://{HOST}:{port}"


def start_signals(processes: Processes, data: DataSettings, ports: Ports) -> None:
    """Start the local Signals, and the demo website with it."""
    command = [sys.executable, "-m", "prospect_pipeline", "sandbox", "--data-dir", str(data.root)]
    command += ["--port", str(ports.signals), "--website-port", str(ports.website)]
    command += ["--predict-url", url(ports.predict), "--hide-token"]  # its output is a log
    processes.start("signals", command)


def website_origins(ports: Ports) -> str:
    """Return the origins of the demo website's pages."""
    return f"{url(ports.website)},http://localhost:{ports.website}"


def start_mlflow(processes: Processes, data: DataSettings, port: int) -> None:
    """Start MLflow's web pages over the embedded registry; one worker is enough."""
    folder = data.root / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    store = f"sqlite:///{folder / 'mlflow.db'}"
    artifacts = (folder / "artifacts").as_uri()
    processes.start(
        "mlflow",
        [
            *command,
            "--workers",
            "1",
            "--backend-store-uri",
            store,
            "--default-artifact-root",
            artifacts,
        ],
    )


@dataclass(frozen=True)
class Dagster:
    """Dagster's three processes: the definitions' server, the web pages, and the daemon.

    Without the daemon a run that is started in the browser would wait in the queue for ever.
    """

    processes: Processes
    home: Path
    code_port: int
    web_port: int

    @classmethod
    def prepare(cls, processes: Processes, data: DataSettings, port: int) -> Dagster:
        """Write the instance's own settings and the workspace."""
        home = data.root / "dagster"
        home.mkdir(parents=True, exist_ok=True)
        code = _free_port("dagster", 0)
        server = {"host": HOST, "port": code, "location_name": LOCATION}
        (home / "dagster.yaml").write_text(DAGSTER_YAML)
        (home / "workspace.yaml").write_text(
            yaml.safe_dump({"load_from": [{"grpc_server": server}]})
        )
        return cls(processes, home, code, port)

    def start_definitions(self) -> None:
        """Start the server of the definitions, from which runs are launched too."""
        module = ["--module-name", "prospect_pipeline.definitions", "--location-name", LOCATION]
        where = ["--host", HOST, "--port", str(self.code_port)]
        self._start(
            "dagster-code",
            ["dagster", "api", "grpc", *module, *where, "--use-python-environment-entry-point"],
        )

    def start_pages(self) -> None:
        """Start web pages and daemon, once the definitions answer: they do not ask again."""
        self.processes.wait_for("Dagster", lambda: _connects(self.code_port), START_SECONDS)
        workspace = ["--workspace", str(self.home / "workspace.yaml")]
        where = ["--host", HOST, "--port", str(self.web_port), "--log-level", "warning"]
        self._start("dagster-web", ["dagster-webserver", *where, *workspace])
        self._start("dagster-daemon", ["dagster-daemon", "run", *workspace])

    def _start(self, name: str, command: list[str]) -> None:
        self.processes.start(
            name, [executable(command[0]), *command[1:]], DAGSTER_HOME=str(self.home)
        )


def start_scoring(processes: Processes, data: DataSettings, port: int) -> None:
    """Start the BentoML service; in a shared home any other one would empty its metrics."""
    processes.start(
        "scoring",
        [
            executable("bentoml"),
            "serve",
            "prospect_pipeline.serving.service:ProspectScoring",
            "--host",
            HOST,
            "--port",
            str(port),
        ],
        BENTOML_HOME=str(data.root / "bentoml"),
    )


def wait_for_signals(processes: Processes, port: int) -> None:
    """Wait until the local Signals answers."""
    processes.wait_for("The local Signals", lambda: answers(f"{url(port)}/health"), START_SECONDS)


def wait_for_mlflow(processes: Processes, port: int) -> None:
    """Wait until MLflow answers: it makes the registry's tables when it first starts."""
    processes.wait_for("MLflow", lambda: answers(f"{url(port)}/health"), START_SECONDS)


def wait_for_scoring(processes: Processes, port: int) -> None:
    """Wait until a model is loaded."""
    processes.wait_for("The service", lambda: answers(f"{url(port)}/readyz"), START_SECONDS)


def patience_ms() -> int:
    """Return the time that Signals has for an answer here, where one machine does everything.

    It may be busy, and no visitor waits: without a setting it is more than a website's patience.
    """
    signals = SignalsSettings.load()
    return signals.timeout_ms if "timeout_ms" in signals.model_fields_set else PATIENCE_MS


def addresses(ports: Ports, data: DataSettings) -> dict[str, str]:
    """Return the address of each service, and the token where the Signals is a local one."""
    signals = connection(SignalsSettings.load(), data)
    found = {
        "signals": signals.url,
        "predict": url(ports.predict),
        "dagster": url(ports.dagster),
        "mlflow": RegistrySettings.load().tracking_uri or url(ports.mlflow),
    }
    if signals.kind == "local" and signals.token is not None:
        found["token"] = signals.token.get_secret_value()
        found["website"] = url(ports.website)
    return found


def _connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _free_port(name: str, port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StackError(
                f"Port {port} for {name} is in use ({error.strerror}). End what uses it, or choose "
                f"another with --{name}-port (0: any free one)."
            ) from None
        return int(probe.getsockname()[1])


def log_folder(data: DataSettings) -> Path:
    """Return where the services' logs are."""
    return data.root / "logs"
