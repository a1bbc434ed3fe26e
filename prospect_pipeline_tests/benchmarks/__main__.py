"""Measure, and print a table. Nothing is asserted about absolute time.

``--large`` adds the training set of 100 million events (about 20 minutes and 15 GB of disk).
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import xgboost
from rich.console import Console
from rich.table import Table

from prospect_pipeline import features
from prospect_pipeline.attributes import prospect
from prospect_pipeline.encoder import Encoder
from prospect_pipeline.sandbox.generator import generate
from prospect_pipeline.scoring import ScoringModel
from prospect_pipeline.settings import DefinitionSettings, TrainingSettings
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse
from prospect_pipeline_tests.benchmarks import collecting, shapes, training

END = datetime(2026, 5, 1, tzinfo=UTC)
USERS = 80_000
CALLS = 2000
GROUP = prospect.attribute_group(DefinitionSettings.load())


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """Return the median time of a piece of work."""
    measured = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        measured.append(time.perf_counter() - started)
    return statistics.median(measured)


def score(table: Table, events: Path) -> None:
    """Add a row: one score from attributes, against the model alone."""
    request = DatasetRequest(GROUP, TrainingSettings.load(cohort="all"))
    frame = DuckDBWarehouse(events).training_set(request).table.slice(0, 20_000).to_pandas()
    encoder = Encoder.fit(frame)
    matrix = encoder.encode(frame)
    data = xgboost.DMatrix(
        matrix,
        frame["label"],
        feature_names=encoder.names,
        feature_types=encoder.types,
        enable_categorical=True,
    )
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, 60)
    model = ScoringModel(booster, encoder)
    raw = {a.name: 3 if a.aggregation == "counter" else None for a in GROUP.attributes}
    row = np.ascontiguousarray(matrix[:1])

    def predict() -> None:
        for _ in range(CALLS):
            booster.inplace_predict(row, validate_features=False)

    def score_one() -> None:
        for _ in range(CALLS):
            model.score_one(features.vector(raw, END))

    alone, whole = seconds(predict) / CALLS, seconds(score_one) / CALLS
    table.add_row(
        "score: attributes in, probability out",
        f"{whole * 1e6:.0f} µs",
        f"inplace_predict: {alone * 1e6:.0f} µs",
        f"{whole / alone:.2f}",
    )


def main() -> None:
    """Run every benchmark."""
    table = Table(
        "what", "measured", "against", "ratio", title="prospect scoring", title_justify="left"
    )
    console = Console(width=160)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = folder / "events.parquet"
        started = time.perf_counter()
        made = generate(USERS, 0, END, path)
        generating = time.perf_counter() - started
        table.add_row("generate events", f"{made.events:,} in {generating:.1f} s", "", "")
        score(table, path)
        collecting.collect(table)
        console.print(table)
        # The heavy one last: its self join leaves the machine short of memory for a while.
        for name, shape, joins in (("many", shapes.MANY, 3), ("heavy", shapes.HEAVY, 1)):
            console.print(f"Training sets of {shape[0]:,} events, the self join among them ...")
            training.compare(table, name, shape, folder, joins)
        training.scale(table, folder, large="--large" in sys.argv)
    console.print(table)


if __name__ == "__main__":
    main()
