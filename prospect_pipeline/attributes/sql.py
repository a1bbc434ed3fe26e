"""What attributes are worth at every anchor, compiled to one set-based query.

The result equals `semantics`, value by value. `compiler` builds the steps; here they become
queries that run: the training set itself, and an audit of what was left out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import sqlglot
from snowplow_signals import AttributeGroup

from prospect_pipeline.attributes.anchors import DROPPED, Anchoring
from prospect_pipeline.attributes.compiler import Compiler, Step
from prospect_pipeline.attributes.expressions import moment, name, read
from prospect_pipeline.attributes.properties import key_source

Dialect = Literal["duckdb", "snowflake"]


def training_query(
    group: AttributeGroup,
    anchoring: Anchoring,
    *,
    features: Mapping[str, str] | None = None,
    source: str = "atomic_events",
    anchors: str | None = None,
    dialect: Dialect = "duckdb",
) -> str:
    """Return the query of a training set: one row for each anchor, in a stable order.

    ``features`` maps the model's columns to expressions over the attributes' names, in which a
    unique list stands as its length; without it the columns are the raw attribute values, lists
    as lists. ``source`` names the atomic events, ``anchors`` a table of the user's own anchors
    (``key``, ``anchor_ts``, ``label``). Columns: the key, ``anchor_ts``, ``event_id`` (not with
    own anchors), the columns, ``label``, and ``weight`` where negatives were sampled.

    Raises DefinitionError for a definition that makes no sense or is not supported.
    """
    compiler = Compiler(group, anchoring, lists=features is None, source=source, anchors=anchors)
    key = name(str(group.attribute_key.name))
    columns = [f"key AS {key}", "ts AS anchor_ts"] + ([] if anchors else ["event_id"])
    if features is None:
        columns += [name(attribute.name) for attribute in group.attributes or []]
    else:
        columns += [f"{expression} AS {name(alias)}" for alias, expression in features.items()]
    columns.append("label")
    if anchors is None and anchoring.negative_rate < 1:
        weight = 1 / anchoring.negative_rate
        columns.append(f"CASE WHEN label = 1 THEN 1.0 ELSE {weight!r} END AS weight")
    last = f"SELECT {', '.join(columns)} FROM valued ORDER BY key, ts, event_id"
    return render(compiler.steps(), last, dialect)


def audit_query(
    group: AttributeGroup,
    anchoring: Anchoring,
    *,
    source: str = "atomic_events",
    dialect: Dialect = "duckdb",
) -> str:
    """Return a query of (reason, events): how many events became no anchor, and why."""
    compiler = Compiler(group, anchoring, lists=False, source=source, anchors=None)
    key = read(key_source(group.attribute_key))
    whole = f"{key} IS NOT NULL AND event_id IS NOT NULL AND derived_tstamp IS NOT NULL"
    until = f"derived_tstamp <= {moment(anchoring.as_of)}"
    reasons = {
        "null_key": f"COUNT_IF({key} IS NULL)",
        "null_event_id": f"COUNT_IF(event_id IS NULL AND {key} IS NOT NULL)",
        "null_derived_tstamp": (
            f"COUNT_IF(derived_tstamp IS NULL AND event_id IS NOT NULL AND {key} IS NOT NULL)"
        ),
        "after_as_of": f"COUNT_IF({whole} AND NOT {until})",
        "duplicate_event_id": f"COUNT_IF({whole} AND {until}) - (SELECT COUNT(*) FROM events)",
    }
    parts = [
        f"SELECT '{reason}' AS reason, {count} AS events FROM {source}"
        for reason, count in reasons.items()
    ]
    parts.append("SELECT 'outside_cohort', (SELECT COUNT(*) FROM events) - COUNT(*) FROM flagged")
    parts += [
        f"SELECT '{reason}', COUNT_IF(anchor = {mark}) FROM flagged"
        for mark, reason in DROPPED.items()
    ]
    steps = [step for step in compiler.steps() if step[0] in ("events", "visitors", "flagged")]
    return render(steps, " UNION ALL ".join(parts), dialect)


def render(steps: list[Step], last: str, dialect: Dialect) -> str:
    """Return steps and a last query as one readable statement of a dialect."""
    tables = ", ".join(f"{title} AS ({query})" for title, query in steps)
    return sqlglot.transpile(f"WITH {tables} {last}", read="duckdb", write=dialect, pretty=True)[0]
