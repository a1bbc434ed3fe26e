"""From events to metrics, the same data, settings and seed give the same bits anywhere."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROGRAM = """
import hashlib
import json
from datetime import UTC, datetime

from prospect_pipeline.attributes import prospect
from prospect_pipeline.sandbox.generator import generate
from prospect_pipeline.settings import DataSettings, DefinitionSettings, TrainingSettings
from prospect_pipeline.training.evaluation import evaluate, score_test
from prospect_pipeline.training.model import baselines, train
from prospect_pipeline.training.search import Budget
from prospect_pipeline.training.split import split
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse

events = DataSettings.load().root / "events.parquet"
generate(1500, 5, datetime(2026, 5, 1, 12, tzinfo=UTC), events)
settings = TrainingSettings.load()
group = prospect.attribute_group(DefinitionSettings.load())
made = DuckDBWarehouse(events).training_set(DatasetRequest(group, settings))
parts = split(made.table.to_pandas(), settings.horizon)
trained = train(parts, settings.seed, budget=Budget(settings.search_trials))
model = trained.model
scored = score_test(parts.test, model, baselines(parts, settings.seed))
judged = evaluate(scored, parts.test, model, model.threshold, settings.seed)
print(json.dumps({
    "fingerprint": made.facts()["fingerprint"],
    "booster": hashlib.sha256(model.booster.save_raw("json")).hexdigest(),
    "scores": hashlib.sha256(scored.to_csv().encode()).hexdigest(),
    "metrics": judged.flat_metrics(),
    "params": trained.params,
    "search": trained.search.to_dict(),
    "encoder": model.encoder.to_dict(),
}))
"""


def printed(folder: Path, hash_seed: str) -> str:
    """What a process of its own prints, in a folder of its own."""
    folder.mkdir()
    variables = {
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": hash_seed,
        "PROSPECT_DATA_DIR": str(folder),
        "PROSPECT_COHORT": "all",
        "PROSPECT_SEARCH_TRIALS": "2",
        "OMP_WAIT_POLICY": "PASSIVE",  # both at once, on few cores
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=folder, env=os.environ | variables, text=True, stdout=subprocess.PIPE,
        check=True, timeout=120,
    )  # fmt: skip
    return done.stdout


def test_two_folders_and_processes_give_the_same_bits(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        one, other = pool.map(printed, [tmp_path / "one", tmp_path / "other"], ["1", "2"])

    assert one == other
    assert json.loads(one)["metrics"]["roc_auc"] > 0.5
