"""Retraining on generated events, small and quick: in this process, or as one that is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from prospect_pipeline.definitions import build_defs
from prospect_pipeline.orchestration.resources import JsonValues, ParquetFrames
from prospect_pipeline.registry import registration
from prospect_pipeline.registry.store import ModelVersion, Registry
from prospect_pipeline.sandbox.generator import generate
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.settings import DataSettings, RegistrySettings
from prospect_pipeline.training import model, plots, report

END = datetime(2026, 5, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
SETTINGS = {
    "PROSPECT_COHORT": "all",
    "PROSPECT_CLOCK": "last-event",
    "PROSPECT_ANCHORS_PER_VISITOR": "4",
    "MIN_CONVERTERS": "20",
}
KILLED_AT: dict[str, tuple[Any, str]] = {
    "building": (ParquetFrames, "write"),
    "training": (model, "train"),
    "registering": (registration, "_register"),
    "passing_on": (JsonValues, "write"),
    "promoting": (MlflowClient, "set_registered_model_alias"),
    "reporting": (report, "render"),
}
"""Steps of a retraining, by the function that a killed process does not get past."""


def small(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let a folder be the data directory, and a model be trained in an instant."""
    for name, value in {**SETTINGS, "PROSPECT_DATA_DIR": str(folder)}.items():
        patch.setenv(name, value)
    patch.setattr(model, "MAX_ROUNDS", 150)
    patch.setattr(model, "THREADS", 1)
    without_pictures(patch)


def without_pictures(patch: pytest.MonkeyPatch) -> None:
    """Let the pictures of a report be empty: to draw them takes longer than all the rest."""
    titles = [*plots.PICTURES, *plots.EXPLAINED]
    patch.setattr(plots, "figures", lambda *_: dict.fromkeys(titles))
    patch.setattr(plots, "as_svg", lambda _: "<svg></svg>")
    patch.setattr(plots, "as_png", lambda _: b"")


def load_events(users: int, until: datetime = END) -> None:
    """Let the warehouse hold the generated events up to a moment."""
    data = DataSettings.load()
    whole = data.root / f"generated-{users}.parquet"
    if not whole.exists():
        generate(users, 5, END, whole)
    events = pq.read_table(whole)
    some = data.root / f"until-{until:%Y-%m-%d}.parquet"
    pq.write_table(events.filter(pc.less_equal(events["derived_tstamp"], until)), some)
    EventStore(data).load(some)


def as_of(moment: str | None) -> dict[str, Any]:
    """Return the run config of a training as of a moment."""
    return {"ops": {"training_dataframe": {"config": {"as_of": moment}}}} if moment else {}


def retrain(
    instance: dg.DagsterInstance,
    moment: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> dg.ExecuteInProcessResult:
    job = build_defs().resolve_job_def("retrain")
    return job.execute_in_process(as_of(moment), instance=instance, tags=tags, raise_on_error=False)


def shown(done: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """Return the metadata of an asset's materialization."""
    [found] = done.asset_materializations_for_node(asset)
    return {name: entry.value for name, entry in found.metadata.items()}


def registry() -> Registry:
    return Registry(RegistrySettings.load(), DataSettings.load())


def versions() -> list[ModelVersion]:
    """Return every registered version, which has to be whole."""
    opened = registry()
    with opened.connected() as client:
        numbers = [each.version for each in client.search_model_versions("")]
    found = [opened.resolve(str(number)) for number in sorted(numbers, key=int)]
    for version in found:
        opened.load(version)
    return found


def start(home: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Retrain in a process of its own, on the data directory of this one."""
    home.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", __name__, *arguments],
        env=os.environ | {"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "yes"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _killed(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(killed_at: str, moment: str) -> int:
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.get() as instance:
        small(patch, Path(os.environ["PROSPECT_DATA_DIR"]))
        if killed_at:
            place, name = KILLED_AT[killed_at]
            dying: Callable[..., None] = _killed
            patch.setattr(place, name, dying)
        return 0 if retrain(instance, moment or None).success else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
