"""What Dagster shows of a training set: where it came from, what it holds, what was left out."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pandas as pd

from prospect_pipeline.orchestration import metadata
from prospect_pipeline.orchestration.labelled import label
from prospect_pipeline.training import dataset
from prospect_pipeline.warehouse.base import TrainingSet
from prospect_pipeline.warehouse.dropped import MEANINGS

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
            {"reason": reason, "events": events, "meaning": MEANINGS.get(reason, "")}
            for reason, events in counts.items()
        ],
        cell=SENTENCE,
    )
