"""A proxy between the service and a stand-in, that passes on until a test sets a fault.

It speaks HTTP/1.1 over connections that stay open. A fault is what is done with a request instead
of passing it on.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

LINGER_NOT = struct.pack("ii", 1, 0)
"""A socket that is closed with it sends a reset, and no farewell."""


@dataclass
class Exchange:
    """A request that has arrived, and the connection on which it is to be answered."""

    proxy: "Proxy"
    head: bytes
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def reads(self) -> bool:
        """Whether attributes are asked for, and not whether a group is published."""
        return self.head.startswith(b"POST /api/v1/get-online-attributes ")

    async def answered(self) -> tuple[bytes, bytes]:
        """Return the head and the body of what the stand-in answers."""
        reader, writer = await asyncio.open_connection(*self.proxy.behind)
        try:
            writer.write(self.head + self.body)
            return await _message(reader)
        finally:
            writer.close()

    async def say(self, status: str, body: bytes, kind: str = "application/json") -> None:
        """Answer."""
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        await self.send(head.encode() + body)

    async def send(self, part: bytes) -> None:
        """Send as it is."""
        self.writer.write(part)
        await self.writer.drain()

    async def hung_up(self) -> None:
        """Wait until the other side has gone."""
        while await self.reader.read(65536):
            pass

    def hang_up(self) -> None:
        """End the connection after what was sent."""
        self.writer.close()

    def reset(self) -> None:
        """Break the connection off."""
        taken = self.writer.get_extra_info("socket")
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self.writer.transport.abort()


Fault = Callable[[Exchange], Awaitable[None]]


async def pass_on(exchange: Exchange) -> None:
    """No fault."""
    head, body = await exchange.answered()
    await exchange.send(head + body)


async def refused(exchange: Exchange) -> None:
    """Set as a fault nothing listens any more; who was connected already is cut off."""
    exchange.hang_up()


class Proxy:
    """Passes on to ``upstream``; counts connections and the requests for attributes."""

    def __init__(self, upstream: str) -> None:
        address = urlsplit(upstream)
        self.behind = (address.hostname or "", address.port or 0)
        self.connections = 0
        self.reads = 0
        self._fault: Fault = pass_on
        self._kept = socket.socket()  # keeps the port ours while nothing listens there
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._kept.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._kept.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._served: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def fault(self) -> Fault:
        """What is done with every request."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._fault = fault
        changed = self._close() if fault is refused else self._listen()
        asyncio.run_coroutine_threadsafe(changed, self._loop).result(timeout=10)

    @contextmanager
    def fails(self, fault: Fault) -> Iterator[None]:
        """Have a fault while the block runs."""
        self.fault = fault
        try:
            yield
        finally:
            self.fault = pass_on

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Listen while the block runs."""
        thread = threading.Thread(target=self._loop.run_forever)
        thread.start()
        try:
            self.fault = pass_on
            yield self
        finally:
            self.fault = refused
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(timeout=10)
            self._loop.close()
            self._kept.close()

    async def _listen(self) -> None:
        if self._server is None:
            listening = socket.socket()
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listening.bind(self._kept.getsockname())
            self._server = await asyncio.start_server(self._serve, sock=listening, limit=2**24)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task, writer in self._served.items():
            task.cancel()
            writer.close()
        await asyncio.gather(*self._served, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._served[task] = writer
        # The other side may go at any moment: that is what faults are for.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.is_closing():
                exchange = Exchange(self, *await _message(reader), reader, writer)
                self.reads += exchange.reads
                await self._fault(exchange)
        del self._served[task]
        writer.close()


@contextmanager
def proxy_to(upstream: str) -> Iterator[Proxy]:
    """A proxy on a free port while the block runs."""
    with Proxy(upstream).running() as proxy:
        yield proxy


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return the head and the body of a request or an answer, as they were sent."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if line)
    if fields.get(b"transfer-encoding", b"").strip() == b"chunked":
        return head, await _chunks(reader)
    return head, await reader.readexactly(int(fields.get(b"content-length", 0)))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body, size = b"", 1
    while size:
        line = await reader.readline()
        size = int(line, 16)
        body += line + await reader.readexactly(size + 2)
    return body
