"""What the local Signals answers: attribute values, as the reference has them.

An identifier's profile is read from the store once, and holds what each of its events adds to each
attribute; events that arrive are added to it. A value is then made by `attributes.semantics`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from snowplow_signals import AttributeGroup
from snowplow_signals.models.model import Attribute

from prospect_pipeline.attributes import semantics
from prospect_pipeline.attributes.plan import attribute_columns
from prospect_pipeline.attributes.properties import Source, key_source
from prospect_pipeline.attributes.selection import AtomicEvent, read
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.settings import Clock, TrainingSettings

TEST_IDENTIFIERS = 10
MOST_PROFILES = 20_000
APART = {"name", "description", "period", "ttl", "default_value", "time_unit"}
"""Fields in which attributes may differ to which events add the same."""


class Added:
    """What events add to one attribute, in order: (moment, value), and beside it (moment, id)."""

    def __init__(self) -> None:
        self.pairs: list[tuple[datetime, Any]] = []
        self._order: list[tuple[datetime, str]] = []

    def add(self, event: AtomicEvent, value: Any) -> None:
        """Put in what an event adds."""
        place = (event["derived_tstamp"], event["event_id"])
        at = bisect_right(self._order, place)
        self._order.insert(at, place)
        self.pairs.insert(at, (place[0], value))

    def until(self, moment: datetime, most: int | None) -> Sequence[tuple[datetime, Any]]:
        """Return what was added up to a moment, the last ``most`` of it."""
        known = bisect_right(self._order, moment, key=lambda place: place[0])
        if most is None:
            return self.pairs if known == len(self.pairs) else self.pairs[:known]
        return self.pairs[max(known - most, 0) : known]


class Streams:
    """A group's attributes by what events add to them: those that differ in time only share it."""

    def __init__(self, group: AttributeGroup) -> None:
        self.group = group
        self.first: list[Attribute] = []
        self.of: list[tuple[Attribute, int]] = []
        places: dict[str, int] = {}
        for attribute in group.attributes or []:
            title = attribute.model_dump_json(exclude=APART)
            if title not in places:
                places[title] = len(self.first)
                self.first.append(attribute)
            self.of.append((attribute, places[title]))


class Profile:
    """One identifier's events, as what they add to each attribute of a group."""

    def __init__(self, streams: Streams, history: Sequence[AtomicEvent]) -> None:
        self.streams = streams
        self.ids: set[str] = set()
        self.added = [Added() for _ in streams.first]
        for event in history:
            self.add(event)

    def add(self, event: AtomicEvent) -> None:
        """Take in an event that is not yet known."""
        self.ids.add(event["event_id"])
        for added, attribute in zip(self.added, self.streams.first, strict=True):
            value = semantics.relevant_value(event, attribute)
            if value is not None:
                added.add(event, value)

    def values(self, moment: datetime, event_limit: int) -> dict[str, Any]:
        """Return the value of every attribute at a moment."""
        found = {}
        for attribute, place in self.streams.of:
            known = self.added[place].until(
                moment, None if attribute.period is None else event_limit
            )
            found[attribute.name] = semantics.value_of(
                attribute, self.streams.group, known, moment, event_limit
            )
        return found


class Profiles:
    """Attribute values of any key at the clock's moment."""

    def __init__(self, store: EventStore, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.event_limit = TrainingSettings.load().period_event_limit
        self._known: OrderedDict[tuple[str, str], Profile] = OrderedDict()
        self._groups: dict[str, tuple[Streams, Source]] = {}
        self._loaded = store.loaded

    def now(self) -> datetime:
        """Return the moment as of which values are given."""
        return self.clock.now(self.store.last_event() if self.clock.needs_events else None)

    def values(
        self, group: AttributeGroup, identifiers: Sequence[str], moment: datetime
    ) -> list[dict[str, Any]]:
        """Return every attribute of a group for each identifier, in their order."""
        known = self.profiles(group, identifiers)
        return [known[each].values(moment, self.event_limit) for each in identifiers]

    def profiles(self, group: AttributeGroup, identifiers: Sequence[str]) -> dict[str, Profile]:
        """Return each identifier's profile; those not known yet are read from the store at once."""
        if self._loaded != self.store.loaded:
            self._known.clear()
            self._loaded = self.store.loaded
        title = self._title(group)
        known = {each: self._known.get((title, each)) for each in identifiers}
        found = {each: profile for each, profile in known.items() if profile is not None}
        if new := [each for each in known if each not in found]:
            found |= self._read(title, new)
        for each, profile in found.items():
            self._known[title, each] = profile
            self._known.move_to_end((title, each))
        while len(self._known) > MOST_PROFILES:
            self._known.popitem(last=False)
        return found

    def _read(self, title: str, identifiers: Sequence[str]) -> dict[str, Profile]:
        """Return profiles from the store, all by one query: for many it takes hardly longer."""
        streams, source = self._groups[title]
        group = streams.group
        events: defaultdict[str, list[AtomicEvent]] = defaultdict(list)
        for event in self.store.of_keys(source, identifiers, attribute_columns(group)):
            events[str(read(event, source))].append(event)
        return {
            each: Profile(streams, semantics.histories(events[each], group).get(each, []))
            for each in identifiers
        }

    def add(self, events: Iterable[AtomicEvent]) -> list[tuple[AttributeGroup, str]]:
        """Take in events that were just stored; returns whose profiles have changed."""
        changed: dict[tuple[str, str], tuple[AttributeGroup, str]] = {}
        for event in events:
            for title, (streams, source) in self._groups.items():
                identifier = read(event, source)
                if identifier is None:
                    continue
                place = (title, str(identifier))
                changed[place] = (streams.group, str(identifier))
                profile = self._known.get(place)
                if profile is not None and event["event_id"] in profile.ids:
                    del self._known[place]  # which copy counts, the store knows
                elif profile is not None:
                    profile.add(event)
        return list(changed.values())

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

    def _title(self, group: AttributeGroup) -> str:
        title = f"{group.name}_v{group.version}"
        known = self._groups.get(title)
        if known is None or (known[0].group is not group and known[0].group != group):
            for place in [place for place in self._known if place[0] == title]:
                del self._known[place]
            self._groups[title] = (Streams(group), key_source(group.attribute_key))
        return title


def _latest(histories: Iterable[Sequence[AtomicEvent]], key: Source) -> list[str]:
    newest = sorted(histories, key=lambda own: own[-1]["derived_tstamp"], reverse=True)
    return [str(read(own[-1], key)) for own in newest[:TEST_IDENTIFIERS]]
