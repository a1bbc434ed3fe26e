"""The Snowflake dialect of the query equals the reference, as far as fakesnow can tell."""

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import fakesnow
import pytest
import snowflake.connector
import sqlglot
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from prospect_pipeline.attributes.sql import TrainingQuery
from prospect_pipeline.warehouse.base import FEATURE_EXPRESSIONS
from prospect_pipeline_tests.attributes.groups import groups
from prospect_pipeline_tests.attributes.test_sql import EVERYONE, GROUP, expected, plain
from prospect_pipeline_tests.events import DAY, NOW, SCHEMA, YAUAA, Event, drawn_events, event

KINDS = {"derived_tstamp": "TIMESTAMP_NTZ", "collector_tstamp": "TIMESTAMP_NTZ"}
KINDS |= {YAUAA: "VARIANT", "se_value": "DOUBLE", "domain_sessionidx": "BIGINT"}
few = settings(
    max_examples=20,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def cursor() -> Iterator[Any]:
    with fakesnow.patch():
        connection = snowflake.connector.connect(database="db", schema="public")
        yield connection.cursor()
        connection.close()


def literal(name: str, value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return f"'{value.astimezone(UTC).replace(tzinfo=None)}'::TIMESTAMP_NTZ"
    text = sqlglot.exp.convert(value).sql("snowflake")
    return f"PARSE_JSON({text})" if name == YAUAA else text


def rows(cursor: Any, events: list[Event], query: TrainingQuery) -> list[dict[str, Any]]:
    columns = ", ".join(f"{name} {KINDS.get(name, 'VARCHAR')}" for name in SCHEMA.names)
    cursor.execute(f"CREATE OR REPLACE TABLE atomic_events ({columns})")
    selects = [
        f"SELECT {', '.join(literal(name, one[name]) for name in SCHEMA.names)}" for one in events
    ]
    cursor.execute(f"INSERT INTO atomic_events {' UNION ALL '.join(selects)}")
    cursor.execute(query.whole())
    names = [column[0] for column in cursor.description]
    decoded = {
        str(attribute.name)
        for attribute in query.group.attributes or []
        if query.features is None and attribute.aggregation in ("unique_list", "category_count")
    }
    return [
        {
            name: json.loads(value) if name in decoded and value is not None else value
            for name, value in zip(names, row, strict=True)
        }
        for row in cursor.fetchall()
    ]


def readable(events: list[Event]) -> list[Event]:
    """Leave out JSON that is none, which a VARIANT cannot hold."""
    return [one if one[YAUAA] != "not json" else {**one, YAUAA: None} for one in events]


def upper(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name.upper(): value for name, value in plain(row).items()} for row in found]


@few
@given(
    events=drawn_events.map(readable),
    group=groups(),
    strictly_before=st.booleans(),
    event_limit=st.sampled_from([1, 3, 100]),
)
def test_any_attribute_group_equals_the_reference_on_snowflake(
    cursor: Any, events: list[Event], group: Any, strictly_before: bool, event_limit: int
) -> None:
    anchoring = dataclasses.replace(
        EVERYONE, strictly_before=strictly_before, event_limit=event_limit
    )
    query = TrainingQuery(group, anchoring, dialect="snowflake")

    made = rows(cursor, events, query)

    assert upper(made) == upper(expected(events, anchoring, raw=True, group=group))


def test_the_models_columns_are_the_same_on_snowflake(cursor: Any) -> None:
    events = [
        event("a", NOW, page_url="https://x.io/pricing", mkt_campaign="spring"),
        event("b", NOW + DAY, "submit_form", session="s2"),
        event("c", NOW + 8 * DAY, device="Phone", refr_medium="search"),
        event("d", NOW, user="bob"),
    ]
    query = TrainingQuery(GROUP, EVERYONE, FEATURE_EXPRESSIONS, dialect="snowflake")

    assert upper(rows(cursor, events, query)) == upper(expected(events, EVERYONE, raw=False))
