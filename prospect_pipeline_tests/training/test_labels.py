"""Labels are counted again by another path, and a wrong one is named."""

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from prospect_pipeline.attributes import prospect
from prospect_pipeline.settings import DefinitionSettings, TrainingSettings
from prospect_pipeline.training import labels
from prospect_pipeline.training.dataset import Check
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse
from prospect_pipeline_tests.events import DAY, NOW, event, write

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
START = NOW - 5 * DAY
EVENTS = [
    event("seen", START),
    event("form", START + 40 * MINUTE, "submit_form"),
    event("late", START + HOUR + 40 * MINUTE),
    event("again", START + 2 * HOUR + 40 * MINUTE, "submit_form"),  # just within the hour
    event("other", START, user="bob"),
]
GROUP = prospect.attribute_group(DefinitionSettings.load())


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(write(EVENTS, tmp_path / "events.parquet"))


def settings(**given: str) -> TrainingSettings:
    return TrainingSettings.load(cohort="all", as_of=NOW.isoformat(), **given)


def built(warehouse: DuckDBWarehouse, chosen: TrainingSettings) -> pd.DataFrame:
    made = warehouse.training_set(DatasetRequest(GROUP, chosen))
    frame: pd.DataFrame = made.table.to_pandas()
    return frame


def checked(warehouse: DuckDBWarehouse, frame: pd.DataFrame, chosen: TrainingSettings) -> Check:
    sampled = labels.sample(frame)
    path = warehouse.events.with_name("anchors.parquet")
    labels.moments_of(sampled, chosen).to_parquet(path)
    request = DatasetRequest(labels.goal_group(chosen), chosen, "attributes", path)
    counted = warehouse.training_set(request).table.to_pandas()
    return labels.check_labels(sampled, counted, chosen)


@pytest.mark.parametrize("goal_count", ["1", "2"])
def test_labels_as_they_are_built_are_right(warehouse: DuckDBWarehouse, goal_count: str) -> None:
    chosen = settings(goal_count=goal_count)
    frame = built(warehouse, chosen)

    found = checked(warehouse, frame, chosen)

    assert frame["label"].sum() == (2 if goal_count == "1" else 0)
    assert (found.passed, found.facts) == (True, {"rows": 5, "differing": 0})


def test_a_goal_as_criteria_is_counted_too(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    (tmp_path / "goal.py").write_text(
        "from snowplow_signals import AtomicProperty, Criteria, Criterion\n"
        "goal = Criteria(all=[Criterion.eq(AtomicProperty(name='event_name'), 'submit_form')])\n"
    )
    chosen = settings(goal=f"{tmp_path / 'goal.py'}:goal")

    assert checked(warehouse, built(warehouse, chosen), chosen).passed


def test_a_label_that_counts_the_rows_own_event_is_named(warehouse: DuckDBWarehouse) -> None:
    chosen = settings()
    frame = built(warehouse, chosen)
    frame.loc[frame["event_id"] == "form", "label"] = 1

    found = checked(warehouse, frame, chosen)

    assert (found.passed, found.blocking) == (False, True)
    assert found.facts["differing"] == 1
    assert found.facts["first_differing"] == "ann"
    assert "ann" not in found.description
    assert f"names, at {(START + 40 * MINUTE).isoformat()}, has label 1." in found.description


def test_a_label_that_looks_further_than_the_horizon_is_named(warehouse: DuckDBWarehouse) -> None:
    frame = built(warehouse, settings(horizon_minutes="180"))

    found = checked(warehouse, frame, settings())

    assert (found.passed, found.facts["differing"]) == (False, 1)


def test_a_row_that_was_not_counted_is_not_taken_for_a_negative(warehouse: DuckDBWarehouse) -> None:
    chosen = settings()
    sampled = labels.sample(built(warehouse, chosen))
    moments = labels.moments_of(sampled, chosen)
    counted = moments.assign(goals=0)[moments["anchor_ts"] != START + HOUR]  # an end of bob's

    found = labels.check_labels(
        sampled[sampled["domain_userid"] == "bob"],
        counted[counted["domain_userid"] == "bob"],
        chosen,
    )

    assert not found.passed
    assert found.facts == {"rows": 1, "differing": 1, "first_differing": "bob"}
    assert "1 of them were not counted: the warehouse gave no value." in found.description


def test_a_sample_has_rows_of_both_labels_and_is_not_large() -> None:
    many = pd.DataFrame(
        {"domain_userid": "ann", "event_id": [f"{n:04}" for n in range(4000)],
         "anchor_ts": START, "label": [int(n % 100 == 0) for n in range(4000)]}
    )  # fmt: skip

    assert labels.sample(many)["label"].value_counts().to_dict() == {0: 147, 1: 40}
