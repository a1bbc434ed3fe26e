"""Where data is kept, and what counts as now."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from prospect_pipeline.settings.base import _Settings, parse_moment

DEMO_USERS = 60_000
DEMO_SEED = 0


def _parse_clock(text: str) -> str:
    if text not in ("wall", "last-event"):
        parse_moment(text)
    return text


ClockSetting = Annotated[str, AfterValidator(_parse_clock)]


class DataSettings(_Settings):
    """Where the embedded defaults keep everything."""

    data_dir: Path = Field(Path("data"), validation_alias="PROSPECT_DATA_DIR")
    memory_limit: Annotated[str, Field(pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$")] = Field(
        "4GB", validation_alias="PROSPECT_MEMORY_LIMIT"
    )

    @property
    def root(self) -> Path:
        """The data directory as an absolute path."""
        return self.data_dir.expanduser().resolve()

    @property
    def run_file(self) -> Path:
        """Where `prospect run` says, as long as it runs, at which address each service is."""
        return self.root / "run.json"


class Clock(_Settings):
    """What everything takes as now: the wall clock, the last event, or a fixed moment."""

    setting: ClockSetting = Field("wall", validation_alias="PROSPECT_CLOCK")

    @property
    def needs_events(self) -> bool:
        """Whether `now` needs to be told when the last event was."""
        return self.setting == "last-event"

    def now(self, last_event: datetime | None = None) -> datetime:
        """Return the moment in UTC; ``last_event`` is needed for ``last-event`` alone."""
        if self.setting == "last-event" and last_event is not None:
            return last_event
        if self.setting in ("wall", "last-event"):
            return datetime.now(UTC)
        return parse_moment(self.setting)
