"""Which moments become training rows, and their labels."""

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from snowplow_signals import AtomicProperty, Criteria, Criterion

from prospect_pipeline.attributes.anchors import Anchoring, Sessions
from prospect_pipeline.errors import InputError
from prospect_pipeline.settings import TrainingSettings
from prospect_pipeline_tests.attributes.groups import DEVICE
from prospect_pipeline_tests.attributes.test_sql import EVERYONE, rows
from prospect_pipeline_tests.events import DAY, NOW, Event, event

MINUTE = timedelta(minutes=1)


def labels(events: list[Event], folder: Path, **choices: Any) -> dict[str, int]:
    anchoring = dataclasses.replace(EVERYONE, **choices)
    return {row["event_id"]: row["label"] for row in rows(events, anchoring, folder)}


def viewed_device(device: str) -> Criteria:
    return Criteria(all=[Criterion.eq(DEVICE, device)])


def test_the_goal_may_be_any_event(tmp_path: Path) -> None:
    events = [event("a", NOW), event("b", NOW + MINUTE, "page_ping")]

    assert labels(events, tmp_path, goal_events=("page_ping",)) == {"a": 1, "b": 0}


def test_the_goal_may_be_criteria_of_the_sdk(tmp_path: Path) -> None:
    events = [event("a", NOW), event("b", NOW + MINUTE), event("c", NOW + 2 * MINUTE, device="TV")]

    assert labels(events, tmp_path, goal=viewed_device("TV")) == {"a": 1, "b": 1, "c": 0}


def test_the_goal_may_need_several_events(tmp_path: Path) -> None:
    """The tutorial's "several page views", for sites without forms."""
    events = [event(f"e{n}", NOW + n * MINUTE) for n in range(5)]

    found = labels(events, tmp_path, goal_events=("page_view",), goal_count=3)

    assert found == {"e0": 1, "e1": 1, "e2": 0, "e3": 0, "e4": 0}


def test_a_visitors_rows_may_stop_at_the_first_conversion(tmp_path: Path) -> None:
    events = [
        event("a", NOW),
        event("same", NOW + MINUTE),
        event("goal", NOW + MINUTE, "submit_form"),
        event("after", NOW + 2 * MINUTE),
        event("other", NOW + 2 * MINUTE, user="bob"),
    ]

    assert labels(events, tmp_path, stop_at_conversion=True) == {"a": 1, "other": 0}


SESSIONS = Sessions(NOW, NOW + DAY, min_events=0, negative_ratio=None)


def session_rows(events: list[Event], folder: Path, **choices: Any) -> list[dict[str, Any]]:
    sessions = dataclasses.replace(SESSIONS, **choices)
    return rows(events, dataclasses.replace(EVERYONE, sessions=sessions), folder)


def test_a_session_that_reached_the_goal_gives_its_goal_events_and_others_all_theirs(
    tmp_path: Path,
) -> None:
    events = [
        event("won1", NOW, session="won"),
        event("won2", NOW + MINUTE, "submit_form", session="won"),
        event("won3", NOW + 2 * MINUTE, "submit_form", session="won"),
        event("lost1", NOW, session="lost"),
        event("lost2", NOW + MINUTE, session="lost"),
        event("nowhere", NOW, session=None),
    ]

    found = {row["event_id"]: row["label"] for row in session_rows(events, tmp_path)}

    assert found == {"won2": 1, "won3": 1, "lost1": 0, "lost2": 0}


def test_only_the_training_span_is_scanned_but_earlier_events_count(tmp_path: Path) -> None:
    events = [
        event("before", NOW - MINUTE, session="s"),
        event("first", NOW, session="s"),
        event("last", NOW + DAY, session="s"),
    ]

    [row] = session_rows(events, tmp_path, min_events=1)

    assert row["event_id"] == "first"
    assert row["num_page_views_l7d"] == 2


def test_an_anchor_needs_so_many_events_before_it_in_its_session(tmp_path: Path) -> None:
    events = [event(f"e{n}", NOW + n * MINUTE, session="s") for n in range(4)]
    events.append(event("elsewhere", NOW + 9 * MINUTE, session="t"))

    found = [row["event_id"] for row in session_rows(events, tmp_path, min_events=2)]

    assert found == ["e2", "e3"]


def test_excluded_events_are_no_session_anchors(tmp_path: Path) -> None:
    anchoring = dataclasses.replace(EVERYONE, sessions=SESSIONS, excluded_events=("page_ping",))
    events = [event("view", NOW), event("ping", NOW + MINUTE, "page_ping")]

    assert [row["event_id"] for row in rows(events, anchoring, tmp_path)] == ["view"]


def test_negatives_are_kept_up_to_a_ratio_and_weigh_more(tmp_path: Path) -> None:
    events = [event(f"e{n:02}", NOW + n * MINUTE, session=f"s{n}", user=f"u{n}") for n in range(30)]
    events += [event(f"g{n}", NOW, "submit_form", session=f"g{n}") for n in range(3)]

    made = session_rows(events, tmp_path, negative_ratio=2.0)

    assert made == session_rows(events, tmp_path, negative_ratio=2.0)
    assert sorted(row["weight"] for row in made) == [1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0]
    assert sum(row["weight"] for row in made) == len(events)


def test_at_most_so_many_anchors_of_a_session(tmp_path: Path) -> None:
    events = [event(f"e{n}", NOW + n * MINUTE, session=f"s{n % 2}") for n in range(10)]

    made = session_rows(events, tmp_path, per_session=3)

    assert len(made) == 6


def test_a_session_anchor_does_not_know_its_own_event(tmp_path: Path) -> None:
    """The goal event itself must not tell that the goal was reached."""
    definition = tmp_path / "mine.py"
    definition.write_text(
        """
from datetime import UTC, datetime
from snowplow_signals import AtomicProperty, Criteria, Criterion, TrainingSpan
from snowplow_signals.models import SessionAnchors

anchors = SessionAnchors(
    goal_criteria=Criteria(all=[Criterion.eq(AtomicProperty(name="event_name"), "submit_form")]),
    training_span=TrainingSpan(
        start_time=datetime(2026, 4, 1, tzinfo=UTC), end_time=datetime(2026, 6, 1, tzinfo=UTC)
    ),
    min_events=0,
)
"""
    )
    settings = TrainingSettings.load(anchors=f"{definition}:anchors", cohort="all")
    anchoring = Anchoring.from_settings(settings, NOW + DAY)
    events = [event("view", NOW - MINUTE), event("goal", NOW, "submit_form")]

    [row] = rows(events, anchoring, tmp_path)

    assert (row["event_id"], row["label"], row["num_page_views_l7d"]) == ("goal", 1, 1)
    assert row["had_conversions_l7d"] == 0


def test_an_object_that_is_not_there_is_named(tmp_path: Path) -> None:
    definition = tmp_path / "mine.py"
    definition.write_text("from snowplow_signals import Criteria\nwin = Criteria(all=[])\n")
    settings = TrainingSettings.load(goal=f"{definition}:won")

    with pytest.raises(InputError, match=r"'won' in .* is missing; .*Criteria. It has win"):
        Anchoring.from_settings(settings, NOW)


def test_properties_of_the_goal_are_read_from_the_events(tmp_path: Path) -> None:
    goal = Criteria(any=[Criterion.eq(AtomicProperty(name="mkt_campaign"), "spring")])
    events = [event("a", NOW), event("b", NOW + MINUTE, mkt_campaign="spring")]

    assert labels(events, tmp_path, goal=goal) == {"a": 1, "b": 0}
