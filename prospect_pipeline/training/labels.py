"""Are the labels right? The goal is counted again by another path: as an attribute.

What an attribute is worth at a moment includes that moment's own events. So the goals up to the
horizon's end, less the goals up to the row's moment, are those that follow strictly later: a label
that takes in the row's own event, or an event past the horizon, is not equal to that.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from snowplow_signals import Attribute, Criteria, Event, StreamAttributeGroup, domain_userid

from prospect_pipeline.attributes.named import load_named
from prospect_pipeline.settings import TrainingSettings
from prospect_pipeline.training.dataset import KEY, Check, moments

NAME = "labels_follow"
PART = 150
"""Rows of each label that are looked at."""


def sample(frame: pd.DataFrame) -> pd.DataFrame:
    """Return up to 150 rows of each label, spread over all of them, the same ones every time."""
    ordered = frame.assign(anchor_ts=moments(frame)).sort_values(["anchor_ts", KEY, "event_id"])
    parts = [ordered[ordered["label"] == label] for label in (0, 1)]
    return pd.concat([part.iloc[:: -(-len(part) // PART) or 1] for part in parts])


def goal_group(settings: TrainingSettings) -> StreamAttributeGroup:
    """Return a group of one attribute: how many goals there have been."""
    goals = Attribute(
        name="goals",
        type="int64",
        aggregation="counter",
        events=[] if settings.goal else [Event(name=name) for name in settings.goal_events],
        criteria=load_named(settings.goal, Criteria) if settings.goal else None,
        default_value=0,
    )
    return StreamAttributeGroup(
        name="goals", version=1, owner="checks@example.com", attribute_key=domain_userid,
        attributes=[goals],
    )  # fmt: skip


def moments_of(sampled: pd.DataFrame, settings: TrainingSettings) -> pd.DataFrame:
    """Return as anchors the rows' moments, and the ends of their horizons, each once."""
    begins = sampled[[KEY, "anchor_ts"]]
    ends = begins.assign(anchor_ts=begins["anchor_ts"] + settings.horizon)
    both = pd.concat([begins, ends]).drop_duplicates().assign(label=0)
    both.attrs = {}
    return both


def check_labels(sampled: pd.DataFrame, counted: pd.DataFrame, settings: TrainingSettings) -> Check:
    """Return whether each row's label says what the goals counted at `moments_of` say."""
    goals = counted.assign(anchor_ts=moments(counted)).set_index([KEY, "anchor_ts"])["goals"]
    until, upto = (
        goals.reindex(pd.MultiIndex.from_arrays([sampled[KEY], at])).to_numpy()
        for at in (sampled["anchor_ts"] + settings.horizon, sampled["anchor_ts"])
    )
    counts = until - upto
    uncounted = pd.isna(counts)
    follows = (counts >= settings.goal_count).astype(int)
    wrong = sampled[uncounted | (sampled["label"].to_numpy() != follows)]
    words = (
        f"{len(wrong):,} of {len(sampled):,} labels differ from what was counted again: the goal "
        f"strictly later than the row, within {settings.horizon_minutes:g} minutes. None may."
    )
    if uncounted.any():
        words += f" {uncounted.sum():,} of them were not counted: the warehouse gave no value."
    facts: dict[str, Any] = {"rows": len(sampled), "differing": len(wrong)}
    if len(wrong):
        first = wrong.iloc[0]
        facts["first_differing"] = str(first[KEY])
        words += (
            f" The first, of the visitor whom first_differing names, at "
            f"{first['anchor_ts'].isoformat()}, has label {first['label']}. Build the data again, "
            "in case events came in late or the goal has changed since (PROSPECT_GOAL_EVENTS, "
            "PROSPECT_HORIZON_MINUTES). If it stays, the query's label is wrong."
        )
    return Check(NAME, wrong.empty, True, words, facts)


def not_checked() -> Check:
    """Return the check where labels are not the goal within the horizon: anchors of one's own."""
    words = (
        "The rows are those of PROSPECT_ANCHORS, whose labels are not the goal within "
        "PROSPECT_HORIZON_MINUTES: not checked."
    )
    return Check(NAME, True, True, words, {"checked": False})
