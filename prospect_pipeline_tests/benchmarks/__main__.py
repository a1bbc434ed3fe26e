"""Measure, and print a table. Nothing is asserted: what is wanted of a ratio stands beside it.

``--large`` adds the training set of 100 million events (about 20 minutes and 15 GB of disk),
``--long`` a run of 300,000 requests to the service.
"""

import argparse
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from prospect_pipeline.sandbox.generator import generate
from prospect_pipeline_tests.benchmarks import collecting, load, serving, shapes, training

END = datetime(2026, 5, 1, tzinfo=UTC)
USERS = 80_000
CONSOLE = Console(width=160)
PARTS = ("serving", "collecting", "training")


def generating(table: Table, folder: Path) -> None:
    """Add a row: generated events."""
    started = time.perf_counter()
    made = generate(USERS, 0, END, folder / "events.parquet")
    took = time.perf_counter() - started
    table.add_row("generate events", f"{made.events:,} in {took:.1f} s")


def training_sets(table: Table, folder: Path, *, large: bool) -> None:
    """Add rows: training sets. The heavy one leaves the machine short of memory for a while."""
    for name, shape, joins in (("many", shapes.MANY, 3), ("heavy", shapes.HEAVY, 1)):
        CONSOLE.print(f"Training sets of {shape[0]:,} events, the self join among them ...")
        training.compare(table, name, shape, folder, joins)
    training.scale(table, folder, large=large)


def asked_for() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure, and print a table.")
    parser.add_argument("--only", choices=PARTS, help="measure this part alone")
    parser.add_argument("--large", action="store_true", help="add 100,000,000 events")
    parser.add_argument("--long", action="store_true", help="ask the service 300,000 times in all")
    return parser.parse_args()


def main() -> None:
    """Run every benchmark, or one part."""
    asked = asked_for()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    parts = (asked.only,) if asked.only else PARTS
    title = f"prospect scoring; the service's load by {load.BY}"
    table = Table("what", "measured", "against", "ratio", "wanted", title=title)
    table.title_justify = "left"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if "serving" in parts:
            CONSOLE.print("The scoring service, about four minutes ...")
            serving.serve(table, long=asked.long)
        if "collecting" in parts:
            collecting.collect(table)
        if "training" in parts:
            if "serving" in parts:
                CONSOLE.print(table)
            generating(table, folder)
            training_sets(table, folder, large=asked.large)
    CONSOLE.print(table)


if __name__ == "__main__":
    main()
