"""The local Signals under load: durable events and attribute reads beside them, over HTTP."""

import asyncio
import contextlib
import gc
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import uvloop
from rich.table import Table
from snowplow_signals import SignalsSandbox

from prospect_pipeline.attributes import prospect
from prospect_pipeline.sandbox.front import ONLINE
from prospect_pipeline.settings import DefinitionSettings

SECONDS, WARM_SECONDS = 10.0, 2.0
EVENTS_A_SECOND, READS_A_SECOND, SEEN_A_SECOND = 1_020, 510, 20
"""A little more than 1,000 and 500, so that these can be seen to be kept."""

START_SECONDS = 60.0
VISITORS = 200
TP2 = "/com.snowplowanalytics.snowplow/tp2"
SCHEMA = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"
SERVICE = prospect.service(DefinitionSettings.load())
GROUP = prospect.attribute_group(DefinitionSettings.load())


class Connections:
    """Plain HTTP over connections that stay open: the client is to cost next to nothing itself."""

    def __init__(self, url: str, token: str) -> None:
        address = urlsplit(url)
        self.host, self.port = str(address.hostname), address.port
        self.headers = f"Host: {address.netloc}\r\nAuthorization: Bearer {token}\r\n"
        self.idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()

    async def post(self, path: str, body: bytes) -> bytes:
        """Return the body of a good answer."""
        while self.idle and self.idle[0][0].at_eof():  # the server closes what it hears nothing of
            self.idle.popleft()[1].close()
        opened = self.idle.popleft() if self.idle else None
        reader, writer = opened or await asyncio.open_connection(self.host, self.port)
        head = f"POST {path} HTTP/1.1\r\n{self.headers}Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answered = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert answered.startswith(b"http/1.1 200"), answered
        _, _, rest = answered.partition(b"content-length:")
        found = await reader.readexactly(int(rest.partition(b"\r\n")[0]))
        self.idle.append((reader, writer))
        return found

    def close(self) -> None:
        """Close the connections."""
        for _, writer in self.idle:
            writer.close()


class Load:
    """Asks at a steady pace, over as many connections as it takes."""

    def __init__(self, url: str, token: str) -> None:
        self.connections = Connections(url, token)
        self.visitors = [str(uuid.uuid4()) for _ in range(VISITORS)]

    async def send(self, n: int) -> None:
        """Send one event."""
        visitor = self.visitors[n % VISITORS]
        event = {
            "e": "pv",
            "eid": str(uuid.uuid4()),
            "duid": visitor,
            "sid": visitor,
            "aid": "website",
            "url": "https://a.io/pricing?utm_medium=cpc",
            "refr": "https://www.google.com/",
            "ua": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/126.0.0.0 Safari/537.36",
        }
        body = json.dumps({"schema": SCHEMA, "data": [event]})
        assert await self.connections.post(TP2, body.encode()) == b"ok"

    async def read(self, n: int) -> int:
        """Read one visitor's attributes, and return the number of page views."""
        visitor = self.visitors[n % VISITORS]
        asked = {"service": SERVICE.name, "attribute_keys": {"domain_userid": [visitor]}}
        found = await self.connections.post(ONLINE, json.dumps(asked).encode())
        return json.loads(found)["num_page_views_l7d"][0] or 0

    async def see(self, n: int) -> None:
        """Send an event of a new visitor, and ask until it shows."""
        self.visitors[n % VISITORS] = str(uuid.uuid4())
        await self.send(n)
        while not await self.read(n):
            pass


async def steady(
    work: Callable[[int], Awaitable[object]], a_second: float, seconds: float = SECONDS
) -> list[float]:
    """Begin a piece of work so often a second; return how long each took."""
    took: list[float] = []

    async def timed(n: int) -> None:
        started = time.perf_counter()
        await work(n)
        took.append(time.perf_counter() - started)

    begun, running = time.perf_counter(), []
    for n in range(int(seconds * a_second)):
        await asyncio.sleep(max(begun + n / a_second - time.perf_counter(), 0))
        running.append(asyncio.create_task(timed(n)))
    await asyncio.gather(*running)
    return took


