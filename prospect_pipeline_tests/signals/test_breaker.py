"""A Signals that fails again and again is left alone, and tried until it answers."""

import pytest

from prospect_pipeline.errors import SignalsError, SignalsUnavailable
from prospect_pipeline.signals.breaker import Breaker

DOWN = SignalsError("It is down.")


class Time:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def breaker(time: Time) -> Breaker:
    return Breaker(3, 2.0, time)


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed(DOWN, breaker.admit())


def is_refused(breaker: Breaker) -> bool:
    try:
        breaker.admit()
    except SignalsUnavailable as refusal:
        assert str(refusal).endswith(" times in a row, the last time so: It is down.")
        return True
    return False


def test_failures_in_a_row_open_it(breaker: Breaker) -> None:
    fail(breaker, 2)
    assert not is_refused(breaker)
    assert breaker.seconds_left == 0

    fail(breaker, 1)

    assert is_refused(breaker)
    assert breaker.is_open
    assert breaker.seconds_left == 2


def test_a_success_in_between_starts_the_count_anew(breaker: Breaker) -> None:
    fail(breaker, 2)
    breaker.succeeded()
    fail(breaker, 2)

    assert not breaker.is_open


def test_one_trial_at_a_time_is_let_through(breaker: Breaker, time: Time) -> None:
    fail(breaker, 3)
    time.now += 1.9
    assert is_refused(breaker)
    time.now += 0.1

    assert [is_refused(breaker) for _ in range(3)] == [False, True, True]


def test_a_trial_that_fails_leaves_it_open(breaker: Breaker, time: Time) -> None:
    fail(breaker, 3)
    time.now += 2
    fail(breaker, 1)
    assert is_refused(breaker)

    time.now += 2

    assert not is_refused(breaker)


def test_a_trial_that_is_given_up_is_followed_by_another(breaker: Breaker, time: Time) -> None:
    fail(breaker, 3)
    time.now += 2
    breaker.admit()

    time.now += 2

    assert not is_refused(breaker)


def test_a_success_closes_it(breaker: Breaker, time: Time) -> None:
    fail(breaker, 3)
    time.now += 2
    breaker.admit()
    breaker.succeeded()

    assert not any(is_refused(breaker) for _ in range(5))
    assert breaker.seconds_left == 0
    fail(breaker, 2)
    assert not breaker.is_open


def test_without_a_number_of_failures_it_never_opens(time: Time) -> None:
    breaker = Breaker(0, 2.0, time)

    fail(breaker, 1000)

    assert not is_refused(breaker)


def test_whoever_wants_to_know_is_told_of_each_change(time: Time) -> None:
    told: list[bool] = []
    breaker = Breaker(2, 2.0, time, told.append)

    fail(breaker, 2)
    time.now += 2
    fail(breaker, 1)
    breaker.succeeded()
    breaker.succeeded()

    assert told == [True, False]


def test_calls_that_fail_together_are_one_failure(breaker: Breaker, time: Time) -> None:
    for _ in range(2):
        together = [breaker.admit() for _ in range(50)]
        time.now += 1
        for ticket in together:
            breaker.failed(DOWN, ticket)

    assert not breaker.is_open
    fail(breaker, 1)
    assert breaker.is_open


def test_that_it_opens_and_closes_is_logged_once(
    breaker: Breaker, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    fail(breaker, 3)
    time.now += 2
    fail(breaker, 1)
    breaker.succeeded()
    breaker.succeeded()

    assert [record.getMessage() for record in caplog.records] == [
        "Signals failed 3 times in a row and is left alone but for a trial every 2 s: It is down.",
        "Signals answers again.",
    ]
