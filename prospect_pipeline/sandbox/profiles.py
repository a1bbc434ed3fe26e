"""What the local Signals answers: attribute values, by the reference, from the stored events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from snowplow_signals import AttributeGroup

from prospect_pipeline.attributes import semantics
from prospect_pipeline.attributes.plan import attribute_columns
from prospect_pipeline.attributes.properties import Source, key_source
from prospect_pipeline.attributes.selection import AtomicEvent, read
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.settings import Clock, TrainingSettings

TEST_IDENTIFIERS = 10


class Profiles:
    """Attribute values of any key at the clock's moment."""

    def __init__(self, store: EventStore, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.event_limit = TrainingSettings.load().period_event_limit

    def now(self) -> datetime:
        """Return the moment as of which values are given."""
        return self.clock.now(self.store.last_event() if self.clock.needs_events else None)

    def values(self, group: AttributeGroup, identifier: str, moment: datetime) -> dict[str, Any]:
        """Return every attribute of a group for one identifier."""
        source = key_source(group.attribute_key)
        events = self.store.of_key(source, identifier, attribute_columns(group))
        history = semantics.histories(events, group).get(identifier, [])
        return semantics.values_at(group, history, moment, event_limit=self.event_limit)

    def test(
        self,
        group: AttributeGroup,
        window: timedelta,
        app_ids: Sequence[str],
        identifiers: Sequence[str],
    ) -> list[dict[str, Any]]:
        """Return values computed from the last ``window`` of events alone, a row an identifier.

        Without identifiers, those of the ten latest seen.
        """
        moment = self.now()
        source = key_source(group.attribute_key)
        columns = attribute_columns(group)
        events = self.store.between(moment - window, moment, columns, app_ids)
        histories = semantics.histories(events, group)
        chosen = identifiers or _latest(histories.values(), source)
        return [
            {str(group.attribute_key.name): identifier}
            | semantics.values_at(
                group, histories.get(identifier, []), moment, event_limit=self.event_limit
            )
            for identifier in chosen
        ]


def _latest(histories: Iterable[Sequence[AtomicEvent]], key: Source) -> list[str]:
    newest = sorted(histories, key=lambda own: own[-1]["derived_tstamp"], reverse=True)
    return [str(read(own[-1], key)) for own in newest[:TEST_IDENTIFIERS]]
