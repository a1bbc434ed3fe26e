"""A Bento in an environment that holds its own requirements alone, installed from an index."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from fastapi import FastAPI

from prospect_pipeline.stack import services
from prospect_pipeline.stack.processes import Processes
from prospect_pipeline_tests.registry.models import register_champion, registry_in
from prospect_pipeline_tests.sandbox.conftest import serving
from prospect_pipeline_tests.serving import bentos
from prospect_pipeline_tests.serving.bentos import environment

pytestmark = pytest.mark.long

THERE = ["bentoml", "mlflow", "numpy", "xgboost"]
NOT_THERE = "dagster docker duckdb flask matplotlib nvidia pandas pyarrow sklearn snowflake".split()

FIND = """
import importlib.util, sys
print(*(name for name in sys.argv[1:] if importlib.util.find_spec(name)))
"""


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bentos.build(tmp_path_factory.mktemp("bento"))


@pytest.fixture(scope="module")
def commands(bento: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of a virtual environment, made for the Bento."""
    folder = tmp_path_factory.mktemp("clean")
    wanted = bento / "env" / "python" / "requirements.txt"
    for command in (
        [sys.executable, "-m", "venv", folder],
        [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--requirement", wanted],
    ):
        subprocess.run(command, check=True, env=environment(), timeout=1200)
    return folder / "bin"


def test_it_has_neither_dagster_nor_the_training_stack(commands: Path) -> None:
    ran = subprocess.run(
        [commands / "python", "-c", FIND, *NOT_THERE, *THERE],
        check=True, capture_output=True, text=True, env=environment(),
    )  # fmt: skip

    assert ran.stdout.split() == THERE


@pytest.mark.parametrize("where", ["embedded", "on a server"])
def test_it_scores_as_training_does(
    bento: Path, commands: Path, tmp_path: Path, where: str
) -> None:
    ports = services.Ports(0, 0, 0, 0, 0).settled()
    settings = {"PROSPECT_DATA_DIR": str(tmp_path / "data"), "PROSPECT_CLOCK": bentos.SUNDAY}
    with Processes(tmp_path / "logs", environment()) as processes, serving(signals()) as url:
        settings |= {"SP_SANDBOX_URL": url, "SP_SANDBOX_TOKEN": "of no use"}
        if where == "on a server":
            settings["MLFLOW_TRACKING_URI"] = registry_server(processes, tmp_path, ports.mlflow)
        register_champion(
            registry_in(tmp_path / "data", tracking_uri=settings.get("MLFLOW_TRACKING_URI")),
            bentos.MODEL,
        )
        address = ["--host", services.HOST, "--port", str(ports.predict)]
        serve = [str(commands / "bentoml"), "serve", str(bento), *address]
        processes.start("bento", serve, **settings)
        services.wait_for_scoring(processes, ports.predict)

        asked = {"domain_userid": "ann"}
        reply = requests.post(f"{services.url(ports.predict)}/predict", json=asked, timeout=10)

    assert reply.status_code == 200, reply.text
    assert reply.json()["score"] == bentos.offline()
    assert reply.json()["model"] == {"name": "prospect_scoring", "version": "1"}


def signals() -> FastAPI:
    """A Signals that has the same for everybody."""
    app = FastAPI()

    @app.post("/api/v1/get-online-attributes")
    def answer() -> dict[str, list[Any]]:
        return {name: [value] for name, value in bentos.ATTRIBUTES.items()}

    return app


def registry_server(processes: Processes, folder: Path, port: int) -> str:
    """Start an MLflow that hands out its files itself, and return its address."""
    store = ["--backend-store-uri", f"sqlite:///{folder}/server.db"]
    store += ["--artifacts-destination", str(folder / "artifacts"), "--workers", "1"]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), *store]
    processes.start("mlflow", command, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    services.wait_for_mlflow(processes, port)
    return services.url(port)
