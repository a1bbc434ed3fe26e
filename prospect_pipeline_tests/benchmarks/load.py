"""HTTP load: as many requests as some connections can make, or a steady pace.

The first is made by ``wrk`` where it is installed, and by the Python client otherwise; the second
by that client always. Anything but an answer 200 ends it with `LoadFailed`.
"""

import asyncio
import gc
import json
import math
import selectors
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from prospect_pipeline_tests.benchmarks.client import (
    LoadFailed,
    Measured,
    Target,
    keeping_pace,
    pressing,
)

WRK = shutil.which("wrk")
SCRIPT = Path(__file__).with_name("load.lua")
BY = "wrk" if WRK else "a Python client (wrk is not installed)"


def press(target: Target, connections: int, seconds: float) -> Measured:
    """Ask as much as so many connections can, by wrk where there is one."""
    if WRK is not None:
        return _by_wrk(target, connections, seconds)
    with _undisturbed(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(pressing(target, connections, seconds))


def keep_pace(target: Target, a_second: float, seconds: float) -> Measured:
    """Ask at a steady pace, by a loop that wakes at fractions of a millisecond."""
    with _undisturbed(), asyncio.Runner(loop_factory=_fine_loop) as runner:
        return runner.run(keeping_pace(target, a_second, seconds))


def _fine_loop() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold back the collector, whose pauses would be taken for the server's."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _by_wrk(target: Target, connections: int, seconds: float) -> Measured:
    assert WRK is not None
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as bodies:
        bodies.write("\n".join(target.bodies))
        bodies.flush()
        how = ["-t1", f"-c{connections}", f"-d{math.ceil(seconds)}s", "--timeout", "10s"]
        done = subprocess.run(
            [WRK, *how, "-s", str(SCRIPT), target.url, "--", bodies.name],
            capture_output=True, text=True, check=False, timeout=seconds + 30,
        )  # fmt: skip
    if done.returncode:
        raise LoadFailed(f"wrk ended with status {done.returncode}: {done.stderr or done.stdout}")
    return parse_wrk(done.stdout)


def parse_wrk(printed: str) -> Measured:
    """Read what `SCRIPT` has wrk print at last; raises LoadFailed where a request failed."""
    found = json.loads(printed.splitlines()[-1])
    failed = {kind: count for kind, count in found["errors"].items() if count}
    if failed:
        raise LoadFailed(f"Of wrk's {found['requests']} requests some failed, by kind: {failed}.")
    if not found["requests"]:
        raise LoadFailed("None of wrk's requests was answered in time.")
    return Measured(
        found["requests"],
        found["requests"] / found["microseconds"] * 1e6,
        *(found[name] / 1e3 for name in ("p50", "p95", "p99")),
    )
