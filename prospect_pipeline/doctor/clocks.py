"""Clocks: this machine's against those of whoever it works with, and what counts as now."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from prospect_pipeline.doctor.registry import ADDRESS as REGISTRY
from prospect_pipeline.doctor.report import Answer, Check, ok, unused, warning, wrong
from prospect_pipeline.doctor.service import LIVE
from prospect_pipeline.doctor.signals import ADDRESS as SIGNALS
from prospect_pipeline.doctor.snowflake import CONNECTION as SNOWFLAKE
from prospect_pipeline.doctor.system import System
from prospect_pipeline.doctor.web import Reply, reach
from prospect_pipeline.settings import Clock, RegistrySettings, SnowflakeSettings

AREA = "clock"
SOME, MUCH = 2.0, 60.0
"""Seconds apart: tokens end, and windows begin, at another moment than is meant."""

HEADER_SECONDS = 2.0
"""A Date header is in whole seconds, and servers make a new one but once a second."""

SET = "set the clocks: let NTP (chrony, systemd-timesyncd) keep this machine's"
Bounds = tuple[float, float]


def checks(system: System) -> list[Check]:
    """Return the checks of the clocks."""
    found = [
        Check(AREA, "now", lambda: _now(system[Clock]), "unset PROSPECT_CLOCK"),
        Check(AREA, "Signals", lambda: _over_http(system.signals.url), SET, (SIGNALS,)),
        Check(AREA, "service", lambda: _over_http(str(system.service)), SET, (LIVE,)),
    ]
    if system.has(RegistrySettings):
        uri = system[RegistrySettings].tracking_uri or ""
        if uri.startswith("http"):
            found.append(Check(AREA, "MLflow", lambda: _over_http(uri), SET, (REGISTRY,)))
    if system.has(SnowflakeSettings) and system[SnowflakeSettings].configured:
        found.append(Check(AREA, "Snowflake", lambda: _of_snowflake(system), SET, (SNOWFLAKE,)))
    return found


def judged(bounds: Bounds) -> Answer:
    """Judge how far another clock is ahead, of which only the bounds are known (seconds)."""
    low, high = bounds
    apart = low if low > 0 else high if high < 0 else 0.0
    words = f"{abs(apart):,.1f} s {'ahead of' if apart > 0 else 'behind'} this machine's, at least"
    if abs(apart) > MUCH:
        return wrong(words, SET)
    return warning(words, SET) if abs(apart) > SOME else ok("within 2 s of this machine's")


def from_header(reply: Reply) -> Bounds | None:
    """Return the bounds of how far a server's clock is ahead; None where it does not say."""
    try:
        told = parsedate_to_datetime(reply.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return None
    return told - reply.answered, told + HEADER_SECONDS - reply.asked


def _over_http(url: str) -> Answer:
    bounds = from_header(reach(url))
    return judged(bounds) if bounds else unused("it does not say what time it has")


def _of_snowflake(system: System) -> Answer:
    return judged(_bounds(lambda: _moment(system)))


def _bounds(ask: Callable[[], datetime]) -> Bounds:
    asked = time.time()
    told = ask().timestamp()
    return told - time.time(), told - asked


def _moment(system: System) -> datetime:
    [(moment,)] = system.snowflake.cursor().execute("SELECT CURRENT_TIMESTAMP()").fetchall()
    told: datetime = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return told


def _now(clock: Clock) -> Answer:
    if clock.setting == "wall":
        return ok("now is the wall clock's")
    meant = "the last event" if clock.setting == "last-event" else clock.setting
    words = f"PROSPECT_CLOCK: what is scored and read is as of {meant}, and not as of now"
    return warning(words, "unset PROSPECT_CLOCK where visitors of today are scored")
