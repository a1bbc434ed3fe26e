"""The way to Signals: one pooled, keep-alive connection, and the token that goes with each call.

The calls are those of the Signals SDK. It opens a connection for each, and brings pandas with it:
the service, which is to be quick and small, does without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp

from prospect_pipeline.errors import SignalsUnavailable
from prospect_pipeline.signals.connection import Connection, proxy_for
from prospect_pipeline.signals.tokens import Tokens

KEEP_SECONDS = 50
"""How long an unused connection is kept: load balancers commonly close theirs after a minute."""

JSON = "application/json"


class Link:
    """Calls Signals; whoever calls bounds the time.

    ``connect`` is asked again for the connection after `forget`: a local Signals may have been
    started anew at another address. A call raises what it raises, and what aiohttp raises.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self.connect = connect
        self._connection: Connection | None = None
        self._proxies: dict[str, str | None] = {}
        self._session: aiohttp.ClientSession | None = None
        self._tokens = Tokens(self.fetch)

    async def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        params: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Return a call to a path of Signals' API, to be entered, with the token of now."""
        connection = self._connection = self._connection or self.connect()
        headers = {"Authorization": f"Bearer {await self._bearer(connection)}"}
        if body is not None:
            headers["Content-Type"] = JSON
        return self.fetch(
            method, f"{connection.url}/api/v1/{path}", headers, data=body, params=params
        )

    def fetch(
        self, method: str, url: str, headers: Mapping[str, str], **more: Any
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Return a request to an address, which follows to no other: its headers are secret."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # each call has its own
            )
        if url not in self._proxies:
            self._proxies[url] = proxy_for(url)
        return self._session.request(
            method, url, headers=headers, proxy=self._proxies[url], allow_redirects=False, **more
        )

    def forget(self) -> None:
        """Ask for the connection anew with the next call."""
        self._connection = None

    def refused(self, reply: aiohttp.ClientResponse) -> None:
        """Take note of a 401: its token is not used again, and the connection asked for anew."""
        self._tokens.refused(reply.request_info.headers["Authorization"].removeprefix("Bearer "))
        self.forget()

    async def renew(self) -> None:
        """Fetch the token where it is about to expire, so that no request waits for it.

        Raises SignalsError or SignalsUnavailable.
        """
        try:
            connection = self._connection = self._connection or self.connect()
            if connection.credentials is not None:
                await self._tokens.renew(connection.credentials)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise SignalsUnavailable(
                f"Snowplow's console gave no token ({type(error).__name__})."
            ) from None

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._tokens.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _bearer(self, connection: Connection) -> str:
        if connection.credentials is None:
            assert connection.token is not None
            return connection.token.get_secret_value()
        return await self._tokens.current(connection.credentials)
