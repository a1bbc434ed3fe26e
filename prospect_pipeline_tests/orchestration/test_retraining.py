"""Weeks follow each other, runs meet, are killed and lose their registry: the champion is whole."""

import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from prospect_pipeline.definitions import build_defs
from prospect_pipeline.errors import RegistryError
from prospect_pipeline.orchestration import retries
from prospect_pipeline.orchestration.assets import registered_model
from prospect_pipeline.orchestration.automation import TICK_TAG
from prospect_pipeline.orchestration.resources import (
    RegistryResource,
    json_values,
    parquet_frames,
)
from prospect_pipeline.orchestration.retries import RETRIES
from prospect_pipeline.registry import registration
from prospect_pipeline.registry.champions import Champions
from prospect_pipeline.registry.store import ModelVersion, Registry
from prospect_pipeline.settings import DataSettings
from prospect_pipeline.stack import services
from prospect_pipeline.stack.processes import Processes, base_environment
from prospect_pipeline.training import model
from prospect_pipeline_tests.orchestration.retraining import (
    END,
    KILLED_AT,
    WEEK,
    load_events,
    registry,
    retrain,
    shown,
    small,
    start,
    versions,
)
from prospect_pipeline_tests.registry.models import register_champion, tiny_model, with_tables
from prospect_pipeline_tests.training import signal_frame

MONDAY = datetime(2026, 4, 27, 5, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small(monkeypatch, with_tables(tmp_path))
    return tmp_path


class Weeks:
    """Four runs: two Mondays, the second one's data again, and the first Monday's as-of.

    Before the second, one is killed where its version was to be registered.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        load_events(5000, END - WEEK)
        self.first = self.tick(MONDAY)
        load_events(5000, END)
        self.killed = start(DataSettings.load().root / "home", "registering", "").wait(timeout=240)
        self.champion_then, self.versions_then = Champions(registry()).current(), versions()
        self.second = self.tick(MONDAY + WEEK)
        self.again = self.tick(MONDAY + 2 * WEEK)
        self.backfilled = retrain(instance, self.frame(self.first).attrs["as_of"])

    def tick(self, monday: datetime) -> dg.ExecuteInProcessResult:
        """Run what the schedule asks for at a moment."""
        weekly = build_defs().resolve_schedule_def("weekly_retraining")
        context = dg.build_schedule_context(self.instance, scheduled_execution_time=monday)
        [asked] = weekly.evaluate_tick(context).run_requests or []
        return retrain(self.instance, tags=asked.tags)

    def frame(self, done: dg.ExecuteInProcessResult) -> pd.DataFrame:
        made: pd.DataFrame = done.output_for_node("training_dataframe")
        return made


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weeks]:
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        small(patch, with_tables(tmp_path_factory.mktemp("weeks")))
        yield Weeks(instance)


def test_a_newer_week_that_is_not_worse_takes_the_place(weeks: Weeks) -> None:
    first, second = shown(weeks.first, "champion"), shown(weeks.second, "champion")

    assert (first["version"], first["promoted"]) == ("1", True)
    assert (second["version"], second["promoted"]) == ("2", True)
    assert re.match(
        r"It takes the place of version 1: on ([\d,]+) of \1 test visitors \(first seen after all "
        r"whom version 1 has learnt from\) version 2's log loss differs from version 1's",
        second["reason"],
    )
    run = weeks.instance.get_run_by_id(weeks.second.run_id)
    assert run is not None
    assert run.tags[TICK_TAG] == "2026-05-04T05:00:00+00:00"


def test_a_training_that_is_killed_leaves_the_champion_alone(weeks: Weeks) -> None:
    assert weeks.killed == -signal.SIGKILL
    assert [each.version for each in weeks.versions_then] == ["1"]
    assert weeks.champion_then == weeks.versions_then[0]


def test_the_same_week_again_does_not_flap(weeks: Weeks) -> None:
    again = shown(weeks.again, "champion")

    assert (again["version"], again["challenger"], again["promoted"]) == ("2", "3", False)
    assert "are those of version 2, which is the champion" in again["reason"]
    assert [change.version for change in Champions(registry()).history()] == ["1", "2"]


def test_a_training_as_of_a_past_day_is_the_one_of_that_day(weeks: Weeks) -> None:
    backfilled = weeks.frame(weeks.backfilled)
    of_that_day = weeks.frame(weeks.first)

    pd.testing.assert_frame_equal(backfilled, of_that_day)
    kept = ("as_of", "last_event", "window", "rows", "positives", "fingerprint")
    assert [backfilled.attrs[n] for n in kept] == [of_that_day.attrs[n] for n in kept]
    assert backfilled.attrs["dropped"]["after_as_of"] > 0
    metrics = [shown(one, "registered_model") for one in (weeks.backfilled, weeks.first)]
    assert metrics[0]["log_loss"] == metrics[1]["log_loss"]


def test_a_training_as_of_a_past_day_passes_its_checks_and_is_never_promoted(
    weeks: Weeks,
) -> None:
    found = shown(weeks.backfilled, "champion")
    tags = registry().run_tags(shown(weeks.backfilled, "registered_model")["run_id"])

    assert all(check.passed for check in weeks.backfilled.get_asset_check_evaluations())
    assert (found["version"], found["promoted"]) == ("2", False)
    assert "is not later than version 2's" in found["reason"]
    assert "are those of version 1, which was champion before" in found["reason"]
    assert datetime.fromisoformat(tags["last_event"]) <= datetime.fromisoformat(tags["as_of"])
    assert datetime.fromisoformat(tags["as_of"]) < END - WEEK


@pytest.mark.long
def test_two_trainings_at_once_do_not_meet(folder: Path) -> None:
    load_events(1500)
    before = register_champion(registry(), tiny_model())
    moments = [END, END - WEEK]

    running = [start(folder / "home", "", moment.isoformat()) for moment in moments]
    statuses = [each.wait(timeout=240) for each in running]

    found = versions()
    opened = registry()
    assert statuses == [0, 0]
    assert [each.version for each in found] == ["1", "2", "3"]
    assert found[0] == before
    tags = [opened.run_tags(each.run_id) for each in found[1:]]
    assert {one["as_of"] for one in tags} == {moment.isoformat() for moment in moments}
    assert all(one["last_event"] <= one["as_of"] for one in tags)
    champions = Champions(opened)
    assert champions.current() == opened.resolve(champions.history()[-1].version)
    with opened.connected() as client:
        decided = [client.get_model_version(each.name, each.version).tags for each in found[1:]]
    assert all(one["decision"] in ("promoted", "refused") for one in decided)
    promoted = [one for one in decided if one["decision"] == "promoted"]
    assert len(champions.history()) == 1 + len(promoted)


@pytest.mark.long
@pytest.mark.parametrize("step", KILLED_AT)
def test_a_training_that_is_killed_leaves_the_champion_and_the_next_one_works(
    folder: Path, step: str
) -> None:
    load_events(5000)  # enough for the new version to be promoted
    before = register_champion(registry(), tiny_model())

    status = start(folder / "home", step, "").wait(timeout=240)

    assert status == -signal.SIGKILL
    if step != "reporting":  # then the new version has been judged, and may have been promoted
        assert Champions(registry()).current() == before
    there = versions()
    with dg.DagsterInstance.ephemeral() as instance:
        after = retrain(instance)
    assert after.success
    assert len(versions()) == len(there) + 1
    assert shown(after, "champion")["challenger"] == versions()[-1].version


GONE = {"training": (model, "train"), "registering": (registration, "_register")}


def train() -> dg.ExecuteInProcessResult:
    """Train on a frame that stands in for the warehouse's, and register."""

    @dg.asset(io_manager_key="frames")
    def training_dataframe() -> pd.DataFrame:
        made = signal_frame()
        made.attrs = dict.fromkeys(("fingerprint", "group", "window", "last_event", "sql"), "x")
        made.attrs["as_of"] = END.isoformat()
        return made

    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [training_dataframe, registered_model],
            instance=instance,
            resources={
                "registry": RegistryResource(),
                "frames": parquet_frames,
                "io_manager": json_values,
            },
            raise_on_error=False,
        )


