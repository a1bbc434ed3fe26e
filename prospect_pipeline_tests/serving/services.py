"""The scoring service in this process, for tests to ask: directly, or over HTTP."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient

from prospect_pipeline.registry.store import OWN_VARIABLES
from prospect_pipeline.serving.service import ProspectScoring

OURS = ("SP_", "SNOWFLAKE_", "PROSPECT_", "SIGNALS_", "MLFLOW_", "MODEL_", "PREDICT_")
SECRET = "s3cret-of-ours"


@contextmanager
def settings(folder: Path, working: Path, **variables: str) -> Iterator[None]:
    """An environment with these variables and no others of ours."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(OURS)]:
            patch.delenv(name)
        patch.chdir(working)
        given = {"PROSPECT_DATA_DIR": str(folder), "MODEL_POLL_SECONDS": "3600", **variables}
        for name, value in given.items():
            patch.setenv(name, value)
        for name in OWN_VARIABLES:  # MLflow's own, that two users of it at once may leave behind
            if name not in variables:
                patch.setenv(name, "")
                patch.delenv(name)
        yield


@contextmanager
def service(folder: Path, working: Path, **variables: str) -> Iterator[TestClient]:
    """The service, started and ended as by BentoML, with these variables and no others of ours."""
    with (
        settings(folder, working, **variables),
        TestClient(ProspectScoring.to_asgi(), raise_server_exceptions=False) as client,
    ):
        yield client


@contextmanager
def service_over_http(
    folder: Path, working: Path, parser: Any = "auto", **variables: str
) -> Iterator[str]:
    """The same on a free port of loopback, by the server that BentoML uses."""
    with settings(folder, working, **variables), socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        app = ProspectScoring.to_asgi()
        # A machine that stands still for some seconds is no reason to close a connection.
        config = uvicorn.Config(
            app, http=parser, log_level="error", lifespan="on", timeout_keep_alive=60
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            until(lambda: server.started or not thread.is_alive())
            assert server.started, "the service did not start"
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=20)


def predict(client: TestClient, visitor: str = "ann", **more: Any) -> dict[str, Any]:
    reply = client.post("/predict", json={"domain_userid": visitor, **more})
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/json"
    answer: dict[str, Any] = reply.json()
    return answer


def error(reply: Any, status: int) -> dict[str, Any]:
    """The error of a reply, that has the one shape and gives nothing away."""
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/json"
    assert reply.json().keys() == {"error"}
    found: dict[str, Any] = reply.json()["error"]
    assert found.keys() == {"code", "message"}
    for inside in ("Traceback", 'File "', "pydantic", "bentoml", SECRET):
        assert inside not in reply.text
    return found


def until(true: Callable[[], bool]) -> None:
    """Ask until it is so."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it never came to be"
