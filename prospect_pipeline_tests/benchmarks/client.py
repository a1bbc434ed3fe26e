"""A client in Python that costs next to nothing itself: HTTP over connections that stay open.

It asks as much as so many connections can, or at a steady pace. Anything but an answer 200 ends it
with `LoadFailed`.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Self
from urllib.parse import urlsplit

MOST_CONNECTIONS = 64
"""As many a steady pace takes at most; with all of them waiting, what is due is late and counts."""


class LoadFailed(Exception):
    """Something else than 200 was answered, or nothing at all."""


@dataclass(frozen=True)
class Measured:
    """Requests that were answered, how many a second, and percentiles of their latency in ms."""

    requests: int
    rate: float
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, latencies: Sequence[float], seconds: float) -> Self:
        """Sum up latencies in seconds."""
        ordered = sorted(latencies)
        at = [1e3 * percentile(ordered, share) for share in (0.5, 0.95, 0.99)]
        return cls(len(ordered), len(ordered) / seconds, *at)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the least value that this share of ordered values does not exceed."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


@dataclass(frozen=True)
class Target:
    """An address, and the bodies that it is posted in turn."""

    url: str
    bodies: tuple[str, ...]

    def requests(self) -> Iterator[bytes]:
        """Return whole requests, one after the other, for ever."""
        address = urlsplit(self.url)
        head = f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
        head += "Content-Type: application/json\r\nContent-Length: "
        return cycle([f"{head}{len(b.encode())}\r\n\r\n{b}".encode() for b in self.bodies])


class Connection(asyncio.Protocol):
    """A connection with one request under way at most; a server that closes it gets another."""

    def __init__(
        self,
        url: str,
        answered: Callable[["Connection"], None],
        failed: Callable[[str], None],
    ) -> None:
        self.address = urlsplit(url)
        self.answered, self.failed = answered, failed
        self.since = 0.0
        self._received = b""
        self._open = False
        self._opening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, self.address.hostname, self.address.port)

    def connection_made(self, transport: asyncio.WriteTransport) -> None:
        """Keep what is written to."""
        self._transport, self._open = transport, True

    def send(self, request: bytes, since: float) -> None:
        """Send a request, whose latency counts from a moment."""
        self.since = since
        if self._open:
            self._transport.write(request)
        else:
            self._opening = asyncio.create_task(self._open_and_send(request))

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer; say so once it is whole."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        fields = head.lower()
        _, named, rest = fields.partition(b"\r\ncontent-length:")
        if not head.startswith(b"HTTP/1.1 200") or not named:
            self.failed(f"answered {self._received[:500]!r}")
        elif len(body) >= int(rest.partition(b"\r\n")[0]):
            self._received = b""
            if b"\r\nconnection: close" in fields:
                self.close()
            self.answered(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Say so, where it was not closed from here."""
        if self._open:
            self.failed(f"closed a connection ({error})")

    def close(self) -> None:
        """Close it."""
        self._open = False
        self._transport.close()

    async def _open_and_send(self, request: bytes) -> None:
        try:
            await self.open()
        except OSError as error:
            self.failed(f"takes no connection ({error})")
        else:
            self._transport.write(request)


@asynccontextmanager
async def _connected(
    url: str, count: int, answered: Callable[[Connection], None], failed: Callable[[str], None]
) -> AsyncIterator[list[Connection]]:
    opened: list[Connection] = []
    try:
        for _ in range(count):
            connection = Connection(url, answered, failed)
            await connection.open()
            opened.append(connection)
        yield opened
    finally:
        for connection in opened:
            connection.close()
        await asyncio.sleep(0)


class _Outcome:
    """What a load waits for: its end, or what went wrong first."""

    def __init__(self) -> None:
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    def fail(self, what: str) -> None:
        if not self._future.done():
            self._future.set_exception(LoadFailed(f"The server {what}."))

    async def wait(self) -> None:
        await self._future


async def pressing(target: Target, connections: int, seconds: float) -> Measured:
    """Let every connection ask again as soon as it is answered."""
    requests, outcome, clock = target.requests(), _Outcome(), time.perf_counter
    latencies: list[float] = []

    def answered(connection: Connection) -> None:
        nonlocal under_way
        now = clock()
        latencies.append(now - connection.since)
        if now < end:
            connection.send(next(requests), now)
            return
        under_way -= 1
        if not under_way:
            outcome.end()

    async with _connected(target.url, connections, answered, outcome.fail) as opened:
        under_way, begun = connections, clock()
        end = begun + seconds
        for connection in opened:
            connection.send(next(requests), clock())
        await outcome.wait()
    return Measured.of(latencies, clock() - begun)


class Pace:
    """When each request of a steady pace is due; whoever comes late has still begun in time."""

    def __init__(self, a_second: float, seconds: float, begun: float) -> None:
        self.a_second, self.begun = a_second, begun
        self.left = int(a_second * seconds)
        self._started = 0

    @property
    def next(self) -> float:
        """The moment at which the next request is due."""
        return self.begun + self._started / self.a_second

    def due(self, now: float) -> bool:
        """Whether the next request is due, or overdue."""
        return self.left > 0 and self.next <= now

    def start(self) -> float:
        """Return the moment at which the next request was due, and go on to the one after."""
        due = self.next
        self._started += 1
        self.left -= 1
        return due


async def keeping_pace(target: Target, a_second: float, seconds: float) -> Measured:
    """Begin so many requests a second, and count each from when it was due.

    The loop's own clock is taken, which is to be a fine one: uvloop's counts milliseconds.
    """
    requests, outcome, loop = target.requests(), _Outcome(), asyncio.get_running_loop()
    latencies: list[float] = []
    idle: deque[Connection] = deque()
    timer: asyncio.TimerHandle | None = None

    def answered(connection: Connection) -> None:
        latencies.append(loop.time() - connection.since)
        idle.append(connection)
        if timer is None:
            go()

    def go() -> None:
        nonlocal timer
        timer = None
        while idle and pace.due(loop.time()):
            due = pace.start()
            idle.popleft().send(next(requests), due)
        if pace.left and idle:
            timer = loop.call_at(pace.next, go)
        elif not pace.left and len(idle) == MOST_CONNECTIONS:
            outcome.end()

    async with _connected(target.url, MOST_CONNECTIONS, answered, outcome.fail) as opened:
        idle.extend(opened)
        pace = Pace(a_second, seconds, begun=loop.time())
        go()
        await outcome.wait()
        return Measured.of(latencies, loop.time() - pace.begun)
