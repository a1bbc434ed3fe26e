"""Every check there is, in the order in which one leads to the next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from prospect_pipeline.doctor import (
    automation,
    clocks,
    folder,
    registry,
    service,
    signals,
    snowflake,
    variables,
    warehouse,
)
from prospect_pipeline.doctor.examination import examine
from prospect_pipeline.doctor.report import Check, Finding, Report
from prospect_pipeline.doctor.system import System
from prospect_pipeline.settings import (
    AutomationSettings,
    Clock,
    DataSettings,
    DefinitionSettings,
    RegistrySettings,
    ServingSettings,
    SignalsSettings,
    SnowflakeSettings,
    TrainingSettings,
    _Settings,
)

CLOSING_SECONDS = 5


def examined(data_dir: Path | None, tell: Callable[[Finding], None]) -> Report:
    """Make every check, and tell each finding as soon as it is known; nothing is changed."""
    closing = ExitStack()
    report = examine(checks(System(data_dir, closing)), tell)
    ending = threading.Thread(target=closing.close, daemon=True)
    ending.start()  # a connection that hangs may hang in its end too
    ending.join(CLOSING_SECONDS)
    return report


def checks(system: System) -> list[Check]:
    """Return every check; those of an area whose settings cannot be read are named, not made."""
    found = variables.checks(system)
    for build, area, needed in AREAS:
        if system.has(*needed):
            found += build(system)
        else:
            found.append(Check(area, "as a whole", list, "", after=(variables.UNREAD,)))
    return found


def _warehouse(system: System) -> list[Check]:
    configured = system[SnowflakeSettings].configured
    return snowflake.checks(system) if configured else warehouse.checks(system)


Area = tuple[Callable[[System], list[Check]], str, tuple[type[_Settings], ...]]

SIGNALS = (DataSettings, SignalsSettings, DefinitionSettings)
EVENTS = (DataSettings, SnowflakeSettings, DefinitionSettings, TrainingSettings, Clock)
AREAS: tuple[Area, ...] = (
    (folder.checks, folder.AREA, (DataSettings,)),
    (signals.checks, signals.AREA, SIGNALS),
    (_warehouse, warehouse.AREA, EVENTS),
    (registry.checks, registry.AREA, (DataSettings, RegistrySettings)),
    (service.checks, service.AREA, (DataSettings, AutomationSettings, ServingSettings)),
    (clocks.checks, clocks.AREA, (Clock,)),
    (automation.checks, automation.AREA, (DataSettings, AutomationSettings)),
)
"""Each area, and the settings without which nothing can be said of it.

What one of its checks needs beyond them is for what that check comes ``after``.
"""
