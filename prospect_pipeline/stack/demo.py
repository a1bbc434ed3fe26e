"""The events of the demo: generated, and loaded into the local Signals' store."""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from prospect_pipeline.sandbox.generator import generate
from prospect_pipeline.sandbox.store import EventStore, Loaded
from prospect_pipeline.settings import DEMO_SEED, DEMO_USERS, DataSettings
from prospect_pipeline.warehouse.base import just_after
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse, embedded_events

T = TypeVar("T")


class DemoEvents:
    """Generated events for an embedded warehouse that has none."""

    def fill_if_empty(self, say: Callable[[str], None]) -> bool:
        """Fill the data directory's store where there are no events; return whether it was."""
        store = EventStore(DataSettings.load())
        if not store.is_empty:
            return False
        say("The embedded warehouse is empty: generating events of visitors for the demo.")
        load_demo(store, datetime.now(UTC), say)
        return True


def load_events(data: DataSettings, file: Path | None) -> tuple[Loaded, datetime]:
    """Load a file's events, or the demo's up to now; return what, and as-of by default."""
    store = EventStore(data)
    loaded = store.load(file) if file else load_demo(store, datetime.now(UTC), print_line)
    held = DuckDBWarehouse(embedded_events(data))
    return loaded, just_after(held.span(), held.span)


def sample_visitors(data: DataSettings, count: int) -> list[str]:
    """Return a few visitors that the events know."""
    return EventStore(data).sample_keys(count)


def in_child(work: Callable[..., T], *arguments: Any) -> T:
    """Do a piece of work in a process of its own, whose memory is free again afterwards."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as child:
        return child.submit(work, *arguments).result()


def print_line(message: str) -> None:
    """Print progress, as the console's lines are."""
    sys.stdout.write(f"  {message}\n")
    sys.stdout.flush()


def load_demo(store: EventStore, end: datetime, say: Callable[[str], None]) -> Loaded:
    """Generate the demo's events up to a moment, and load them in place of the last ones.

    What was collected stays: a visitor of the demo website is known again after a restart.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = generate(DEMO_USERS, DEMO_SEED, end, Path(folder) / "events.parquet", say)
        return store.load(made.path, keep_collected=True)
