"""The local Signals' events: loaded whole or not at all."""

from pathlib import Path

import pytest

from prospect_pipeline.errors import EventsError
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline_tests.events import DAY, NOW, event, write


def test_loading_drops_copies_and_says_what_counts_nowhere(
    store: EventStore, tmp_path: Path
) -> None:
    events = [
        event("a", NOW, collector_tstamp=NOW + DAY, app_id="late"),
        event("a", NOW, collector_tstamp=NOW, app_id="early"),
        event("b", NOW, user=None),
        event("c", None),  # type: ignore[arg-type]
        event(None, NOW),  # type: ignore[arg-type]
        event(None, NOW),  # type: ignore[arg-type]
    ]

    loaded = store.load(write(events, tmp_path / "events.parquet"))

    assert loaded.events == 5
    assert loaded.uncounted == {
        "duplicate_event_id": 1,
        "null_key": 1,
        "null_event_id": 2,
        "null_derived_tstamp": 1,
    }
    assert loaded.told == [
        "1 event with the event_id of another one: counted once",
        "1 event without a visitor's id (the key, such as domain_userid, is null): counted nowhere",
        "2 events without an event_id: counted nowhere",
        "1 event without a moment (derived_tstamp is null): counted nowhere",
    ]
    assert store.last_event() == NOW


def test_events_that_none_of_which_counts_are_refused(store: EventStore, tmp_path: Path) -> None:
    path = write([event("a", NOW, user=None)], tmp_path / "events.parquet")

    with pytest.raises(EventsError, match="each of its 1 events lacks domain_userid"):
        store.load(path)


def test_a_refused_file_leaves_what_was_loaded(store: EventStore, tmp_path: Path) -> None:
    store.load(write([event("a", NOW)], tmp_path / "events.parquet"))
    before = store.path.read_bytes()
    (tmp_path / "broken.parquet").write_text("hello")

    with pytest.raises(EventsError):
        store.load(tmp_path / "broken.parquet")

    assert store.path.read_bytes() == before
    assert [path.name for path in store.path.parent.iterdir()] == [store.path.name]


def test_an_empty_store_knows_nobody(store: EventStore) -> None:
    assert store.last_event() is None
    assert store.sample_keys(3) == []
