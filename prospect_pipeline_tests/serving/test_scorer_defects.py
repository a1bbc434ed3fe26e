"""An error that nobody expected ends neither the model in use nor the watching."""

import asyncio
from typing import Any

import pytest

from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.errors import NoModel
from prospect_pipeline.serving.scorer import Scorer


class Broken:
    """A registry with a defect."""

    def __init__(self) -> None:
        self.asked = 0

    def resolve(self, _: str | None) -> Any:
        self.asked += 1
        raise RuntimeError("surprise")


async def published(_group: GroupVersion) -> bool:
    return True


def test_a_defect_is_a_problem_and_not_the_end() -> None:
    scorer = Scorer(Broken(), None)  # type: ignore[arg-type]

    assert not scorer.refresh()
    assert "RuntimeError" in str(scorer.problem)
    with pytest.raises(NoModel):
        scorer.current()


def test_watching_goes_on_after_a_defect() -> None:
    broken = Broken()

    async def watched() -> None:
        scorer = Scorer(broken, None)  # type: ignore[arg-type]
        watching = asyncio.create_task(scorer.watch(0.001, published))
        async with asyncio.timeout(10):
            while broken.asked < 3 and not watching.done():
                await asyncio.sleep(0)
        assert not watching.done()
        watching.cancel()

    asyncio.run(watched())

    assert broken.asked >= 3
