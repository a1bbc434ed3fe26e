"""Which rows are computed again to look for leaks, and how a changed value is named."""

from datetime import UTC, timedelta
from typing import Any

import pandas as pd
import pytest

from prospect_pipeline.errors import InputError
from prospect_pipeline.features import COLUMNS
from prospect_pipeline.training.leakage import (
    PART,
    Difference,
    anchors,
    check_leakage,
    choose_cut,
    differences,
    sample,
)
from prospect_pipeline_tests.training import START, anchor, frame, signal_frame

DAY = 24 * 60


def at(minutes: float) -> Any:
    return START.replace(tzinfo=UTC) + timedelta(minutes=minutes)


def rows(visitor: str, *minutes: float, **changed: Any) -> list[dict[str, Any]]:
    return [anchor(visitor, minute, 0, **changed) for minute in minutes]


def test_the_cut_goes_through_the_most_visits() -> None:
    made = frame(
        *rows("a", 0, DAY, DAY + 20, 9 * DAY),
        *rows("b", 0, DAY + 10, DAY + 30, 9 * DAY),
        *rows("c", 0, 2 * DAY, 2 * DAY + 61, 9 * DAY),
    )

    assert choose_cut(made) == at(DAY + 10)


def test_the_cut_is_not_near_either_end() -> None:
    busy = [row for visitor in "abc" for row in rows(visitor, 0, 5)]
    made = frame(*busy, *[row for day in range(1, 20) for row in rows("d", day * DAY)])

    assert choose_cut(made) == at(DAY)


def test_rows_that_stand_alone_have_a_cut_too() -> None:
    assert choose_cut(frame(*rows("a", 7))) == at(7)


def test_the_cut_does_not_depend_on_the_order_of_rows_nor_on_the_zone() -> None:
    made = signal_frame(600)
    turned = made.iloc[::-1].assign(anchor_ts=lambda f: f["anchor_ts"].dt.tz_localize("UTC"))

    assert choose_cut(turned) == choose_cut(made)
    pd.testing.assert_frame_equal(
        sample(turned, choose_cut(made)), sample(made, choose_cut(made)), check_dtype=False
    )


def test_a_sample_of_few_rows_is_all_of_them_up_to_the_cut() -> None:
    made = frame(*rows("a", 0, 10, 30), *rows("b", 20, 21))

    assert sample(made, at(20))["event_id"].tolist() == ["a-0", "a-10", "b-20"]


def test_a_sample_holds_the_heaviest_the_soonest_and_some_of_all() -> None:
    light = [row for n in range(1000) for row in rows(f"light{n:04}", n, 50_000 + n)]
    heavy = rows("heavy", *range(0, 1001, 10), 90_000)
    soon = rows("soon", 998, 1001)
    made = frame(*light, *heavy, *soon)

    found = sample(made, at(1000))

    assert PART < len(found) <= 3 * PART
    assert {"heavy-1000", "soon-998"} <= set(found["event_id"])
    assert found["anchor_ts"].max() == at(1000)
    spread = found["domain_userid"].str.removeprefix("light")
    assert {"00", "02", "04", "06", "08"} <= set(spread.str[:2])


def test_anchors_of_a_sample_stand_once_for_each_moment() -> None:
    made = frame(*rows("a", 0, 0, 10), *rows("b", 0))

    found = anchors(sample(made, at(10)))

    assert found.columns.tolist() == ["domain_userid", "anchor_ts", "label"]
    assert found["domain_userid"].tolist() == ["a", "a", "b"]


def test_equal_values_do_not_differ_whatever_their_types() -> None:
    made = frame(*rows("a", 0, 0, 10, num_apps_l7d=3))
    again = frame(*rows("a", 10, 0, num_apps_l7d=3.0)).drop(columns="event_id")

    assert differences(made, again) == []


def test_differing_values_are_named_by_visitor_moment_and_column() -> None:
    made = frame(*rows("b", 5, 0), *rows("a", 5))
    again = frame(
        *rows("b", 0),
        *rows("b", 5, latest_app_id="x", num_apps_l7d=2),
        *rows("a", 5, num_apps_l30d=1),
    )

    assert differences(made, again) == [
        Difference("a", at(5), "num_apps_l30d", 0, 1),
        Difference("b", at(5), "latest_app_id", "", "x"),
        Difference("b", at(5), "num_apps_l7d", 0, 2),
    ]


def test_a_row_that_is_gone_differs_in_every_column() -> None:
    found = differences(frame(*rows("a", 0, 5)), frame(*rows("a", 0)))

    assert [each.column for each in found] == list(COLUMNS)
    assert {each.recomputed for each in found} == {None}


def test_a_recomputation_without_one_of_the_columns_is_refused() -> None:
    made = frame(*rows("a", 0))

    with pytest.raises(InputError, match="num_apps_l7d"):
        differences(made, made.drop(columns="num_apps_l7d"))


def test_the_check_says_what_was_compared_and_the_first_that_differs() -> None:
    made = frame(*rows("a", 0, 10, 90, num_page_views_l7d=4), *rows("b", 10))
    cut = at(10)
    sampled = sample(made, cut)

    good = check_leakage(made, cut, sampled, sampled)
    bad = check_leakage(made, cut, sampled, sampled.assign(num_page_views_l7d=[3, 4, 0]))

    assert (good.passed, bad.passed, bad.blocking) == (True, False, True)
    assert good.facts == {
        "cut": "2026-03-02T00:10:00+00:00",
        "rows": 3,
        "values": 60,
        "visitors": 2,
        "visitors_with_later_rows": 1,
        "differing": 0,
        "first_differing": [],
    }
    assert bad.facts["first_differing"] == [
        {
            "key": "a",
            "moment": "2026-03-02T00:00:00+00:00",
            "column": "num_page_views_l7d",
            "trained": 4,
            "recomputed": 3,
        }
    ]
    assert "1 of 60 values change" in bad.description
    assert (
        "The first: num_page_views_l7d at 2026-03-02T00:00:00+00:00, of the visitor whom "
        "first_differing names." in bad.description
    )
