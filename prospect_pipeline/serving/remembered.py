"""Attributes that were read a moment ago: they stand in where Signals does not answer."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.signals.replies import OnlineValues


class Remembered:
    """The last values of the visitors who were read last; 0 seconds remember nothing."""

    def __init__(
        self, seconds: float, visitors: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds = seconds
        self.visitors = visitors
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, GroupVersion | None, OnlineValues]] = (
            OrderedDict()
        )

    def keep(self, visitor: str, group: GroupVersion | None, values: OnlineValues) -> None:
        """Remember a visitor's values of a group's version."""
        if not self.seconds:
            return
        self._kept[visitor] = (self._clock(), group, values)
        self._kept.move_to_end(visitor)
        if len(self._kept) > self.visitors:
            self._kept.popitem(last=False)

    def recall(self, visitor: str, group: GroupVersion | None) -> OnlineValues | None:
        """Return a visitor's values of that version where they are young enough."""
        at, of, values = self._kept.get(visitor, (0.0, None, None))
        if values is None or of != group or self._clock() - at > self.seconds:
            return None
        return values
