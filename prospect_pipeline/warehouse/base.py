"""What every warehouse can do: say what events it holds, and build a training set from them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import pyarrow as pa
from snowplow_signals import AttributeGroup

from prospect_pipeline.attributes.anchors import Anchoring
from prospect_pipeline.errors import EventsError
from prospect_pipeline.features import FEATURES, expression
from prospect_pipeline.settings import TrainingSettings

Columns = Literal["features", "attributes"]

FEATURE_EXPRESSIONS: dict[str, str] = {feature.name: expression(feature) for feature in FEATURES}


@dataclass(frozen=True)
class EventSpan:
    """How many atomic events there are, and when they happened (UTC)."""

    events: int
    first: datetime
    last: datetime


@dataclass(frozen=True)
class DatasetRequest:
    """What a training set is to hold: whose attributes, which rows, which columns."""

    group: AttributeGroup
    settings: TrainingSettings
    columns: Columns = "features"
    anchors: Path | None = None
    strictly_before: bool = False

    @property
    def features(self) -> dict[str, str] | None:
        """The model's columns as expressions, or None for the raw attribute values."""
        return FEATURE_EXPRESSIONS if self.columns == "features" else None


@dataclass(frozen=True)
class Fingerprint:
    """Short digests: equal ones mean the same query, the same data, and both."""

    definition: str
    data: str
    both: str


@dataclass(frozen=True)
class TrainingSet:
    """A training set with everything that says where it came from."""

    table: pa.Table
    sql: str
    anchoring: Anchoring
    span: EventSpan
    dropped: dict[str, int]
    fingerprint: Fingerprint
    notes: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """The number of anchors."""
        return int(self.table.num_rows)

    @property
    def positives(self) -> int:
        """The number of anchors whose label is 1."""
        return sum(1 for value in self.table.column("label").to_pylist() if value)

    def facts(self) -> dict[str, Any]:
        """Return what `--json` and Dagster's metadata show, as plain JSON types."""
        return {
            "events": self.span.events,
            "rows": self.rows,
            "positives": self.positives,
            "dropped": self.dropped,
            "as_of": self.anchoring.as_of.isoformat(),
            "first_event": self.span.first.isoformat(),
            "last_event": self.span.last.isoformat(),
            "fingerprint": self.fingerprint.both,
            "definition_fingerprint": self.fingerprint.definition,
            "data_fingerprint": self.fingerprint.data,
        }


class Warehouse(Protocol):
    """Atomic events in, training set out."""

    name: str

    @property
    def place(self) -> str:
        """Where the events are, in words."""

    def span(self, until: datetime | None = None) -> EventSpan:
        """Return what events there are (up to a moment); raises EventsError for none."""

    def training_set(self, request: DatasetRequest) -> TrainingSet:
        """Build a training set; raises InputError or DefinitionError."""


def fingerprint(sql: str, data: str) -> Fingerprint:
    """Return short digests of a definition (its query) and of the data that it ran on."""
    return Fingerprint(_digest(sql), _digest(data), _digest(json.dumps([sql, data])))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def require_rows(rows: int, anchoring: Anchoring, span: EventSpan) -> None:
    """Raise EventsError where no event became an anchor, in words that say what would help."""
    if rows:
        return
    since, until = anchoring.window
    raise EventsError(
        f"No training rows. The events run from {span.first:%Y-%m-%d %H:%M} to "
        f"{span.last:%Y-%m-%d %H:%M} UTC; the cohort takes visitors first seen "
        f"{f'from {since:%Y-%m-%d %H:%M} ' if since else ''}until {until:%Y-%m-%d %H:%M}"
        + (f" in app {' or '.join(anchoring.app_ids)}" if anchoring.cohort else "")
        + ". Move it with --as-of or --cohort (PROSPECT_AS_OF, PROSPECT_COHORT; 'all' takes "
        "everyone), or name your apps in PROSPECT_APP_IDS."
    )
