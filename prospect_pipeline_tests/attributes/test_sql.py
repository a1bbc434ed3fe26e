"""The compiled SQL equals the reference, value by value."""

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from snowplow_signals import Attribute, StreamAttributeGroup, domain_userid

from prospect_pipeline import features
from prospect_pipeline.attributes import prospect, semantics
from prospect_pipeline.attributes.anchors import Anchoring
from prospect_pipeline.attributes.plan import needed_columns
from prospect_pipeline.attributes.properties import key_source
from prospect_pipeline.attributes.sql import TrainingQuery
from prospect_pipeline.errors import DefinitionError
from prospect_pipeline.settings import DefinitionSettings
from prospect_pipeline.warehouse.base import FEATURE_EXPRESSIONS, silent
from prospect_pipeline.warehouse.chunks import ChunkedBuild
from prospect_pipeline.warehouse.duckdb import connect
from prospect_pipeline.warehouse.files import EventFile
from prospect_pipeline_tests.attributes.groups import groups
from prospect_pipeline_tests.events import DAY, NOW, Event, drawn_events, event, write

GROUP = prospect.attribute_group(DefinitionSettings.load())
EVERYONE = Anchoring(as_of=NOW + 90 * DAY, cohort=None, need_session=False, exclude_bots=False)
slow_but_fine = settings(
    max_examples=60,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def rows(
    events: list[Event],
    anchoring: Anchoring,
    folder: Path,
    *,
    raw: bool = False,
    group: Any = GROUP,
    chunk_rows: int | None = None,
) -> list[dict[str, Any]]:
    """The training rows of one statement, or of chunks of so many events."""
    write(events, folder / "events.parquet")
    query = TrainingQuery(group, anchoring, None if raw else FEATURE_EXPRESSIONS)
    key = key_source(group.attribute_key).column
    with connect() as connection:
        view = EventFile(connection, folder / "events.parquet", key)
        view.create_view("atomic_events", needed_columns(group, anchoring))
        if chunk_rows is None:
            return connection.sql(query.whole()).to_arrow_table().to_pylist()
        build = ChunkedBuild(connection, query, silent, chunk_rows)
        build.prepare()
        return [row for table in build.tables() for row in table.to_pylist()]


def expected(
    events: list[Event], anchoring: Anchoring, *, raw: bool, group: Any = GROUP
) -> list[dict[str, Any]]:
    """Every event as an anchor, by the reference alone."""
    known = [e for e in events if e["derived_tstamp"] and e["derived_tstamp"] <= anchoring.as_of]
    found = []
    for key, history in sorted(semantics.histories(known, group).items()):
        for one in history:
            at = one["derived_tstamp"]
            values = semantics.values_at(
                group,
                history,
                at,
                strictly_before=anchoring.strictly_before,
                event_limit=anchoring.event_limit,
            )
            label = any(
                e["event_name"] == "submit_form"
                and at < e["derived_tstamp"] <= at + anchoring.horizon
                for e in history
            )
            if at + anchoring.horizon <= anchoring.as_of:
                found.append(
                    {str(group.attribute_key.name): key, "anchor_ts": at.replace(tzinfo=None)}
                    | {"event_id": one["event_id"]}
                    | (values if raw else features.vector(values, at))
                    | {"label": int(label)}
                )
    return found


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row with floats to nine digits, and Arrow's maps as dictionaries."""

    def simple(value: Any) -> Any:
        if isinstance(value, float):
            return pytest.approx(value, rel=1e-9, abs=1e-12)
        pairs = isinstance(value, list) and value and isinstance(value[0], tuple)
        return dict(value) if pairs else value

    return {name: simple(value) for name, value in row.items()}


@slow_but_fine
@given(
    events=drawn_events,
    raw=st.booleans(),
    strictly_before=st.booleans(),
    event_limit=st.sampled_from([1, 2, 3, 100]),
    horizon=st.sampled_from([timedelta(hours=1), DAY, 7 * DAY]),
)
def test_the_tutorials_attributes_equal_the_reference(
    tmp_path: Path,
    events: list[Event],
    raw: bool,
    strictly_before: bool,
    event_limit: int,
    horizon: timedelta,
) -> None:
    anchoring = dataclasses.replace(
        EVERYONE, strictly_before=strictly_before, event_limit=event_limit, horizon=horizon
    )

    assert rows(events, anchoring, tmp_path, raw=raw) == expected(events, anchoring, raw=raw)


@slow_but_fine
@given(
    events=drawn_events,
    group=groups(),
    strictly_before=st.booleans(),
    event_limit=st.sampled_from([1, 2, 3, 100]),
    chunk_rows=st.sampled_from([None, 1, 7]),
)
def test_any_attribute_group_equals_the_reference(
    tmp_path: Path,
    events: list[Event],
    group: Any,
    strictly_before: bool,
    event_limit: int,
    chunk_rows: int | None,
) -> None:
    anchoring = dataclasses.replace(
        EVERYONE, strictly_before=strictly_before, event_limit=event_limit
    )

    made = rows(events, anchoring, tmp_path, raw=True, group=group, chunk_rows=chunk_rows)

    wanted = expected(events, anchoring, raw=True, group=group)
    assert [plain(row) for row in made] == [plain(row) for row in wanted]


def test_no_more_than_the_last_hundred_events_of_a_period_count(tmp_path: Path) -> None:
    events = [
        event(f"e{n:03}", NOW + timedelta(seconds=n), session=f"s{n % 60}", refr_medium=f"r{n}")
        for n in range(130)
    ]

    last = rows(events, EVERYONE, tmp_path)[-1]

    assert last["num_page_views_l7d"] == 100
    assert last["num_sessions_l7d"] == 60
    assert last["first_refr_medium_l30d"] == "r30"


def test_both_ends_of_a_period_are_inside(tmp_path: Path) -> None:
    before = NOW - 7 * DAY
    events = [event("a", before - timedelta(microseconds=1)), event("b", before), event("c", NOW)]

    last = rows(events, EVERYONE, tmp_path)[-1]

    assert last["num_page_views_l7d"] == 2
    assert last["num_page_views_l30d"] == 3


def test_events_at_the_anchors_own_moment_count_unless_strictly_before(tmp_path: Path) -> None:
    events = [event("a", NOW), event("b", NOW)]

    [first, _] = rows(events, EVERYONE, tmp_path)
    [strict, _] = rows(events, dataclasses.replace(EVERYONE, strictly_before=True), tmp_path)

    assert first["num_page_views_l7d"] == 2
    assert strict["num_page_views_l7d"] == 0
    assert strict["latest_app_id"] == ""


def test_the_label_looks_strictly_after_the_anchor_and_up_to_the_horizon(tmp_path: Path) -> None:
    hour = timedelta(hours=1)
    tiny = timedelta(microseconds=1)
    events = [
        event("a", NOW - hour - tiny),
        event("b", NOW - hour),
        event("c", NOW - tiny),
        event("d", NOW, "submit_form"),
        event("e", NOW),
    ]

    labels = {row["event_id"]: row["label"] for row in rows(events, EVERYONE, tmp_path)}

    assert labels == {"a": 0, "b": 1, "c": 1, "d": 0, "e": 0}


def test_a_cohort_takes_visitors_first_seen_in_its_days_and_apps(tmp_path: Path) -> None:
    as_of = NOW
    anchoring = dataclasses.replace(
        EVERYONE, as_of=as_of, cohort=(60 * DAY, 30 * DAY), app_ids=("website",)
    )
    events = [
        event("oldest", as_of - 60 * DAY, user="oldest"),
        event("newest", as_of - 30 * DAY, user="newest"),
        event("late", as_of - 30 * DAY + timedelta(microseconds=1), user="late"),
        event("elsewhere", as_of - 40 * DAY, user="elsewhere", app_id="other"),
        # Seen before the oldest day only, then again within: the tutorial reads 60 days alone.
        event("ancient", as_of - 61 * DAY, user="again"),
        event("again", as_of - 45 * DAY, user="again"),
    ]

    kept = {row["event_id"] for row in rows(events, anchoring, tmp_path)}

    assert kept == {"oldest", "newest", "ancient", "again"}


def test_an_audit_says_what_became_no_anchor_and_why(tmp_path: Path) -> None:
    anchoring = dataclasses.replace(
        EVERYONE, as_of=NOW, need_session=True, exclude_bots=True, excluded_events=("link_click",)
    )
    path = write(
        [
            event("kept", NOW - DAY),
            event("kept", NOW - DAY, collector_tstamp=NOW),
            event("a", NOW - DAY, user=None),
            event(None, NOW - DAY),  # type: ignore[arg-type]
            event("b", None),  # type: ignore[arg-type]
            event("c", NOW + DAY),
            event("d", NOW - DAY, session=None),
            event("e", NOW - DAY, "link_click"),
            event("f", NOW - DAY, useragent="Googlebot/2.1"),
            event("g", NOW - timedelta(minutes=59)),
        ],
        tmp_path / "events.parquet",
    )

    with connect() as connection:
        EventFile(connection, path, "domain_userid").create_view(
            "atomic_events", needed_columns(GROUP, anchoring)
        )
        audit = dict(connection.execute(TrainingQuery(GROUP, anchoring).audit()).fetchall())

    assert audit == {
        "null_key": 1,
        "null_event_id": 1,
        "null_derived_tstamp": 1,
        "after_as_of": 1,
        "duplicate_event_id": 1,
        "outside_cohort": 0,
        "excluded_event_or_no_session": 2,
        "bot_or_test_traffic": 1,
        "horizon_past_as_of": 1,
    }


def test_sampled_negatives_are_the_same_every_time_and_carry_their_weight(tmp_path: Path) -> None:
    events = [event(f"e{n:03}", NOW + n * DAY, user=f"u{n}") for n in range(80)]
    events += [event("goal", NOW + timedelta(minutes=5), "submit_form", user="u0")]
    anchoring = dataclasses.replace(EVERYONE, as_of=NOW + 200 * DAY, negative_rate=0.25)

    sampled = rows(events, anchoring, tmp_path)

    assert sampled == rows(events, anchoring, tmp_path)
    assert 5 <= len(sampled) <= 40
    assert {row["weight"] for row in sampled if row["label"] == 0} == {4.0}
    assert [row["weight"] for row in sampled if row["label"] == 1] == [1.0]


def test_at_most_so_many_anchors_of_a_visitor(tmp_path: Path) -> None:
    events = [event(f"e{n}", NOW + n * DAY) for n in range(9)]

    kept = rows(events, dataclasses.replace(EVERYONE, anchors_per_visitor=4), tmp_path)

    assert len(kept) == 4


def _group(**attribute: Any) -> StreamAttributeGroup:
    made = Attribute(**{"name": "odd", "type": "string", "events": []} | attribute)
    return StreamAttributeGroup(
        name="g", attribute_key=domain_userid, owner="a@example.com", attributes=[made]
    )


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ({"aggregation": "last"}, "no property"),
        ({"aggregation": "counter", "period": DAY, "ttl": DAY}, "both a period and a ttl"),
    ],
)
def test_nonsense_is_refused_by_name(attribute: dict[str, Any], words: str) -> None:
    with pytest.raises(DefinitionError, match=f"'odd'.*{words}"):
        TrainingQuery(_group(**attribute), EVERYONE).whole()
