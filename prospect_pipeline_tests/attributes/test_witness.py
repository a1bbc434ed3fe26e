"""An independent witness: the tutorial's training query, written as brute force.

Every event is joined with all earlier events of its visitor within 30 days, as the tutorial's SQL
does. With attributes over the same events, and with the anchor's own moment left out, the columns
that mean the same thing are equal. (The tutorial cuts moments to seconds; here they are exact.)
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from snowplow_signals import (
    AtomicProperty,
    Attribute,
    Criteria,
    Criterion,
    Event,
    StreamAttributeGroup,
    domain_userid,
)

from prospect_pipeline.sandbox.generator import generate
from prospect_pipeline.settings import TrainingSettings
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse, connect

END = datetime(2026, 5, 1, tzinfo=UTC)
EXCLUDED = ("application_error", "web_vitals", "link_click")
SEEN = [
    Criterion.is_not_null(AtomicProperty(name="domain_sessionid")),
    *(Criterion.neq(AtomicProperty(name="event_name"), name) for name in EXCLUDED),
]


def _counted(name: str, events: list[str], days: int, like: str | None = None) -> Attribute:
    more = [Criterion.like(AtomicProperty(name="page_url"), like)] if like else []
    return Attribute(
        name=f"{name}_l{days}d",
        type="int64",
        aggregation="counter",
        events=[Event(name=event) for event in events],
        criteria=Criteria(all=[*SEEN, *more]),
        period=timedelta(days=days),
        default_value=0,
    )


def _read(name: str, aggregation: str, type_: str, column: str, days: int) -> Attribute:
    return Attribute(
        name=f"{name}_l{days}d",
        type=type_,  # type: ignore[arg-type]
        aggregation=aggregation,  # type: ignore[arg-type]
        events=[],
        property=AtomicProperty(name=column),  # type: ignore[arg-type]
        criteria=Criteria(all=SEEN),
        period=timedelta(days=days),
        default_value="" if type_ == "string" else 0,
    )


ATTRIBUTES = [
    attribute
    for days in (7, 30)
    for attribute in (
        _read("num_sessions", "approx_count_distinct", "int64", "domain_sessionid", days),
        _read("num_apps", "approx_count_distinct", "int64", "app_id", days),
        _counted("num_page_views", ["page_view"], days),
        _counted("num_page_pings", ["page_ping"], days),
        _counted("num_pricing_views", ["page_view"], days, "%pricing%"),
        _counted("num_conversions", ["submit_form"], days),
        _counted("num_form_engagements", ["focus_form", "change_form"], days),
    )
] + [
    _read("num_engaged_campaigns", "approx_count_distinct", "int64", "mkt_campaign", 30),
    _read("first_refr_medium", "first", "string", "refr_medium", 30),
    _read("first_mkt_medium", "first", "string", "mkt_medium", 30),
]
NAMES = [attribute.name for attribute in ATTRIBUTES]


def _aggregates(days: int) -> str:
    within = f"earlier.derived_tstamp >= here.derived_tstamp - INTERVAL {days} DAY"
    tests = {
        "num_page_views": "earlier.event_name = 'page_view'",
        "num_page_pings": "earlier.event_name = 'page_ping'",
        "num_pricing_views": (
            "earlier.event_name = 'page_view' AND earlier.page_url LIKE '%pricing%'"
        ),
        "num_conversions": "earlier.event_name = 'submit_form'",
        "num_form_engagements": "earlier.event_name IN ('focus_form', 'change_form')",
    }
    distinct = {"num_sessions": "domain_sessionid", "num_apps": "app_id"}
    return ", ".join(
        [
            f"COUNT(*) FILTER (WHERE {within} AND {test}) AS {name}_l{days}d"
            for name, test in tests.items()
        ]
        + [
            f"COUNT(DISTINCT earlier.{column}) FILTER (WHERE {within}) AS {name}_l{days}d"
            for name, column in distinct.items()
        ]
    )


def witness(events: Path, as_of: datetime) -> dict[str, dict[str, Any]]:
    """The tutorial's query: rows by event_id."""
    query = f"""
        WITH eligible AS (
          SELECT domain_userid FROM read_parquet('{events}')
          WHERE app_id IN ('website', 'hs-landing') AND derived_tstamp >= $since
          GROUP BY ALL HAVING MIN(derived_tstamp) BETWEEN $since AND $until
        ),
        events AS (
          SELECT DISTINCT ON (event_id) * FROM read_parquet('{events}')
          WHERE domain_userid IN (FROM eligible) AND domain_sessionid IS NOT NULL
            AND event_name NOT IN {EXCLUDED}
          ORDER BY event_id, collector_tstamp, derived_tstamp
        ),
        targets AS (
          SELECT here.event_id,
            COUNT(*) FILTER (WHERE later.event_name = 'submit_form') > 0 AS label
          FROM events AS here LEFT JOIN events AS later
            ON here.domain_userid = later.domain_userid
            AND here.derived_tstamp < later.derived_tstamp
            AND later.derived_tstamp <= here.derived_tstamp + INTERVAL 1 HOUR
          GROUP BY ALL
        )
        SELECT here.event_id, ANY_VALUE(targets.label)::INT AS label,
          {_aggregates(7)}, {_aggregates(30)},
          COUNT(DISTINCT earlier.mkt_campaign) AS num_engaged_campaigns_l30d,
          COALESCE(MIN_BY(earlier.refr_medium, (earlier.derived_tstamp, earlier.event_id)), '')
            AS first_refr_medium_l30d,
          COALESCE(MIN_BY(earlier.mkt_medium, (earlier.derived_tstamp, earlier.event_id)), '')
            AS first_mkt_medium_l30d
        FROM events AS here JOIN targets USING (event_id) LEFT JOIN events AS earlier
          ON here.domain_userid = earlier.domain_userid
          AND earlier.derived_tstamp < here.derived_tstamp
          AND earlier.derived_tstamp >= here.derived_tstamp - INTERVAL 30 DAY
        WHERE here.derived_tstamp <= $as_of - INTERVAL 1 HOUR
        GROUP BY here.event_id"""
    days = timedelta(days=1)
    moments = {"as_of": as_of, "since": as_of - 60 * days, "until": as_of - 30 * days}
    with connect() as connection:
        found = connection.sql(query, params=moments).to_arrow_table().to_pylist()
    return {row["event_id"]: row for row in found}


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("witness") / "events.parquet"
    generate(1_000, 11, END, path)
    return path


def test_the_tutorials_query_gives_the_same_columns_and_labels(events: Path) -> None:
    group = StreamAttributeGroup(
        name="witness", attribute_key=domain_userid, owner="a@example.com", attributes=ATTRIBUTES
    )
    settings = TrainingSettings.load(
        as_of=END.isoformat(), exclude_bots="false", period_event_limit="1000000"
    )
    request = DatasetRequest(group, settings, "attributes", strictly_before=True)

    made = DuckDBWarehouse(events).training_set(request).table.to_pylist()

    wanted = witness(events, END)
    assert len(made) == len(wanted) > 1_000
    assert sum(row["label"] for row in made) > 50
    for row in made:
        names = [*NAMES, "label"]
        assert {n: row[n] for n in names} == {n: wanted[row["event_id"]][n] for n in names}
