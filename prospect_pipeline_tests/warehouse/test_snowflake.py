"""Snowflake through the real connector, against fakesnow (which is not Snowflake)."""

from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
import snowflake.connector
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fakesnow import server
from snowplow_signals import AtomicProperty, Attribute, StreamAttributeGroup, domain_userid

from prospect_pipeline.attributes import prospect
from prospect_pipeline.errors import EventsError, WarehouseUnavailable
from prospect_pipeline.orchestration.assets import atomic_events, training_dataframe
from prospect_pipeline.orchestration.checks import labels_follow, no_leakage
from prospect_pipeline.orchestration.resources import WarehouseResource, parquet_frames
from prospect_pipeline.settings import DefinitionSettings, TrainingSettings
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse
from prospect_pipeline.warehouse.snowflake import SnowflakeWarehouse
from prospect_pipeline_tests.events import DAY, NOW, SCHEMA, YAUAA, Event, event, write

GROUP = prospect.attribute_group(DefinitionSettings.load())
EVENTS = [
    event("a", NOW - 40 * DAY, page_url="https://x.io/pricing"),
    event("b", NOW - 40 * DAY, "submit_form"),
    event("c", NOW - 39 * DAY, user="bob", device="Phone", refr_medium="search"),
    event("d", NOW - 2 * DAY, session="s2", mkt_campaign="spring"),
    event("e", NOW - 70 * DAY, user="old"),
    event("f", NOW, user="new"),
]


@pytest.fixture
def snowflake_tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with server() as where:
        monkeypatch.setattr(snowflake.connector, "connect", _with(where))
        connection = snowflake.connector.connect()
        cursor = connection.cursor()
        cursor.execute("CREATE DATABASE IF NOT EXISTS tracker")
        cursor.execute("CREATE SCHEMA IF NOT EXISTS tracker.atomic")
        kinds = {"derived_tstamp": "TIMESTAMP_NTZ", "collector_tstamp": "TIMESTAMP_NTZ"}
        kinds |= {YAUAA: "VARIANT", "se_value": "DOUBLE", "domain_sessionidx": "BIGINT"}
        columns = ", ".join(f"{name} {kinds.get(name, 'VARCHAR')}" for name in SCHEMA.names)
        cursor.execute(f"CREATE OR REPLACE TABLE tracker.atomic.events ({columns})")
        for one in EVENTS:
            cursor.execute(f"INSERT INTO tracker.atomic.events SELECT {_literals(one)}")
        yield cursor
        connection.close()


def _with(where: dict[str, Any]) -> Any:
    real = snowflake.connector.connect

    def connect(**given: Any) -> Any:
        return real(**(given | where))

    return connect


def _literals(one: Event) -> str:
    def literal(name: str, value: Any) -> str:
        if value is None:
            return "NULL"
        if name.endswith("_tstamp"):
            return f"'{value.astimezone(UTC).replace(tzinfo=None)}'::TIMESTAMP_NTZ"
        return f"PARSE_JSON('{value}')" if name == YAUAA else f"'{value}'"

    return ", ".join(literal(name, one[name]) for name in SCHEMA.names)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> TrainingSettings:
    for name, value in {
        "SNOWFLAKE_ACCOUNT": "acme",
        "SNOWFLAKE_USER": "ann",
        "SNOWFLAKE_PASSWORD": "hush",
        "SNOWFLAKE_WAREHOUSE": "compute",
        "SNOWFLAKE_DATABASE": "tracker",
        "SNOWFLAKE_SCHEMA": "atomic",
        "ATOMIC_TABLE": "tracker.atomic.events",
    }.items():
        monkeypatch.setenv(name, value)
    return TrainingSettings.load(as_of=NOW.isoformat())


def test_snowflake_and_duckdb_give_the_same_training_set(
    snowflake_tables: Any, settings: TrainingSettings, tmp_path: Path
) -> None:
    request = DatasetRequest(GROUP, settings)
    there = WarehouseResource().open()

    made = there.training_set(request)

    here = DuckDBWarehouse(write(EVENTS, tmp_path / "events.parquet")).training_set(request)
    assert there.name == "Snowflake"
    assert made.rows == 4
    assert made.table.to_pylist() == here.table.to_pylist()
    assert made.fingerprint == here.fingerprint


