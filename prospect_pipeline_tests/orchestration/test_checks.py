"""The training data's checks in Dagster, on events by hand: each for the right reason."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from prospect_pipeline.attributes import prospect
from prospect_pipeline.attributes.anchors import Anchoring, Sessions
from prospect_pipeline.attributes.sql import TrainingQuery
from prospect_pipeline.definitions import build_defs
from prospect_pipeline.features import COLUMNS
from prospect_pipeline.orchestration import checks
from prospect_pipeline.orchestration.assets import training_dataframe
from prospect_pipeline.orchestration.described import dropped
from prospect_pipeline.orchestration.resources import WarehouseResource, parquet_frames
from prospect_pipeline.settings import DataSettings, DefinitionSettings, TrainingSettings
from prospect_pipeline.training import leakage
from prospect_pipeline.training.dataset import KEY
from prospect_pipeline.warehouse.base import DatasetRequest, TrainingSet, Warehouse
from prospect_pipeline.warehouse.dropped import MEANINGS
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse, embedded_events
from prospect_pipeline_tests.events import DAY, NOW, Event, event, write

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
CHECKS = [
    checks.no_leakage,
    checks.labels_follow,
    checks.events_are_fresh,
    checks.counts_like_last_run,
]


def visit(user: str, start: datetime, views: int) -> list[Event]:
    """Page views ten minutes apart."""
    return [
        event(f"{user}-{start:%d%H}-{n}", start + n * 10 * MINUTE, user=user) for n in range(views)
    ]


EVENTS = [
    *visit("ann", NOW - 10 * DAY, 3),
    *visit("ann", NOW - 5 * DAY, 4),
    *visit("ann", NOW - DAY, 2),
    *visit("bob", NOW - 5 * DAY, 5),
    *visit("bob", NOW - 3 * HOUR, 2),
    event("form", NOW - 5 * DAY + 45 * MINUTE, "submit_form", user="bob"),
]


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROSPECT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PROSPECT_COHORT", "all")
    monkeypatch.setenv("PROSPECT_AS_OF", NOW.isoformat())
    folder = embedded_events(DataSettings.load())
    folder.mkdir()
    return write(EVENTS, folder / "atomic.parquet")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@dg.asset(deps=[training_dataframe])
def model() -> None:
    """Stands after the training data, as the real one does."""


def run(instance: dg.DagsterInstance, **given: Any) -> dg.ExecuteInProcessResult:
    resources = {"warehouse": WarehouseResource(), "frames": parquet_frames}
    return dg.materialize(
        [training_dataframe, *CHECKS, model],
        instance=instance,
        resources=resources | given.pop("resources", {}),
        raise_on_error=False,
        **given,
    )


def check_alone(instance: dg.DagsterInstance, check: dg.AssetChecksDefinition) -> Any:
    return found(run(instance, selection=dg.AssetSelection.checks(check)), check.check_key.name)


def found(result: dg.ExecuteInProcessResult, name: str) -> Any:
    [check] = [each for each in result.get_asset_check_evaluations() if each.check_name == name]
    return check


def facts(check: Any) -> dict[str, Any]:
    return {name: entry.value for name, entry in check.metadata.items()}


def stored() -> Path:
    return DataSettings.load().root / "frames" / "training_dataframe.parquet"


def cut() -> datetime:
    return leakage.choose_cut(pd.read_parquet(stored()))


def test_good_data_has_no_leak(events: Path, instance: dg.DagsterInstance) -> None:
    result = run(instance)

    check = found(result, "no_leakage")
    assert result.success
    assert check.passed
    assert check.blocking
    assert facts(check) == {
        "cut": (NOW - 5 * DAY).isoformat(),
        "rows": 5,
        "values": 5 * len(COLUMNS),
        "visitors": 2,
        "visitors_with_later_rows": 2,
        "differing": 0,
        "first_differing": [],
    }


def test_events_added_altered_and_gone_after_the_cut_change_no_value(
    events: Path, instance: dg.DagsterInstance
) -> None:
    run(instance)
    early = [each for each in EVENTS if each["derived_tstamp"] <= cut()]
    late = [each for each in EVENTS if each["derived_tstamp"] > cut()]
    altered = [each | {"page_url": "https://x.io/pricing", "app_id": "other"} for each in late[1:]]
    added = visit("ann", cut() + MINUTE, 6) + visit("new", cut() + MINUTE, 1)

    write([*early, *altered, *added], events)

    assert len(late) > 5
    assert check_alone(instance, checks.no_leakage).passed


def test_an_event_altered_before_the_cut_is_noticed(
    events: Path, instance: dg.DagsterInstance
) -> None:
    run(instance)
    changed = [
        each | ({"app_id": "other"} if each["event_id"] == EVENTS[0]["event_id"] else {})
        for each in EVENTS
    ]

    write(changed, events)
    check = check_alone(instance, checks.no_leakage)

    assert not check.passed
    assert (
        "| ann | 2026-04-21T12:00:00+00:00 | latest_app_id | website | other |"
        in (facts(check)["first_differing"])
    )


def test_a_value_that_counts_a_later_event_is_named(
    events: Path, instance: dg.DagsterInstance
) -> None:
    run(instance)
    frame = pd.read_parquet(stored())
    row = frame.index[(frame[KEY] == "ann") & (frame["anchor_ts"] == cut())][0]
    frame.loc[row, "num_page_views_l7d"] = frame.loc[row + 1, "num_page_views_l7d"]
    frame.to_parquet(stored(), index=False)

    check = check_alone(instance, checks.no_leakage)

    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert check.description.startswith("1 of 100 values change when the events after 2026-04-26")
    assert (
        "The first: num_page_views_l7d at 2026-04-26T12:00:00+00:00, of the visitor whom"
        in check.description
    )
    assert "ann" in facts(check)["first_differing"]


class Peeking(DuckDBWarehouse):
    """Gives the values of an hour later: a leak, in every training set alike."""

    def training_set(self, request: DatasetRequest) -> TrainingSet:
        made = super().training_set(request)
        frame = made.table.to_pandas()
        later = (frame["anchor_ts"] + HOUR).clip(upper=made.anchoring.as_of)
        moved = frame[[KEY, "label"]].assign(anchor_ts=later)
        path = self.events.with_name("later.parquet")
        moved.drop_duplicates(leakage.MOMENT).to_parquet(path, index=False)
        values = super().training_set(replace(request, anchors=path)).table.to_pandas()
        peeked = moved.merge(values, "left", leakage.MOMENT)[list(COLUMNS)]
        return replace(
            made, table=pa.Table.from_pandas(frame.assign(**peeked), preserve_index=False)
        )


class PeekingResource(WarehouseResource):
    def open(self) -> Warehouse:
        return Peeking(self.events)


def test_a_query_that_reads_the_next_hour_is_found_out_and_stops_the_model(
    events: Path, instance: dg.DagsterInstance
) -> None:
    result = run(instance, resources={"warehouse": PeekingResource()})

    check = found(result, "no_leakage")
    assert not check.passed
    assert facts(check)["differing"] > 0
    assert "num_page_views_l7d" in facts(check)["first_differing"]
    assert not result.success
    assert not result.asset_materializations_for_node("model")


def test_a_label_that_counts_its_own_row_is_found_out_and_stops_the_model(
    events: Path, instance: dg.DagsterInstance
) -> None:
    right = run(instance)
    frame = pd.read_parquet(stored())
    frame.loc[frame["event_id"] == "form", "label"] = 1  # the form itself, and no other after it
    frame.to_parquet(stored(), index=False)

    check = check_alone(instance, checks.labels_follow)

    assert found(right, "labels_follow").passed
    assert facts(found(right, "labels_follow")) == {"rows": 17, "differing": 0}
    assert (check.passed, check.blocking) == (False, True)
    assert facts(check) == {"rows": 17, "differing": 1, "first_differing": "bob"}


def test_labels_of_anchors_of_ones_own_are_not_checked(
    events: Path,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    own = pd.DataFrame({KEY: ["ann", "bob"], "anchor_ts": NOW - DAY, "label": [1, 0]})
    own.to_parquet(tmp_path / "own.parquet")
    monkeypatch.setenv("PROSPECT_ANCHORS", str(tmp_path / "own.parquet"))
    monkeypatch.setenv("PROSPECT_ANCHORS_HORIZON_MINUTES", "1440")

    check = found(run(instance), "labels_follow")

    assert (check.passed, facts(check)) == (True, {"checked": False})


def test_as_of_in_the_launchpad_goes_before_the_setting(
    events: Path, instance: dg.DagsterInstance
) -> None:
    day = NOW - 2 * DAY
    given = {"ops": {"training_dataframe": {"config": {"as_of": day.isoformat()}}}}

    result = run(instance, run_config=given)

    frame = result.output_for_node("training_dataframe")
    age = facts(found(result, "events_are_fresh"))
    assert result.success
    assert frame.attrs["as_of"] == day.isoformat()
    assert frame.attrs["last_event"] == (NOW - 5 * DAY + 45 * MINUTE).isoformat()
    assert frame["anchor_ts"].max() <= day - HOUR
    assert age["relative_to"] == day.isoformat()
    assert age["age_hours"] == pytest.approx(3 * 24 - 0.75)


def test_an_as_of_that_is_no_moment_is_named_and_not_tried_again(
    events: Path, instance: dg.DagsterInstance
) -> None:
    given = {"ops": {"training_dataframe": {"config": {"as_of": "last week"}}}}

    result = run(instance, run_config=given)

    [failure] = [each for each in result.all_events if each.is_step_failure]
    assert failure.step_failure_data.user_failure_data.description == (
        "PROSPECT_AS_OF: 'last week' is not an ISO date-time such as 2026-05-01T12:00:00"
    )


@pytest.mark.parametrize(("hours", "arrive"), [(40, True), (60, False)])
def test_events_that_no_longer_arrive_warn_without_a_training(
    events: Path,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    hours: float,
    arrive: bool,
) -> None:
    last = NOW - 3 * HOUR + 10 * MINUTE
    monkeypatch.setenv("PROSPECT_CLOCK", (last + hours * HOUR).isoformat())

    result = build_defs().resolve_job_def("look_at_events").execute_in_process(instance=instance)

    [check] = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("events_arrive", arrive)
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert facts(check)["age_hours"] == pytest.approx(hours)
    assert result.get_asset_materialization_events() == []


AHEAD = event("ahead", NOW + 4 * 365 * DAY)


def test_an_event_dated_ahead_does_not_hide_that_no_others_arrive(
    events: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    write([*EVENTS, AHEAD], events)
    last = NOW - 3 * HOUR + 10 * MINUTE
    monkeypatch.setenv("PROSPECT_CLOCK", (last + 60 * HOUR).isoformat())

    result = build_defs().resolve_job_def("look_at_events").execute_in_process(instance=instance)

    [check] = result.get_asset_check_evaluations()
    assert not check.passed
    assert facts(check)["age_hours"] == pytest.approx(60)
    assert facts(check)["last_event"] == last.isoformat()


@pytest.mark.parametrize(
    ("clock", "last"),
    [
        (NOW.isoformat(), NOW - 3 * HOUR + 10 * MINUTE),
        ("last-event", NOW + 4 * 365 * DAY),
        ((NOW - 4 * DAY).isoformat(), NOW - 5 * DAY + 45 * MINUTE),
    ],
)
def test_without_an_as_of_a_training_goes_by_the_last_event_that_the_clock_has_reached(
    events: Path,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    clock: str,
    last: datetime,
) -> None:
    write([*EVENTS, AHEAD], events)
    monkeypatch.setenv("PROSPECT_AS_OF", "")
    monkeypatch.setenv("PROSPECT_CLOCK", clock)

    result = run(instance)

    assert result.success
    attrs = pd.read_parquet(stored()).attrs
    assert attrs["as_of"] == (last + timedelta(microseconds=1)).isoformat()
    assert attrs["last_event"] == last.isoformat()


def test_a_clock_that_is_behind_every_event_bounds_nothing(
    events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROSPECT_AS_OF", "")
    monkeypatch.setenv("PROSPECT_CLOCK", (NOW - 90 * DAY).isoformat())
    request = DatasetRequest(
        prospect.attribute_group(DefinitionSettings.load()), TrainingSettings.load()
    )

    made = DuckDBWarehouse(events).training_set(request)

    assert made.anchoring.as_of == NOW - 3 * HOUR + 10 * MINUTE + timedelta(microseconds=1)


def test_rows_that_leave_their_own_moment_out_are_computed_again_likewise(
    events: Path, instance: dg.DagsterInstance
) -> None:
    run(instance)
    group = prospect.attribute_group(DefinitionSettings.load())
    request = DatasetRequest(group, TrainingSettings.load(), strictly_before=True)
    frame = DuckDBWarehouse(events).training_set(request).table.to_pandas()
    frame.attrs = pd.read_parquet(stored()).attrs | {"strictly_before": True}
    frame.to_parquet(stored(), index=False)

    assert check_alone(instance, checks.no_leakage).passed


@pytest.mark.parametrize(
    ("as_of", "clock", "age"),
    [
        (NOW, NOW + 90 * DAY, 2 + 50 / 60),  # as-of counts where it is given
        (NOW + 46 * HOUR, NOW, 48 + 50 / 60),
        (NOW - DAY + 5 * MINUTE, NOW, 5 / 60),  # what is after as-of does not count
        (None, NOW + DAY, 26 + 50 / 60),  # as-of follows the last event: the clock counts
        (None, NOW + 3 * DAY, 74 + 50 / 60),
    ],
)
def test_an_old_last_event_warns(
    events: Path,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    as_of: datetime | None,
    clock: datetime,
    age: float,
) -> None:
    monkeypatch.setenv("PROSPECT_AS_OF", as_of.isoformat() if as_of else "")
    monkeypatch.setenv("PROSPECT_CLOCK", clock.isoformat())

    result = run(instance)

    check = found(result, "events_are_fresh")
    assert check.passed == (age <= 48)
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert facts(check)["age_hours"] == pytest.approx(age)
    assert result.success


def test_how_old_is_a_setting(
    events: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROSPECT_FRESHNESS_HOURS", "2")

    assert not found(run(instance), "events_are_fresh").passed


def as_of(moment: datetime) -> dict[str, Any]:
    return {"ops": {"training_dataframe": {"config": {"as_of": moment.isoformat()}}}}


def test_counts_are_compared_with_the_run_before(
    events: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(instance, run_config=as_of(NOW))
    write([*EVENTS, *visit("eve", NOW - 2 * DAY, 1)], events)
    second = run(instance, run_config=as_of(NOW + HOUR))
    write([*EVENTS, *visit("eve", NOW - 2 * DAY, 40)], events)
    third = run(instance, run_config=as_of(NOW + 2 * HOUR))

    checked = [found(each, "counts_like_last_run") for each in (first, second, third)]
    shown = [facts(check) for check in checked]

    assert [check.passed for check in checked] == [True, True, False]
    assert [each.success for each in (first, second, third)] == [True] * 3
    assert shown[0]["checked"] is False
    assert shown[0]["present"] == {"rows": 17, "positives": 5, "visitors": 2}
    assert shown[1]["previous"] == shown[0]["present"]
    assert shown[1]["previous_run"] == first.run_id
    assert shown[2]["previous"] == {"rows": 18, "positives": 5, "visitors": 3}
    assert shown[2]["previous_run"] == second.run_id
    assert shown[2]["changed"] == ["rows"]

    monkeypatch.setenv("PROSPECT_COUNT_CHANGE", "3")
    alone = check_alone(instance, checks.counts_like_last_run)
    assert alone.passed
    assert facts(alone)["previous_run"] == second.run_id


def previous(result: dg.ExecuteInProcessResult) -> str | None:
    run_id: str | None = facts(found(result, "counts_like_last_run")).get("previous_run")
    return run_id


def test_counts_are_not_compared_with_a_backfill_nor_a_backfill_with_what_came_later(
    events: Path, instance: dg.DagsterInstance
) -> None:
    week_before = run(instance, run_config=as_of(NOW - DAY))
    last_week = run(instance, run_config=as_of(NOW))
    same_day = run(instance, run_config=as_of(NOW))
    backfill = run(instance, run_config=as_of(NOW - 2 * HOUR))
    this_week = run(instance, run_config=as_of(NOW + DAY))

    assert previous(week_before) is None
    assert previous(last_week) == previous(same_day) == week_before.run_id
    assert previous(backfill) == week_before.run_id
    assert previous(this_week) == same_day.run_id


def test_counts_are_not_compared_with_those_of_a_run_that_goes_on_at_the_same_time(
    events: Path, instance: dg.DagsterInstance
) -> None:
    class Meanwhile(WarehouseResource):
        """While one training set is built, another run builds its own."""

        def open(self) -> Warehouse:
            if not others:
                others.append(run(instance, run_config=as_of(NOW - HOUR)).run_id)
            return super().open()

    others: list[str] = []
    first = run(instance, run_config=as_of(NOW - DAY))
    resources = {"warehouse": Meanwhile()}

    result = run(instance, run_config=as_of(NOW), resources=resources)

    assert len(others) == 1
    assert previous(result) == first.run_id


def test_every_reason_for_leaving_an_event_out_has_a_meaning() -> None:
    group = prospect.attribute_group(DefinitionSettings.load())
    audits = [
        TrainingQuery(group, anchoring).audit()
        for anchoring in (Anchoring(NOW, None), Anchoring(NOW, None, sessions=Sessions(NOW, NOW)))
    ]
    reasons = re.findall(r"SELECT\s+'(\w+)'", " ".join(audits))

    assert set(reasons) == set(MEANINGS)
    assert dropped({"null_key": 3}).value == (
        "| reason | events | meaning |\n| --- | --- | --- |\n"
        f"| null_key | 3 | {MEANINGS['null_key']} |"
    )
