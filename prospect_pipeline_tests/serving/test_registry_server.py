"""A registry on a server that fails: the model in use goes on, and is followed when it is over."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from starlette.testclient import TestClient

from prospect_pipeline.stack import services
from prospect_pipeline.stack.processes import Processes
from prospect_pipeline_tests.registry.models import register, registry_in, tiny_model
from prospect_pipeline_tests.sandbox.conftest import serving
from prospect_pipeline_tests.serving import faults
from prospect_pipeline_tests.serving.bentos import environment
from prospect_pipeline_tests.serving.faults import answers
from prospect_pipeline_tests.serving.proxy import Fault, Proxy, proxy_to, refused
from prospect_pipeline_tests.serving.services import SECRET, error, predict, service, until
from prospect_pipeline_tests.serving.standin import StandIn
from prospect_pipeline_tests.serving.test_clean_environment import registry_server

pytestmark = pytest.mark.stack

FAULTS: dict[str, Fault] = {
    "refused": refused,
    "reset": faults.breaks_off,
    "closed midway": faults.hangs_up_midway,
    "hanging": faults.hangs,
    "401": answers("401 Unauthorized", '{"error_code": "UNAUTHENTICATED", "message": "No."}'),
    "403": answers("403 Forbidden"),
    "429": answers("429 Too Many Requests"),
    "500": answers("500 Oops", "<html>Traceback</html>"),
    "HTML": answers("200 OK", "<html>Welcome</html>"),
    "half a JSON": answers("200 OK", '{"model_version": {"version": "2"'),
    "another JSON": answers("200 OK", "[1]"),
}


@dataclass
class Registered:
    """An MLflow server with two versions of a model, and the proxy through which it is seen."""

    server: str
    proxy: Proxy
    signals: str

    def put_alias(self, version: str) -> None:
        """Move the alias on the server itself."""
        asked = {"name": "prospect_scoring", "alias": "champion", "version": version}
        path = "api/2.0/mlflow/registered-models/alias"
        requests.post(f"{self.server}/{path}", json=asked, timeout=10).raise_for_status()

    def service(self, folder: Path) -> AbstractContextManager[TestClient]:
        """Start a service that looks for a newer model all the time."""
        return service(
            folder,
            folder,
            MLFLOW_TRACKING_URI=self.proxy.url,
            MLFLOW_HTTP_REQUEST_TIMEOUT="1",
            MODEL_POLL_SECONDS="0.05",
            SP_SANDBOX_URL=self.signals,
            SP_SANDBOX_TOKEN=SECRET,
            SIGNALS_TIMEOUT_MS="1500",
        )


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registered]:
    folder = tmp_path_factory.mktemp("mlflow")
    ports = services.Ports(0, 0, 0, 0, 0).settled()
    with Processes(folder / "logs", environment()) as processes, serving(StandIn().app) as signals:
        url = registry_server(processes, folder, ports.mlflow)
        registry = registry_in(folder, tracking_uri=url)
        for seed in (0, 1):
            register(registry, tiny_model(seed=seed))
        with proxy_to(url) as proxy:
            yield Registered(url, proxy, signals)


def version(client: TestClient) -> str:
    return str(predict(client)["model"]["version"])


@pytest.mark.parametrize("fault", FAULTS)
def test_the_model_in_use_goes_on_while_the_registry_fails(
    registered: Registered, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    registered.put_alias("1")

    def problem_is_told() -> bool:
        said = [one.getMessage() for one in caplog.records if one.name == "prospect.scorer"]
        return any(words.startswith("The model in use stays: MLflow at ") for words in said)

    with registered.service(tmp_path) as client:
        with registered.proxy.fails(FAULTS[fault]):
            registered.put_alias("2")
            until(problem_is_told)
            assert version(client) == "1"
            assert client.get("/readyz").status_code == 200
        until(lambda: version(client) == "2")

    assert [one for one in caplog.records if one.exc_info] == []


def test_a_registry_that_is_away_at_first_is_found_when_it_is_there(
    registered: Registered, tmp_path: Path
) -> None:
    registered.put_alias("2")
    with ExitStack() as running:
        with registered.proxy.fails(refused):
            client = running.enter_context(registered.service(tmp_path))
            found = error(client.post("/predict", json={"domain_userid": "ann"}), 503)
            states = [client.get(path).status_code for path in ("/readyz", "/livez")]
        until(lambda: client.get("/readyz").status_code == 200)
        answer = version(client)

    assert found["code"] == "no_model"
    assert states == [503, 200]
    assert answer == "2"
