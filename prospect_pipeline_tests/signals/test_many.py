"""Reading the attributes of one caller's many identifiers: by the loop's own clock, which jumps."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.errors import SignalsError, SignalsRefused, SignalsUnavailable
from prospect_pipeline.signals.breaker import Breaker
from prospect_pipeline.signals.client import CALLS_AT_ONCE, OnlineAttributes, OnlineValues
from prospect_pipeline.signals.connection import Connection

BUDGET = 0.3
WHO = [f"visitor-{number}" for number in range(4 * CALLS_AT_ONCE + 1)]


class Jumping(selectors.DefaultSelector):
    """A selector that does not wait, but says how long it would have."""

    waited = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.waited += timeout or 0.0
        return super().select(None if timeout is None else 0)


class Loop(asyncio.SelectorEventLoop):
    """A loop in which sleeping takes no time."""

    def __init__(self) -> None:
        self.jumping = Jumping()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.waited


def nowhere() -> Connection:
    raise AssertionError("no call leaves this process")


class Slow(OnlineAttributes):
    """Reads two identifiers a call, each call in ``seconds``, or as long as ``slow`` ones take."""

    def __init__(self, seconds: float, breaker: Breaker | None = None, **slow: float) -> None:
        super().__init__(nowhere, "service", "id", int(BUDGET * 1000), breaker, together=2)
        self.seconds = seconds
        self.slow = slow
        self.problem: SignalsError | None = None
        self.calls: list[list[str]] = []
        self.under_way = self.most = 0

    async def _read(
        self, identifiers: Sequence[str], group: GroupVersion | None, *, retry: bool = True
    ) -> list[OnlineValues]:
        self.calls.append(list(identifiers))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(max(self.slow.get(who, self.seconds) for who in identifiers))
            if self.problem:
                raise self.problem
        finally:
            self.under_way -= 1
        return [OnlineValues({"id": who}, None) for who in identifiers]


def timed(case: Callable[[], Awaitable[Any]]) -> tuple[Any, float]:
    """What a case gives, and how long it would have taken."""

    async def go() -> tuple[Any, float]:
        return await case(), asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=Loop) as runner:
        found: tuple[Any, float] = runner.run(go())
        return found


def failing(attributes: OnlineAttributes) -> Callable[[], Awaitable[str]]:
    async def go() -> str:
        with pytest.raises(SignalsError) as raised:
            await attributes.read_all(WHO)
        return str(raised.value)

    return go


def test_every_call_has_the_budget_for_itself_and_few_are_under_way() -> None:
    attributes = Slow(0.8 * BUDGET)

    found, seconds = timed(lambda: attributes.read_all(WHO))

    assert [values.attributes["id"] for values in found] == WHO
    assert sorted(map(len, attributes.calls)) == [1, *[2] * (2 * CALLS_AT_ONCE)]
    assert attributes.most == CALLS_AT_ONCE
    assert seconds == pytest.approx(3 * 0.8 * BUDGET)  # two rounds, and the one that is left


def test_the_first_call_that_takes_too_long_ends_all() -> None:
    attributes = Slow(0.8 * BUDGET, **{WHO[0]: 2 * BUDGET})

    told, seconds = timed(failing(attributes))

    assert told == "Signals gave no answer within 0.3 s."
    assert seconds == pytest.approx(BUDGET)
    assert attributes.under_way == 0
    assert len(attributes.calls) < 3 * CALLS_AT_ONCE


def test_many_at_once_that_take_too_long_do_not_keep_single_callers_out() -> None:
    attributes = Slow(2 * BUDGET, Breaker(2, 3600))
    for _ in range(5):
        timed(failing(attributes))
    attributes.seconds = 0

    found, _ = timed(lambda: attributes.read("ann"))

    assert found.attributes == {"id": "ann"}


@pytest.mark.parametrize("problem", [SignalsUnavailable("500"), SignalsRefused("422")])
def test_one_call_that_fails_is_the_failure_of_all(problem: SignalsError) -> None:
    attributes = Slow(0)
    attributes.problem = problem

    assert timed(failing(attributes))[0] == str(problem)


def test_a_signals_that_is_left_alone_is_asked_for_nobody() -> None:
    attributes = Slow(0, Breaker(1, 3600))
    attributes.breaker.failed(SignalsUnavailable("It is down."), attributes.breaker.admit())

    told, _ = timed(failing(attributes))

    assert told == (
        "Signals is left alone for a moment: it failed 1 time in a row, the last time so: "
        "It is down."
    )
    assert attributes.calls == []


def test_many_that_fail_take_no_single_callers_trial() -> None:
    now = [0.0]
    attributes = Slow(2 * BUDGET, Breaker(1, 1.0, lambda: now[0]))
    attributes.breaker.failed(SignalsUnavailable("It is down."), attributes.breaker.admit())
    now[0] += 2
    timed(failing(attributes))
    attributes.seconds = 0

    found, _ = timed(lambda: attributes.read("ann"))

    assert found.attributes == {"id": "ann"}
    assert not attributes.breaker.is_open


def test_an_answer_for_many_ends_the_time_alone() -> None:
    now = [0.0]
    attributes = Slow(0, Breaker(1, 1.0, lambda: now[0]))
    attributes.breaker.failed(SignalsUnavailable("It is down."), attributes.breaker.admit())
    now[0] += 2

    timed(lambda: attributes.read_all(WHO))

    assert not attributes.breaker.is_open
