"""What attributes are worth at every anchor, compiled to one set-based query.

The result equals `semantics`, value by value. `compiler` builds the steps; here they become
statements that run: the training set itself, and an audit of what was left out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlglot
from snowplow_signals import AttributeGroup

from prospect_pipeline.attributes.anchors import DROPPED, Anchoring
from prospect_pipeline.attributes.compiler import Compiler
from prospect_pipeline.attributes.expressions import Dialect, moment, name
from prospect_pipeline.attributes.streams import Step


@dataclass(frozen=True)
class TrainingQuery:
    """The query of a training set: one row for each anchor, in a stable order.

    ``features`` maps the model's columns to expressions over the attributes' names and
    ``anchor_ts``, in which a unique list stands as its length; without it the columns are the raw
    attribute values, lists as lists. ``source`` names the atomic events, ``anchors`` a table of
    the user's own anchors (``key``, ``anchor_ts``, ``label``). Columns: the key, ``anchor_ts``,
    ``event_id`` (not with own anchors), the columns, ``label``, and ``weight`` where rows were
    sampled.

    The methods raise DefinitionError for a definition that makes no sense or is not supported.
    """

    group: AttributeGroup
    anchoring: Anchoring
    features: Mapping[str, str] | None = None
    source: str = "atomic_events"
    anchors: str | None = None
    dialect: Dialect = "duckdb"

    def whole(self) -> str:
        """Return it as one statement."""
        return self._render(self._compiler().steps(), self._last())

    def first(self) -> list[Step]:
        """Return the steps up to ``flagged``, each with its own statement.

        Whoever runs it step by step makes them tables (``events`` a view), and then has `rest`
        run over any visitors of ``flagged``.
        """
        return [(title, self._render([], query)) for title, query in self._compiler().first_steps()]

    def rest(self, heaviest: int) -> str:
        """Return what follows ``flagged``, for visitors of at most ``heaviest`` rows each."""
        compiler = self._compiler(heaviest)
        done = len(compiler.first_steps())
        return self._render(compiler.steps()[done:], self._last())

    def audit(self, *, whole: bool = True) -> str:
        """Return a query of (reason, events): how many events became no anchor, and why.

        Without ``whole`` it reads the tables that `first` made.
        """
        compiler = self._compiler()
        steps = compiler.first_steps() if whole else []
        return self._render(steps, " UNION ALL ".join(self._reasons(compiler.key)))

    def _compiler(self, heaviest: int | None = None) -> Compiler:
        return Compiler(
            self.group,
            self.anchoring,
            lists=self.features is None,
            source=self.source,
            anchors=self.anchors,
            dialect=self.dialect,
            heaviest=heaviest,
        )

    def _last(self) -> str:
        """Name the columns: the key, the moment, the attributes or features, the label."""
        names = [str(attribute.name) for attribute in self.group.attributes or []]
        own = ["key", "k", "ts", "MAKE_TIMESTAMP(ts) AS anchor_ts", "event_id", "label"]
        key = f"key AS {name(str(self.group.attribute_key.name))}"
        columns = [key, "anchor_ts"] + ([] if self.anchors else ["event_id"])
        if self.features is None:
            own += [f"x{place}" for place in range(len(names))]
            columns += [f"x{place} AS {name(title)}" for place, title in enumerate(names)]
        else:
            own += [f"x{place} AS {name(title)}" for place, title in enumerate(names)]
            columns += [f"{value} AS {name(title)}" for title, value in self.features.items()]
        columns.append("label")
        if self.anchors is None and self.anchoring.sessions is not None:
            own.append("weight")
            columns.append("weight")
        elif self.anchors is None and self.anchoring.negative_rate < 1:
            weight = 1 / self.anchoring.negative_rate
            weighed = f"CASE WHEN label = 1 THEN 1 ELSE {weight!r} END"
            columns.append(f"CAST({weighed} AS DOUBLE) AS weight")
        return f"""
            SELECT {", ".join(columns)}
            FROM (SELECT {", ".join(own)} FROM valued JOIN visitors USING (k)) AS named
            ORDER BY k, ts, event_id"""

    def _reasons(self, key: str) -> list[str]:
        whole = f"{key} IS NOT NULL AND event_id IS NOT NULL AND derived_tstamp IS NOT NULL"
        until = f"derived_tstamp <= {moment(self.anchoring.as_of)}"
        events = "(SELECT COUNT(*) FROM events)"
        counts = {
            "null_key": f"COUNT_IF({key} IS NULL)",
            "null_event_id": f"COUNT_IF(event_id IS NULL AND {key} IS NOT NULL)",
            "null_derived_tstamp": (
                f"COUNT_IF(derived_tstamp IS NULL AND event_id IS NOT NULL AND {key} IS NOT NULL)"
            ),
            "after_as_of": f"COUNT_IF({whole} AND NOT {until})",
            "duplicate_event_id": f"COUNT_IF({whole} AND {until}) - {events}",
        }
        parts = [
            f"SELECT '{reason}' AS reason, {count} AS events FROM {self.source}"
            for reason, count in counts.items()
        ]
        if self.anchors is not None:
            return parts
        if self.anchoring.sessions is not None:
            chosen = "(SELECT COUNT(*) FROM chosen)"
            return [
                *parts,
                f"SELECT 'no_session_anchor', {events} - (SELECT COUNT(*) FROM candidates)",
                f"SELECT 'not_sampled', (SELECT COUNT(*) FROM candidates) - {chosen}",
            ]
        parts.append(f"SELECT 'outside_cohort', {events} - COUNT(*) FROM flagged")
        return parts + [
            f"SELECT '{reason}', COUNT_IF(anchor = {mark}) FROM flagged"
            for mark, reason in DROPPED.items()
        ]

    def _render(self, steps: list[Step], last: str) -> str:
        """Return steps and a last query as one readable statement of the dialect."""
        tables = ", ".join(f"{title} AS ({query})" for title, query in steps)
        statement = f"WITH {tables} {last}" if tables else last
        return sqlglot.transpile(statement, read="duckdb", write=self.dialect, pretty=True)[0]
