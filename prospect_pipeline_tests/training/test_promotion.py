"""Who becomes champion: every gate on its own, and the words of the decision."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prospect_pipeline.training.bootstrap import Interval
from prospect_pipeline.training.promotion import Champion, Floors, Gate, Measured, decide

MONDAY = datetime(2026, 5, 4, tzinfo=UTC)
GOOD = Measured("8", MONDAY, "", 150, 0.01, 0.005, 0.1, (), 1e-9)
CHAMPION = Champion("7", MONDAY - timedelta(days=7), Interval(-0.01, -0.03, 0.01), "500 visitors")


def failed(challenger: Measured = GOOD, champion: Champion | None = CHAMPION) -> list[str]:
    return [gate.name for gate in decide(challenger, champion, Floors()).gates if not gate.passed]


def test_a_challenger_that_passes_every_gate_takes_the_place() -> None:
    decision = decide(GOOD, CHAMPION, Floors())

    assert decision.promote
    assert decision.reason == (
        "It takes the place of version 7: on 500 visitors version 8's log loss differs from "
        "version 7's by -1.0% (-3.0% to +1.0%; +2.0% is allowed)."
    )


@pytest.mark.parametrize(
    ("gate", "change"),
    [
        ("serves", {"served_difference": "ValueError: truncated"}),
        ("serves", {"served_difference": 1e-3}),
        ("enough_converters", {"converters": 29}),
        ("published", {"published": Gate("published", False, "Signals has not")}),
        ("calibrated", {"calibration_error": 0.026}),
        ("every_slice", {"weak_slices": ("device Tablet",)}),
        ("other_data", {"twin": "version 7, which is the champion"}),
        ("newer_data", {"data_until": CHAMPION.data_until}),
    ],
)
def test_each_gate_alone_keeps_the_champion(gate: str, change: dict[str, Any]) -> None:
    challenger = replace(GOOD, **change)
    decision = decide(challenger, CHAMPION, Floors())

    assert failed(challenger) == [gate]
    assert not decision.promote
    assert decision.reason.startswith("Version 7 stays champion: ")


def test_one_that_may_be_worse_by_more_than_the_margin_is_refused() -> None:
    unsure = replace(CHAMPION, worse_by=Interval(0.0, -0.05, 0.021))
    sure = replace(CHAMPION, worse_by=Interval(0.015, 0.01, 0.019))

    assert failed(champion=unsure) == ["not_worse"]
    assert failed(champion=sure) == []


def test_a_calibration_error_that_may_be_chance_is_none() -> None:
    found = replace(GOOD, calibration_error=0.06)

    [gate] = [g for g in decide(found, CHAMPION, Floors()).gates if g.name == "calibrated"]

    assert gate.words == (
        "version 8's calibration error is 0.0600, at most 0.0250 expected, and up to 0.0050 may be "
        "by chance"
    )
    assert failed(found) == ["calibrated"]
    assert failed(replace(found, chance_error=0.06)) == []
    assert failed(replace(found, chance_error=float("nan"))) == ["calibrated"]


def test_a_twin_is_named_with_what_became_of_it() -> None:
    twin = "version 5, which was rolled back from (odd scores)"

    assert decide(replace(GOOD, twin=twin), CHAMPION, Floors()).reason == (
        "Version 7 stays champion: version 8's data and definition are those of version 5, which "
        "was rolled back from (odd scores)."
    )


@pytest.mark.parametrize(
    ("until", "than"),
    [(MONDAY, "2026-05-04 00:00"), (MONDAY + timedelta(days=1), "2026-05-05 00:00")],
)
def test_whose_last_row_is_not_later_is_said_by_number(until: datetime, than: str) -> None:
    reason = decide(GOOD, replace(CHAMPION, data_until=until), Floors()).reason

    assert reason == (
        "Version 7 stays champion: version 8's last row (2026-05-04 00:00) is not later than "
        f"version 7's ({than})."
    )


def test_slices_are_said_to_be_no_more_than_was_found() -> None:
    words = [
        {gate.name: gate.words for gate in decide(one, CHAMPION, Floors()).gates}["every_slice"]
        for one in (GOOD, replace(GOOD, weak_slices=("device is Tablet", "app is x")))
    ]

    assert words == [
        "in no slice of 20 or more converters is version 8 surely worse than the base rate",
        "version 8 is surely worse than the base rate where device is Tablet, app is x",
    ]


def test_a_champion_that_no_longer_loads_gives_way() -> None:
    broken = replace(CHAMPION, worse_by=None, problem="its files are damaged")
    decision = decide(GOOD, broken, Floors())

    assert decision.promote
    assert "nothing could be compared with version 7 (its files are damaged)" in decision.reason


def test_the_first_version_is_only_warned_about_what_it_lacks() -> None:
    rough = replace(GOOD, converters=3, calibration_error=0.5)
    decision = decide(rough, None, Floors())

    assert decision.promote
    assert decision.reason == (
        "It is the first version that can be served. It is below what a later one must reach: 3 "
        "visitors of version 8's test part convert, 30 expected; version 8's calibration error is "
        "0.5000, at most 0.0250 expected, and up to 0.0050 may be by chance."
    )


def test_a_first_version_that_cannot_be_served_is_none() -> None:
    decision = decide(replace(GOOD, served_difference="it is empty"), None, Floors())

    assert not decision.promote
    assert decision.reason == (
        "There is no champion yet, but version 8 does not load in the serving runtime (it is "
        "empty)."
    )


def test_a_decision_is_plain_json() -> None:
    found = decide(GOOD, CHAMPION, Floors()).to_dict()

    assert found["promoted"] is True
    assert isinstance(found["gates"], list)
    assert found["gates"][0].keys() == {"name", "passed", "words"}
