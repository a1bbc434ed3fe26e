"""Signals: reached, let in, published as defined, and quick enough."""

from __future__ import annotations

import asyncio
import statistics
import time
from functools import cached_property
from typing import TYPE_CHECKING

from snowplow_signals import SignalsAPIError

from prospect_pipeline.attributes import prospect
from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.doctor.report import Answer, Check, ok, unused, warning, wrong
from prospect_pipeline.doctor.system import System
from prospect_pipeline.doctor.web import is_taken, proxy_of, reach
from prospect_pipeline.errors import NoAnswer, SignalsError, SignalsUnavailable
from prospect_pipeline.settings import DataSettings, DefinitionSettings, SignalsSettings
from prospect_pipeline.signals.client import OnlineAttributes
from prospect_pipeline.signals.deployment import Change, Deployment, plan

if TYPE_CHECKING:
    from prospect_pipeline.signals.connection import Connection

AREA = "Signals"
ADDRESS, CREDENTIALS = f"{AREA} address", f"{AREA} credentials"
PUBLISH = "dagster job execute -m prospect_pipeline.definitions -j deploy_configuration"
NOBODY = "prospect-doctor-nobody"
KEY = "domain_userid"
READS = 5
PATIENCE_MS = 3000
"""Far above any budget: how slow a read is can then be said."""

KINDS = {"signals": "Snowplow Signals", "sandbox": "a sandbox", "local": "the local Signals"}
ADDRESSES = {
    "signals": "check SP_API_URL and the network",
    "sandbox": "check SP_SANDBOX_URL and the network",
    "local": "start it: prospect sandbox (or the whole system: prospect run)",
}
ANEW = "end what listens there, and start the local one anew: prospect sandbox"
UNWELL = ADDRESSES | {"local": ANEW}
"""What helps where something answers at the address, and then no more."""

KEYS = {
    "signals": "check SP_API_KEY, SP_API_KEY_ID and SP_ORG_ID",
    "sandbox": "check SP_SANDBOX_TOKEN",
    "local": ANEW,
}
STRANGE = "what answers is not Signals, or another version of it"
STRANGERS = {
    "signals": "check SP_API_URL, and that the installed snowplow-signals is of its version",
    "sandbox": "check SP_SANDBOX_URL, and that the installed snowplow-signals is of its version",
    "local": ANEW,
}


def checks(system: System) -> list[Check]:
    """Return the checks of Signals."""
    seen = _Signals(system)
    kind = system[SignalsSettings].target
    known = (CREDENTIALS,)
    return [
        Check(AREA, "address", seen.address, ADDRESSES[kind]),
        Check(AREA, "credentials", seen.credentials, UNWELL[kind], after=(ADDRESS,)),
        Check(AREA, "attributes", seen.group, f"publish them: {PUBLISH}", after=known),
        Check(AREA, "backfill", seen.backfill, "", after=(f"{AREA} attributes",)),
        Check(AREA, "service", seen.service, f"publish it: {PUBLISH}", after=known),
        Check(
            AREA,
            "read",
            seen.read,
            "see Signals' status, and that the attributes are published",
            after=(f"{AREA} attributes",),
        ),
    ]


