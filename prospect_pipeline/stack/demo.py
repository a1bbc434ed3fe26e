"""The events of the demo: generated, and loaded into the local Signals' store."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from prospect_pipeline.sandbox.generator import generate
from prospect_pipeline.sandbox.store import EventStore, Loaded
from prospect_pipeline.settings import DEMO_SEED, DEMO_USERS, DataSettings


class DemoEvents:
    """Generated events for an embedded warehouse that has none."""

    def fill_if_empty(self, say: Callable[[str], None]) -> bool:
        """Fill the data directory's store where there are no events; return whether it was."""
        store = EventStore(DataSettings.load())
        if store.path.exists():
            return False
        say("The embedded warehouse is empty: generating events of visitors for the demo.")
        load_demo(store, datetime.now(UTC), say)
        return True


def load_demo(store: EventStore, end: datetime, say: Callable[[str], None]) -> Loaded:
    """Generate the demo's events up to a moment, and load them in place of what is there."""
    with tempfile.TemporaryDirectory() as folder:
        made = generate(DEMO_USERS, DEMO_SEED, end, Path(folder) / "events.parquet", say)
        return store.load(made.path)