async def _press(url: str, token: str) -> tuple[float, float]:
    """Return events and reads a second, done while both were asked for."""
    load = Load(url, token)
    with contextlib.closing(load.connections):
        await asyncio.gather(
            steady(load.send, EVENTS_A_SECOND / 4, WARM_SECONDS),
            steady(load.read, READS_A_SECOND / 4, WARM_SECONDS),
        )
        begun = time.perf_counter()
        sent, read = await asyncio.gather(
            steady(load.send, EVENTS_A_SECOND), steady(load.read, READS_A_SECOND)
        )
        took = time.perf_counter() - begun
    return len(sent) / took, len(read) / took


async def _look(url: str, token: str) -> list[float]:
    """Return how long events took to show, each of a visitor seen for the first time."""
    load = Load(url, token)
    with contextlib.closing(load.connections):
        await steady(load.see, SEEN_A_SECOND, WARM_SECONDS)
        return await steady(load.see, SEEN_A_SECOND, SECONDS)


def press(url: str, token: str) -> tuple[float, float]:
    """Do `_press`."""
    return uvloop.run(_press(url, token))


def look(url: str, token: str) -> list[float]:
    """Do `_look`."""
    return uvloop.run(_look(url, token))


def _measure(url: str, token: str) -> tuple[float, float, dict[str, list[float]]]:
    """Look, alone and beside the press of another process; the delay is the server's alone."""
    context = multiprocessing.get_context("spawn")
    # No collection of theirs is to come between requests either.
    with ProcessPoolExecutor(2, mp_context=context, initializer=gc.disable) as clients:
        alone = clients.submit(look, url, token).result()
        pressing, looking = (clients.submit(work, url, token) for work in (press, look))
        seen = {"": alone, ", under that load": looking.result()}
        return (*pressing.result(), seen)


def _address(folder: Path, process: subprocess.Popen[bytes]) -> dict[str, str]:
    """Wait until the local Signals says where it is."""
    path, end = folder / "sandbox.json", time.monotonic() + START_SECONDS
    while not path.exists():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError("the local Signals did not start")
        time.sleep(0.01)
    found: dict[str, str] = json.loads(path.read_text())
    return found


def collect(table: Table) -> None:
    """Add rows: the pace that is kept, and how soon an event is an attribute."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "prospect_pipeline", "sandbox", "--port", "0"]
        with subprocess.Popen(
            [*command, "--data-dir", folder], stderr=subprocess.DEVNULL
        ) as process:
            try:
                found = _address(Path(folder), process)
                signals = SignalsSandbox(api_url=found["url"], sandbox_token=found["token"])
                signals.publish([GROUP, SERVICE])
                events, reads, seen = _measure(found["url"], found["token"])
            finally:
                process.terminate()
        floor = _durable_writes(Path(folder))
    table.add_row(
        "local Signals: durable events, one a request",
        f"{events:,.0f} a second",
        f"asked for {EVENTS_A_SECOND:,}, beside {reads:,.0f} reads a second",
        f"{events / EVENTS_A_SECOND:.2f}",
    )
    for when, took in seen.items():
        late = statistics.quantiles(took, n=20)[-1]
        table.add_row(
            f"local Signals: event to visible attribute{when}",
            f"{statistics.median(took) * 1e3:.0f} ms, 95th percentile {late * 1e3:.0f} ms",
            f"one durable write: {floor * 1e3:.1f} ms",
            f"{statistics.median(took) / floor:.0f}",
        )


def _durable_writes(folder: Path) -> float:
    """Return the median time of one small write that is on the disk."""
    took = []
    with (folder / "floor").open("ab", buffering=0) as file:
        for _ in range(200):
            started = time.perf_counter()
            file.write(b"x" * 1000)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - started)
    return statistics.median(took)