def test_the_span_is_that_of_the_table(snowflake_tables: Any, settings: TrainingSettings) -> None:
    span = WarehouseResource().open().span()
    until = WarehouseResource().open().span(until=NOW - 2 * DAY)

    assert (span.events, span.first, span.last) == (6, NOW - 70 * DAY, NOW)
    assert (until.events, until.first, until.last) == (5, NOW - 70 * DAY, NOW - 2 * DAY)


def test_no_leak_is_found_on_snowflake(snowflake_tables: Any, settings: TrainingSettings) -> None:
    made = WarehouseResource().open().training_set(DatasetRequest(GROUP, settings))

    check = no_leakage(made.table.to_pandas(), warehouse=WarehouseResource())

    assert isinstance(check, dg.AssetCheckResult)
    assert check.passed, check.description
    assert check.metadata["rows"].value == 2


def test_labels_are_right_on_snowflake_and_checks_leave_the_training_set(
    snowflake_tables: Any, settings: TrainingSettings
) -> None:
    made = WarehouseResource().open().training_set(DatasetRequest(GROUP, settings))
    frame = made.table.to_pandas()
    frame.attrs = made.facts()

    check = labels_follow(frame, warehouse=WarehouseResource())

    assert isinstance(check, dg.AssetCheckResult)
    assert check.passed, check.description
    assert check.metadata["rows"].value == len(frame)
    stored = snowflake_tables.execute("SELECT COUNT(*) FROM PROSPECT_TRAINING_SET").fetchall()
    assert stored == [(len(frame),)]


def test_a_span_without_events_is_refused(
    snowflake_tables: Any, settings: TrainingSettings
) -> None:
    with pytest.raises(EventsError, match="up to 2020-01-01"):
        WarehouseResource().open().span(until=NOW.replace(year=2020, month=1, day=1))


LISTS = StreamAttributeGroup(
    name="lists",
    version=1,
    attribute_key=domain_userid,
    owner="a@example.com",
    attributes=[
        Attribute(
            name="Campaigns",
            type="string_list",
            aggregation="unique_list",
            events=[],
            property=AtomicProperty(name="mkt_campaign"),
            period=30 * DAY,
        ),
        Attribute(
            name="kinds",
            type="dict",
            aggregation="category_count",
            events=[],
            property=AtomicProperty(name="event_name"),
        ),
        Attribute(
            name="value",
            type="double",
            aggregation="mean",
            events=[],
            property=AtomicProperty(name="se_value"),
            default_value=0.5,
        ),
        Attribute(
            name="idle",
            type="float",
            aggregation="time_since_last",
            events=[],
            time_unit="h",
            ttl=DAY,
        ),
    ],
)


def test_raw_values_lists_and_counts_by_category_are_the_same(
    snowflake_tables: Any, settings: TrainingSettings, tmp_path: Path
) -> None:
    request = DatasetRequest(LISTS, settings, "attributes", strictly_before=True)

    there = WarehouseResource().open().training_set(request)

    here = DuckDBWarehouse(write(EVENTS, tmp_path / "events.parquet")).training_set(request)
    made = there.table
    assert made.schema == here.table.schema
    assert made.to_pylist() == here.table.to_pylist()
    assert there.fingerprint == here.fingerprint
    assert made.column("kinds").to_pylist()[2] == [("page_view", 1), ("submit_form", 1)]


def test_own_anchors_are_the_same(
    snowflake_tables: Any, settings: TrainingSettings, tmp_path: Path
) -> None:
    anchors = tmp_path / "anchors.csv"
    anchors.write_text(
        "domain_userid,anchor_ts,label\n"
        f"ann,{(NOW - DAY).isoformat()},1\n"
        "ann,2026-03-22 14:00:00.000001+02:00,0\n"
        "o'hara,2026-04-01,true\n"
    )
    request = DatasetRequest(GROUP, settings, anchors=anchors)

    made = WarehouseResource().open().training_set(request)

    here = DuckDBWarehouse(write(EVENTS, tmp_path / "events.parquet")).training_set(request)
    assert made.rows == 3
    assert made.table.to_pylist() == here.table.to_pylist()
    assert made.fingerprint == here.fingerprint


def test_a_column_that_the_table_lacks_is_null(
    snowflake_tables: Any, settings: TrainingSettings
) -> None:
    snowflake_tables.execute("ALTER TABLE tracker.atomic.events DROP COLUMN refr_medium")

    made = WarehouseResource().open().training_set(DatasetRequest(GROUP, settings)).table

    assert made.column("first_refr_medium_l30d").to_pylist() == [""] * 4


