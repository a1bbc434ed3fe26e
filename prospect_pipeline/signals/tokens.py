"""The token of the real Signals: fetched once for all who wait, used until it ends.

The request is that of the Signals SDK, which fetches a token inside of a call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from time import time as now

import aiohttp
import jwt
from pydantic_core import from_json

from prospect_pipeline.errors import SignalsError, SignalsUnavailable
from prospect_pipeline.signals.connection import Credentials
from prospect_pipeline.signals.replies import MOST_BYTES, whole_body

CONSOLE = "https://console.snowplowanalytics.com/api/msc/v1"
TOKEN_SECONDS = 10
RENEW_AHEAD_SECONDS = 300
LEAST_SECONDS = 5
"""A token is not used in its last seconds, and never for less: Signals says where it is over."""

Fetch = Callable[[str, str, Mapping[str, str]], AbstractAsyncContextManager[aiohttp.ClientResponse]]

UNKNOWN_SECONDS = 3600
"""How long a token is used that does not say when it ends."""


class Tokens:
    """Holds one token; ``fetch`` makes a request from method, address and headers."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch_from = fetch
        self._token: str | None = None
        self._ends = self._usable_until = 0.0
        self._fetching: asyncio.Task[str] | None = None

    async def current(self, credentials: Credentials) -> str:
        """Return the token as long as it can be used, and only then fetch another.

        Who gives up waiting ends nobody's fetching. Raises SignalsError or SignalsUnavailable.
        """
        if self._token is not None and now() < self._usable_until:
            return self._token
        return await self._fetched(credentials)

    async def renew(self, credentials: Credentials) -> None:
        """Fetch another where the token ends soon; raises SignalsError or SignalsUnavailable."""
        if self._token is None or now() > self._ends - RENEW_AHEAD_SECONDS:
            await self._fetched(credentials)

    def refused(self, token: str) -> None:
        """Forget a token that Signals refused, unless another has come meanwhile."""
        if token == self._token:
            self._token = None

    async def close(self) -> None:
        """End what is being fetched."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    async def _fetched(self, credentials: Credentials) -> str:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch(credentials))
            self._fetching.add_done_callback(_taken_note_of)
        return await asyncio.shield(self._fetching)

    async def _fetch(self, credentials: Credentials) -> str:
        async with (
            asyncio.timeout(TOKEN_SECONDS),
            self._fetch_from(
                "GET",
                f"{CONSOLE}/organizations/{credentials.org_id}/credentials/v3/token",
                {
                    "X-API-Key-Id": credentials.api_key_id.get_secret_value(),
                    "X-API-Key": credentials.api_key.get_secret_value(),
                },
            ) as reply,
        ):
            if reply.status >= 500:
                raise SignalsUnavailable(f"Snowplow's console answered {reply.status}.")
            if reply.status != 200:
                raise SignalsError(
                    f"Snowplow's console gave no token ({reply.status}).",
                    "Check SP_API_KEY, SP_API_KEY_ID and SP_ORG_ID.",
                )
            body = from_json(await whole_body(reply, MOST_BYTES))
        token = body.get("accessToken") if isinstance(body, dict) else None
        if not isinstance(token, str):
            raise SignalsError("Snowplow's console answered without an accessToken.")
        self._ends = _end(token)
        self._usable_until = max(self._ends - LEAST_SECONDS, now() + LEAST_SECONDS)
        self._token = token
        return token


def _taken_note_of(fetching: asyncio.Task[str]) -> None:
    """Read the error of a task that nobody waits for any more, or asyncio logs it with a trace."""
    if not fetching.cancelled():
        fetching.exception()


def _end(token: str) -> float:
    try:
        return float(jwt.decode(token, options={"verify_signature": False})["exp"])
    except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
        return now() + UNKNOWN_SECONDS  # Signals says where it is over
