"""Bodies of requests: how large one may be, how long it may take, and how much is held of all."""

from __future__ import annotations

import asyncio

from starlette.types import Receive

from prospect_pipeline.serving.refusal import Refusal, too_busy

BODY_SECONDS = 5.0
"""How long a whole body may take to arrive: who sends slower is not waited for."""

MOST_HELD_BYTES = 64 * 2**20
"""Of all bodies that have arrived in part; a body that arrives at once is always taken."""


class Bodies:
    """Reads bodies; what of them has arrived is in memory, and so it is counted."""

    def __init__(self) -> None:
        self.held = 0

    async def read(self, receive: Receive, most_bytes: int) -> bytearray:
        """Return a body; raises Refusal where it is too large or too slow, or much is held."""
        body, more = bytearray(), True
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refusal(400, "disconnected", "The caller went away.")
                    part, more = message.get("body", b""), message.get("more_body", False)
                    body += part
                    self.held += len(part)
                    if len(body) > most_bytes:
                        raise Refusal.too_large(most_bytes)
                    if more and self.held > MOST_HELD_BYTES:
                        raise too_busy()
        except TimeoutError:
            raise Refusal.of(408) from None
        finally:
            self.held -= len(body)
        return body
