"""Breaking any rule of what an attribute is worth is noticed.

Each rule is broken in the compiled query, in words of the rule; the events below then give other
values than the reference.
"""

import re
from datetime import timedelta
from typing import Any

import duckdb
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

from prospect_pipeline.attributes.anchors import Anchoring
from prospect_pipeline.attributes.plan import needed_columns
from prospect_pipeline.attributes.sql import TrainingQuery
from prospect_pipeline.warehouse.duckdb import connect
from prospect_pipeline.warehouse.files import EventFile
from prospect_pipeline_tests.attributes.groups import DEVICE, SECOND_DEVICE
from prospect_pipeline_tests.attributes.test_sql import expected, plain
from prospect_pipeline_tests.events import DAY, NOW, SNOWPLOW, YAUAA, event, write

TINY = timedelta(microseconds=1)
VIEW = Event(vendor=SNOWPLOW, name="page_view", version="1-0-0")
LIMIT = 4


def attribute(name: str, aggregation: str, type_: str, of: Any = None, **more: Any) -> Attribute:
    place = AtomicProperty(name=of) if isinstance(of, str) else of  # type: ignore[arg-type]
    made = {"name": name, "aggregation": aggregation, "type": type_, "property": place}
    return Attribute(**({"events": [VIEW]} | made | more))


WEEK = {"period": 7 * DAY}
GROUP = StreamAttributeGroup(
    name="rules",
    version=1,
    attribute_key=domain_userid,
    owner="a@example.com",
    attributes=[
        attribute("count", "counter", "int32", **WEEK),
        attribute("any_count", "counter", "int32", events=[]),
        attribute("sum", "sum", "double", "se_value", **WEEK),
        attribute("mean", "mean", "double", "se_value"),
        attribute("min", "min", "double", "se_value", ttl=DAY),
        attribute("first", "first", "string", "app_id", **WEEK),
        attribute("last", "last", "string", "app_id"),
        attribute("list", "unique_list", "string_list", "app_id"),
        attribute("week_list", "unique_list", "string_list", "app_id", **WEEK),
        attribute("distinct", "approx_count_distinct", "int32", "app_id", **WEEK),
        attribute("most", "most_frequent", "string", "app_id"),
        attribute("week_most", "most_frequent", "string", "app_id", **WEEK),
        attribute("least", "least_frequent", "string", "app_id"),
        attribute("kinds", "category_count", "dict", "app_id"),
        attribute("idle", "time_since_last", "double", ttl=DAY, time_unit="h"),
        attribute("age", "time_since_first", "double", time_unit="d"),
        attribute("device", "last", "string", DEVICE),
        attribute("second", "last", "string", SECOND_DEVICE),
        attribute("hour", "last", "int32",
                  AtomicProperty(name="derived_tstamp", date_part="hour_of_day")),
        attribute("priced", "counter", "int32",
                  criteria=Criteria(all=[Criterion.like(AtomicProperty(name="page_url"), "%x%")])),
        attribute("bare", "counter", "int32",
                  criteria=Criteria(all=[Criterion.is_null(AtomicProperty(name="mkt_campaign"))])),
        attribute("none", "last", "string", "mkt_medium", default_value="nothing"),
    ],
)  # fmt: skip


