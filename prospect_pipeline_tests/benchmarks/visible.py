"""How much of the generated events' truth the model's columns can see.

The best function of the columns is estimated by boosting the true probabilities themselves, on
visitors of another seed; what it wins over the base rate in expected log loss is set against what
the truth itself wins. Run it with ``python -m prospect_pipeline_tests.benchmarks.visible``.
"""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import xgboost

from prospect_pipeline.attributes import prospect
from prospect_pipeline.features import Encoder
from prospect_pipeline.sandbox.generator import generate
from prospect_pipeline.settings import DefinitionSettings, TrainingSettings
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse

END = datetime(2026, 11, 1, tzinfo=UTC)
LEARN_FROM, JUDGE_ON = 100_000, 20_000
PARAMS = {
    "objective": "binary:logistic",
    "eta": 0.08,
    "max_depth": 7,
    "subsample": 0.8,
    "min_child_weight": 20,
    "nthread": 2,
}


def rows(users: int, seed: int, folder: Path) -> pd.DataFrame:
    """Return the training rows of generated visitors with their true probabilities."""
    made = generate(users, seed, END, folder / "events.parquet")
    group = prospect.attribute_group(DefinitionSettings.load())
    request = DatasetRequest(group, TrainingSettings.load())
    frame = DuckDBWarehouse(made.path).training_set(request).table.to_pandas()
    return frame.merge(pd.read_parquet(made.truth_path)[["event_id", "p_true"]], on="event_id")


def main() -> None:
    """Measure, and print the share."""
    with tempfile.TemporaryDirectory() as folder:
        known, judged = rows(LEARN_FROM, 11, Path(folder)), rows(JUDGE_ON, 12, Path(folder))
    encoder = Encoder.fit(known)

    def matrix(frame: pd.DataFrame) -> xgboost.DMatrix:
        return xgboost.DMatrix(
            encoder.encode(frame),
            frame["p_true"],
            feature_names=list(encoder.columns),
            feature_types=encoder.types,
            enable_categorical=True,
        )

    best = xgboost.train(PARAMS, matrix(known), 250).predict(matrix(judged))
    truth = judged["p_true"].clip(1e-9, 1 - 1e-9).to_numpy()

    def loss(scores: npt.NDArray[np.float64]) -> float:
        return float(-np.mean(truth * np.log(scores) + (1 - truth) * np.log(1 - scores)))

    base, seen, least = loss(np.full(len(truth), known["p_true"].mean())), loss(best), loss(truth)
    print(f"expected log loss: base rate {base:.4f}, columns {seen:.4f}, truth {least:.4f}")
    print(f"the columns can see {(base - seen) / (base - least):.0%} of the gain")


if __name__ == "__main__":
    main()
