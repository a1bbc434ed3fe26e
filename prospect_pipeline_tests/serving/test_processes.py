"""`bentoml serve` as a whole: a worker that dies is replaced, and who was accepted is answered."""

import asyncio
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests

from prospect_pipeline_tests.registry.models import register_champion, registry_in, tiny_model
from prospect_pipeline_tests.sandbox.conftest import serving
from prospect_pipeline_tests.serving.load import Load
from prospect_pipeline_tests.serving.proxy import Exchange, Fault, Proxy, pass_on, proxy_to
from prospect_pipeline_tests.serving.real import Served, bentoml_serve
from prospect_pipeline_tests.serving.services import until
from prospect_pipeline_tests.serving.standin import KEY, StandIn

pytestmark = pytest.mark.stack

HELD = 8
CUT = {"ServerDisconnectedError", "ClientOSError", "ClientPayloadError"}
"""What a client is told of a connection that the other side no longer has."""


def scored(answer: dict[str, object]) -> bool:
    return "model" in answer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    register_champion(registry_in(tmp_path), tiny_model())
    return tmp_path


def test_a_worker_that_is_killed_under_load_comes_back(folder: Path) -> None:
    with bentoml_serve(folder) as served, Load(served.url).asking() as load:
        load.wait_until(scored)
        [killed] = served.workers()
        killed.kill()
        until(lambda: not killed.is_running() or killed.status() == psutil.STATUS_ZOMBIE)
        load.wait_until(scored)
        [worker] = served.workers()

    assert worker.pid != killed.pid
    assert {status for status, _ in load.answers} == {200}
    assert len(load.cut) <= load.connections
    assert set(load.cut) <= CUT


def test_another_service_of_this_user_cannot_empty_the_metrics(folder: Path) -> None:
    """BentoML empties those in its home when it starts: the user's own home is not gone by."""
    home = folder / "home"
    with bentoml_serve(folder, BENTOML_HOME=str(home)) as served:
        requests.post(f"{served.url}/predict", json={KEY: "ann"}, timeout=30).raise_for_status()
        told = requests.get(f"{served.url}/metrics", timeout=30).text

    assert 'prospect_outcomes_total{endpoint="/predict",outcome="scored",version="1"} 1.0' in told
    assert list((folder / "bentoml").glob("prometheus_multiproc_dir/*.db"))
    assert not home.exists()


def held_until(let_go: threading.Event) -> Fault:
    """Hold an answer back."""

    async def fault(exchange: Exchange) -> None:
        while not let_go.is_set():
            await asyncio.sleep(0.005)
        await pass_on(exchange)

    return fault


def listens(worker: psutil.Process) -> bool:
    return any(one.status == psutil.CONN_LISTEN for one in worker.net_connections("tcp"))


def end_while_answering(served: Served, proxy: Proxy) -> list[int]:
    """Tell the service to end while it has accepted requests; return how these are answered."""
    let_go, before = threading.Event(), proxy.reads
    [worker] = served.workers()

    def ask(number: int) -> int:
        asked = {KEY: f"visitor-{number}"}
        return requests.post(f"{served.url}/predict", json=asked, timeout=30).status_code

    with proxy.fails(held_until(let_go)), ThreadPoolExecutor(HELD) as visitors:
        answers = [visitors.submit(ask, number) for number in range(HELD)]
        until(lambda: proxy.reads - before == HELD)
        served.supervisor.send_signal(signal.SIGTERM)
        until(lambda: not listens(worker))
        let_go.set()
        return [answer.result() for answer in answers]


def test_whoever_was_accepted_is_answered_before_the_service_ends(folder: Path) -> None:
    with serving(StandIn().app) as url, proxy_to(url) as proxy:
        for _ in range(3):  # a machine that stands still for Signals' whole budget proves nothing
            with bentoml_serve(
                folder, SP_SANDBOX_URL=proxy.url, SIGNALS_SHARED_READS="1"
            ) as served:
                every = [served.supervisor, *served.supervisor.children(recursive=True)]
                statuses = end_while_answering(served, proxy)
                status = served.process.popen.wait(timeout=60)
                _, alive = psutil.wait_procs(every, timeout=30)
            if 503 not in statuses:
                break

    assert statuses == [200] * HELD
    assert status == 0
    assert alive == []
