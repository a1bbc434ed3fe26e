"""What the service logs: a line of JSON each, without attributes, visitors or secrets."""

from __future__ import annotations

import json
import logging
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from prospect_pipeline.redaction import known_secrets, without_secrets

ROOT = "prospect"
THEIRS = ("", "bentoml", "uvicorn.error")
"""The loggers to which BentoML has given handlers; the first is everybody's."""

FIELDS = ("endpoint", "status", "outcome", "ms", "model_version", "reason", "more_like_it")
SAME_AGAIN_SECONDS = 1.0

logger = logging.getLogger("prospect.requests")


class JsonLines(logging.Formatter):
    """One line for each record, whatever its message holds."""

    def __init__(self) -> None:
        super().__init__()
        self._secrets = tuple(known_secrets())

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_secrets(record.getMessage(), self._secrets),
        }
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if "reason" in line:
            line["reason"] = without_secrets(line["reason"], self._secrets)
        if record.exc_info:
            traceback = self.formatException(record.exc_info)
            line["traceback"] = without_secrets(traceback, self._secrets)
        return json.dumps(line)


def set_up() -> None:
    """Have this process's own log on standard error, from INFO on, and nowhere else.

    What BentoML and other libraries say stays where BentoML lets them say it, in lines of JSON too.
    """
    lines = JsonLines()
    for name in THEIRS:
        for each in logging.getLogger(name).handlers:
            each.setFormatter(lines)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(lines)
    ours = logging.getLogger(ROOT)
    ours.setLevel(logging.INFO)
    ours.handlers = [handler]
    ours.propagate = False  # BentoML has a handler for all, which would say it again


class RequestLog:
    """Logs a share of the answers, and of each kind of failure one a second at most."""

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.share = share
        self._clock = clock
        self._random = random.Random()  # noqa: S311  -- its own: no secret hangs on it
        self._said: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def note(
        self,
        endpoint: str,
        status: int,
        outcome: str,
        seconds: float,
        version: str | None,
        reason: str = "",
    ) -> None:
        """Take note of an answer; ``reason`` is what its caller may not have been told."""
        if status < 400 and self._random.random() >= self.share:
            return
        more = 0
        if status >= 400:
            now = self._clock()
            if now - self._said.get(outcome, -SAME_AGAIN_SECONDS) < SAME_AGAIN_SECONDS:
                self._unsaid[outcome] = self._unsaid.get(outcome, 0) + 1
                return
            self._said[outcome], more = now, self._unsaid.pop(outcome, 0)
        level = logging.WARNING if status >= 500 else logging.INFO
        fields: dict[str, object] = {
            "endpoint": endpoint,
            "status": status,
            "outcome": outcome,
            "ms": round(seconds * 1000, 3),
            "model_version": version,
        }
        if reason:
            fields["reason"] = reason
        if more:
            fields["more_like_it"] = more
        logger.log(level, "answered", extra=fields)
