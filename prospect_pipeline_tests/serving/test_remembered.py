"""Attributes of a moment ago."""

import pytest

from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.serving.remembered import Remembered
from prospect_pipeline.signals.replies import OnlineValues

ONE, TWO = GroupVersion("g", 1, ("a",)), GroupVersion("g", 2, ("a",))
VALUES = OnlineValues({"a": 1}, None)
NEWER = OnlineValues({"a": 2}, None)


class Time:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_values_are_remembered_for_so_many_seconds() -> None:
    time = Time()
    remembered = Remembered(30, 10, time)
    remembered.keep("ann", ONE, VALUES)

    time.now = 30
    assert remembered.recall("ann", ONE) == VALUES
    time.now = 30.1
    assert remembered.recall("ann", ONE) is None


def test_the_newest_count() -> None:
    remembered = Remembered(30, 10, Time())
    remembered.keep("ann", ONE, VALUES)
    remembered.keep("ann", ONE, NEWER)

    assert remembered.recall("ann", ONE) == NEWER


def test_another_versions_values_are_no_stand_in() -> None:
    remembered = Remembered(30, 10, Time())
    remembered.keep("ann", ONE, VALUES)

    assert remembered.recall("ann", TWO) is None
    assert remembered.recall("ann", None) is None
    assert remembered.recall("bob", ONE) is None


def test_as_many_visitors_are_remembered_as_fit() -> None:
    remembered = Remembered(30, 2, Time())
    for visitor in ("ann", "bob", "ann", "cat"):
        remembered.keep(visitor, ONE, VALUES)

    assert [remembered.recall(who, ONE) for who in ("ann", "bob", "cat")] == [VALUES, None, VALUES]


@pytest.mark.parametrize("passed", [0.0, 1.0])
def test_zero_seconds_remember_nothing(passed: float) -> None:
    time = Time()
    remembered = Remembered(0, 10, time)
    remembered.keep("ann", ONE, VALUES)
    time.now = passed

    assert remembered.recall("ann", ONE) is None
