"""Files between the assets: runs that go on at the same time do not read each other's."""

import os
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from prospect_pipeline.orchestration.resources import KEPT_SECONDS, json_values, parquet_frames
from prospect_pipeline.settings import DataSettings

FILES = {"frames": parquet_frames, "io_manager": json_values}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROSPECT_DATA_DIR", str(tmp_path))


def files() -> Path:
    return DataSettings.load().root / "frames"


def materialize(assets: list[Any], **given: Any) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(assets, instance=instance, resources=FILES, **given)


@dg.asset(io_manager_key="frames")
def frame() -> pd.DataFrame:
    made = pd.DataFrame({"n": [1]})
    made.attrs = {"as_of": "2026-05-01"}
    return made


@dg.asset
def version(frame: pd.DataFrame) -> dict[str, str]:
    return {"as_of": frame.attrs["as_of"], "n": str(frame["n"][0])}


@dg.asset
def seen(version: dict[str, str]) -> dict[str, str]:
    return version


def test_frames_and_values_travel_between_assets() -> None:
    done = materialize([frame, version, seen])

    assert done.output_for_node("seen") == {"as_of": "2026-05-01", "n": "1"}
    assert not list(DataSettings.load().root.rglob("*.pickle"))


def test_a_run_reads_what_it_wrote_whatever_another_writes_meanwhile() -> None:
    @dg.asset(deps=[frame])
    def another_run() -> None:
        pd.DataFrame({"n": [2]}).to_parquet(files() / "frame.parquet")

    @dg.asset(deps=[another_run])
    def read(frame: pd.DataFrame) -> int:
        return int(frame["n"][0])

    assert materialize([frame, another_run, read]).output_for_node("read") == 1


def test_a_run_that_wrote_nothing_reads_the_newest() -> None:
    materialize([frame])
    pd.DataFrame({"n": [2]}).to_parquet(files() / "frame.parquet")

    @dg.asset
    def read(frame: pd.DataFrame) -> int:
        return int(frame["n"][0])

    assert materialize([frame, read], selection=[read]).output_for_node("read") == 2


def test_what_runs_wrote_long_ago_is_removed() -> None:
    first = materialize([frame])
    old = files() / "runs" / first.run_id
    before = time.time() - KEPT_SECONDS - 60
    os.utime(old, (before, before))

    second = materialize([frame])

    assert [path.name for path in (files() / "runs").iterdir()] == [second.run_id]
