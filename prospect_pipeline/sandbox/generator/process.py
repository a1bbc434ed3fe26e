"""The laws of behaviour, and the true probability that follows from them.

A session is a chain of steps. In each step a page is read; then the visitor begins the form with
probability ``h``, and having begun sends it with probability ``q``; a form that is sent ends the
session, otherwise it goes on with probability ``c``, for at most `STEPS` steps. ``h`` and ``q``
depend on the visitor (latent intent, device), the session (source, number, office hours, whether a
form was sent before) and on what was looked at in this session (pricing, product, video), which is
a state of `LEVELS` values.

A session lasts under an hour and the next begins more than an hour after it has begun, so that
"sends a form within the next hour" is "sends one in the rest of this session". That probability is
found exactly, by recursion from the last step backwards, for every combination of the above.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STEPS = 16

INTENTS = np.array([-2.0, -1.4, -0.9, -0.4, 0.0, 0.5, 1.0, 1.6, 2.3])
INTENT_SHARES = np.array([0.06, 0.11, 0.15, 0.18, 0.17, 0.14, 0.10, 0.06, 0.03])
DEVICES = ("Desktop", "Phone", "Tablet")
DEVICE_SHARES = np.array([0.58, 0.36, 0.06])
SOURCES = ("direct", "search", "social", "email", "cpc", "referral")
SOURCE_SHARES = np.array([0.22, 0.36, 0.10, 0.08, 0.15, 0.09])
PAGES = ("home", "product", "pricing", "customers", "blog", "docs", "video")
LANDING_SHARES = np.array([0.38, 0.13, 0.05, 0.06, 0.27, 0.06, 0.05])

MAX_PRICING = 2
LEVELS = (MAX_PRICING + 1) * 2 * 2
"""States of a session: pricing views (0, 1, 2 or more), product seen, video seen."""

SHAPE = (len(INTENTS), len(DEVICES), len(SOURCES), 3, 2, 2)
"""Axes of what is fixed in a session: intent, device, source, session 1, 2 or 3+, office, sent."""


def level_after(level: npt.NDArray[np.int64], page: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return a session's state after a page was looked at."""
    pricing, product, video = level // 4, (level // 2) % 2, level % 2
    pricing = np.minimum(pricing + (page == PAGES.index("pricing")), MAX_PRICING)
    product = product | (page == PAGES.index("product"))
    video = video | (page == PAGES.index("video"))
    return np.asarray(pricing * 4 + product * 2 + video, dtype=np.int64)


def page_shares() -> Floats:
    """Return how likely each page is next, by intent: shape (intents, pages)."""
    calm = np.array([1.2, 1.0, 0.0, 0.5, 1.5, 0.6, 0.1])
    keen = np.array([0.0, 0.25, 0.55, 0.25, -0.35, 0.1, 0.2])
    weights = np.exp(calm + keen * INTENTS[:, None])
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def going_on() -> Floats:
    """Return the probability ``c`` of another step, by intent."""
    return _sigmoid(0.75 + 0.3 * INTENTS)


@dataclass(frozen=True)
class Laws:
    """Probabilities by what is fixed in a session (`SHAPE`, flattened) and by its state.

    ``begin`` and ``send`` are ``h`` and ``q``, shape (sessions' kinds, levels). ``ahead`` is the
    true probability of a form in the rest of the session while a page of step k is read, shape
    (kinds, levels, steps); ``begun`` the same once the form was begun in that step.
    """

    begin: Floats
    send: Floats
    ahead: Floats
    begun: Floats


def laws() -> Laws:
    """Return the laws and, by recursion, what follows from them."""
    begin, send = _begin(), _send()
    shares, on = page_shares(), going_on()
    intents = np.repeat(np.arange(len(INTENTS)), begin.shape[0] // len(INTENTS))
    levels = np.arange(LEVELS)
    after = np.stack([level_after(levels, np.full(LEVELS, p)) for p in range(len(PAGES))])
    ahead = np.zeros((*begin.shape, STEPS))
    begun = np.zeros_like(ahead)
    rest = np.zeros_like(begin)  # of a form after this step; there is none after the last
    for step in reversed(range(STEPS)):
        begun[:, :, step] = send + (1 - send) * rest
        ahead[:, :, step] = begin * begun[:, :, step] + (1 - begin) * rest
        next_page = np.einsum("kp,kpl->kl", shares[intents], ahead[:, after, step])
        rest = on[intents][:, None] * next_page
    return Laws(begin, send, ahead, begun)


def kind_of(*places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the flat place of what is fixed in a session, from its places on each axis."""
    return np.asarray(np.ravel_multi_index(places, SHAPE), dtype=np.int64)


def _begin() -> Floats:
    level = np.arange(LEVELS)
    seen = 0.85 * (level // 4) + 0.4 * ((level // 2) % 2) + 0.7 * (level % 2)
    source = np.array([0.15, 0.0, -0.5, 0.5, 0.35, 0.1])
    fixed = (
        -5.3
        + 0.8 * _along(INTENTS, 0)
        + _along(np.array([0.0, -0.6, -0.2]), 1)
        + _along(source, 2)
        + _along(np.array([0.0, 0.5, 0.7]), 3)
        + _along(np.array([0.0, 0.35]), 4)
        + _along(np.array([0.0, -2.5]), 5)
    )
    return _sigmoid(fixed.reshape(-1, 1) + seen)


def _send() -> Floats:
    fixed = (
        0.1
        + 0.5 * _along(INTENTS, 0)
        + _along(np.array([0.0, -0.5, -0.2]), 1)
        + _along(np.array([0.0, 0.25]), 4)
        + np.zeros(SHAPE)
    )
    return np.repeat(_sigmoid(fixed.reshape(-1, 1)), LEVELS, axis=1)


def _along(values: Floats, axis: int) -> Floats:
    """Return values along one axis of `SHAPE`."""
    shape = [1] * len(SHAPE)
    shape[axis] = len(values)
    return values.reshape(shape)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))
