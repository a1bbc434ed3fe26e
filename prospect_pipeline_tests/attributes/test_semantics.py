"""What an attribute is worth at a moment, rule by rule."""

from datetime import datetime, timedelta
from typing import Any

import duckdb
import pytest
from snowplow_signals import (
    AtomicProperty,
    Attribute,
    AttributeKey,
    Criteria,
    Criterion,
    EntityProperty,
    Event,
    EventProperty,
    StreamAttributeGroup,
    domain_userid,
)

from prospect_pipeline.attributes.semantics import histories, values_at
from prospect_pipeline_tests.events import DAY, NOW, YAUAA, event

VALUE = AtomicProperty(name="se_value")
LABEL = AtomicProperty(name="se_label")


def worth(
    history: list[dict[str, Any]],
    /,
    at: datetime = NOW,
    group: dict[str, Any] | None = None,
    **made: Any,
) -> Any:
    attribute = Attribute(**({"name": "it", "type": "string", "events": []} | made))
    own = StreamAttributeGroup(
        **(
            {"name": "g", "attribute_key": domain_userid, "owner": "a@example.com"}
            | {"attributes": [attribute]}
            | (group or {})
        )
    )
    return values_at(own, histories(history, own).get("ann", []), at)["it"]


def several(values: list[Any], column: str = "se_label") -> list[dict[str, Any]]:
    return [
        event(f"e{n:03}", NOW - timedelta(minutes=len(values) - n), **{column: value})
        for n, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("aggregation", "type_", "values", "expected"),
    [
        ("sum", "int64", [1, 2, 4], 7),
        ("sum", "double", [0.5, 0.25], 0.75),
        ("min", "double", [3, 1, 2], 1.0),
        ("max", "int32", [3, 1, 2], 3),
        ("mean", "double", [1, 2, 6], 3.0),
    ],
)
def test_numbers_are_aggregated(
    aggregation: str, type_: str, values: list[float], expected: float
) -> None:
    events = several([*values, None], "se_value")

    assert worth(events, aggregation=aggregation, type=type_, property=VALUE) == expected


@pytest.mark.parametrize(
    ("aggregation", "values", "expected"),
    [
        ("first", [None, "a", "b"], "a"),
        ("last", ["a", "b", None], "b"),
        ("unique_list", ["a", "b", "a", "c"], ["b", "a", "c"]),
        ("most_frequent", ["a", "b", "b", "a", "c"], "a"),
        ("least_frequent", ["a", "b", "b", "c"], "c"),
        ("approx_count_distinct", ["a", "b", "a", None], 2),
        ("category_count", ["a", "b", "a"], {"a": 2, "b": 1}),
    ],
)
def test_values_are_aggregated(aggregation: str, values: list[str | None], expected: Any) -> None:
    assert worth(several(values), aggregation=aggregation, property=LABEL) == expected


@pytest.mark.parametrize(
    ("aggregation", "unit", "expected"),
    [
        ("time_since_last", "s", 60.0),
        ("time_since_last", "min", 1.0),
        ("time_since_first", "h", 0.05),
        ("time_since_first", "d", 180 / 86400),
    ],
)
def test_time_since_is_measured_at_the_moment(aggregation: str, unit: str, expected: float) -> None:
    found = worth(several(["a", "b", "c"]), aggregation=aggregation, type="double", time_unit=unit)

    assert found == pytest.approx(expected, rel=1e-12)


def test_a_unique_list_keeps_the_newest_hundred() -> None:
    events = several([f"v{n:03}" for n in range(130)])

    found = worth(events, aggregation="unique_list", type="string_list", property=LABEL)

    assert found == [f"v{n:03}" for n in range(30, 130)]


def test_a_category_count_keeps_the_hundred_highest() -> None:
    events = several([f"v{n:03}" for n in range(101)] + ["v000"])

    found = worth(events, aggregation="category_count", type="dict", property=LABEL)

    assert len(found) == 100
    assert found["v000"] == 2
    assert "v001" not in found


