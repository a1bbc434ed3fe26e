"""The fingerprint is that of definition and rows: the same wherever and whenever they are built."""

from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from prospect_pipeline.attributes import prospect
from prospect_pipeline.settings import DefinitionSettings, TrainingSettings
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse
from prospect_pipeline.warehouse.fingerprint import Fingerprint, row_hashes
from prospect_pipeline_tests.events import DAY, NOW, Event, event, write

HOUR = timedelta(hours=1)
GROUP = prospect.attribute_group(DefinitionSettings.load())
EVENTS = [
    event("a", NOW - 40 * DAY, page_url="https://x.io/pricing"),
    event("b", NOW - 40 * DAY + HOUR / 2, "submit_form"),
    event("c", NOW - 35 * DAY, user="bob", device="Phone"),
]


def found(path: Path, events: list[Event], **settings: str) -> Fingerprint:
    chosen = TrainingSettings.load(**({"as_of": NOW.isoformat()} | settings))
    request = DatasetRequest(GROUP, chosen)
    return DuckDBWarehouse(write(events, path)).training_set(request).fingerprint


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.parquet"


def test_events_that_change_no_row_change_nothing(path: Path) -> None:
    later = event("d", NOW + DAY, user="ann")
    stranger = event("e", NOW - 3 * DAY, user="eve")  # first seen after the cohort's window
    no_anchor = event("f", NOW - DAY, "link_click")

    assert found(path, [later, *reversed(EVENTS), stranger, no_anchor]) == found(path, EVENTS)


def test_a_later_as_of_over_the_same_rows_is_the_same_definition(path: Path) -> None:
    later = (NOW + DAY).isoformat()

    assert found(path, EVENTS, as_of=later) == found(path, EVENTS)


def test_another_value_label_or_row_is_other_data(path: Path) -> None:
    one = found(path, EVENTS)
    others = [
        [*EVENTS[:2], EVENTS[2] | {"app_id": "hs-landing"}],
        [EVENTS[0], EVENTS[1] | {"event_name": "page_view"}, EVENTS[2]],
        [*EVENTS[:2], EVENTS[2] | {"derived_tstamp": NOW - 35 * DAY + HOUR}],
        EVENTS[:2],
        [*EVENTS, event("d", NOW - 35 * DAY, user="bob")],
    ]

    digests = [found(path, events) for events in others]

    assert {digest.definition for digest in digests} == {one.definition}
    assert len({one.data, *(digest.data for digest in digests)}) == 1 + len(others)
    assert len({one.both, *(digest.both for digest in digests)}) == 1 + len(others)


@pytest.mark.parametrize(
    "changed",
    [{"cohort": "90:30"}, {"horizon_minutes": "20"}, {"exclude_bots": "false"}],
    ids=lambda changed: next(iter(changed)),
)
def test_another_setting_is_another_definition(path: Path, changed: dict[str, str]) -> None:
    one, other = found(path, EVENTS), found(path, EVENTS, **changed)

    assert one.definition != other.definition
    assert one.both != other.both
    assert (one.data == other.data) is ("horizon_minutes" not in changed)


def test_rows_hash_the_same_in_any_order_and_in_parts() -> None:
    rows = pa.table({"a": [1, 2, 2, None], "b": [["x"], [], None, ["y", "x"]]})
    with duckdb.connect() as connection:
        whole = row_hashes(connection, rows)
        parts = [row_hashes(connection, rows.slice(start, 2)) for start in (2, 0)]
        swapped = row_hashes(connection, rows.take([3, 2, 1, 0]))
        other = row_hashes(
            connection, pa.table({"a": rows["a"], "b": rows["b"].take([1, 0, 2, 3])})
        )
        none = row_hashes(connection, rows.slice(0, 0))

    assert whole == sum(parts) == swapped
    assert whole != other
    assert none == 0