def history() -> list[dict[str, Any]]:
    """Two visitors, with every edge that a rule speaks of."""
    hour = timedelta(hours=1)
    apps = ["b", "a", None, "a", "c", "b", "d", "b"]
    made = [
        event(f"e{9 - n}", NOW - DAY + n * hour, app_id=app, se_value=n - 2.25, page_url="/x")
        for n, app in enumerate(apps)
    ]
    two = f'[{{"deviceClass": "Phone"}}, {{"deviceClass": "{"TV"}"}}]'
    made += [
        event("edge", NOW - 7 * DAY, app_id="old", se_value=100.0, **{YAUAA: two}),
        event("past", NOW - 7 * DAY - TINY, app_id="older", se_value=1000.0, mkt_campaign="m"),
        # Gaps of exactly the ttl, and of a microsecond more.
        event("gap1", NOW - 5 * DAY, app_id="g", se_value=-50.0),
        event("gap2", NOW - 4 * DAY, app_id="g", se_value=-40.0),
        event("gap3", NOW - 3 * DAY + TINY, app_id="g", se_value=-30.0),
        # Ties in time, told apart by event_id alone.
        event("tie2", NOW, app_id="second", se_value=0.5),
        event("tie1", NOW, app_id="first", se_value=0.25),
        event("ping", NOW + DAY, "page_ping"),
        event("ping2", NOW + DAY + 8 * hour + TINY, "page_ping"),
        # A copy that arrived later, and says something else.
        event("copy", NOW - 2 * hour, app_id="copied", collector_tstamp=NOW),
        event("copy", NOW - 2 * hour, app_id="kept", collector_tstamp=NOW - hour),
        event("other", NOW, user="bob", app_id="bobs"),
        event("pattern", NOW - 3 * hour, app_id="elsewhere", event_vendor="com.other"),
        event("version", NOW - 3 * hour, app_id="newer", event_version="2-0-0"),
        # Few events: nothing but the period's edge decides.
        event("cal1", NOW - 7 * DAY - TINY, user="cal", app_id="x", se_value=1000.0),
        event("cal2", NOW - 7 * DAY, user="cal", app_id="y", se_value=100.0),
        event("cal3", NOW, user="cal", app_id="x", se_value=1.0),
        # A value that is gone for half a day before it comes back.
        event("eve1", NOW - 8 * DAY, user="eve", app_id="w"),
        event("eve2", NOW - DAY / 2, user="eve", app_id="y"),
        event("eve3", NOW, user="eve", app_id="w"),
        # A value that comes back just past the last so many.
        *(
            event(f"dan{n}", NOW + n * TINY, user="dan", app_id=app)
            for n, app in enumerate("abcdea")
        ),
        event(None, NOW, app_id="nameless"),  # type: ignore[arg-type]
        event("nobody", NOW, user=None),
        event("never", None),  # type: ignore[arg-type]
        event("goal", NOW + 2 * hour, "submit_form"),
        event("before_goal", NOW + hour, "page_ping"),
    ]
    return made