def test_only_the_last_hundred_events_of_a_period_count() -> None:
    events = several([None] * 130)

    assert worth(events, aggregation="counter", type="int32", period=DAY) == 100
    assert worth(events, aggregation="counter", type="int32") == 130


@pytest.mark.parametrize(("late", "expected"), [(0, 1), (1, None)])
def test_a_period_includes_its_very_beginning(late: int, expected: int | None) -> None:
    events = [event("a", NOW - DAY - timedelta(microseconds=late))]

    assert worth(events, aggregation="counter", type="int32", period=DAY) == expected


def test_events_after_the_moment_do_not_count() -> None:
    events = [event("a", NOW), event("b", NOW + timedelta(microseconds=1))]

    assert worth(events, aggregation="counter", type="int32") == 1


@pytest.mark.parametrize(("late", "expected"), [(0, "x"), (1, None)])
def test_a_value_is_gone_once_nothing_happened_within_the_ttl(
    late: int, expected: str | None
) -> None:
    events = [event("a", NOW - DAY - timedelta(microseconds=late), se_label="x")]

    assert worth(events, aggregation="last", property=LABEL, ttl=DAY) == expected


@pytest.mark.parametrize(("late", "expected"), [(0, 3), (1, 2)])
def test_an_aggregate_starts_afresh_after_a_gap_longer_than_the_ttl(
    late: int, expected: int
) -> None:
    events = [
        event("a", NOW - 2 * DAY - timedelta(microseconds=late)),
        event("b", NOW - DAY),
        event("c", NOW),
    ]

    assert worth(events, aggregation="counter", type="int32", ttl=DAY) == expected


def test_the_ttl_falls_back_to_the_groups_then_the_keys() -> None:
    old = [event("a", NOW - 2 * DAY)]
    key = AttributeKey(name="domain_userid", key="domain_userid", ttl=DAY)

    assert worth(old, aggregation="counter", type="int32", group={"ttl": DAY}) is None
    assert worth(old, aggregation="counter", type="int32", group={"attribute_key": key}) is None
    assert worth(old, aggregation="counter", type="int32", ttl=3 * DAY, group={"ttl": DAY}) == 1


def test_ties_in_time_are_ordered_by_event_id() -> None:
    events = [event("b", NOW, se_label="second"), event("a", NOW, se_label="first")]

    assert worth(events, aggregation="first", property=LABEL) == "first"
    assert worth(events, aggregation="last", property=LABEL) == "second"


def test_an_event_counts_once_as_it_was_first_collected() -> None:
    events = [
        event("a", NOW, se_label="late", collector_tstamp=NOW + DAY),
        event("a", NOW, se_label="early", collector_tstamp=NOW),
        event("a", NOW, se_label="never", collector_tstamp=None),
    ]

    assert worth(events, aggregation="counter", type="int32") == 1
    assert worth(events, aggregation="last", property=LABEL) == "early"


def test_incomplete_events_count_nowhere() -> None:
    events = [
        event("a", NOW, user=None),
        event("b", None),  # type: ignore[arg-type]
        event(None, NOW),  # type: ignore[arg-type]
        event("c", NOW),
    ]

    assert worth(events, aggregation="counter", type="int32") == 1