@pytest.mark.parametrize("there_is_a_version", [False, True])
def test_a_registry_that_blinks_costs_no_training_and_makes_no_second_version(
    folder: Path, monkeypatch: pytest.MonkeyPatch, there_is_a_version: bool
) -> None:
    register, train_model = registration._register, model.train
    registrations: list[str] = []
    trainings: list[str] = []

    def away(*_: Any) -> Any:
        raise RegistryError("MLflow does not answer.")

    def blinking(*arguments: Any) -> ModelVersion:
        registrations.append("one more")
        first = len(registrations) == 1
        if first and not there_is_a_version:
            away()
        version = register(*arguments)
        return away() if first else version

    def counted(*arguments: Any) -> Any:
        trainings.append("one more")
        return train_model(*arguments)

    monkeypatch.setattr(retries, "RETRIES", RETRIES._replace(delay=0))
    monkeypatch.setattr(model, "train", counted)
    monkeypatch.setattr(registration, "_register", blinking)
    monkeypatch.setattr(Registry, "run_url", away)

    done = train()

    assert done.success
    assert len(trainings) == 1
    assert not [each for each in done.all_events if each.is_step_up_for_retry]
    [version] = versions()
    assert version.version == "1"
    assert registry().run_tags(version.run_id)["dagster_run_id"] == done.run_id
    assert shown(done, "registered_model")["mlflow_run"] == "unknown: MLflow does not answer."


def test_labels_that_look_past_as_of_train_no_model_either_where_it_is_built_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROSPECT_HORIZON_MINUTES", "60000")  # past as-of for the last of the rows

    done = train()

    [failed] = [each for each in done.all_events if each.is_step_failure]
    words = failed.step_failure_data.user_failure_data.description
    assert "rows have a label that looks past as-of (2026-05-01T12:00:00+00:00)" in words


@pytest.mark.stack
@pytest.mark.parametrize("step", ["registering", pytest.param("training", marks=pytest.mark.long)])
def test_a_registry_that_goes_away_in_the_middle_has_nothing_half_registered(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    [port] = [services.Ports(0, 0, 0, 0, 0).settled().mlflow]
    monkeypatch.setattr(retries, "RETRIES", RETRIES._replace(delay=0, max_retries=1))
    place, name = GONE[step]
    real = getattr(place, name)
    with Processes(folder / "logs", base_environment()) as processes:
        services.start_mlflow(processes, DataSettings.load(), port)
        services.wait_for_mlflow(processes, port)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", services.url(port))
        before = register_champion(registry(), tiny_model())

        def going(*arguments: Any, **named: Any) -> Any:
            processes.stop()
            return real(*arguments, **named)

        monkeypatch.setattr(place, name, going)
        done = train()

    [failed] = [each for each in done.all_events if each.is_step_failure]
    words = failed.step_failure_data.user_failure_data.description
    assert words.startswith(f"MLflow at {services.url(port)} cannot be used")

    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # the same registry, without the server
    assert versions() == [before]
    assert Champions(registry()).current() == before
