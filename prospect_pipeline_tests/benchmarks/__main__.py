"""Measure, and print a table. Nothing is asserted about absolute time."""

import statistics
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
from prospect_pipeline.features import Encoder
from prospect_pipeline.sandbox.generator import generate
from prospect_pipeline.scoring import ScoringModel
from prospect_pipeline.settings import DefinitionSettings, TrainingSettings
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse, connect

END = datetime(2026, 5, 1, tzinfo=UTC)
USERS = 80_000
CALLS = 2000


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """Return the median time of a piece of work."""
    measured = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        measured.append(time.perf_counter() - started)
    return statistics.median(measured)


def floor(events: Path, out: Path) -> None:
    """What any training set has to do at least: read, sort by visitor and time, write."""
    with connect() as connection:
        connection.execute(
            f"""COPY (SELECT domain_userid, derived_tstamp, event_id, event_name, event_vendor,
              event_version, app_id, domain_sessionid, page_url, refr_medium, mkt_medium,
              mkt_campaign, contexts_nl_basjes_yauaa_context_1
            FROM read_parquet('{events}') ORDER BY domain_userid, derived_tstamp, event_id)
            TO '{out}' (FORMAT parquet)"""
        )


def main() -> None:
    """Run every benchmark."""
    table = Table(
        "what", "measured", "against", "ratio", title="prospect scoring", title_justify="left"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.parquet"
        started = time.perf_counter()
        made = generate(USERS, 0, END, path)
        generating = time.perf_counter() - started
        table.add_row("generate events", f"{made.events:,} in {generating:.1f} s", "", "")
        group = prospect.attribute_group(DefinitionSettings.load())
        request = DatasetRequest(group, TrainingSettings.load(cohort="all"))
        warehouse = DuckDBWarehouse(path)
        built = warehouse.training_set(request)
        building = seconds(lambda: warehouse.training_set(request))
        lowest = seconds(lambda: floor(path, Path(folder) / "floor.parquet"))
        table.add_row(
            "training set",
            f"{built.rows:,} rows in {building:.1f} s",
            f"read, sort, write: {lowest:.1f} s",
            f"{building / lowest:.1f}",
        )
        frame = built.table.slice(0, 20_000).to_pandas()
    encoder = Encoder.fit(frame)
    matrix = encoder.encode(frame)
    data = xgboost.DMatrix(
        matrix,
        frame["label"],
        feature_names=list(encoder.columns),
        feature_types=encoder.types,
        enable_categorical=True,
    )
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, 60)
    model = ScoringModel(booster, encoder)
    raw = {a.name: 3 if a.aggregation == "counter" else None for a in group.attributes}
    row = np.ascontiguousarray(matrix[:1])

    def predict() -> None:
        for _ in range(CALLS):
            booster.inplace_predict(row, validate_features=False)

    def score() -> None:
        for _ in range(CALLS):
            model.score_one(features.vector(raw, END))

    alone, whole = seconds(predict) / CALLS, seconds(score) / CALLS
    table.add_row(
        "score: attributes in, probability out",
        f"{whole * 1e6:.0f} µs",
        f"inplace_predict: {alone * 1e6:.0f} µs",
        f"{whole / alone:.2f}",
    )
    Console().print(table)


if __name__ == "__main__":
    main()
