"""Data that is old, or much more or less than before, is warned about."""

from datetime import UTC, datetime, timedelta

import pytest

from prospect_pipeline.training.continuity import check_counts, check_freshness

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(("age", "fresh"), [(0, True), (48, True), (48.01, False)])
def test_a_last_event_may_be_as_old_as_is_allowed(age: float, fresh: bool) -> None:
    check = check_freshness(NOW - age * HOUR, NOW, NOW, 48)

    assert (check.passed, check.blocking) == (fresh, False)
    assert check.facts["age_hours"] == pytest.approx(age)


def test_it_says_what_the_age_is_relative_to() -> None:
    by_as_of = check_freshness(NOW - 3 * HOUR, NOW, NOW, 48).description
    by_clock = check_freshness(NOW - 3 * HOUR, NOW - 3 * HOUR, NOW, 48).description

    assert "is 3.0 hours older than as-of (2026-05-01T12:00:00+00:00)" in by_as_of
    assert "is 3.0 hours older than the clock (2026-05-01T12:00:00+00:00)" in by_clock


@pytest.mark.parametrize(
    ("now", "before", "changed"),
    [
        ((150, 15, 3), (100, 10, 2), []),
        ((50, 5, 1), (100, 10, 2), []),
        ((151, 10, 2), (100, 10, 2), ["rows"]),
        ((49, 4, 2), (100, 10, 2), ["rows", "positives"]),
        ((100, 10, 4), (100, 10, 2), ["visitors"]),
        ((100, 1, 2), (100, 0, 2), ["positives"]),
        ((100, 0, 2), (100, 0, 2), []),
    ],
)
def test_counts_may_change_by_half(
    now: tuple[int, ...], before: tuple[int, ...], changed: list[str]
) -> None:
    names = ("rows", "positives", "visitors")
    present, previous = dict(zip(names, now, strict=True)), dict(zip(names, before, strict=True))

    check = check_counts(present, ("run-1", previous), 0.5)

    assert (check.passed, check.blocking) == (not changed, False)
    assert check.facts == {
        "checked": True,
        "present": present,
        "previous": previous,
        "previous_run": "run-1",
        "allowed_change": 0.5,
        "changed": changed,
    }


def test_the_first_run_passes_and_says_that_nothing_was_compared() -> None:
    check = check_counts({"rows": 3}, None, 0.5)

    assert check.passed
    assert check.description == (
        "There is no run of an earlier as-of with counts to compare with: not checked."
    )


def test_changed_counts_are_shown_with_what_they_were() -> None:
    check = check_counts({"rows": 3000, "visitors": 4}, ("run-1", {"rows": 1, "visitors": 4}), 0.5)

    assert check.description.startswith(
        "3,000 rows (1 before), 4 visitors (4 before); a change of at most 50% either way is "
        "expected. Changed by more: rows. "
    )
