"""A local Signals on a free port of loopback, in this process, for the SDK to talk to."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from snowplow_signals import SignalsSandbox

from prospect_pipeline.sandbox.api import build_app
from prospect_pipeline.sandbox.collected import CollectedEvents
from prospect_pipeline.sandbox.collector import Collector
from prospect_pipeline.sandbox.profiles import Profiles
from prospect_pipeline.sandbox.registry import Registry
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.settings import Clock, DataSettings
from prospect_pipeline_tests.events import NOW

TOKEN = "let-me-in"
Serve = Callable[[FastAPI], str]


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free port while the block runs."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=60)
        listening.close()
        assert not thread.is_alive(), "a connection that nobody closes keeps the server"


@pytest.fixture
def data(tmp_path: Path) -> DataSettings:
    return DataSettings.load(data_dir=tmp_path / "data")


@pytest.fixture
def store(data: DataSettings) -> EventStore:
    return EventStore(data)


@contextmanager
def signals_over(data: DataSettings, clock: str = NOW.isoformat()) -> Iterator[SignalsSandbox]:
    """The SDK, connected to a local Signals over a data directory."""
    store = CollectedEvents(data)
    profiles = Profiles(store, Clock.load(setting=clock))
    collector = Collector(store)
    with serving(build_app(Registry(data), profiles, TOKEN, collector)) as url:
        yield SignalsSandbox(api_url=url, sandbox_token=TOKEN)
    collector.close()


@pytest.fixture
def signals(data: DataSettings) -> Iterator[SignalsSandbox]:
    with signals_over(data) as connected:
        yield connected
