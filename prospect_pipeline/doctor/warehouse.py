"""The warehouse: whether there are events to train on, and how old the last one is."""

from __future__ import annotations

from datetime import timedelta

from prospect_pipeline.doctor.report import Answer, Check, ok, warning
from prospect_pipeline.doctor.system import System
from prospect_pipeline.errors import EventsError
from prospect_pipeline.settings import Clock, DataSettings, TrainingSettings
from prospect_pipeline.warehouse.base import Warehouse
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse, embedded_events

AREA = "warehouse"
FILL = "load some: prospect run --events FILE (without a file it generates visitors)"
AHEAD = "set this machine's clock, or see what dates the events (derived_tstamp)"
UNSET = "unset PROSPECT_CLOCK, or set it to a moment after the first of them"
MINUTE = "%Y-%m-%d %H:%M UTC"
SECONDS = 60


def checks(system: System) -> list[Check]:
    """Return the checks of the embedded warehouse."""
    return [Check(AREA, "events", lambda: _embedded(system), FILL, seconds=SECONDS)]


def last_event(warehouse: Warehouse, system: System) -> Answer:
    """Judge how many events there are, and how old the last one is; raises EventsError for none.

    One that is dated ahead says nothing of whether others arrive.
    """
    span, clock = warehouse.span(), system[Clock]
    now = clock.now(span.last)
    there = f"{span.events:,} events in {warehouse.place}"
    if now < span.first:
        ahead = f"all of them dated ahead: the first is of {span.first:{MINUTE}}"
        whose, remedy = ("", AHEAD) if clock.setting == "wall" else (" by PROSPECT_CLOCK", UNSET)
        return warning(f"{there}, {ahead}, and now is {now:{MINUTE}}{whose}", remedy)
    last = span.last if span.last <= now else warehouse.span(until=now).last
    age, allowed = now - last, system[TrainingSettings].freshness_hours
    found = f"{there}, the last {last:{MINUTE}} ({_ago(age)})"
    if age / timedelta(hours=1) <= allowed:
        return ok(found)
    return warning(
        f"{found}: more than {allowed:g} h",
        "see whether tracking and loading still run, or allow more (PROSPECT_FRESHNESS_HOURS)",
    )


def _ago(age: timedelta) -> str:
    minutes = int(age / timedelta(minutes=1))
    if minutes < 1:
        return "less than a minute ago"
    if minutes < 60:
        return f"{minutes} minute{'' if minutes == 1 else 's'} ago"
    return f"{age / timedelta(hours=1):,.1f} h ago"


def _embedded(system: System) -> Answer:
    folder = embedded_events(system[DataSettings])
    if not folder.is_dir():
        return warning(f"no events yet: there is no {folder}", FILL)
    try:
        return last_event(DuckDBWarehouse(folder), system)
    except EventsError as error:
        return warning(error.found, FILL)
