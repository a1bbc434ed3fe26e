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


@dg.asset(io_manager_key="frames")
def dated(context: dg.AssetExecutionContext) -> pd.DataFrame:
    made = pd.DataFrame({"n": [1]})
    made.attrs = {"as_of": context.run.tags["of"]}
    return made


@dg.asset
def noted(dated: pd.DataFrame) -> dict[str, str]:
    return {"as_of": dated.attrs["as_of"], "read": "as a value"}


@dg.asset
def read_alone(dated: pd.DataFrame, noted: dict[str, str]) -> list[str]:
    return [dated.attrs["as_of"], noted["as_of"]]


def test_what_looks_back_stays_with_its_own_run() -> None:
    week, next_week, april = "2024-05-06T05:00:00+00:00", "2024-05-13T05:00:00", "2024-04-01"
    reading = [dated, noted, read_alone]

    materialize(reading[:2], tags={"of": week})
    back = materialize(reading, tags={"of": april})
    alone = materialize(reading, selection=[read_alone])
    materialize(reading[:2], tags={"of": next_week})
    later = materialize(reading, selection=[read_alone])

    assert back.output_for_node("read_alone") == [april] * 2
    assert alone.output_for_node("read_alone") == [week] * 2
    assert later.output_for_node("read_alone") == [next_week] * 2


def test_an_as_of_in_the_future_does_not_stand_in_the_way() -> None:
    week, reading = "2024-05-06T05:00:00+00:00", [dated, noted, read_alone]

    materialize(reading[:2], tags={"of": "2999-01-01"})
    materialize(reading[:2], tags={"of": week})
    alone = materialize(reading, selection=[read_alone])

    assert alone.output_for_node("read_alone") == [week] * 2


class Again:
    """A run that failed after the frame, and runs that execute it again, each from its failure."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.failing = True

        @dg.asset(io_manager_key="frames")
        def made(context: dg.AssetExecutionContext) -> pd.DataFrame:
            return pd.DataFrame({"run": [context.run.run_id]})

        @dg.asset
        def read(made: pd.DataFrame) -> str:
            if self.failing:
                raise ValueError("it fails")
            return str(made["run"][0])

        definitions = dg.Definitions(
            [made, read], jobs=[dg.define_asset_job("both")], resources=FILES
        )
        self.job = definitions.resolve_job_def("both")
        self.first = self.run()

    def run(self, **given: Any) -> dg.ExecuteInProcessResult:
        return self.job.execute_in_process(instance=self.instance, raise_on_error=False, **given)

    def from_failure(self, parent: str) -> dg.ExecuteInProcessResult:
        tags = {"dagster/parent_run_id": parent, "dagster/root_run_id": self.first.run_id}
        return self.run(asset_selection=[dg.AssetKey("read")], tags=tags)


def test_a_run_from_failure_reads_the_frame_of_the_run_that_failed() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        again = Again(instance)
        second = again.from_failure(again.first.run_id)
        again.run()  # its frame is the newest
        again.failing = False
        third = again.from_failure(second.run_id)

    assert third.output_for_node("read") == again.first.run_id


def test_a_run_from_failure_reads_past_runs_that_dagster_has_forgotten() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        again = Again(instance)
        second = again.from_failure(again.first.run_id)
        again.run()
        instance.delete_run(second.run_id)
        again.failing = False
        third = again.from_failure(second.run_id)

    assert third.output_for_node("read") == again.first.run_id


def test_a_value_that_no_run_has_left_is_named_and_not_looked_for_again() -> None:
    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=2))
    def read(frame: pd.DataFrame) -> int:
        return len(frame)

    done = materialize([frame, read], selection=[read], raise_on_error=False)

    [failed] = [each for each in done.all_events if each.is_step_failure]
    assert not [each for each in done.all_events if each.is_step_up_for_retry]
    assert "There is no frame yet. Materialize it first" in (
        failed.step_failure_data.error_display_string
    )


def test_two_runs_that_clear_up_at_once_both_end_well(monkeypatch: pytest.MonkeyPatch) -> None:
    first = materialize([frame])
    (files() / "runs" / "gone").mkdir()
    listed = list((files() / "runs").iterdir())
    (files() / "runs" / "gone").rmdir()
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(listed))

    second = materialize([frame])

    assert (first.success, second.success) == (True, True)


def test_what_runs_wrote_long_ago_is_removed() -> None:
    first = materialize([frame])
    old = files() / "runs" / first.run_id
    before = time.time() - KEPT_SECONDS - 60
    os.utime(old, (before, before))

    second = materialize([frame])

    assert [path.name for path in (files() / "runs").iterdir()] == [second.run_id]
