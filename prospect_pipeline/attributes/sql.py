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
    the user's own anchors (``key``, ``anchor_ts``, ``label``); ``unique`` spares the search for
    copies where it is known that no event that counts has any. Columns: the key, ``anchor_ts``,
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
    unique: bool = False

    def whole(self) -> str:
        """Return it as one statement, in the dialect."""
        return self._laid_out(self.text())

    def text(self) -> str:
        """Return it as one statement of DuckDB's, not laid out for reading."""
        return _written(self._compiler().steps(), self._last())

    def first(self) -> list[Step]:
        """Return the steps up to ``flagged``, each with its own statement of DuckDB's.

        Whoever runs it step by step makes them tables (``events`` a view), and then has `rest`
        run over any visitors of ``flagged``.
        """
        return self._compiler().first_steps()

    def rest(self, heaviest: int) -> str:
        """Return what follows ``placed``, for visitors of at most ``heaviest`` rows each.

        ``placed`` is ``flagged`` with a column ``r``, which orders a visitor's rows by their moment
        and ``event_id``.
        """
        steps = self._compiler(heaviest).steps()
        titles = [title for title, _ in steps]
        return _written(steps[titles.index("placed") + 1 :], self._last())

    def audit(self, *, whole: bool = True) -> str:
        """Return a query of (reason, events): how many events became no anchor, and why.

        Without ``whole`` it is DuckDB's, and reads the tables that `first` made.
        """
        compiler = self._compiler()
        reasons = " UNION ALL ".join(self._reasons(compiler.key))
        if not whole:
            return reasons
        return self._laid_out(_written(compiler.first_steps(), reasons))

    def _compiler(self, heaviest: int | None = None) -> Compiler:
        return Compiler(
            self.group,
            self.anchoring,
            lists=self.features is None,
            source=self.source,
            anchors=self.anchors,
            dialect=self.dialect,
            unique=self.unique,
            heaviest=heaviest,
        )

    def _last(self) -> str:
        """Name the columns: the key, the moment, the attributes or features, the label."""
        names = [str(attribute.name) for attribute in self.group.attributes or []]
        own = ["key", "k", "r", "MAKE_TIMESTAMP(ts) AS anchor_ts", "event_id", "label"]
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
            ORDER BY k, r"""

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

    def _laid_out(self, statement: str) -> str:
        """Return a statement in the dialect, so that it can be read."""
        return sqlglot.transpile(statement, read="duckdb", write=self.dialect, pretty=True)[0]


def _written(steps: list[Step], last: str) -> str:
    """Return steps and a last query as one statement."""
    tables = ", ".join(f"{title} AS ({query})" for title, query in steps)
    return f"WITH {tables} {last}"