RULES: dict[str, tuple[str, str]] = {
    "only events of that key": (r"PARTITION BY k\b", "PARTITION BY 1"),
    "up to the moment, ties included": (
        r"(COUNT\([fv]\d+\) OVER \(PARTITION BY k ORDER BY ts RANGE BETWEEN UNBOUNDED PRECEDING)"
        r" AND CURRENT ROW",
        r"\1 AND 1 PRECEDING",
    ),
    "one of the patterns: vendor": (r"event_vendor = '[^']+'", "TRUE"),
    "one of the patterns: name": (r"event_name = 'page_view'", "TRUE"),
    "one of the patterns: version": (r"event_version = '[^']+'", "TRUE"),
    "the criteria": (r"page_url LIKE '%x%'", "TRUE"),
    "a null property meets is null": (r"\(\s*mkt_campaign\s*\) IS NULL", "FALSE"),
    "an entity at its index": (r"\$\[1\]", "$[0]"),
    "nulls of the property are dropped": (
        r"AND NOT app_id IS NULL THEN app_id END", "THEN COALESCE(app_id, '') END",
    ),
    "the period's first moment is inside": (r"604800000001 PRECEDING", "604800000000 PRECEDING"),
    "nothing before the period is inside": (r"604800000001 PRECEDING", "604800000002 PRECEDING"),
    "the period of a sum": (r"604800000000 PRECEDING", "604799999999 PRECEDING"),
    "the period of a distinct count": (r"> 604800000000", "> 704800000000"),
    "the last so many of a period": (rf"- {LIMIT}\b", f"- {LIMIT + 1}"),
    "the last so many in a sum": (rf"> {LIMIT} THEN", "> 1000 THEN"),
    "the last so many in a capped sum": (
        rf"BETWEEN {LIMIT - 1} PRECEDING", f"BETWEEN {LIMIT} PRECEDING",
    ),
    "the last so many in a distinct count": (rf">= {LIMIT}\b", ">= 1000"),
    "a value is gone after the ttl": (r"<= 86400000000", "<= 986400000000"),
    "a value is there until the ttl": (r"<= 86400000000", "< 86400000000"),
    "an aggregate starts afresh after a longer gap": (r"> 86400000000", "> 986400000000"),
    "a gap of exactly the ttl is none": (r"- earlier > 86400000000", "- earlier >= 86400000000"),
    "order by event_id where moments are the same": (
        r"ts, event_id\) AS r", "ts, event_id DESC) AS r",
    ),
    "each event once": (r"HAVING COUNT\(\*\) > 1", "HAVING COUNT(*) > 99"),
    "the earliest copy counts": (r"ORDER BY collector_tstamp,", "ORDER BY collector_tstamp DESC,"),
    "no event without an id": (r"NOT event_id IS NULL", "TRUE"),
    "first is the first": (r"first_3_p0\.i = .*? \+ 1\b", "first_3_p0.i = anchored.n3"),
    "a list is in the order of the last sight": (
        r"ARRAY_AGG\(v ORDER BY seen\)", "ARRAY_AGG(v ORDER BY v)",
    ),
    "a list holds each value once": (
        r"stream\.next_i > n(?=.*? unique_list_3_ever AS)", "stream.next_i > n - 1",
    ),
    "ties in frequency: the one seen last": (r"times DESC, seen DESC", "times DESC, seen"),
    "the least frequent is the least": (
        r"ORDER BY times, seen DESC", "ORDER BY times DESC, seen DESC",
    ),
    "the most frequent is the most": (r"MAX\(times_ever\)", "MIN(times_ever)"),
    "categories are counted": (r"ARRAY_AGG\(times ORDER", "ARRAY_AGG(times + 1 ORDER"),
    "time since, in its unit": (r"/ 3600000000\b", "/ 60000000"),
    "the date part": (r"EXTRACT\(HOUR FROM", "EXTRACT(MINUTE FROM"),
    "the default where nothing is there": (r"'nothing'", "NULL"),
    "the label looks strictly after": (r"1 FOLLOWING AND", "0 FOLLOWING AND"),
    "the label looks up to the horizon": (r"AND 3600000000 FOLLOWING", "AND 3599999999 FOLLOWING"),
}  # fmt: skip


@pytest.fixture(scope="module")
def differ(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Say how many rows of a query differ from the reference."""
    anchoring = Anchoring(
        NOW + 90 * DAY, None, need_session=False, exclude_bots=False, event_limit=LIMIT
    )
    events = history()
    path = write(events, tmp_path_factory.mktemp("rules") / "events.parquet")
    wanted = [plain(row) for row in expected(events, anchoring, raw=True, group=GROUP)]

    def differences(rule: tuple[str, str] | None) -> int:
        # One line, so that a rule's words need not know how the query is laid out.
        sql = re.sub(r"\s+", " ", TrainingQuery(GROUP, anchoring).whole()).replace("( ", "(")
        broken = sql if rule is None else re.sub(rule[0], rule[1], sql)
        assert rule is None or broken != sql, "the query has no such words"
        with connect() as connection:
            view = EventFile(connection, path, "domain_userid")
            view.create_view("atomic_events", needed_columns(GROUP, anchoring))
            try:
                made = connection.sql(broken).to_arrow_table().to_pylist()
            except duckdb.Error:  # such as two equal keys of a map: noticed as well
                return len(wanted)
        rows = [plain(row) for row in made]
        pairs = zip(rows, wanted, strict=False)
        return abs(len(rows) - len(wanted)) + sum(a != b for a, b in pairs)

    return differences


def test_the_query_as_it_is_keeps_every_rule(differ: Any) -> None:
    assert differ(None) == 0


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_breaking_a_rule_is_noticed(differ: Any, rule: tuple[str, str]) -> None:
    assert differ(rule) > 0
