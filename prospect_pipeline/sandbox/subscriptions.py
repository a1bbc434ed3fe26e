"""Who waits for interventions, and how they get there: one queue a subscriber."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

Target = tuple[str, str]
"""An attribute key's name, and an identifier."""

Intervention = Mapping[str, Any]

KEPT_SECONDS = 30.0
SILENCE_SECONDS = 15.0
MOST_WAITING = 100


class Subscriber:
    """Interventions for some targets, each once, however many of the targets it is for."""

    def __init__(self, targets: Collection[Target]) -> None:
        self.targets = frozenset(targets)
        self._waiting: asyncio.Queue[Intervention] = asyncio.Queue(MOST_WAITING)
        self._given: deque[str] = deque(maxlen=MOST_WAITING)

    def give(self, intervention: Intervention) -> bool:
        """Put an intervention in line; returns whether it is there (a full line takes no more)."""
        identity = intervention["intervention_id"]
        if identity in self._given:
            return True
        try:
            self._waiting.put_nowait(intervention)
        except asyncio.QueueFull:
            return False
        self._given.append(identity)
        return True

    async def interventions(self) -> AsyncIterator[Intervention | None]:
        """Yield interventions as they come, and None now and then, so that a line stays open."""
        yield None
        while True:
            try:
                yield await asyncio.wait_for(self._waiting.get(), SILENCE_SECONDS)
            except TimeoutError:
                yield None


class Subscriptions:
    """Hands interventions to whoever has subscribed to one of their targets.

    One that nobody waits for may be kept for half a minute: a page that is just loading subscribes
    after its first event was sent.
    """

    def __init__(self) -> None:
        self._subscribers: set[Subscriber] = set()
        self._kept: deque[tuple[float, Target, Intervention]] = deque(maxlen=10_000)

    def open(self, targets: Collection[Target]) -> Subscriber:
        """Add a subscriber."""
        subscriber = Subscriber(targets)
        self._subscribers.add(subscriber)
        oldest = time.monotonic() - KEPT_SECONDS
        late = [one for one in self._kept if one[0] >= oldest and one[1] in subscriber.targets]
        for kept in late:
            subscriber.give(kept[2])
            self._kept.remove(kept)
        return subscriber

    def close(self, subscriber: Subscriber) -> None:
        """Remove a subscriber."""
        self._subscribers.discard(subscriber)

    def deliver(self, target: Target, intervention: Intervention, *, keep: bool) -> bool:
        """Give an intervention to everyone who waits for a target; returns whether anyone has it.

        ``keep`` keeps it for a while where nobody does.
        """
        name, identifier = target
        own = {**intervention, "target_attribute_key": {"name": name, "id": identifier}}
        given = [one.give(own) for one in list(self._subscribers) if target in one.targets]
        if not any(given) and keep:
            self._kept.append((time.monotonic(), target, own))
        return any(given)