def test_a_required_column_that_the_table_lacks_is_named(
    snowflake_tables: Any, settings: TrainingSettings
) -> None:
    snowflake_tables.execute("ALTER TABLE tracker.atomic.events DROP COLUMN event_vendor")

    with pytest.raises(EventsError, match=r"lacks the required column.*event_vendor"):
        WarehouseResource().open().training_set(DatasetRequest(GROUP, settings))


def test_the_training_set_stays_in_snowflake_as_a_table(
    snowflake_tables: Any, settings: TrainingSettings
) -> None:
    made = WarehouseResource().open().training_set(DatasetRequest(GROUP, settings))

    [(rows,)] = snowflake_tables.execute(
        "SELECT COUNT(*) FROM tracker.atomic.prospect_training_set"
    ).fetchall()
    assert rows == made.rows
    assert "PROSPECT_TRAINING_SET" in made.notes[0]


def test_a_cohort_without_visitors_says_which_dates_the_events_cover(
    snowflake_tables: Any, settings: TrainingSettings
) -> None:
    late = settings.model_copy(update={"as_of": (NOW + 365 * DAY).isoformat()})

    with pytest.raises(EventsError, match=r"run from 2026-02-20 12:00 to 2026-05-01 12:00"):
        WarehouseResource().open().training_set(DatasetRequest(GROUP, late))


def test_the_asset_is_materialized_on_snowflake(
    snowflake_tables: Any,
    settings: TrainingSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PROSPECT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PROSPECT_AS_OF", NOW.isoformat())

    done = dg.materialize(
        [training_dataframe, atomic_events],
        selection=[training_dataframe],
        resources={"warehouse": WarehouseResource(), "frames": parquet_frames, "source": None},
    )

    here = DuckDBWarehouse(write(EVENTS, tmp_path / "events.parquet"))
    wanted = here.training_set(DatasetRequest(GROUP, settings)).table.to_pandas()
    frame = done.output_for_node("training_dataframe")
    pd.testing.assert_frame_equal(frame, wanted, check_like=False)
    [shown] = done.asset_materializations_for_node("training_dataframe")
    assert "PROSPECT_TRAINING_SET" in str(shown.metadata["warnings"].value)


def test_queries_name_the_run_and_have_a_time_limit(
    settings: TrainingSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key.p8"
    monkeypatch.delenv("SNOWFLAKE_PASSWORD")
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_PATH", str(key))
    monkeypatch.setenv("SNOWFLAKE_STATEMENT_TIMEOUT_SECONDS", "90")
    key.write_bytes(_private_key())
    given: dict[str, Any] = {}

    class Opened(Exception):
        """Far enough."""

    def connect(**arguments: Any) -> Any:
        given.update(arguments)
        raise Opened

    monkeypatch.setattr(snowflake.connector, "connect", connect)
    warehouse = WarehouseResource()
    with pytest.raises(Opened):
        warehouse.open().span()

    assert given["session_parameters"]["QUERY_TAG"] == "prospect_pipeline:no run"
    assert given["session_parameters"]["STATEMENT_TIMEOUT_IN_SECONDS"] == 90
    assert given["login_timeout"] == 30
    assert given["network_timeout"] == 150
    assert isinstance(given["private_key"], bytes)
    assert "password" not in given


def _private_key() -> bytes:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return made.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def test_what_snowflake_says_is_shown_and_the_password_is_not(
    snowflake_tables: Any, settings: TrainingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOMIC_TABLE", "tracker.atomic.nowhere")

    with pytest.raises(EventsError, match="Snowflake refused") as refused:
        WarehouseResource().open().span()

    assert "NOWHERE" in str(refused.value).upper()
    assert "hush" not in str(refused.value)


def test_a_snowflake_that_is_away_is_told_apart_from_one_that_refuses() -> None:
    def connect() -> Any:
        return snowflake.connector.connect(
            account="none", user="me", password="s3cret", host="127.0.0.1", port=1,
            protocol="http", login_timeout=1,
        )  # fmt: skip

    with pytest.raises(WarehouseUnavailable, match=r"^Snowflake does not answer .*250001") as away:
        SnowflakeWarehouse(connect, "tracker.atomic.events", "R").span()

    assert "s3cret" not in str(away.value)
