"""What `prospect run` says of the system that it keeps up, in ``run.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Running:
    """Where its service and its demo website are, and how long that service waits for Signals.

    What is not said, or not readably, is None.
    """

    predict: str | None = None
    website: str | None = None
    timeout_ms: int | None = None

    @classmethod
    def read(cls, path: Path) -> Running:
        """Read it; where no system runs it says nothing."""
        try:
            said = json.loads(path.read_text())
        except (OSError, ValueError):
            return cls()
        if not isinstance(said, dict):
            return cls()
        predict, website = (said.get(name) for name in ("predict", "website"))
        budget = str(said.get("signals_timeout_ms"))
        return cls(
            predict=predict.rstrip("/") if isinstance(predict, str) else None,
            website=website.rstrip("/") if isinstance(website, str) else None,
            timeout_ms=int(budget) if budget.isdecimal() else None,
        )
