"""Makes checks as the command does, and servers to be looked at."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from prospect_pipeline.doctor.examination import examine
from prospect_pipeline.doctor.report import Check, Finding, Report
from prospect_pipeline.doctor.system import System
from prospect_pipeline.sandbox.api import build_app
from prospect_pipeline.sandbox.collected import CollectedEvents
from prospect_pipeline.sandbox.collector import Collector
from prospect_pipeline.sandbox.profiles import Profiles
from prospect_pipeline.sandbox.registry import Registry
from prospect_pipeline.settings import Clock, DataSettings
from prospect_pipeline.signals.connection import ADDRESS_FILE
from prospect_pipeline_tests.events import NOW
from prospect_pipeline_tests.sandbox.conftest import TOKEN, serving

Build = Callable[[System], list[Check]]
Handle = Callable[[str, str, dict[str, str]], tuple[int, dict[str, str], Any]]


def look(data_dir: Path, *builds: Build) -> Report:
    """Make the checks of these areas."""
    with ExitStack() as closing:
        system = System(data_dir, closing)
        return examine([check for build in builds for check in build(system)], lambda _: None)


def lines(report: Report, check: str) -> list[tuple[str, str]]:
    """The status of each line of a check, and what was found."""
    return [(one.status, one.found) for one in findings(report, check)]


def findings(report: Report, check: str) -> list[Finding]:
    return [one for one in report.findings if f"{one.area} {one.check}" == check]


def one(report: Report, check: str) -> Finding:
    [found] = findings(report, check)
    return found


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every folder, and every file with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@contextmanager
def local_signals(data_dir: Path, token: str = TOKEN) -> Iterator[list[str]]:
    """A local Signals over a data directory, as the address file says; what it is asked."""
    data = DataSettings.load(data_dir=data_dir)
    store, asked = CollectedEvents(data), list[str]()
    profiles, collector = Profiles(store, Clock.load(setting=NOW.isoformat())), Collector(store)
    app = build_app(Registry(data), profiles, token, collector)

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            asked.append(f"{scope['method']} {scope['path']}")
        await app(scope, receive, send)

    with serving(noting) as url:  # type: ignore[arg-type]
        data.root.mkdir(parents=True, exist_ok=True)
        address = data.root / ADDRESS_FILE
        address.write_text(json.dumps({"url": url, "token": token, "pid": 1}))
        yield asked
        address.unlink()
    collector.close()


@contextmanager
def standing_in(handle: Handle, ahead: float = 0) -> Iterator[str]:
    """A server that answers what a test says, with a clock so many seconds ahead."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            self.rfile.read(length)
            status, headers, body = handle(self.command, self.path, dict(self.headers))
            said = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in ({"content-length": str(len(said))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_OPTIONS = _answer  # noqa: N815

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(int(time.time() + ahead))

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Say nothing: who asked has gone."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()
