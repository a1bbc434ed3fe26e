"""Training frames, small and by hand or drawn with a signal in them."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from prospect_pipeline.features import FEATURES
from prospect_pipeline.training.model import TrainedModel, train
from prospect_pipeline.training.split import Split, split

START = datetime.fromisoformat("2026-03-02")  # UTC, without a zone, as from the warehouse
HOUR = timedelta(hours=1)


def columns(**changed: Any) -> dict[str, Any]:
    """The model's columns of somebody who did nothing."""
    nothing: dict[str, Any] = {f.name: "" if f.kind == "text" else 0 for f in FEATURES}
    return nothing | {"day_of_week": 1} | changed


def anchor(visitor: str, minutes: float, label: Any, **changed: Any) -> dict[str, Any]:
    """One training row of a visitor, some minutes after `START`."""
    return {
        "domain_userid": visitor,
        "anchor_ts": START + timedelta(minutes=minutes),
        "event_id": f"{visitor}-{minutes}",
        **columns(),
        "label": label,
        **changed,
    }


def frame(*anchors: dict[str, Any]) -> pd.DataFrame:
    """A training frame of hand-made rows."""
    return pd.DataFrame(anchors)


@cache
def _signal(rows: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    visitors = np.arange(rows) // 3
    pricing = random.poisson(1.0, rows)
    medium = random.choice(["", "search", "paid"], rows)
    odds = -3.0 + 1.2 * pricing + 1.5 * (medium == "paid")
    drawn: dict[str, Any] = {
        "domain_userid": [f"v{visitor:04}" for visitor in visitors],
        "anchor_ts": [
            START + timedelta(hours=2 * int(v), minutes=20 * (n % 3))
            for n, v in enumerate(visitors)
        ],
        "event_id": [f"e{n:05}" for n in range(rows)],
    }
    for feature in FEATURES:
        if feature.kind == "text":
            drawn[feature.name] = random.choice(["", "a", "b"], rows)
        elif feature.kind == "weekday":
            drawn[feature.name] = random.integers(1, 8, rows)
        else:
            drawn[feature.name] = random.integers(0, 2 if feature.kind == "flag" else 5, rows)
    drawn |= {"num_pricing_views_l7d": pricing, "first_mkt_medium_l30d": medium}
    drawn["label"] = (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(int)
    return pd.DataFrame(drawn)


def signal_frame(rows: int = 1500, seed: int = 7) -> pd.DataFrame:
    """Rows whose label follows from the pricing views and the medium; the rest is noise."""
    return _signal(rows, seed).copy()


def signal_split() -> Split:
    """`signal_frame`, split with a horizon of one hour."""
    return split(signal_frame(), HOUR)


@cache
def signal_model() -> TrainedModel:
    """A model of `signal_split`; models do not change, so one serves every test."""
    return train(signal_split(), seed=0)
