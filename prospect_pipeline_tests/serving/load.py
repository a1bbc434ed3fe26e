"""Visitors who ask without a pause over connections of their own, and keep what they are told."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import aiohttp

from prospect_pipeline_tests.serving.standin import KEY

ONE: dict[str, Any] = {KEY: "ann"}
MANY: dict[str, Any] = {f"{KEY}s": ["ann", "bob", "carol"]}
PATIENCE = 60.0
"""Seconds after which an answer that does not come is a failure."""


@dataclass
class Load:
    """Asks for one visitor and for many in turn; a connection that is lost is made anew."""

    url: str
    connections: int = 4
    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    _over: bool = False

    @contextmanager
    def asking(self) -> Iterator["Load"]:
        """Ask while the block runs; what was asked is waited for at its end."""
        thread = threading.Thread(target=lambda: asyncio.run(self._ask_all()))
        thread.start()
        try:
            yield self
        finally:
            self._over = True
            thread.join(timeout=2 * PATIENCE)

    def wait_until(self, true: Callable[[dict[str, Any]], bool]) -> None:
        """Wait for a new answer of which something is true."""
        seen, deadline = len(self.answers), time.monotonic() + PATIENCE
        while not any(true(answer) for _, answer in self.answers[seen:]):
            assert time.monotonic() < deadline, f"no such answer after {seen}"
            threading.Event().wait(0.01)

    async def _ask_all(self) -> None:
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with aiohttp.ClientSession(self.url, timeout=timeout) as session:
            await asyncio.gather(*(self._ask(session) for _ in range(self.connections)))

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        for path, asked in cycle([("/predict", ONE), ("/predict_batch", MANY)]):
            if self._over:
                return
            try:
                async with session.post(path, json=asked) as reply:
                    self.answers.append((reply.status, await reply.json()))
            except (aiohttp.ClientError, TimeoutError) as error:
                self.cut.append(type(error).__name__)
                await asyncio.sleep(0.01)
