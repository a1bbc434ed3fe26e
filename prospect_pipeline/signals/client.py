"""Reading attributes online, fast: one pooled, keep-alive, asynchronous connection.

The requests and the reply's shape are those of the Signals SDK, which opens a connection for every
call and is used everywhere but here.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
from pydantic_core import to_json

from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.errors import SignalsError, SignalsRefused, SignalsUnavailable
from prospect_pipeline.signals.breaker import Breaker
from prospect_pipeline.signals.connection import Connection
from prospect_pipeline.signals.replies import OnlineValues, decode
from prospect_pipeline.signals.tokens import Tokens

DROPPED = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
"""A kept connection that the other side closed just as it was used: a read can be asked again."""

REFUSED = (400, 413, 422)
"""Statuses that are about what was asked, and say nothing of how Signals is."""

KEEP_SECONDS = 50
"""How long an unused connection is kept: load balancers commonly close theirs after a minute."""

logger = logging.getLogger("prospect.signals")


class OnlineAttributes:
    """The attributes of a group's version, or of one service, read within a time budget.

    A version is read as such, by the names of its attributes, and not through a service: what a
    service gives changes with the service, and a published version's definition never does.
    ``connect`` is asked again for the connection after one has failed: a local Signals may have
    been started anew at another address.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        service: str,
        key: str,
        timeout_ms: int,
        breaker: Breaker | None = None,
    ) -> None:
        self.connect = connect
        self.service = service
        self.key = key
        self.budget = timeout_ms / 1000
        self.breaker = breaker or Breaker(0, 0)
        self._connection: Connection | None = None
        self._session: aiohttp.ClientSession | None = None
        self._tokens = Tokens(self._pool)
        self._published: dict[GroupVersion, bool] = {}

    async def read(self, identifier: str, group: GroupVersion | None = None) -> OnlineValues:
        """Return one identifier's values; raises as `read_many` does, and SignalsRefused."""
        [values] = await self.read_many([identifier], group)
        if isinstance(values, SignalsRefused):
            raise values
        return values

    async def read_many(
        self, identifiers: Sequence[str], group: GroupVersion | None = None
    ) -> list[OnlineValues | SignalsRefused]:
        """Return each identifier's values of a group's version, of the service where none is named.

        ``identifiers`` are distinct; all are asked for in one call, and one by one where Signals
        refuses them together: what is wrong with one is no reason to have nothing of the others.
        An unknown identifier has nulls, one that Signals refuses the refusal. Raises
        SignalsUnavailable where there is no answer in time, SignalsError where Signals refuses
        whoever asks, or does not have the version published.
        """
        self.breaker.admit()
        try:
            values = await self._read_confirmed(identifiers, group)
        except SignalsError as problem:
            self.breaker.failed(problem)
            raise
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._connection = None
            unavailable = SignalsUnavailable(
                f"Signals gave no answer within {self.budget} s ({type(error).__name__})."
            )
            self.breaker.failed(unavailable)
            raise unavailable from None
        self.breaker.succeeded()
        return values

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
                timeout=aiohttp.ClientTimeout(total=self.budget),
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
            async with asyncio.timeout(self.budget):
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

    async def _read_confirmed(
        self, identifiers: Sequence[str], group: GroupVersion | None
    ) -> list[OnlineValues | SignalsRefused]:
        if group is None or self._published.get(group):
            return await self._read_in_time(identifiers, group)
        reading = self._read_in_time(identifiers, group)
        values, _ = await asyncio.gather(reading, self.confirm(group))  # in one budget
        return values

    async def _read_in_time(
        self, identifiers: Sequence[str], group: GroupVersion | None
    ) -> list[OnlineValues | SignalsRefused]:
        async with asyncio.timeout(self.budget):  # over a second try and a token too
            try:
                return [*await self._read_again_if_dropped(identifiers, group)]
            except SignalsRefused as refusal:
                if len(identifiers) == 1:
                    return [refusal]
                alone = [self._read_alone(identifier, group) for identifier in identifiers]
                return await asyncio.gather(*alone)

    async def _read_alone(
        self, identifier: str, group: GroupVersion | None
    ) -> OnlineValues | SignalsRefused:
        try:
            [values] = await self._read_again_if_dropped([identifier], group)
        except SignalsRefused as refusal:
            return refusal
        return values

    async def _read_again_if_dropped(
        self, identifiers: Sequence[str], group: GroupVersion | None
    ) -> list[OnlineValues]:
        try:
            return await self._read(identifiers, group)
        except DROPPED:
            return await self._read(identifiers, group)

    async def _read(
        self, identifiers: Sequence[str], group: GroupVersion | None, *, retry: bool = True
    ) -> list[OnlineValues]:
        connection = self._connection = self._connection or self.connect()
        wanted = {"service": self.service} if group is None else {"attributes": group.qualified}
        body = to_json({**wanted, "attribute_keys": {self.key: identifiers}})
        token = await self._bearer(connection)
        async with self._pool().post(
            f"{connection.url}/api/v1/get-online-attributes",
            data=body,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        ) as reply:
            if reply.status == 200:
                return await decode(reply, self.key, identifiers)
            self._connection = None  # something else may have taken a local one's place
            if reply.status == 401 and retry:
                self._tokens.refused(token)
                return await self._read(identifiers, group, retry=False)
            raise self._problem(reply.status, group)

    def _problem(self, status: int, group: GroupVersion | None) -> SignalsError:
        if status >= 500:
            return SignalsUnavailable(f"Signals answered {status}.")
        if group is not None and self._published.get(group):
            del self._published[group]  # to be looked up again with the next read
        what = group or f"service '{self.service}'"
        kind = SignalsRefused if status in REFUSED else SignalsError
        return kind(
            f"Signals refused {what} ({status}). Is it published, and are the credentials right?"
        )

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # each call has its own
            )
        return self._session

    async def _bearer(self, connection: Connection) -> str:
        if connection.credentials is None:
            assert connection.token is not None
            return connection.token.get_secret_value()
        return await self._tokens.current(connection.credentials)
