"""How bodies are read: whole, not for ever, and not all at once."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from prospect_pipeline.serving import bodies
from prospect_pipeline.serving.bodies import Bodies
from prospect_pipeline.serving.refusal import Refusal

NEVER = None
"""In place of a part: nothing comes any more."""


def arriving(parts: Iterable[bytes | None]) -> Any:
    """What a server gives an application of a body that arrives in these parts."""
    left = list(parts)

    async def receive() -> dict[str, Any]:
        part = left.pop(0)
        if part is NEVER:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": part, "more_body": bool(left)}

    return receive


def read(found: Bodies, receive: Any, most_bytes: int = 100) -> bytes:
    return bytes(asyncio.run(found.read(receive, most_bytes)))


def refused(found: Bodies, receive: Any) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        read(found, receive)
    return refusal.value


def test_a_body_is_put_together_from_its_parts() -> None:
    assert read(Bodies(), arriving([b"one, ", b"", b"two, ", b"three"])) == b"one, two, three"


def test_a_body_that_always_goes_on_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.02)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"", "more_body": True}

    assert refused(Bodies(), receive).status == 408


def test_a_body_is_given_up_at_the_part_with_which_it_becomes_too_large() -> None:
    assert refused(Bodies(), arriving([b" " * 60, b" " * 60, NEVER])).status == 413


def test_of_all_bodies_together_only_so_much_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_HELD_BYTES", 100)
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)
    found = Bodies()

    async def at_once() -> list[Any]:
        slow = [found.read(arriving([b" " * 40, NEVER]), 100) for _ in range(3)]
        whole = found.read(arriving([b"at once"]), 100)
        return await asyncio.gather(*slow, whole, return_exceptions=True)

    *slow, whole = asyncio.run(at_once())

    assert [each.code for each in slow] == ["timeout", "timeout", "too_busy"]
    assert slow[2].headers == {"retry-after": "1"}
    assert whole == b"at once"


@pytest.mark.parametrize("parts", [[b"a", b"b"], [b" " * 60, b" " * 60, NEVER], [b"a", NEVER]])
def test_nothing_is_held_of_a_body_that_was_read_or_refused(
    monkeypatch: pytest.MonkeyPatch, parts: list[bytes | None]
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.02)
    found = Bodies()

    asyncio.run(_settled(found, arriving(parts)))

    assert found.held == 0


async def _settled(found: Bodies, receive: Any) -> None:
    await asyncio.gather(found.read(receive, 100), return_exceptions=True)
