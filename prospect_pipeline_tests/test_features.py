"""The model's columns: what each is of, online and as SQL, and as numbers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from prospect_pipeline.errors import InputError
from prospect_pipeline.features import COLUMNS, FEATURES, expression, in_words, vector
from prospect_pipeline.warehouse.base import FEATURE_EXPRESSIONS
from prospect_pipeline_tests.training import columns

MONDAY = datetime(2026, 5, 4, tzinfo=UTC)
TUTORIAL = [
    "latest_app_id",
    "day_of_week",
    "latest_device_class",
    "num_sessions_l7d",
    "num_apps_l7d",
    "num_page_views_l7d",
    "num_page_pings_l7d",
    "num_pricing_views_l7d",
    "had_conversions_l7d",
    "num_form_engagements_l7d",
    "num_sessions_l30d",
    "num_apps_l30d",
    "num_page_views_l30d",
    "num_page_pings_l30d",
    "num_pricing_views_l30d",
    "had_conversions_l30d",
    "num_media_events_l30d",
    "first_refr_medium_l30d",
    "first_mkt_medium_l30d",
    "num_engaged_campaigns_l30d",
]
CATEGORICAL = [
    "latest_app_id",
    "day_of_week",
    "latest_device_class",
    "first_refr_medium_l30d",
    "first_mkt_medium_l30d",
]


def test_the_columns_are_the_tutorials_in_its_order() -> None:
    assert list(COLUMNS) == TUTORIAL
    assert list(vector({}, MONDAY)) == TUTORIAL
    assert [feature.name for feature in FEATURES if feature.categorical] == CATEGORICAL


def test_nothing_there_is_an_empty_text_or_zero() -> None:
    assert vector({}, MONDAY) == columns(day_of_week=1)


def test_a_null_is_as_nothing_there() -> None:
    nulls = {feature.attribute: None for feature in FEATURES if feature.attribute}

    assert vector(nulls, MONDAY) == vector({}, MONDAY)


def test_texts_and_counts_are_the_values_themselves() -> None:
    made = vector({"latest_app_id": "website", "num_page_views_l7d": 12}, MONDAY)

    assert made == columns(latest_app_id="website", num_page_views_l7d=12)


def test_a_count_that_came_as_a_float_is_a_whole_number() -> None:
    made = vector({"num_page_views_l7d": 12.0}, MONDAY)["num_page_views_l7d"]

    assert made == 12
    assert isinstance(made, int)


def test_a_list_counts_by_its_length() -> None:
    made = vector(
        {
            "num_sessions_l7d": ["s1", "s2"],
            "num_apps_l7d": [],
            "num_engaged_campaigns_l30d": ["a", "b", "c"],
        },
        MONDAY,
    )

    assert made == columns(num_sessions_l7d=2, num_engaged_campaigns_l30d=3)


@pytest.mark.parametrize(("count", "flag"), [(None, 0), (0, 0), (1, 1), (7, 1)])
def test_a_flag_is_whether_there_was_any(count: int | None, flag: int) -> None:
    made = vector({"num_conversions_l7d": count, "num_conversions_l30d": count}, MONDAY)

    assert made == columns(had_conversions_l7d=flag, had_conversions_l30d=flag)


def test_the_weekday_is_the_iso_one() -> None:
    days = [vector({}, MONDAY + timedelta(days=n))["day_of_week"] for n in range(8)]

    assert days == [1, 2, 3, 4, 5, 6, 7, 1]


def test_attributes_that_no_column_is_of_are_left_out() -> None:
    assert vector({"something_else": 3}, MONDAY) == vector({}, MONDAY)


def test_there_is_an_sql_expression_for_each_column_in_order() -> None:
    assert list(FEATURE_EXPRESSIONS) == TUTORIAL


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("latest_app_id", """COALESCE("latest_app_id", '')"""),
        ("day_of_week", "ISODOW(anchor_ts)"),
        ("num_sessions_l7d", 'COALESCE("num_sessions_l7d", 0)'),
        ("num_page_views_l7d", 'COALESCE("num_page_views_l7d", 0)'),
        ("had_conversions_l7d", 'CASE WHEN "num_conversions_l7d" > 0 THEN 1 ELSE 0 END'),
    ],
)
def test_sql_expressions_are_over_the_attributes_names(name: str, sql: str) -> None:
    [feature] = [feature for feature in FEATURES if feature.name == name]

    assert expression(feature) == sql


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 1e300, 10**400])
def test_a_number_that_counts_nothing_is_as_a_null(number: float) -> None:
    odd = {"num_page_views_l7d": number, "num_conversions_l7d": number}

    assert vector(odd, MONDAY) == vector({}, MONDAY)


def test_the_largest_exact_number_is_counted() -> None:
    assert vector({"num_page_views_l7d": 2**53}, MONDAY)["num_page_views_l7d"] == 2**53


@pytest.mark.parametrize(
    ("attribute", "raw", "told"),
    [
        ("num_page_views_l7d", "many", "is of type str, expected a number"),
        ("num_conversions_l7d", ["x"], "is of type list, expected a number"),
        ("num_sessions_l7d", 3, "is of type int, expected a list"),
        ("num_sessions_l7d", "s1", "is of type str, expected a list"),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_attribute(
    attribute: str, raw: Any, told: str
) -> None:
    with pytest.raises(InputError) as raised:
        vector({attribute: raw}, MONDAY)

    assert str(raised.value) == (
        f"Attribute {attribute} {told}. Publish the present definition to Signals by the job "
        "deploy_configuration."
    )


def test_a_day_of_the_week_has_a_name_where_people_look_and_all_else_stays() -> None:
    days = [in_words("day_of_week", vector({}, MONDAY + timedelta(days=n))["day_of_week"])
            for n in range(7)]  # fmt: skip

    assert days[:2] == ["Monday", "Tuesday"]
    assert days[-1] == "Sunday"
    assert in_words("num_page_views_l7d", np.int64(6)) == "6"
    assert in_words("day_of_week", np.int64(6)) == "Saturday"
