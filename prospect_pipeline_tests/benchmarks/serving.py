"""The scoring service over HTTP: against an empty endpoint, against the tutorial's, and itself.

One worker each unless a row says otherwise; client and stand-in for Signals run beside it. What is
compared takes turns, so that a machine that is slower for a while is so for all; the figures are
medians of the turns.
"""

import json
import random
import statistics
import uuid
from collections.abc import Mapping
from dataclasses import astuple, dataclass

import requests
from rich.table import Table

from prospect_pipeline_tests.benchmarks import load, scored
from prospect_pipeline_tests.benchmarks.client import Measured, Target
from prospect_pipeline_tests.benchmarks.servers import Server, Servers, servers

TURNS, FEW_TURNS = 5, 3
SECONDS, PACE_SECONDS = 3.0, 60.0
CONNECTIONS = {1: "1 connection", 16: "16 connections"}
FIRST, LONG = 10_000, 300_000
"""Requests after which memory is looked at first, and in the long run at last."""

BATCH = 100
EXPLAIN = ', "explain": true'
WANTED = {"p50": "≤ 1.7", "p95": "", "p99": ""}


def serve(table: Table, *, long: bool) -> None:
    """Add every row; ``long`` asks `LONG` times in all before memory is looked at again."""
    with servers() as started:
        scored.score(table, started.model)
        benchmark = Serving(table, started, started.scoring())
        benchmark.ask(FIRST)
        first, asked = benchmark.scoring.memory(), benchmark.asked
        highest = benchmark.against_empty()
        benchmark.against_tutorial()
        benchmark.steadily(highest / 2)
        benchmark.explained()
        benchmark.batched()
        if long:
            benchmark.ask(LONG)
        benchmark.memory(first, asked)
        benchmark.scaled_out()


