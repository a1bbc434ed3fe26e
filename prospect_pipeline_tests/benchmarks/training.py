"""Training sets: seconds and peak memory, against the floor and against the self join.

Each piece of work runs in a process of its own, so that its memory is its own.
"""

import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.table import Table

from prospect_pipeline.attributes import prospect
from prospect_pipeline.settings import DefinitionSettings, TrainingSettings
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse
from prospect_pipeline_tests.benchmarks import shapes

SELF_JOIN_LIMIT = timedelta(minutes=20)
TURNS = 5
SCALES = (1_000_000, 10_000_000)
LARGE = 100_000_000


@dataclass(frozen=True)
class Measured:
    """Seconds, and the most memory that the process ever held, in GB."""

    seconds: float
    memory: float

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {self.memory:.2f} GB"


def build(path: Path, out: Path) -> None:
    """Write the training set of all visitors, with the limit of 100 events in force."""
    group = prospect.attribute_group(DefinitionSettings.load())
    request = DatasetRequest(group, TrainingSettings.load(cohort="all"))
    DuckDBWarehouse(path).write_training_set(request, out)


WORK = {"build": build, "floor": shapes.write_floor, "self_join": shapes.write_self_join}


def measure(work: str, path: Path) -> Measured | None:
    """Run one piece of work over a file of events; None where it took too long or failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.parquet"
        command = [sys.executable, "-m", __spec__.name, work, str(path), str(out)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=SELF_JOIN_LIMIT.total_seconds() if work == "self_join" else None,
            )
        except subprocess.TimeoutExpired:
            return None
    if done.returncode:
        return None
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def _median(found: list[Measured | None]) -> Measured | None:
    """Return the one in the middle, None where one is missing."""
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        return None
    return sorted(known, key=lambda one: one.seconds)[len(known) // 2]


def compare(table: Table, name: str, shape: tuple[int, int], folder: Path, joins: int = 1) -> None:
    """Add a shape's rows: against the floor, and against the self join, each by its median.

    They take turns, so that a machine that is slower for a while is so for all of them.
    """
    path = folder / f"{name}.parquet"
    shapes.write_events(*shape, path)
    took: dict[str, list[Measured | None]] = {work: [] for work in WORK}
    for turn in range(TURNS):
        for work in ("build", "floor", *(["self_join"] if turn < joins else [])):
            took[work].append(measure(work, path))
    built, floor, joined = (_median(took[work]) for work in WORK)
    assert built is not None
    assert floor is not None
    what = "training set, {:,} events of {:,} visitors".format(*shape)
    against = f"read, sort, write: {floor}"
    table.add_row(what, str(built), against, f"{built.seconds / floor.seconds:.1f}")
    slower = "did not finish" if joined is None else f"{joined}"
    ratio = "" if joined is None else f"1/{joined.seconds / built.seconds:.1f}"
    table.add_row("", "", f"self join: {slower}", ratio)


def scale(table: Table, folder: Path, *, large: bool) -> None:
    """Add a row for each size: time per event against that of the smallest."""
    first: float | None = None
    for events in (*SCALES, *((LARGE,) if large else ())):
        path = folder / "scale.parquet"
        shapes.write_events(events, events // 40, path)
        built = measure("build", path)
        assert built is not None
        each = built.seconds / events * 1e6
        first = first or each
        table.add_row(
            f"training set, {events:,} events, 40 of each visitor",
            str(built),
            f"{each:.2f} µs an event; with {SCALES[0]:,}: {first:.2f} µs",
            f"{each / first:.2f}",
        )


def _most_memory() -> float:
    """Return the most memory that this process ever held, in GB.

    On Linux from the process's own record: ``ru_maxrss`` starts at that of whoever started it.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        [kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())
        return int(kilobytes) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Do one piece of work in this process, and say what it took."""
    work, path, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    started = time.perf_counter()
    WORK[work](path, out)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "memory": _most_memory()}))


if __name__ == "__main__":
    main()
