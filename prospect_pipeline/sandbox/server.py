"""The local Signals as a process: binds, says where it is, serves until it is told to end."""

from __future__ import annotations

import contextlib
import gc
import secrets
import socket
import sqlite3
import sys
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from prospect_pipeline.errors import StackError
from prospect_pipeline.sandbox import address
from prospect_pipeline.sandbox.api import build_app
from prospect_pipeline.sandbox.collected import CollectedEvents
from prospect_pipeline.sandbox.collector import Collector
from prospect_pipeline.sandbox.profiles import Profiles
from prospect_pipeline.sandbox.registry import Registry
from prospect_pipeline.sandbox.website import WebsiteSettings, build_website
from prospect_pipeline.settings import Clock, DataSettings

HOST = "127.0.0.1"


@dataclass
class LocalSignals:
    """One local Signals of a data directory; its address stands in ``sandbox.json`` meanwhile.

    With a ``website_port`` it serves the demo website too, whose pages ask ``predict_url`` for
    scores.
    """

    data: DataSettings
    clock: Clock
    port: int
    token: str
    host: str = HOST
    website_port: int | None = None
    predict_url: str = "http://127.0.0.1:8080"

    def __post_init__(self) -> None:
        self.token = self.token or secrets.token_urlsafe(24)
        address.refuse_second(self.data)
        self._sockets = [_bind(self.host, self.port, "--port")]
        self.url = _url(self._sockets[0])
        self.website_url: str | None = None
        if self.website_port is not None:
            self._sockets.append(_bind(self.host, self.website_port, "--website-port"))
            self.website_url = _url(self._sockets[1])

    def serve(self) -> None:
        """Serve until SIGINT or SIGTERM; raises StackError where events cannot be stored."""
        # The journal's thread must not wait five milliseconds for its turn, each time it has one.
        sys.setswitchinterval(0.0002)
        # What is loaded by now stays: no collection has to look through it again. Whole ones are
        # seldom, since requests wait for them, and events leave no cycles behind.
        gc.freeze()
        gc.set_threshold(10_000, 20, 100)
        with contextlib.ExitStack() as open_ones:
            open_ones.callback(gc.unfreeze)  # or DuckDB takes it for leaked at the end, and says so
            for listening in self._sockets:
                open_ones.enter_context(contextlib.closing(listening))
            collector, registry = self._opened(open_ones)
            app = build_app(
                registry,
                Profiles(collector.store, self.clock),
                self.token,
                collector,
                on_start=lambda: address.announce(
                    self.data, self.url, self.token, self.website_url
                ),
                on_stop=lambda: address.withdraw(self.data),
            )
            both = self._with_website(app)
            config = uvicorn.Config(
                both,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=5,
            )
            uvicorn.Server(config).run(sockets=self._sockets)

    def _with_website(self, app: ASGIApp) -> ASGIApp:
        """Return an application that answers on the website's port with the website."""
        if self.website_url is None:
            return app
        settings = WebsiteSettings(self.url, self.url, self.predict_url)
        website, port = build_website(settings), self._sockets[1].getsockname()[1]

        async def by_port(scope: Scope, receive: Receive, send: Send) -> None:
            asked = scope.get("server") or (None, None)
            await (website if asked[1] == port else app)(scope, receive, send)

        return by_port

    def _opened(self, open_ones: contextlib.ExitStack) -> tuple[Collector, Registry]:
        try:
            store = CollectedEvents(self.data)
            open_ones.callback(store.close)
            collector = Collector(store)
            open_ones.callback(collector.bad.close)
            return collector, Registry(self.data)
        except (OSError, sqlite3.Error) as error:
            reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
            raise StackError(
                f"Events cannot be stored under {self.data.root} ({reason}). Make it a folder that "
                "this user may write to, or give another --data-dir."
            ) from None


def _bind(host: str, port: int, option: str) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise StackError(
            f"Port {port} on {host} cannot be used ({error.strerror}). Free it, or choose another "
            f"with {option} (0: any free one)."
        ) from None
    listening.listen(128)
    return listening


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
