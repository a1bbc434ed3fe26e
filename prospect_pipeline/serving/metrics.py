"""What Prometheus is told, beside what BentoML itself counts, at ``/metrics``.

BentoML adds up the worker processes. It says where they write before it makes the service, and
``prometheus_client`` has to be imported after that: hence the imports inside.
"""

from __future__ import annotations

import functools
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

    from prospect_pipeline.registry.store import LoadedModel

SECONDS = (
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3,
    0.5, 1.0,
)  # fmt: skip
"""Buckets from 0.1 ms to 1 s, close together where answers usually are."""

SCORES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
OUTCOME = ("endpoint", "outcome", "version")
READS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1000)


@dataclass(frozen=True)
class Metrics:
    """The service's own metrics; seconds are seconds, and a moment is in seconds since 1970."""

    request: Histogram
    signals: Histogram
    scoring: Histogram
    score: Histogram
    shared: Histogram
    outcomes: Counter
    swaps: Counter
    in_flight: Gauge
    breaker: Gauge
    model: Gauge
    loaded: Gauge
    registered: Gauge

    def model_taken(self, used: LoadedModel, before: LoadedModel | None) -> None:
        """Say which version is in use now, and since when."""
        self.swaps.labels("taken").inc()
        if before is not None:
            self.model.labels(before.identity.name, before.identity.version).set(0)
        self.model.labels(used.identity.name, used.identity.version).set(1)
        self.loaded.set(time.time())
        if used.registered is not None:
            self.registered.set(used.registered.timestamp())

    def read(self, visitors: int, seconds: float) -> None:
        """Take note of a call to Signals."""
        self.shared.observe(visitors)
        self.signals.observe(seconds)

    def model_stays(self) -> None:
        """Say that the one that is meant could not be taken."""
        self.swaps.labels("failed").inc()


def forget_the_dead() -> None:
    """Remove what workers that were killed said of themselves; whoever ends does so on its own."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder is None:
        return
    from prometheus_client.multiprocess import mark_process_dead

    for file in Path(folder).glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not psutil.pid_exists(pid):
            mark_process_dead(pid)  # type: ignore[no-untyped-call]


@functools.cache
def metrics() -> Metrics:
    """Return this process's metrics: Prometheus takes each name once."""
    from prometheus_client import Counter, Gauge, Histogram

    def histogram(name: str, words: str, buckets: Any, *labels: str) -> Histogram:
        return Histogram(f"prospect_{name}", words, labels, buckets=buckets)

    def gauge(name: str, words: str, mode: Any, *labels: str) -> Gauge:
        return Gauge(f"prospect_{name}", words, labels, multiprocess_mode=mode)

    return Metrics(
        histogram("request_seconds", "Time of a whole request.", SECONDS, "endpoint"),
        histogram("signals_seconds", "Time of a call to Signals.", SECONDS),
        histogram("scoring_seconds", "Time from attributes to scores.", SECONDS),
        histogram("score", "Scores that were given.", SCORES, "version"),
        histogram("shared_reads", "Visitors of one call to Signals.", READS),
        Counter("prospect_outcomes", "Answers by what came of them.", OUTCOME),
        Counter("prospect_model_swaps", "Models that were meant: taken or failed.", ("result",)),
        gauge("in_flight", "Requests being answered now.", "livesum"),
        gauge("signals_breaker_open", "Workers that leave Signals alone for now.", "livesum"),
        gauge("model_info", "Workers that use a version.", "livesum", "name", "version"),
        gauge("model_loaded_timestamp_seconds", "When it was taken into use.", "livemin"),
        gauge("model_registered_timestamp_seconds", "When it was registered.", "livemin"),
    )
