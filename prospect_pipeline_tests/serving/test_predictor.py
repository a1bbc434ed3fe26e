"""Visitors read and scored together: each gets their own, and nobody waits for another."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from prospect_pipeline import features
from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.errors import (
    InputError,
    NoModel,
    SignalsError,
    SignalsRefused,
    SignalsUnavailable,
)
from prospect_pipeline.registry.store import LoadedModel, ModelVersion
from prospect_pipeline.serving.metrics import metrics
from prospect_pipeline.serving.predictor import Predictor, Scored
from prospect_pipeline.serving.remembered import Remembered
from prospect_pipeline.serving.scorer import Scorer
from prospect_pipeline.settings import Clock
from prospect_pipeline.signals.client import OnlineAttributes
from prospect_pipeline.signals.replies import OnlineValues
from prospect_pipeline_tests.registry.models import tiny_model

MOMENT = datetime(2026, 5, 3, tzinfo=UTC)
GROUP = GroupVersion("g", 1, ("num_pricing_views_l30d",))
FIRST = LoadedModel(ModelVersion("m", "1", "r"), tiny_model(), GROUP)
SECOND = LoadedModel(ModelVersion("m", "2", "s"), tiny_model(seed=1), GROUP)


class Signals:
    """Knows of each visitor the number of letters of their name as views of prices."""

    key = "domain_userid"

    def __init__(self, together: int) -> None:
        self.together = together
        self.calls: list[list[str]] = []
        self.problem: SignalsError | None = None
        self.refused: set[str] = set()
        self.odd: set[str] = set()
        self.answers = asyncio.Event()
        self.answers.set()

    async def read_all(
        self, identifiers: Sequence[str], group: GroupVersion | None
    ) -> list[OnlineValues]:
        found = await self.read_each(identifiers, group)
        for one in found:
            if isinstance(one, SignalsRefused):
                raise one
        return cast(list[OnlineValues], found)

    async def read_each(
        self, identifiers: Sequence[str], group: GroupVersion | None
    ) -> list[OnlineValues | SignalsRefused]:
        assert group == GROUP
        self.calls.append(list(identifiers))
        await self.answers.wait()
        if self.problem:
            raise self.problem
        return [self._about(identifier) for identifier in identifiers]

    def _about(self, who: str) -> OnlineValues | SignalsRefused:
        if who in self.refused:
            return SignalsRefused(f"No {who}, please.")
        views = "many" if who in self.odd else len(who)
        return OnlineValues({"domain_userid": who, "num_pricing_views_l30d": views}, MOMENT)


class InUse:
    """The model in use."""

    def __init__(self) -> None:
        self.model: LoadedModel | None = FIRST

    def current(self) -> LoadedModel:
        if self.model is None:
            raise NoModel("None yet.")
        return self.model


class Setting:
    """A predictor and what it stands on."""

    def __init__(self, together: int = 100, stale_seconds: float = 0) -> None:
        self.signals, self.in_use = Signals(together), InUse()
        self.predictor = Predictor(
            cast(Scorer, self.in_use),
            cast(OnlineAttributes, self.signals),
            Clock.load(setting="2026-05-06"),
            Remembered(stale_seconds, 100),
            metrics(),
        )

    async def all_of(self, *visitors: str) -> list[Scored]:
        return await asyncio.gather(*map(self.predictor.predict, visitors))


Case = Callable[[], Awaitable[None]]


def looped(case: Case) -> Callable[[], None]:
    """Run a test in a loop of its own."""

    @functools.wraps(case)
    def run() -> None:
        asyncio.run(cast(Any, case()))

    return run


def offline(visitor: str, model: LoadedModel = FIRST, moment: datetime = MOMENT) -> float:
    return model.model.score_one(features.vector({"num_pricing_views_l30d": len(visitor)}, moment))


def scores(found: list[Scored]) -> dict[str, float]:
    return {one.visitor: one.score for one in found}


@looped
async def test_a_visitor_is_scored_on_what_signals_knows() -> None:
    found = await Setting().predictor.predict("ann")

    assert (found.visitor, found.score, found.stale) == ("ann", offline("ann"), False)
    assert found.attributes == {"num_pricing_views_l30d": 3}
    assert found.columns["num_pricing_views_l30d"] == 3
    assert found.moment == MOMENT


@looped
async def test_visitors_of_the_same_turn_share_a_call_and_get_their_own() -> None:
    setting = Setting()

    found = await setting.all_of("a", "bob", "caesar")

    assert setting.signals.calls == [["a", "bob", "caesar"]]
    assert scores(found) == {who: offline(who) for who in ("a", "bob", "caesar")}


@looped
async def test_a_visitor_who_is_asked_for_twice_is_read_once() -> None:
    setting = Setting()

    found = await setting.all_of("ann", "ann")

    assert setting.signals.calls == [["ann"]]
    assert [one.score for one in found] == [offline("ann")] * 2


@looped
async def test_no_more_visitors_share_a_call_than_may() -> None:
    setting = Setting(together=2)

    await setting.all_of("a", "b", "c", "d", "e")

    assert setting.signals.calls == [["a", "b"], ["c", "d"], ["e"]]


@looped
async def test_a_visitor_who_comes_alone_waits_for_nobody() -> None:
    setting = Setting()
    setting.signals.answers.clear()
    first = asyncio.create_task(setting.predictor.predict("ann"))
    while setting.signals.calls != [["ann"]]:
        await asyncio.sleep(0)

    second = asyncio.create_task(setting.predictor.predict("bob"))
    while len(setting.signals.calls) < 2:
        await asyncio.sleep(0)

    assert setting.signals.calls == [["ann"], ["bob"]]
    setting.signals.answers.set()
    assert scores([await first, await second]) == {"ann": offline("ann"), "bob": offline("bob")}


@looped
async def test_one_version_scores_all_of_a_call_whatever_is_swapped_meanwhile() -> None:
    setting = Setting(together=2)
    setting.signals.answers.clear()
    asked = asyncio.create_task(setting.predictor.predict_many(["a", "b", "c"]))
    while not setting.signals.calls:
        await asyncio.sleep(0)
    setting.in_use.model = SECOND
    setting.signals.answers.set()

    found = await asked

    assert [one.model for one in found] == [FIRST] * 3
    after = await setting.predictor.predict("ann")
    assert (after.model, after.score) == (SECOND, offline("ann", SECOND))


@looped
async def test_many_are_answered_in_the_order_in_which_they_were_named() -> None:
    setting = Setting()

    found = await setting.predictor.predict_many(["bob", "a", "bob"])

    assert [one.visitor for one in found] == ["bob", "a", "bob"]
    assert setting.signals.calls == [["bob", "a"]]


@looped
async def test_a_visitor_whom_signals_refuses_costs_the_others_nothing() -> None:
    setting = Setting()
    setting.signals.refused = {"bad"}

    found = await asyncio.gather(
        *map(setting.predictor.predict, ["ann", "bad", "bob"]), return_exceptions=True
    )

    assert isinstance(found[1], SignalsRefused)
    assert scores([found[0], found[2]]) == {"ann": offline("ann"), "bob": offline("bob")}  # type: ignore[list-item]
    with pytest.raises(SignalsRefused, match="No bad"):
        await setting.predictor.predict_many(["ann", "bad"])


@looped
async def test_attributes_that_cannot_be_scored_cost_the_others_nothing() -> None:
    setting = Setting()
    setting.signals.odd = {"odd"}

    found = await asyncio.gather(
        *map(setting.predictor.predict, ["ann", "odd"]), return_exceptions=True
    )

    assert isinstance(found[1], InputError)
    assert scores([found[0]]) == {"ann": offline("ann")}  # type: ignore[list-item]


@looped
async def test_each_of_a_failed_call_is_told_by_an_error_of_their_own() -> None:
    setting = Setting()
    setting.signals.problem = SignalsUnavailable("It is away.")

    found = await asyncio.gather(
        *map(setting.predictor.predict, ["ann", "bob"]), return_exceptions=True
    )

    assert [(type(one), str(one)) for one in found] == [(SignalsUnavailable, "It is away.")] * 2
    assert found[0] is not found[1]


@looped
async def test_without_a_model_nobody_is_read() -> None:
    setting = Setting()
    setting.in_use.model = None

    with pytest.raises(NoModel):
        await setting.predictor.predict("ann")
    with pytest.raises(NoModel):
        await setting.predictor.predict_many(["ann"])

    assert setting.signals.calls == []


@looped
async def test_what_is_remembered_stands_in_and_is_marked() -> None:
    setting = Setting(stale_seconds=60)
    await setting.predictor.predict("ann")
    setting.signals.problem = SignalsUnavailable("It is away.")

    found = await setting.predictor.predict("ann")

    wednesday = datetime(2026, 5, 6, tzinfo=UTC)
    assert (found.stale, found.moment) == (True, wednesday)
    assert found.score == offline("ann", moment=wednesday)
    with pytest.raises(SignalsUnavailable):
        await setting.predictor.predict("bob")


@looped
async def test_what_is_remembered_stands_in_for_what_cannot_be_scored_and_stays() -> None:
    setting = Setting(stale_seconds=60)
    await setting.predictor.predict("ann")
    setting.signals.odd = {"ann"}

    found = [await setting.predictor.predict("ann") for _ in range(2)]

    assert [one.stale for one in found] == [True, True]
    assert {one.columns["num_pricing_views_l30d"] for one in found} == {3}


@looped
async def test_what_is_remembered_stands_in_for_whom_signals_refuses() -> None:
    setting = Setting(stale_seconds=60)
    await setting.predictor.predict("ann")
    setting.signals.refused = {"ann"}

    found = await setting.all_of("ann", "bob")

    assert [one.stale for one in found] == [True, False]


@looped
async def test_nothing_is_remembered_of_a_stand_in() -> None:
    setting = Setting(stale_seconds=60)
    kept: list[str] = []
    remembered = setting.predictor.remembered
    keep = remembered.keep
    remembered.keep = lambda who, *more: (kept.append(who), keep(who, *more))[1]  # type: ignore[method-assign]
    await setting.predictor.predict("ann")
    setting.signals.problem = SignalsUnavailable("It is away.")
    await setting.predictor.predict("ann")

    assert kept == ["ann"]


@looped
async def test_a_caller_who_has_gone_is_no_trouble_for_the_others() -> None:
    setting = Setting()
    setting.signals.answers.clear()
    gone, stays = (asyncio.create_task(setting.predictor.predict(who)) for who in ("a", "bob"))
    while not setting.signals.calls:
        await asyncio.sleep(0)
    gone.cancel()
    setting.signals.answers.set()

    assert (await stays).score == offline("bob")
    await setting.predictor.close()


@looped
async def test_an_unexpected_failure_reaches_everybody_who_waits() -> None:
    setting = Setting()
    broken = replace(FIRST, model=replace(FIRST.model, booster=cast(Any, None)))
    setting.in_use.model = broken

    found = await asyncio.gather(
        *map(setting.predictor.predict, ["ann", "bob"]), return_exceptions=True
    )

    assert [type(one) for one in found] == [AttributeError] * 2
    setting.in_use.model = FIRST
    assert (await setting.predictor.predict("ann")).score == offline("ann")
