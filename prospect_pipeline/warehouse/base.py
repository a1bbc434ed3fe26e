"""What every warehouse can do: say what events it holds, and build a training set from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import pyarrow as pa
from snowplow_signals import AttributeGroup
from snowplow_signals.models.model import Attribute, SessionAnchors

from prospect_pipeline.attributes.anchors import Anchoring
from prospect_pipeline.attributes.sql import TrainingQuery
from prospect_pipeline.errors import EventsError
from prospect_pipeline.features import FEATURES, expression
from prospect_pipeline.settings import Clock, TrainingSettings
from prospect_pipeline.warehouse.fingerprint import Fingerprint

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
    """What a training set is to hold: whose attributes, which rows, which columns.

    ``anchors`` is a file of the user's own, ``sessions`` the SDK's object; either stands in place
    of what the settings say of anchors.
    """

    group: AttributeGroup
    settings: TrainingSettings
    columns: Columns = "features"
    anchors: Path | None = None
    strictly_before: bool = False
    sessions: SessionAnchors | None = None

    @property
    def own_anchors(self) -> Path | None:
        """The file of the user's own anchors, where there is one."""
        if self.anchors is None and self.settings.anchors and ":" not in self.settings.anchors:
            return Path(self.settings.anchors)
        return self.anchors

    def anchoring(self, as_of: datetime) -> Anchoring:
        """Return how the anchors are chosen; raises InputError for an object that is not there."""
        settings = self.settings
        if self.anchors is not None:
            settings = settings.model_copy(update={"anchors": None})
        return Anchoring.from_settings(
            settings, as_of, strictly_before=self.strictly_before, sessions=self.sessions
        )

    @property
    def features(self) -> dict[str, str] | None:
        """The model's columns as expressions, or None for the raw attribute values."""
        return FEATURE_EXPRESSIONS if self.columns == "features" else None


Progress = Callable[[str], None]
MICROSECOND = timedelta(microseconds=1)


def silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class DatasetFacts:
    """What a training set holds, and where it came from."""

    rows: int
    positives: int
    query: TrainingQuery
    anchoring: Anchoring
    span: EventSpan
    dropped: dict[str, int]
    fingerprint: Fingerprint
    notes: tuple[str, ...] = ()

    @cached_property
    def sql(self) -> str:
        """The query, laid out for reading, which takes a while."""
        return self.query.whole()

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


@dataclass(frozen=True, kw_only=True)
class TrainingSet(DatasetFacts):
    """A training set in memory, with everything that says where it came from."""

    table: pa.Table


class Warehouse(Protocol):
    """Atomic events in, training set out."""

    name: str

    @property
    def place(self) -> str:
        """Where the events are, in words."""

    def span(self, until: datetime | None = None) -> EventSpan:
        """Return what events there are (up to a moment); raises EventsError for none."""

    def training_set(self, request: DatasetRequest, progress: Progress = silent) -> TrainingSet:
        """Build a training set; raises InputError or DefinitionError."""


SCALARS: dict[str, pa.DataType] = {
    "string": pa.string(),
    "int32": pa.int64(),
    "int64": pa.int64(),
    "float": pa.float64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "dict": pa.map_(pa.string(), pa.int64()),
}


def attribute_type(attribute: Attribute) -> pa.DataType:
    """Return the Arrow type of an attribute's values, the same from every warehouse."""
    if attribute.aggregation == "mean":
        return pa.float64()
    if attribute.type.endswith("_list"):
        return pa.list_(SCALARS[attribute.type.removesuffix("_list")])
    return SCALARS[attribute.type]


def output_schema(query: TrainingQuery) -> pa.Schema:
    """Return the columns of a training set, in order, the same from every warehouse."""
    fields = [(str(query.group.attribute_key.name), pa.string())]
    fields.append(("anchor_ts", pa.timestamp("us", tz="UTC")))
    if query.anchors is None:
        fields.append(("event_id", pa.string()))
    if query.features is None:
        fields += [(str(a.name), attribute_type(a)) for a in query.group.attributes or []]
    else:
        texts = {feature.name for feature in FEATURES if feature.kind == "text"}
        fields += [(n, pa.string() if n in texts else pa.int64()) for n in query.features]
    fields.append(("label", pa.int32()))
    if query.anchors is None and query.anchoring.weighted:
        fields.append(("weight", pa.float64()))
    return pa.schema(fields)


def just_after(span: EventSpan, until: Callable[[datetime], EventSpan]) -> datetime:
    """Return as-of where none is given: just after the last event that the clock has reached.

    One event that a wrong clock has dated far ahead pulls nothing with it. ``until`` gives the
    span up to a moment. Where every event is ahead of the clock, it says nothing of them.
    """
    now = Clock.load().now(span.last)
    last = until(now).last if span.first <= now < span.last else span.last
    return last + MICROSECOND


def require_rows(rows: int, anchoring: Anchoring, span: EventSpan) -> None:
    """Raise EventsError where no event became an anchor, in words that say what would help."""
    if rows:
        return
    covered = (
        f"No training rows. The events run from {span.first:%Y-%m-%d %H:%M} to "
        f"{span.last:%Y-%m-%d %H:%M} UTC"
    )
    if anchoring.sessions is not None:
        since, until = anchoring.sessions.since, anchoring.sessions.until
        raise EventsError(
            f"{covered}; the training span from {since:%Y-%m-%d %H:%M} until "
            f"{until:%Y-%m-%d %H:%M}. No session there reached the goal with at least "
            f"{anchoring.sessions.min_events} events before it. Move training_span, or check "
            "goal_criteria and min_events."
        )
    first, latest = anchoring.window
    raise EventsError(
        f"{covered}; the cohort takes visitors first seen "
        f"{f'from {first:%Y-%m-%d %H:%M} ' if first else ''}until {latest:%Y-%m-%d %H:%M}"
        + (f" in app {' or '.join(anchoring.app_ids)}" if anchoring.cohort else "")
        + ". Move it with --as-of or --cohort (PROSPECT_AS_OF, PROSPECT_COHORT; 'all' takes "
        "everyone), or name your apps in PROSPECT_APP_IDS."
    )
