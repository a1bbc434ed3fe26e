"""Rule-based interventions: what an event changes, and whom it is told to.

An intervention is triggered where the values before an event do not meet its criteria and those
after it do; then never again for the same identifiers (Snowplow's "sent once"), except that
``changed`` is told of each time.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from snowplow_signals import AttributeGroup

from prospect_pipeline.attributes.properties import key_source
from prospect_pipeline.attributes.selection import AtomicEvent, read
from prospect_pipeline.sandbox import criteria
from prospect_pipeline.sandbox.groups import Groups
from prospect_pipeline.sandbox.profiles import Profiles
from prospect_pipeline.sandbox.registry import Body, Missing, Registry
from prospect_pipeline.sandbox.subscriptions import Subscriptions, Target

_log = logging.getLogger(__name__)


class Interventions:
    """Takes in events, and tells subscribers what has come true."""

    def __init__(
        self, registry: Registry, groups: Groups, profiles: Profiles, subscriptions: Subscriptions
    ) -> None:
        self.registry = registry
        self.groups = groups
        self.profiles = profiles
        self.subscriptions = subscriptions

    def take_in(self, events: Sequence[AtomicEvent]) -> None:
        """Add events to the profiles, and trigger what they make true."""
        rules = self.groups.rules()
        if not rules:
            self.profiles.add(events)
            return
        names = {name for rule in rules for name in criteria.attributes(rule["criteria"])}
        found = {name: self.groups.published(*name.split(":")) for name in names}
        needed = {name: group for name, group in found.items() if group is not None}
        for event in events:
            before = self._values(needed, event)
            self.profiles.add([event])
            after = self._values(needed, event)
            for rule in rules:
                self._consider(rule, needed, event, before, after)

    def _values(self, needed: Mapping[str, AttributeGroup], event: AtomicEvent) -> dict[str, Any]:
        """Return what the attributes of criteria are worth for whom an event is about."""
        groups = {id(group): group for group in needed.values()}
        found = {identity: self._of(group, event) for identity, group in groups.items()}
        return {name: found[id(group)].get(name.split(":")[1]) for name, group in needed.items()}

    def _of(self, group: AttributeGroup, event: AtomicEvent) -> dict[str, Any]:
        identifier = read(event, key_source(group.attribute_key))
        if identifier is None:
            return {}
        [values] = self.profiles.values(group, [str(identifier)], self.profiles.now())
        return values

    def _consider(
        self,
        rule: Body,
        needed: Mapping[str, AttributeGroup],
        event: AtomicEvent,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
    ) -> None:
        tree = rule["criteria"]
        names = set(criteria.attributes(tree))
        then, now = ({name: found.get(name) for name in names} for found in (before, after))
        repeats = criteria.has_changed(tree)
        if not criteria.met(tree, now, then) or (not repeats and criteria.met(tree, then, then)):
            return
        own = [needed[name] for name in names if name in needed]
        keys = {str(group.attribute_key.name): group for group in own}
        about = [
            (name, str(read(event, key_source(group.attribute_key))))
            for name, group in sorted(keys.items())
        ]
        if not repeats and not self._is_first(rule, about):
            return
        told = {
            "intervention_id": str(uuid.uuid4()),
            "name": rule["name"],
            "version": rule["version"],
            "attributes": self._payload(rule, now, event),
        }
        for target in self._targets(rule, about, event):
            self.subscriptions.deliver(target, told, keep=True)

    def _is_first(self, rule: Body, about: Sequence[Target]) -> bool:
        """Whether a rule's intervention was never sent; one that cannot be noted is not sent."""
        try:
            return self.registry.mark_sent(rule["name"], rule["version"], about)
        except sqlite3.Error as error:  # the event is stored, and counts whatever becomes of this
            _log.warning("Intervention '%s' is not sent: cannot be noted (%s)", rule["name"], error)
            return False

    def _targets(self, rule: Body, about: Sequence[Target], event: AtomicEvent) -> Sequence[Target]:
        """Return whom to tell: the keys that the rule names, else those of its groups."""
        if not rule.get("target_attribute_keys"):
            return about
        targets = []
        for link in rule["target_attribute_keys"]:
            identifier = read(event, key_source(self.groups.key(link["name"])))
            if identifier is not None:
                targets.append((link["name"], str(identifier)))
        return targets

    def _payload(self, rule: Body, now: dict[str, Any], event: AtomicEvent) -> dict[str, str]:
        """Return the attributes to tell, as text: the criteria's, and those of the named groups."""
        told = {name.split(":")[1]: value for name, value in now.items()}
        for link in rule.get("payload_attribute_groups") or []:
            try:
                group = self.groups.get(link["name"], link.get("version") or 1)
            except Missing:  # it was deleted since
                continue
            told |= self._of(group, event)
        return {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in told.items()
            if value is not None
        }
