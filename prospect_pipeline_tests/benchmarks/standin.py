"""A stand-in for Signals whose reply is fixed, so that what is measured is not its speed.

Run as a process of its own, with the port as its argument. It reads no more of a request than the
identifiers that are asked for, and takes whatever token it is given.
"""

import asyncio
import functools
import json
import re
import sys
from typing import Any

import uvloop

READ = b"POST /api/v1/get-online-attributes "
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
ASKED = re.compile(rb'"domain_userid" *: *\[(.*?)\]')
VERSION = re.compile(rb"GET /api/v1/registry/attribute_groups/[^/ ]+/versions/\d+ ")
SESSIONS = [f"8e554b10-4fcf-49e9-a0d8-48b6c2f1d7{n:02}" for n in range(9)]

ATTRIBUTES: dict[str, Any] = {
    "latest_app_id": "website",
    "latest_device_class": "Desktop",
    "num_sessions_l7d": SESSIONS[5:],
    "num_apps_l7d": ["website"],
    "num_page_views_l7d": 14,
    "num_page_pings_l7d": 41,
    "num_pricing_views_l7d": 2,
    "num_conversions_l7d": None,
    "num_form_engagements_l7d": 3,
    "num_sessions_l30d": SESSIONS,
    "num_apps_l30d": ["hs-landing", "website"],
    "num_page_views_l30d": 33,
    "num_page_pings_l30d": 97,
    "num_pricing_views_l30d": 4,
    "num_conversions_l30d": 1,
    "num_media_events_l30d": 6,
    "first_refr_medium_l30d": "search",
    "first_mkt_medium_l30d": None,
    "num_engaged_campaigns_l30d": ["spring_launch"],
}
"""An active visitor's values of the group's 19 attributes, as Signals gives them."""


def answer(status: str, body: bytes) -> bytes:
    """Return a whole answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


PUBLISHED = answer("200 OK", b'{"is_published": true}')
READY = answer("200 OK", b'{"status": "ok"}')
UNKNOWN = answer("404 Not Found", b'{"detail": "The stand-in knows no such path."}')


@functools.cache
def columns(count: int) -> bytes:
    """Return every attribute's column of so many values, without the braces."""
    return json.dumps({name: [value] * count for name, value in ATTRIBUTES.items()})[1:-1].encode()


def reply(head: bytes, body: bytes) -> bytes:
    """Return the answer to a request."""
    if head.startswith(READ):
        asked = ASKED.search(body)
        identifiers = asked[1] if asked else b""
        count = identifiers.count(b'",') + bool(identifiers)
        return answer("200 OK", b'{"domain_userid": [%b], %b}' % (identifiers, columns(count)))
    if VERSION.match(head):
        return PUBLISHED
    return READY if head.startswith(b"GET /readyz ") else UNKNOWN


class StandIn(asyncio.Protocol):
    """One connection, that stays open."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.WriteTransport) -> None:
        """Keep what is written to."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head, rest = self._received[: end + 2], self._received[end + 4 :]
            found = LENGTH.search(head)
            length = int(found[1]) if found else 0
            if len(rest) < length:
                return
            self._received = rest[length:]
            self._transport.write(reply(head, rest[:length]))


async def serve(port: int) -> None:
    """Answer until the process is ended."""
    server = await asyncio.get_running_loop().create_server(StandIn, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
