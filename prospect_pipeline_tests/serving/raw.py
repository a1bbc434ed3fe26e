"""Requests as bytes, as no client of HTTP would send them."""

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers

WAIT_SECONDS = 10
NO_HTTP = b"Invalid HTTP request received."


@dataclass(frozen=True)
class Reply:
    """What came back; ``is_no_http`` where the server found no request in what was sent."""

    status: int
    headers: Headers
    body: bytes

    @property
    def is_no_http(self) -> bool:
        return NO_HTTP in self.body


def ask(url: str, request: bytes, connection: bytes = b"close") -> Reply:
    """Send a request's bytes, after which its connection ends, and return what came back.

    A host is named in its headers, as whoever asks may name any.
    """
    line, _, rest = request.partition(b"\r\n")
    known = b"Host: theirs.example.com\r\nConnection: " + connection
    at = urlsplit(url)
    with socket.create_connection((at.hostname, at.port), timeout=WAIT_SECONDS) as to:
        to.sendall(b"\r\n".join([line, known, rest]))
        received = b""
        while part := to.recv(65_536):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    pairs = [each.partition(b":") for each in lines]
    headers = Headers(raw=[(name.lower(), value.strip()) for name, _, value in pairs])
    return Reply(int(first.split()[1]), headers, body)
