"""Reading attributes online, fast, many at a time, and never for longer than a time budget."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import aiohttp
from pydantic_core import from_json, to_json

from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.errors import SignalsError, SignalsRefused, SignalsUnavailable
from prospect_pipeline.signals.breaker import Breaker
from prospect_pipeline.signals.connection import Connection
from prospect_pipeline.signals.link import Link
from prospect_pipeline.signals.replies import (
    MOST_BYTES,
    MOST_BYTES_ALTOGETHER,
    OnlineValues,
    decode,
    whole_body,
)

DROPPED = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
"""A kept connection that the other side closed just as it was used: a read can be asked again."""

CALLS_AT_ONCE = 4
"""Of one caller's many identifiers: each call answers soon, and others have theirs in between."""

REFUSED = (400, 413, 422)
"""Statuses that are about what was asked, and say nothing of how Signals is."""

Found = OnlineValues | SignalsRefused
T = TypeVar("T")

logger = logging.getLogger("prospect.signals")


class OnlineAttributes:
    """The attributes of a group's version, or of one service, read within a time budget.

    A version is read as such, by the names of its attributes, and not through a service: what a
    service gives changes with the service, and a published version's definition never does.
    At most ``together`` identifiers are asked for in one call; ``observe`` is told of each call how
    many they were and how many seconds it took.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        service: str,
        key: str,
        timeout_ms: int,
        breaker: Breaker | None = None,
        together: int = 32,
        observe: Callable[[int, float], None] = lambda _identifiers, _seconds: None,
    ) -> None:
        self.service = service
        self.key = key
        self.budget = timeout_ms / 1000
        self.breaker = breaker or Breaker(0, 0)
        self.together = together
        self.observe = observe
        self.link = Link(connect)
        self._published: dict[GroupVersion, bool] = {}

    async def read(self, identifier: str, group: GroupVersion | None = None) -> OnlineValues:
        """Return one identifier's values; raises as `read_each` does, and SignalsRefused."""
        [values] = await self.read_each([identifier], group)
        if isinstance(values, SignalsRefused):
            raise values
        return values

    async def read_each(
        self, identifiers: Sequence[str], group: GroupVersion | None = None
    ) -> list[Found]:
        """Return values for callers who know nothing of each other, all within the budget.

        Of a group's version, of the service where none is named. ``identifiers`` are distinct, and
        ``together`` at most: they share a call. Those whom Signals refuses together are asked for
        one by one, and whom it refuses then has the refusal.

        An unknown identifier has nulls. Raises SignalsUnavailable where there is no answer in time,
        SignalsError where Signals refuses whoever asks, or does not have the version published.
        """
        with self._asking(counted=True):
            return await self._confirmed(self._read_each_in_time(identifiers, group), group)

    async def read_all(
        self, identifiers: Sequence[str], group: GroupVersion | None = None
    ) -> list[OnlineValues]:
        """Return the values of a caller's many distinct identifiers; raises where one has none.

        A few calls are under way at a time, each within the budget; the first that fails ends it.
        What fails is not counted by the breaker: many at once may be too much for a Signals that
        answers single callers well. Raises as `read_each` does, and SignalsRefused.
        """
        few = asyncio.Semaphore(CALLS_AT_ONCE)

        async def read_from(start: int) -> list[OnlineValues]:
            async with few, asyncio.timeout(self.budget):
                part = identifiers[start : start + self.together]
                return await self._read_again_if_dropped(part, group)

        with self._asking(counted=False):
            parts = [read_from(start) for start in range(0, len(identifiers), self.together)]
            found = await self._confirmed(_all_of(parts), group)
        return [values for part in found for values in part]

    async def push(self, identifier: str, intervention: dict[str, Any]) -> bool:
        """Push an intervention to whoever waits for an identifier; returns whether anyone has it.

        Raises SignalsUnavailable or SignalsError.
        """
        try:
            async with (
                asyncio.timeout(self.budget),
                await self.link.call(
                    "POST", "interventions", to_json(intervention), {self.key: identifier}
                ) as reply,
            ):
                if reply.status != 200:
                    raise SignalsError(f"Signals refused an intervention ({reply.status}).")
                said = from_json(await whole_body(reply, MOST_BYTES))
                return bool(said.get("status") == "success")
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
        path = f"registry/attribute_groups/{group.name}/versions/{group.version}"
        try:
            async with asyncio.timeout(self.budget), await self.link.call("GET", path) as reply:
                if reply.status == 404:
                    return False
                if reply.status == 200:
                    said = from_json(await whole_body(reply, MOST_BYTES_ALTOGETHER))
                    return bool(said.get("is_published"))
                unclear = str(reply.status)
        except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError) as error:
            unclear = type(error).__name__
        raise SignalsUnavailable(f"Signals does not say whether {group} is published ({unclear}).")

    async def renew(self) -> None:
        """Fetch the token where it ends soon; raises SignalsError or SignalsUnavailable."""
        await self.link.renew()

    async def close(self) -> None:
        """Close the pooled connections."""
        await self.link.close()

    @contextmanager
    def _asking(self, *, counted: bool) -> Iterator[None]:
        """Ask the breaker, and say in our own errors what goes wrong; failures may count there."""
        ticket = self.breaker.admit(counted=counted)
        try:
            yield
        except SignalsRefused:
            raise
        except SignalsError as problem:
            if counted:
                self.breaker.failed(problem, ticket)
            raise
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self.link.forget()
            unavailable = SignalsUnavailable(self._in_words(error))
            if counted:
                self.breaker.failed(unavailable, ticket)
            raise unavailable from None
        self.breaker.succeeded()

    async def _confirmed(self, reading: Coroutine[Any, Any, T], group: GroupVersion | None) -> T:
        """Return what is read; beside the first read of a version, it is looked up."""
        if group is None or self._published.get(group):
            return await reading
        read = asyncio.create_task(reading)
        try:
            found, _ = await asyncio.gather(read, self.confirm(group))
        except BaseException:
            read.cancel()  # and no more; looking up goes on, and what it finds is kept
            raise
        return found

    async def _read_each_in_time(
        self, identifiers: Sequence[str], group: GroupVersion | None
    ) -> list[Found]:
        async with asyncio.timeout(self.budget):  # over second tries and a token too
            try:
                return [*await self._read_again_if_dropped(identifiers, group)]
            except SignalsRefused as refusal:
                if len(identifiers) == 1:
                    return [refusal]
            return await _all_of([self._read_alone(each, group) for each in identifiers])

    async def _read_alone(self, identifier: str, group: GroupVersion | None) -> Found:
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
        wanted = {"service": self.service} if group is None else {"attributes": group.qualified}
        body = to_json({**wanted, "attribute_keys": {self.key: identifiers}})
        began = time.perf_counter()
        try:
            async with await self.link.call("POST", "get-online-attributes", body) as reply:
                if reply.status == 200:
                    return await decode(reply, self.key, identifiers)
                if reply.status != 401 or not retry:
                    raise self._problem(reply.status, group)
                self.link.refused(reply)
        finally:
            self.observe(len(identifiers), time.perf_counter() - began)
        return await self._read(identifiers, group, retry=False)

    def _problem(self, status: int, group: GroupVersion | None) -> SignalsError:
        self.link.forget()  # something else may have taken a local one's place
        if status >= 500:
            return SignalsUnavailable(f"Signals answered {status}.")
        if group is not None and self._published.get(group):
            del self._published[group]  # to be looked up again with the next read
        what = group or f"service '{self.service}'"
        kind = SignalsRefused if status in REFUSED else SignalsError
        return kind(
            f"Signals refused {what} ({status}). Is it published, and are the credentials right?"
        )

    def _in_words(self, error: Exception) -> str:
        name = type(error).__name__
        if isinstance(error, TimeoutError):
            return f"Signals gave no answer within {self.budget} s."
        if isinstance(error, aiohttp.ClientError):
            return f"Signals cannot be reached, or broke off ({name})."
        return f"Signals gave an answer that cannot be read ({name})."


async def _all_of(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return what every call gives; the first that fails ends the others, and is raised."""
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
