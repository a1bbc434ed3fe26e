"""The same events, sent by trackers or loaded from a file, are worth the same.

Generated events are turned back into what their trackers would have sent. One column is none of a
tracker's: the entity that the IAB's list of robots adds on the way, which no one here has. The
device's entity is added here too; of it the class is compared, which is all that was generated.
"""

import asyncio
import base64
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import requests

from prospect_pipeline.attributes import prospect
from prospect_pipeline.sandbox.api import build_app
from prospect_pipeline.sandbox.atomic import Context
from prospect_pipeline.sandbox.collected import CollectedEvents
from prospect_pipeline.sandbox.collector import Collector
from prospect_pipeline.sandbox.generator import generate
from prospect_pipeline.sandbox.profiles import Profiles
from prospect_pipeline.sandbox.registry import Registry
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.settings import Clock, DataSettings, DefinitionSettings, TrainingSettings
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse, connect
from prospect_pipeline.warehouse.files import EventFile
from prospect_pipeline_tests.events import YAUAA, Event
from prospect_pipeline_tests.sandbox.conftest import TOKEN, serving
from prospect_pipeline_tests.sandbox.test_payloads import SNOWPLOW, body, envelope

END = datetime(2026, 5, 1, 12, tzinfo=UTC)
MOMENTS = (END, END - timedelta(days=9, hours=3), END - timedelta(days=40))
GROUP = prospect.attribute_group(DefinitionSettings.load())
NAMES = [attribute.name for attribute in GROUP.attributes]
IAB = "contexts_com_iab_snowplow_spiders_and_robots_1"
SENT = {
    "event_id": "eid", "app_id": "aid", "platform": "p", "name_tracker": "tna",
    "domain_userid": "duid", "domain_sessionid": "sid", "domain_sessionidx": "vid",
    "page_url": "url", "page_title": "page", "page_referrer": "refr", "useragent": "ua",
}  # fmt: skip
KINDS = {"page_view": "pv", "page_ping": "pp"}

Values = dict[tuple[datetime, str], dict[str, Any]]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(150, 2, END, tmp_path_factory.mktemp("e") / "events.parquet").path


@pytest.fixture(scope="module")
def rows(generated: Path) -> list[Event]:
    """The generated events in the order in which they were collected.

    There are copies, robots, the media plug-in's events, and visitors without a cookie among them.
    """
    found: list[Event] = pq.read_table(generated).sort_by("collector_tstamp").to_pylist()
    assert {None, "play"} <= {row["domain_userid"] and row["event_name"] for row in found}
    assert any(row[IAB] for row in found)
    return found


