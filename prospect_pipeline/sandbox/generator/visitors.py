"""Who comes, and when: visitors, and the sessions of their next weeks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prospect_pipeline.sandbox.generator.process import (
    DEVICE_SHARES,
    INTENT_SHARES,
    INTENTS,
    SOURCE_SHARES,
)

Ints = npt.NDArray[np.int64]

DAYS = 60
HOUR = 3_600_000
DAY = 24 * HOUR

HOURS = np.array([2, 1, 1, 1, 1, 2, 4, 7, 11, 14, 15, 14, 12, 14, 15, 14, 13, 10, 8, 8, 8, 7, 5, 3])
WEEKEND = 0.45
OFFICE = (8, 18)

BOT_SHARE, HEAVY_SHARE, COOKIELESS_SHARE = 0.004, 0.0005, 0.003
HEAVY_SESSIONS = 200
HEAVY_INTENT = 3
MAX_SESSIONS = 12
APART = 2 * HOUR
"""Sessions of a visitor begin at least so far apart (milliseconds)."""


@dataclass(frozen=True)
class Visitors:
    """A row for each visitor; ``start`` has a column for each session, in ms since 1970, or -1."""

    intent: Ints
    device: Ints
    source: Ints
    bot: npt.NDArray[np.bool_]
    cookieless: npt.NDArray[np.bool_]
    landing_app: npt.NDArray[np.bool_]
    start: Ints


def draw_visitors(users: int, end: int, rng: np.random.Generator) -> Visitors:
    """Draw visitors first seen in the `DAYS` before ``end`` (ms since 1970)."""
    intent = rng.choice(len(INTENTS), users, p=INTENT_SHARES / INTENT_SHARES.sum())
    kind = rng.random(users)
    bot = kind < BOT_SHARE
    heavy = (kind >= BOT_SHARE) & (kind < BOT_SHARE + HEAVY_SHARE)
    return Visitors(
        intent=np.where(heavy, HEAVY_INTENT, intent),
        device=rng.choice(len(DEVICE_SHARES), users, p=DEVICE_SHARES),
        source=rng.choice(len(SOURCE_SHARES), users, p=SOURCE_SHARES),
        bot=bot,
        cookieless=rng.random(users) < COOKIELESS_SHARE,
        landing_app=rng.random(users) < 0.08,
        start=_starts(intent, heavy, end, rng),
    )


def office_hours(start: Ints) -> Ints:
    """Return 1 where a moment is within office hours of a weekday (UTC)."""
    hour = (start // HOUR) % 24
    return np.asarray(_weekday(start) & (hour >= OFFICE[0]) & (hour < OFFICE[1]), dtype=np.int64)


def _starts(intent: Ints, heavy: npt.NDArray[np.bool_], end: int, rng: np.random.Generator) -> Ints:
    users = len(intent)
    columns = HEAVY_SESSIONS if heavy.any() else MAX_SESSIONS
    start = np.full((users, columns), -1, dtype=np.int64)
    start[:, 0] = _first(users, end, rng)
    returns = 1 / (1 + np.exp(1.1 - 0.7 * INTENTS[intent]))
    days = 5.0 * np.exp(-0.15 * INTENTS[intent])
    alive = np.ones(users, dtype=bool)
    for column in range(1, columns):
        chance = np.where(heavy, 1.0, returns * (column < MAX_SESSIONS))
        alive &= rng.random(users) < chance
        gap = np.where(heavy, 0.2, days) * rng.exponential(1.0, users) * DAY
        later = start[:, column - 1] + np.maximum(gap.astype(np.int64), APART)
        moved = np.where(heavy, later, _within_day(later, rng))
        moved = np.where(moved < start[:, column - 1] + APART, moved + DAY, moved)
        alive &= moved < end
        start[:, column] = np.where(alive, moved, -1)
        if not alive.any():
            break
    return start


def _first(users: int, end: int, rng: np.random.Generator) -> Ints:
    """Draw first visits: fewer at weekends and at night, all in the days before ``end``."""
    days = end // DAY * DAY - DAY * np.arange(DAYS + 1)[::-1]
    weights = np.where(_weekday(days), 1.0, WEEKEND)
    day = rng.choice(days, users, p=weights / weights.sum())
    start = _within_day(day, rng)
    oldest = end - DAYS * DAY
    return np.where(start >= end, start - DAY, np.where(start < oldest, start + DAY, start))


def _within_day(moment: Ints, rng: np.random.Generator) -> Ints:
    hour = rng.choice(24, len(moment), p=HOURS / HOURS.sum())
    return np.asarray(moment // DAY * DAY + hour * HOUR + rng.integers(0, HOUR, len(moment)))


def _weekday(moment: Ints) -> npt.NDArray[np.bool_]:
    return np.asarray((moment // DAY + 3) % 7 < 5)  # 1 January 1970 was a Thursday