@dataclass
class Serving:
    """Adds rows to a table, each measured on the scoring service; counts what it was asked."""

    table: Table
    servers: Servers
    scoring: Server
    asked: int = 0

    def ask(self, count: int) -> None:
        """Ask until it was asked so often in all."""
        while self.asked < count:
            self.asked += load.press(predict(self.scoring), 16, SECONDS).requests

    def against_empty(self) -> float:
        """Add rows against an empty endpoint; return the most requests a second."""
        empty = predict(self.servers.empty())
        same = predict(self.servers.empty_alike())
        highest = 0.0
        for connections, words in CONNECTIONS.items():
            targets = {"own": predict(self.scoring), "empty": empty, "same": same}
            found = self.take_turns(targets, connections)
            own, bare, alike = found["own"], found["empty"], found["same"]
            highest = max(highest, own.rate)
            what, wanted = f"/predict, {words}", "≥ 0.65 (beyond: 0.8, 1)"
            self.rates(what, own.rate, "empty BentoML endpoint", bare.rate, wanted)
            self.rates("", own.rate, "one with /predict's settings", alike.rate)
            for name, bound in WANTED.items():
                mine, other = getattr(own, name), getattr(bare, name)
                against = f"empty BentoML endpoint: {other:.2f} ms"
                self.table.add_row("", f"{name} {mine:.2f} ms", against, _ratio(mine, other), bound)
        return highest

    def against_tutorial(self) -> None:
        """Add a row against the tutorial's endpoint, each at the better number of connections."""
        targets = {"own": predict(self.scoring), "tutorial": predict(self.servers.tutorial())}
        found = [self.take_turns(targets, connections, FEW_TURNS) for connections in CONNECTIONS]
        own, tutorial = (max(each[name].rate for each in found) for name in targets)
        self.rates(
            "/predict, at its best", own, "tutorial's endpoint at its best", tutorial, "≥ 30"
        )

    def steadily(self, pace: float) -> None:
        """Add a row: late answers against usual ones at a steady pace."""
        found = load.keep_pace(predict(self.scoring), pace, PACE_SECONDS)
        self.asked += found.requests
        self.table.add_row(
            f"/predict, half of the most ({pace:,.0f} a second) for {PACE_SECONDS:.0f} s",
            f"p99 {found.p99:.2f} ms, at {found.rate:,.0f} a second",
            f"p50: {found.p50:.2f} ms",
            _ratio(found.p99, found.p50),
            "≤ 10",
        )

    def explained(self) -> None:
        """Add a row: what the reasons cost."""
        targets = {"plain": predict(self.scoring), "explained": predict(self.scoring, EXPLAIN)}
        found = self.take_turns(targets, 1)
        plain, explained = (found[name].p50 for name in targets)
        self.table.add_row(
            "/predict with explain, 1 connection",
            f"p50 {explained:.2f} ms, {explained - plain:+.2f} ms",
            f"without: {plain:.2f} ms",
            _ratio(explained, plain),
            "< 1 ms more",
        )

    def batched(self) -> None:
        """Add a row: visitors a second where many are asked for at once."""
        target = predict_batch(self.scoring)
        what = f"/predict_batch, {BATCH} visitors each, 1 connection"
        asked = json.loads(target.bodies[0])
        if requests.post(target.url, json=asked, timeout=10).status_code == 404:
            self.table.add_row(what, "skipped: the service has no such path (404)")
            return
        targets = {"one": predict(self.scoring), "many": target}
        found = self.take_turns(targets, 1, FEW_TURNS)
        many, one = found["many"].rate * BATCH, found["one"].rate
        self.table.add_row(
            what, f"{many:,.0f} visitors a second", f"one by one: {one:,.0f}", _ratio(many, one)
        )

    def memory(self, first: float, asked: int) -> None:
        """Add a row: the worker's memory by now, against what it was."""
        now = self.scoring.memory()
        self.table.add_row(
            f"the worker's memory after {self.asked:,} requests",
            f"{now:.0f} MB",
            f"after {asked:,}: {first:.0f} MB",
            _ratio(now, first),
            "≤ 1.10",
        )

    def scaled_out(self) -> None:
        """Add a row: two workers, which share two cores with client and stand-in."""
        two = self.servers.scoring(workers=2)
        targets = {"two": predict(two), "one": predict(self.scoring)}
        while min(sum(worker.cpu_times()[:2]) for worker in two.workers()) < 1:
            load.press(targets["two"], 16, SECONDS)
        found = self.take_turns(targets, 16, FEW_TURNS)
        what = "/predict, 2 workers, 16 connections (client and stand-in on the same cores)"
        self.rates(what, found["two"].rate, "1 worker", found["one"].rate)

    def rates(self, what: str, own: float, name: str, other: float, wanted: str = "") -> None:
        """Add a row of requests a second."""
        measured, against = f"{own:,.0f} a second", f"{name}: {other:,.0f}"
        self.table.add_row(what, measured, against, _ratio(own, other), wanted)

    def take_turns(
        self, targets: Mapping[str, Target], connections: int, turns: int = TURNS
    ) -> dict[str, Measured]:
        """Press each in turn, and return the medians of the turns."""
        found: dict[str, list[Measured]] = {name: [] for name in targets}
        for _ in range(turns):
            for name, target in targets.items():
                measured = load.press(target, connections, SECONDS)
                found[name].append(measured)
                if target.url.startswith(f"{self.scoring.url}/"):
                    self.asked += measured.requests
        return {name: median(measured) for name, measured in found.items()}


def predict(server: Server, more: str = "") -> Target:
    """Return what asks a server for scores, of a few thousand visitors in turn."""
    bodies = tuple(f'{{"domain_userid": "{visitor}"{more}}}' for visitor in visitors())
    return Target(f"{server.url}/predict", bodies)


def predict_batch(server: Server) -> Target:
    """Return what asks a server for many scores at once."""
    known = visitors()
    batches = [known[at : at + BATCH] for at in range(0, len(known), BATCH)]
    bodies = tuple('{"domain_userids": ["' + '", "'.join(batch) + '"]}' for batch in batches)
    return Target(f"{server.url}/predict_batch", bodies)


def visitors(count: int = 4_000) -> list[str]:
    """Return identifiers, the same ones every time."""
    draw = random.Random(0)
    return [str(uuid.UUID(int=draw.getrandbits(128), version=4)) for _ in range(count)]


def median(measured: list[Measured]) -> Measured:
    """Return the median of each figure."""
    count, *rest = map(statistics.median, zip(*map(astuple, measured), strict=True))
    return Measured(int(count), *rest)


def _ratio(measured: float, against: float) -> str:
    return f"{measured / against:.2f}"