@pytest.fixture(scope="module")
def loaded(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> EventStore:
    store = EventStore(DataSettings.load(data_dir=tmp_path_factory.mktemp("loaded")))
    assert store.load(generated).duplicate_event_id > 0
    return store


@pytest.fixture
def collected(data: DataSettings) -> Iterator[CollectedEvents]:
    """A store that has put some of its events into Parquet files by the end."""
    store = CollectedEvents(data, segment_events=400)
    yield store
    assert list(store.folder.glob("live-*.parquet"))


def payload(row: Event, **more: datetime) -> dict[str, str]:
    """Return what a tracker sent, for it to have become a row; with moments by their names."""
    sent = {SENT[column]: str(row[column]) for column in SENT if row[column] is not None}
    sent |= {name: str(round(at.timestamp() * 1000)) for name, at in more.items()}
    kind = KINDS.get(row["event_name"])
    if kind is not None:
        return sent | {"e": kind}
    vendor, name, version = (row[f"event_{part}"] for part in ("vendor", "name", "version"))
    told = json.loads(row.get(f"unstruct_event_com_snowplowanalytics_snowplow_{name}_1") or "{}")
    data = {"schema": f"iglu:{vendor}/{name}/jsonschema/{version}", "data": told}
    return sent | {
        "e": "ue",
        "ue_px": base64.urlsafe_b64encode(envelope("unstruct_event", data).encode()).decode(),
    }


def values(profiles: Profiles, visitors: set[str]) -> Values:
    return {
        (moment, visitor): profiles.values(GROUP, [visitor], moment)[0]
        for visitor in visitors
        for moment in MOMENTS
    }


def profiles_of(store: EventStore) -> Profiles:
    return Profiles(store, Clock.load(setting="wall"))


def training_set(store: EventStore) -> tuple[list[Event], dict[str, int]]:
    settings = TrainingSettings.load(cohort="all", as_of=END.isoformat())
    made = DuckDBWarehouse(store.folder).training_set(DatasetRequest(GROUP, settings, "attributes"))
    order = [(name, "ascending") for name in ("domain_userid", "anchor_ts", "event_id")]
    return made.table.sort_by(order).to_pylist(), made.dropped


def events_of(store: EventStore, columns: list[str]) -> list[Event]:
    with connect() as connection:
        EventFile(connection, store.folder, "domain_userid").create_view("events", columns)
        shown = ", ".join(columns)
        found = connection.sql(f"SELECT {shown} FROM events ORDER BY event_id").fetchall()
    return [dict(zip(columns, map(_plain, columns, row), strict=True)) for row in found]


def _plain(column: str, value: Any) -> Any:
    if column == YAUAA:
        return [one["deviceClass"] for one in json.loads(value)]
    return json.loads(value) if column.startswith("unstruct_") and value else value


def test_sent_in_any_order_every_attribute_and_the_training_set_are_the_files(
    rows: list[Event], loaded: EventStore, collected: CollectedEvents, data: DataSettings
) -> None:
    """By the true timestamp (``ttm``), which alone says when an event of long ago happened."""
    visitors = {row["domain_userid"] for row in rows} - {None}
    profiles = profiles_of(collected)
    values(profiles, visitors)  # from here on events are added to profiles that are known
    sent = [payload(row, ttm=row["derived_tstamp"]) for row in rows]
    random.Random(4).shuffle(sent)
    collector = Collector(collected)
    app = build_app(Registry(data), profiles, TOKEN, collector)
    with serving(app) as url, requests.Session() as tracker:
        for start in range(0, len(sent), 25):
            one, *others = sent[start : start + 25]
            assert tracker.get(f"{url}/i", params=one, timeout=10).ok
            tp2 = f"{url}/{SNOWPLOW}/tp2"
            assert tracker.post(tp2, body(*others), timeout=10).text == "ok"
        seen = tracker.get(f"{url}/micro/all", timeout=10).json()
        while_it_ran = values(profiles, visitors)
    collector.close()

    expected = values(profiles_of(loaded), visitors)
    copies = len(rows) - len({row["event_id"] for row in rows})
    assert seen == {"total": len(rows) - copies, "good": len(rows) - copies, "bad": 0,
                    "duplicate": copies}  # fmt: skip
    assert {n for found in expected.values() for n, value in found.items() if value} == set(NAMES)
    assert while_it_ran == expected
    assert values(profiles_of(collected), visitors) == expected
    assert values(profiles_of(EventStore(data)), visitors) == expected
    assert training_set(collected) == training_set(loaded)


def test_sent_late_every_column_of_a_tracker_is_the_files(
    rows: list[Event], loaded: EventStore, collected: CollectedEvents
) -> None:
    """By the device's clock, which is wrong: only how long an event waited (``stm - dtm``) counts.

    Each event reaches the collector at the moment that the file says, so that this is compared too.
    """
    collector = Collector(collected)
    wrong = timedelta(days=400)

    async def receive(row: Event) -> None:
        at = row["collector_tstamp"]
        sent = payload(row, dtm=row["derived_tstamp"] - wrong, stm=at - wrong)
        await collector.receive([sent], Context(at))

    async def receive_all() -> None:
        await asyncio.gather(*map(receive, rows))

    asyncio.run(receive_all())
    collector.close()

    columns = [column for column in rows[0] if column not in (IAB, "dvce_created_tstamp")]
    assert collector.seen.counts["bad"] == 0
    assert events_of(collected, columns) == events_of(loaded, columns)
