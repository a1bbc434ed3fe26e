"""A circuit breaker: a Signals that fails again and again is left alone for a moment.

The pattern is that of Nygard, Release It! (2007): closed while all is well, open after so many
failures in a row, and from then on a trial now and again until one succeeds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from prospect_pipeline.errors import SignalsError, SignalsUnavailable

logger = logging.getLogger("prospect.signals")


class Breaker:
    """Counts failures in a row; after ``failures`` of them nobody is let through for ``seconds``.

    ``failures`` of 0 never opens it. ``clock`` gives seconds that only grow; ``notice`` is told
    whether it is open, each time that this changes.
    """

    def __init__(
        self,
        failures: int,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        notice: Callable[[bool], object] = bool,
    ) -> None:
        self.failures = failures
        self.seconds = seconds
        self.notice = notice
        self._clock = clock
        self._failed = 0
        self._last = ""
        self._failed_at = 0.0
        self._opens_again = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it has failed too often since it last succeeded."""
        return 0 < self.failures <= self._failed

    @property
    def seconds_left(self) -> float:
        """How long nobody is let through from now on, in seconds; 0 where somebody is."""
        return max(self._opens_again - self._clock(), 0.0) if self.is_open else 0.0

    def admit(self, *, counted: bool = True) -> float:
        """Let a call through and return its ticket; raises SignalsUnavailable, with the last words.

        Of an open one a trial is let through every ``seconds``, also where an earlier one is
        still under way or was given up. A call whose failure is not ``counted`` may be one beside,
        and takes nobody's place.
        """
        now = self._clock()
        if self.is_open:
            if now < self._opens_again:
                times = "1 time" if self._failed == 1 else f"{self._failed} times"
                raise SignalsUnavailable(
                    f"Signals is left alone for a moment: it failed {times} in a row, the last "
                    f"time so: {self._last}"
                )
            if counted:
                self._opens_again = now + self.seconds
        return now

    def succeeded(self) -> None:
        """Take note of an answer: all is well again."""
        if self.is_open:
            logger.warning("Signals answers again.")
            self.notice(False)
        self._failed = 0

    def failed(self, problem: SignalsError, ticket: float) -> None:
        """Take note of a failure of the call with a ticket.

        Calls that were under way at once and fail together are one failure: each that counts began
        after the one before it was known.
        """
        if self._failed and ticket < self._failed_at:
            return
        self._failed += 1
        self._failed_at = self._clock()
        self._last = str(problem)
        if self._failed == self.failures:
            self._opens_again = self._failed_at + self.seconds
            self.notice(True)
            logger.warning(
                "Signals failed %d times in a row and is left alone but for a trial every %g s: %s",
                self._failed,
                self.seconds,
                problem,
            )
