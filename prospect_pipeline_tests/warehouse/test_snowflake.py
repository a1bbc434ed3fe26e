"""Snowflake through the real connector, against fakesnow (which is not Snowflake)."""

from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import snowflake.connector
from fakesnow import server

from prospect_pipeline.attributes import prospect
from prospect_pipeline.errors import EventsError
from prospect_pipeline.orchestration.checks import no_leakage
from prospect_pipeline.orchestration.resources import WarehouseResource
from prospect_pipeline.settings import DefinitionSettings, TrainingSettings
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse
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
        kinds[YAUAA] = "VARIANT"
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


def test_a_span_without_events_is_refused(
    snowflake_tables: Any, settings: TrainingSettings
) -> None:
    with pytest.raises(EventsError, match="up to 2020-01-01"):
        WarehouseResource().open().span(until=NOW.replace(year=2020, month=1, day=1))


def test_what_snowflake_says_is_shown_and_the_password_is_not(
    snowflake_tables: Any, settings: TrainingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOMIC_TABLE", "tracker.atomic.nowhere")

    with pytest.raises(EventsError, match="Snowflake refused") as refused:
        WarehouseResource().open().span()

    assert "NOWHERE" in str(refused.value).upper()
    assert "hush" not in str(refused.value)
