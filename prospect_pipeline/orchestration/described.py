"""What Dagster shows of a training set: where it came from, what it holds, what was left out."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pandas as pd

from prospect_pipeline.orchestration import metadata
from prospect_pipeline.orchestration.labelled import label
from prospect_pipeline.training import dataset
from prospect_pipeline.warehouse.base import TrainingSet

DROPPED = {
    "null_key": "names no visitor (the key is null): counts nowhere",
    "null_event_id": "has no event_id: counts nowhere",
    "null_derived_tstamp": "has no moment (derived_tstamp is null): counts nowhere",
    "after_as_of": "happened after as-of: is never read",
    "duplicate_event_id": "is a copy of an event that counts already",
    "outside_cohort": "its visitor was first seen outside of the window (PROSPECT_COHORT) or in "
    "none of the apps (PROSPECT_APP_IDS): is not read",
    "excluded_event_or_no_session": "is one of PROSPECT_EXCLUDED_EVENTS or belongs to no session: "
    "is no row, but counts in the values of later rows",
    "bot_or_test_traffic": "comes from a bot or a test (PROSPECT_EXCLUDE_BOTS, "
    "PROSPECT_TEST_APP_IDS): is no row, but counts in the values of later rows",
    "horizon_past_as_of": "its label looks past as-of (PROSPECT_HORIZON_MINUTES) and may still "
    "change: is no row, but counts in the values of later rows",
    "no_session_anchor": "is no goal, nor an eligible event of a session without one: is no row, "
    "but counts in the values of later rows",
    "not_sampled": "was left out by max_anchors_per_session or max_negative_ratio",
}
"""What each reason, for which an event became no row, means to a person."""

SENTENCE = 200


def described(frame: pd.DataFrame, made: TrainingSet) -> dict[str, Any]:
    """Return the metadata of a training set, whose ``frame`` carries its facts in ``attrs``."""
    moments = dataset.moments(frame)
    return {
        "dagster/row_count": made.rows,
        "dagster/column_schema": metadata.columns(frame),
        "events": made.span.events,
        "visitors": dataset.counts(frame)["visitors"],
        "converters": dataset.converters(frame),
        "positives": made.positives,
        "label_rate": dataset.label_rate(frame),
        "attribute_group": frame.attrs["group"],
        "as_of": frame.attrs["as_of"],
        "visitors_first_seen": frame.attrs["window"],
        "rows_window": f"{moments.min().isoformat()} to {moments.max().isoformat()}",
        "events_window": f"{frame.attrs['first_event']} to {frame.attrs['last_event']}",
        "label": label(frame.attrs),
        "dropped": dropped(made.dropped),
        "dropped_counts": dg.MetadataValue.json(made.dropped),
        "warnings": dg.MetadataValue.md("\n\n".join(made.notes) or "none"),
        "fingerprint": made.fingerprint.both,
        "definition_fingerprint": made.fingerprint.definition,
        "data_fingerprint": made.fingerprint.data,
        "preview": metadata.frame(frame.head(8)),
        "sql": metadata.code(made.sql, "sql"),
    }


def dropped(counts: dict[str, int]) -> dg.MarkdownMetadataValue:
    """Return a table of the events that became no row, and what their reason means."""
    return metadata.table(
        [
            {"reason": reason, "events": events, "meaning": DROPPED.get(reason, "")}
            for reason, events in counts.items()
        ],
        cell=SENTENCE,
    )