class _Signals:
    """Signals, as it answers to what is defined here."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.settings = system[SignalsSettings]
        self.definition = system[DefinitionSettings]

    @property
    def at(self) -> Connection:
        return self.system.signals

    @cached_property
    def planned(self) -> Deployment:
        """What a deployment would do; nothing is published."""
        defined = prospect.attribute_group(self.definition), prospect.service(self.definition)
        return plan(self.at.sdk(), *defined)

    def address(self) -> Answer:
        try:
            url, kind = self.at.url, self.at.kind
        except SignalsUnavailable:
            root = self.system[DataSettings].root
            return wrong(f"no local Signals runs for {root}", ADDRESSES["local"])
        proxy = proxy_of(url)
        through = f", through the proxy {proxy}" if proxy else ""
        try:
            reach(url)
        except NoAnswer as error:
            remedy = ANEW if kind == "local" and is_taken(url) else ADDRESSES[kind]
            too = ", HTTP(S)_PROXY and NO_PROXY too" if proxy else ""
            return wrong(f"{error}{through}", f"{remedy}{too}")
        return ok(f"{KINDS[kind]} answers at {url}{through}")

    def credentials(self) -> Answer:
        try:
            if self.at.credentials is not None:
                asyncio.run(self._token())
        except SignalsUnavailable as error:  # it says nothing of the credentials
            return wrong(error.found, UNWELL[self.at.kind])
        except SignalsError as error:
            return wrong(error.found, KEYS[self.at.kind])
        return self._taken()

    def group(self) -> Answer:
        change = self.planned.changes[0]
        what = f"{change.name} version {change.version}"
        if change.conflict is not None:
            remedy = f"raise SIGNALS_GROUP_VERSION, then publish: {PUBLISH}"
            return wrong(change.conflict.found, remedy)
        return _published(change, what)

    def service(self) -> Answer:
        change = self.planned.changes[1]
        return _published(change, change.name)

    def backfill(self) -> Answer:
        since = self.planned.backfill_since
        if self.at.kind == "local":
            return unused("the local Signals counts every event that it holds")
        if since is None:
            return warning(
                "no backfill date: Signals counts only since the attributes were published, so for "
                "30 days it serves less than was trained on",
                "set SIGNALS_BACKFILL_SINCE to a date at least 30 days ago before publishing; for "
                "a version that is published, raise SIGNALS_GROUP_VERSION too",
            )
        if self.planned.warnings:
            return warning(self.planned.warnings[0], "set SIGNALS_BACKFILL_SINCE as published")
        return ok(f"Signals counts since {since:%Y-%m-%d}")

    def read(self) -> Answer:
        group = GroupVersion.of(prospect.attribute_group(self.definition))
        there, took = asyncio.run(self._read(group))
        missing = [name for name in group.attributes if name not in there]
        if missing:
            return wrong(f"it answers without {', '.join(missing)}", f"publish them: {PUBLISH}")
        allowed = self.system.running.timeout_ms
        if allowed:
            return judged(took, allowed, "that the running service allows")
        return judged(took, self.settings.timeout_ms, "of SIGNALS_TIMEOUT_MS")

    def _taken(self) -> Answer:
        """What follows from the first that is asked with the credentials."""
        kind = self.at.kind
        try:
            nothing = all(change.action == "create" for change in self.planned.changes)
            strange = nothing and self._pages()
        except SignalsUnavailable as error:
            return wrong(error.found, UNWELL[kind])
        except SignalsError as error:
            if _status(error) in (401, 403):
                return wrong(error.found, KEYS[kind])
            return wrong(f"{STRANGE}: {error.found}", STRANGERS[kind])
        except ValueError as error:  # its words hold what was answered
            found = f"{STRANGE}: its answer is of another shape ({type(error).__name__})"
            return wrong(found, STRANGERS[kind])
        if strange:
            return wrong(f"{STRANGE}: it answers 404 with a page", STRANGERS[kind])
        return ok("a token was fetched, and taken" if self.at.credentials else "the token is taken")

    def _pages(self) -> bool:
        """Whether there is only a page that says 404, where Signals says so as JSON."""
        group = prospect.attribute_group(self.definition)
        try:
            self.at.sdk().get_attribute_group(group.name, group.version)
        except SignalsAPIError as error:
            return error.status_code == 404 and isinstance(error.message, str)  # else it is JSON
        return False

    async def _token(self) -> None:
        online = self._online()
        try:
            await online.renew()
        finally:
            await online.close()

    async def _read(self, group: GroupVersion) -> tuple[set[str], float]:
        """Return the names of what a read gives, and the milliseconds that a later one takes."""
        online = self._online()
        try:
            values = await online.read(NOBODY, group)  # connects, and looks the group up
            took = [await _timed(online, group) for _ in range(READS)]
        finally:
            await online.close()
        return set(values.attributes), statistics.median(took)

    def _online(self) -> OnlineAttributes:
        return OnlineAttributes(lambda: self.at, self.definition.service_name, KEY, PATIENCE_MS)


def judged(took: float, budget: int, whose: str) -> Answer:
    """Judge how many milliseconds a read takes by what a scoring service allows."""
    found = f"a read takes {took:.1f} ms of the {budget} ms {whose}"
    remedy = "run nearer to Signals, or start the service with more: SIGNALS_TIMEOUT_MS"
    if took > budget:
        return wrong(found, remedy)
    return warning(found, remedy) if took > budget / 2 else ok(found)


def _status(error: SignalsError) -> int | None:
    """Return what Signals answered where that became this error."""
    answered = error.__context__
    return answered.status_code if isinstance(answered, SignalsAPIError) else None


async def _timed(online: OnlineAttributes, group: GroupVersion) -> float:
    started = time.perf_counter()
    await online.read(NOBODY, group)
    return (time.perf_counter() - started) * 1000


def _published(change: Change, what: str) -> Answer:
    if change.action == "unchanged":
        return ok(f"{what} is published as it is defined")
    if change.action == "update":
        found = f"{what} differs from what is defined in {', '.join(change.differs)}"
        harmless = set(change.differs) <= {"owner", "description"}
        return (warning if harmless else wrong)(found, f"publish it anew: {PUBLISH}")
    return wrong(f"{what} is not published", f"publish it: {PUBLISH}")
