"""The dataset builder, through the official SDK."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from snowplow_signals import (
    AtomicProperty,
    Attribute,
    Criteria,
    Criterion,
    Event,
    SignalsAPIError,
    SignalsSandbox,
    StreamAttributeGroup,
    TrainingSpan,
    WarehouseTable,
    domain_sessionid,
    domain_userid,
)

from prospect_pipeline.sandbox.datasets import RUNS_KEPT
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.settings import DataSettings
from prospect_pipeline.warehouse.base import Progress
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse, connect
from prospect_pipeline.warehouse.files import EventFile
from prospect_pipeline_tests.events import DAY, NOW, event, write
from prospect_pipeline_tests.sandbox.conftest import signals_over

MINUTE = timedelta(minutes=1)
ROBOTS = "contexts_com_iab_snowplow_spiders_and_robots_1"
GOAL = Criteria(all=[Criterion.eq(AtomicProperty(name="event_name"), "submit_form")])
SPAN = TrainingSpan(start_time=NOW - 10 * DAY, end_time=NOW)


def group(name: str, key: Any) -> StreamAttributeGroup:
    views = {"events": [Event(name="page_view")], "type": "int32", "aggregation": "counter"}
    return StreamAttributeGroup(
        name=name, version=1, attribute_key=key, owner="a@example.com",
        attributes=[Attribute(name=f"{name}_views", period=7 * DAY, **views)],
    )  # fmt: skip


USERS, SESSIONS = group("user", domain_userid), group("session", domain_sessionid)
EVENTS = [
    *(event(f"a{n}", NOW - 2 * DAY + n * MINUTE, session="won") for n in range(3)),
    event("goal", NOW - 2 * DAY + 5 * MINUTE, "submit_form", session="won"),
    *(event(f"b{n}", NOW - DAY + n * MINUTE, session="lost") for n in range(4)),
]


@pytest.fixture
def live(data: DataSettings, tmp_path: Path) -> Iterator[SignalsSandbox]:
    EventStore(data).load(write(EVENTS, tmp_path / "events.parquet"))
    with signals_over(data) as signals:
        yield signals


def finished(live: SignalsSandbox, run: Any) -> Any:
    end = time.monotonic() + 60
    while (status := live.get_dataset_run_status(run.id)).status == "pending":
        assert time.monotonic() < end, "the run never ended"
    return status


def test_a_run_makes_the_table_that_the_sql_says(live: SignalsSandbox, data: DataSettings) -> None:
    asked: dict[str, Any] = {"goal_criteria": GOAL, "training_span": SPAN}
    run = live.submit_dataset_run_with_session_anchors([USERS, SESSIONS], **asked)
    bundle = live.build_dataset_with_session_anchors([USERS, SESSIONS], **asked)

    assert finished(live, run).status == "success"
    made = live.get_dataset_run_preview(run.id, limit=100).to_pandas()
    with connect() as connection:
        file = EventFile(connection, EventStore(data).folder, "domain_userid")
        file.create_view("atomic_events", {*file.columns, ROBOTS})  # as a real table has it
        for part in (bundle.response.anchors, *bundle.response.attributes, bundle.response.dataset):
            connection.execute(f"CREATE TABLE {part.table} AS {part.sql}")
        written = connection.sql(
            f"SELECT * FROM {bundle.response.dataset.table} ORDER BY anchor_ts"
        ).df()

    shown = ["event_id", "user_views", "session_views", "label", "weight"]
    assert made[shown].values.tolist() == [
        ["goal", 3, 3, 1, 1.0],
        ["b1", 4, 1, 0, 1.0],
        ["b2", 5, 2, 0, 1.0],
        ["b3", 6, 3, 0, 1.0],
    ]
    assert written[shown].values.tolist() == made[shown].values.tolist()
    assert pd.to_datetime(made["anchor_ts"])[0] == NOW - 2 * DAY + 5 * MINUTE


def test_a_bundle_is_saved_as_files(live: SignalsSandbox, tmp_path: Path) -> None:
    bundle = live.build_dataset_with_session_anchors([USERS], GOAL, SPAN)

    bundle.save_to(tmp_path / "bundle")

    assert {path.name for path in (tmp_path / "bundle").iterdir()} == {
        "manifest.json", "README.md", "signals_anchors.sql", "signals_dataset.sql",
        "signals_attributes_domain_userid.sql",
    }  # fmt: skip


def test_anchors_may_be_a_table_of_ones_own(live: SignalsSandbox, data: DataSettings) -> None:
    (data.root / "tables").mkdir()
    own = pd.DataFrame({"domain_userid": ["ann", "zoe"], "anchor_ts": [NOW, NOW], "label": [1, 0]})
    own.to_parquet(data.root / "tables" / "mine.parquet")
    anchors = WarehouseTable(table="mine")

    run = live.submit_dataset_run_with_custom_anchors([USERS], anchors)

    assert finished(live, run).status == "success"
    made = live.get_dataset_run_preview(run.id).to_pandas()
    assert made[["domain_userid", "user_views", "label"]].values.tolist()[0] == ["ann", 7, 1]
    assert made["user_views"].isna().tolist() == [False, True]


def test_what_cannot_be_built_says_why(live: SignalsSandbox) -> None:
    missing = WarehouseTable(table="nowhere")
    with pytest.raises(SignalsAPIError, match="Table 'nowhere' is none"):
        live.submit_dataset_run_with_custom_anchors([USERS], missing)
    with pytest.raises(SignalsAPIError, match="max_lookback_days would change"):
        live.build_dataset_with_session_anchors([USERS], GOAL, SPAN, max_lookback_days=3)
    early = TrainingSpan(start_time=NOW - 99 * DAY, end_time=NOW - 98 * DAY)
    run = live.submit_dataset_run_with_session_anchors([USERS], GOAL, early)
    assert finished(live, run).status == "failed"
    with pytest.raises(SignalsAPIError, match="No session there reached the goal"):
        live.get_dataset_run_preview(run.id)


def test_a_run_can_be_cancelled(live: SignalsSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(_warehouse: object, _request: object, progress: Progress) -> None:
        while True:
            progress("one more part")

    monkeypatch.setattr(DuckDBWarehouse, "training_set", endless)
    run = live.submit_dataset_run_with_session_anchors([USERS], GOAL, SPAN)
    assert live.get_dataset_run_status(run.id).status == "pending"

    live.cancel_dataset_run(run.id)

    assert finished(live, run).status == "failed"
    with pytest.raises(SignalsAPIError, match="is failed: cancelled"):
        live.get_dataset_run_preview(run.id)


def test_the_last_runs_are_known(data: DataSettings, live: SignalsSandbox) -> None:
    runs = [live.submit_dataset_run_with_session_anchors([USERS], GOAL, SPAN)
            for _ in range(RUNS_KEPT + 2)]  # fmt: skip
    assert finished(live, runs[-1]).status == "success"

    last = live.submit_dataset_run_with_session_anchors([USERS], GOAL, SPAN)

    assert finished(live, last).status == "success"
    assert finished(live, runs[-1]).status == "success"
    with pytest.raises(SignalsAPIError, match="404"):
        live.get_dataset_run_status(runs[0].id)