def test_nothing_there_is_the_default_or_null() -> None:
    assert worth([], aggregation="counter", type="int32") is None
    assert worth([], aggregation="counter", type="int32", default_value=0) == 0


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], 3),
        ([Event(name="page_view")], 2),
        ([Event(vendor="com.example")], 1),
        ([Event(name="page_view", version="2-0-0")], 1),
        ([Event(vendor="com.example"), Event(version="2-0-0")], 2),
    ],
)
def test_events_are_chosen_by_patterns_with_wildcards(patterns: list[Event], expected: int) -> None:
    events = [
        event("a", NOW),
        event("b", NOW, event_version="2-0-0"),
        event("c", NOW, "click", event_vendor="com.example"),
    ]

    assert worth(events, aggregation="counter", type="int32", events=patterns) == expected


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        (Criterion.eq(VALUE, 2), 1),
        (Criterion.neq(VALUE, 2), 2),
        (Criterion.gt(VALUE, 2), 1),
        (Criterion.gte(VALUE, 2), 2),
        (Criterion.lt(VALUE, 2), 1),
        (Criterion.lte(VALUE, 2), 2),
        (Criterion.in_list(VALUE, [1, 3]), 2),
        (Criterion.is_null(VALUE), 1),
        (Criterion.is_not_null(VALUE), 3),
        (Criterion.like(LABEL, "a_c%"), 1),
        (Criterion.like(LABEL, "A%"), 0),
    ],
)
def test_criteria_choose_events_and_null_meets_is_null_alone(
    criterion: Criterion, expected: int
) -> None:
    events = several([1, 2, 3, None], "se_value")
    events[0]["se_label"] = "abc.d"

    found = worth(events, aggregation="counter", type="int32", criteria=Criteria(all=[criterion]))

    assert (found or 0) == expected


def test_any_of_several_criteria_is_enough_and_all_of_others_are_needed() -> None:
    events = several(["a", "b", "c"])
    some = [Criterion.eq(LABEL, "a"), Criterion.eq(LABEL, "b")]

    def count(criteria: Criteria) -> Any:
        return worth(events, aggregation="counter", type="int32", criteria=criteria)

    assert count(Criteria(any=some)) == 2
    assert count(Criteria(all=some)) is None
    assert count(Criteria(all=some[:1], any=some)) == 1


@pytest.mark.parametrize(("index", "expected"), [(0, "Desktop"), (1, "TV"), (2, None)])
def test_an_entity_is_taken_at_its_index(index: int, expected: str | None) -> None:
    entity = EntityProperty(
        vendor="nl.basjes", name="yauaa_context", major_version=1, path="deviceClass", index=index
    )
    both = event("a", NOW, **{YAUAA: '[{"deviceClass": "Desktop"}, {"deviceClass": "TV"}]'})

    assert worth([both], aggregation="last", property=entity) == expected


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("1.50", "1.5"),
        ("2", "2"),
        ("1e-05", "0.00001"),
        ("1e-07", "1e-7"),
        ("1E+16", "10000000000000000.0"),
        ("1.5e22", "1.5e22"),
    ],
)
def test_a_number_inside_json_is_the_same_text_in_python_and_duckdb(
    written: str, text: str
) -> None:
    column = "unstruct_event_com_acme_purchase_1"
    price = EventProperty(vendor="com.acme", name="purchase", major_version=1, path="price")
    purchase = event("a", NOW, **{column: f'{{"price": {written}}}'})
    [(read,)] = duckdb.execute(
        "SELECT JSON_EXTRACT_STRING(?, '$.price')", [purchase[column]]
    ).fetchall()

    assert worth([purchase], aggregation="last", property=price) == text == read


def test_an_event_property_is_found_by_its_path() -> None:
    clicked = EventProperty(
        vendor="com.example", name="buttonClick", major_version=2, path="$.target.ids[1]"
    )
    column = "unstruct_event_com_example_button_click_2"
    one = event("a", NOW, **{column: '{"target": {"ids": ["x", "y"]}}'})

    assert worth([one], aggregation="last", property=clicked) == "y"


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("hour_of_day", 12),
        ("day_of_week", 5),
        ("month_of_year", 5),
        ("active_day", "2026-05-01"),
        ("active_week", "2026-04-27"),
        ("active_month", "2026-05-01"),
    ],
)
def test_a_date_part_is_applied_first(part: Any, expected: Any) -> None:
    type_ = "int32" if isinstance(expected, int) else "string"

    found = worth(
        [event("a", NOW)],
        aggregation="last",
        type=type_,
        property=AtomicProperty(name="derived_tstamp", date_part=part),
    )

    assert found == expected
