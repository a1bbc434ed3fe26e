"""Reading attributes online, fast: one pooled, keep-alive, asynchronous connection.

The requests and the reply's shape are those of the Signals SDK, which opens a connection for every
call and is used everywhere but here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp

from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.errors import SignalsError, SignalsUnavailable
from prospect_pipeline.settings import parse_moment
from prospect_pipeline.signals.connection import CLOCK_HEADER, Connection
from prospect_pipeline.signals.tokens import Tokens

DROPPED = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
"""A kept connection that the other side closed just as it was used: a read can be asked again."""

logger = logging.getLogger("prospect.signals")


@dataclass(frozen=True)
class OnlineValues:
    """One identifier's raw attribute values, and their moment where Signals says it."""

    attributes: dict[str, Any]
    moment: datetime | None


class OnlineAttributes:
    """The attributes of a group's version, or of one service, read within a time budget.

    A version is read as such, by the names of its attributes, and not through a service: what a
    service gives changes with the service, and a published version's definition never does.
    ``connect`` is asked again for the connection after one has failed: a local Signals may have
    been started anew at another address.
    """

    def __init__(
        self, connect: Callable[[], Connection], service: str, key: str, timeout_ms: int
    ) -> None:
        self.connect = connect
        self.service = service
        self.key = key
        self.timeout = aiohttp.ClientTimeout(total=timeout_ms / 1000)
        self._connection: Connection | None = None
        self._session: aiohttp.ClientSession | None = None
        self._tokens = Tokens(self._pool)
        self._published: dict[GroupVersion, bool] = {}

    async def read(self, identifier: str, group: GroupVersion | None = None) -> OnlineValues:
        """Return one identifier's values of a group's version, of the service where none is named.

        An unknown identifier has nulls. Raises SignalsUnavailable where there is no answer in time,
        SignalsError where Signals refuses or does not have the version published.
        """
        try:
            reading = self._read_in_time(identifier, group)
            if group is None or self._published.get(group):
                return await reading
            values, _ = await asyncio.gather(reading, self.confirm(group))  # in one budget
            return values
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._connection = None
            raise SignalsUnavailable(
                f"Signals gave no answer within {self.timeout.total} s ({type(error).__name__})."
            ) from None

    async def push(self, identifier: str, intervention: dict[str, Any]) -> bool:
        """Push an intervention to whoever waits for an identifier; returns whether anyone has it.

        Raises SignalsUnavailable or SignalsError.
        """
        try:
            connection = self._connection = self._connection or self.connect()
            token = await self._bearer(connection)
            async with self._pool().post(
                f"{connection.url}/api/v1/interventions",
                params={self.key: identifier},
                json=intervention,
                headers={"Authorization": f"Bearer {token}"},
            ) as reply:
                if reply.status != 200:
                    raise SignalsError(f"Signals refused an intervention ({reply.status}).")
                return bool(json.loads(await reply.read()).get("status") == "success")
        except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError) as error:
            raise SignalsUnavailable(
                f"Signals took no intervention ({type(error).__name__})."
            ) from None

    async def confirm(self, group: GroupVersion) -> None:
        """Look up whether a group's version is still published; raises SignalsError if it is not.

        The values of one that was unpublished stay readable, and stand still. A Signals that does
        not say leaves it at what was known, and a version at first is taken as published: a read
        shows whether Signals answers at all.
        """
        try:
            found = await self.is_published(group)
        except SignalsError:
            found = self._published.get(group, True)
        before = self._published.get(group)
        self._published = {group: found}  # of another version it would be out of date, once back
        if not found:
            problem = (
                f"Signals has no published {group}, which the model in use was trained on. Publish "
                "it again, or take a model of a version that is: `prospect promote VERSION`."
            )
            if before is not False:
                logger.warning("%s", problem)
            raise SignalsError(problem)

    async def is_published(self, group: GroupVersion) -> bool:
        """Return whether Signals has a group's version published.

        Raises SignalsUnavailable or SignalsError where Signals does not say within the budget.
        """
        try:
            async with asyncio.timeout(self.timeout.total):
                connection = self._connection = self._connection or self.connect()
                token = await self._bearer(connection)
                async with self._pool().get(
                    f"{connection.url}/api/v1/registry/attribute_groups/{group.name}"
                    f"/versions/{group.version}",
                    headers={"Authorization": f"Bearer {token}"},
                ) as reply:
                    if reply.status == 404:
                        return False
                    if reply.status == 200:
                        return bool(json.loads(await reply.read()).get("is_published"))
                    said = str(reply.status)
        except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError) as error:
            said = type(error).__name__
        raise SignalsUnavailable(f"Signals does not say whether {group} is published ({said}).")

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

    async def _read_in_time(self, identifier: str, group: GroupVersion | None) -> OnlineValues:
        async with asyncio.timeout(self.timeout.total):  # over a second try and a token too
            try:
                return await self._read(identifier, group, retry=True)
            except DROPPED:
                return await self._read(identifier, group, retry=True)

    async def _read(
        self, identifier: str, group: GroupVersion | None, *, retry: bool
    ) -> OnlineValues:
        connection = self._connection = self._connection or self.connect()
        wanted = {"service": self.service} if group is None else {"attributes": group.qualified}
        body = {**wanted, "attribute_keys": {self.key: [identifier]}}
        token = await self._bearer(connection)
        async with self._pool().post(
            f"{connection.url}/api/v1/get-online-attributes",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
        ) as reply:
            if reply.status == 401 and retry:
                self._tokens.refused(token)
                self._connection = None
                return await self._read(identifier, group, retry=False)
            if reply.status != 200:
                self._connection = None  # something else may have taken a local one's place
            if reply.status >= 500:
                raise SignalsUnavailable(f"Signals answered {reply.status}.")
            if reply.status != 200:
                if group is not None and self._published.get(group):
                    del self._published[group]  # to be looked up again with the next read
                what = group or f"service '{self.service}'"
                raise SignalsError(
                    f"Signals refused {what} ({reply.status}). "
                    "Is it published, and are the credentials right?"
                )
            columns = json.loads(await reply.read(), parse_constant=_finite, parse_float=_finite)
            return OnlineValues(_first(columns), _moment(reply.headers.get(CLOCK_HEADER)))

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self.timeout)
        return self._session

    async def _bearer(self, connection: Connection) -> str:
        if connection.credentials is None:
            assert connection.token is not None
            return connection.token.get_secret_value()
        return await self._tokens.current(connection.credentials)


def _first(columns: Any) -> dict[str, Any]:
    """Return the first of each column, as the SDK does for one identifier."""
    if not isinstance(columns, dict):
        raise SignalsUnavailable("Signals answered with something that is not a set of columns.")
    return {
        name: (values[0] if values else None)
        for name, values in columns.items()
        if isinstance(values, list)
    }


def _finite(text: str) -> float | None:
    """Read a number; what is not finite (NaN, Infinity, 1e999) is null, as JSON knows none."""
    number = float(text)
    return number if math.isfinite(number) else None


def _moment(header: str | None) -> datetime | None:
    try:
        return None if header is None else parse_moment(header)
    except ValueError:
        raise SignalsUnavailable(f"Signals answered with a {CLOCK_HEADER} that is none.") from None
