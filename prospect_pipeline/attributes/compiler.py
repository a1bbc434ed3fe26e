"""The steps of the training query, one common table expression each.

Events that count for the same reason form a *stream* (see `plan`). Within a visitor each stream
is numbered 1, 2, 3 ...; running numbers (``c0``, ``c1`` ...) stand on every row of the timeline. A
period's frame is found once per row, as the number of its first row; the running numbers just
before it bound every stream's window: from ``a`` to ``n``. The limit of 100 events is
``a >= n - 99``. A count is ``n - a + 1``, a first value is that numbered ``a``, a last one that
numbered ``n``. A value's occurrences within reach of each other form runs; the distinct values in
a window are the runs begun by ``n`` less the runs over before ``a``.

No join is on time and nothing is compared pair by pair, so the cost grows with the events, however
heavy a single visitor is (but for raw lists, of which each holds at most 100 values).
"""

from __future__ import annotations

from snowplow_signals import AttributeGroup
from snowplow_signals.models.model import Attribute

from prospect_pipeline.attributes import expressions
from prospect_pipeline.attributes.anchors import Anchoring, eligible, goal
from prospect_pipeline.attributes.expressions import interval, literal, moment, name
from prospect_pipeline.attributes.plan import Plan, Windowed
from prospect_pipeline.attributes.properties import key_source

LIST_LIMIT = 100
Step = tuple[str, str]


def comment(attribute: Attribute) -> str:
    """Return a comment that says in words what an attribute is."""
    names = [f"{e.vendor or 'any'} {e.name or 'any'}" for e in attribute.events] or ["any event"]
    span = f"over {attribute.period}" if attribute.period else "of all time"
    words = f"{attribute.name}: {attribute.aggregation} of {', '.join(names)} {span}"
    return f"/* {words} */"


class Compiler:
    """Builds the common table expressions of one query, in the order in which data flows."""

    def __init__(
        self,
        group: AttributeGroup,
        anchoring: Anchoring,
        *,
        lists: bool,
        source: str,
        anchors: str | None,
    ) -> None:
        self.plan = Plan.of(group)
        self.anchoring = anchoring
        self.lists = lists
        self.source = source
        self.anchors = anchors
        self.key = expressions.read(key_source(group.attribute_key))

    def steps(self) -> list[tuple[str, str]]:
        """Return (name, query) of every step up to ``valued``, one row for each anchor."""
        steps: list[Step] = [("events", self._events()), ("visitors", self._visitors())]
        steps += [("flagged", self._flagged())]
        steps += [("timeline", self._timeline()), ("framed", self._framed())]
        steps += [("bounded", self._bounded()), ("anchored", self._anchored())]
        for window in self.plan.of_kind("unique_list"):
            steps += [
                (f"seen_{window.id}", self._seen(window)),
                (f"runs_{window.id}", self._runs(window)),
            ]
            if self.lists:
                steps.append((f"lists_{window.id}", self._lists(window)))
        for place in sorted({w.stream.place for w in self.plan.of_kind("first", "last")}):
            numbered = f"SELECT k, c{place} AS i, v{place} AS v FROM timeline WHERE f{place} = 1"
            steps.append((f"values_{place}", numbered))
        return [*steps, ("valued", self._valued())]

    def _events(self) -> str:
        return f"""
            SELECT {self.key} AS key, derived_tstamp AS ts, *
            FROM {self.source}
            WHERE {self.key} IS NOT NULL AND event_id IS NOT NULL
              AND derived_tstamp <= {moment(self.anchoring.as_of)}
            QUALIFY ROW_NUMBER() OVER (
              PARTITION BY event_id ORDER BY collector_tstamp NULLS LAST, derived_tstamp
            ) = 1"""

    def _visitors(self) -> str:
        if self.anchors is not None:
            return f"""
            SELECT key, ROW_NUMBER() OVER (ORDER BY key) AS k
            FROM (SELECT DISTINCT key FROM {self.anchors}) AS wanted"""
        since, until = self.anchoring.window
        seen = [f"ts >= {moment(since)}"] if since else []
        if self.anchoring.cohort and self.anchoring.app_ids:
            seen.append(f"app_id IN ({', '.join(map(literal, self.anchoring.app_ids))})")
        return f"""
            SELECT key, ROW_NUMBER() OVER (ORDER BY key) AS k
            FROM events WHERE {" AND ".join(seen) or "TRUE"}
            GROUP BY key HAVING MIN(ts) <= {moment(until)}"""

    def _flagged(self) -> str:
        """The visitors' events with each stream's flag and value; anchors as rows of their own."""
        streams = self.plan.streams
        flags = [f"CASE WHEN {s.condition} THEN 1 END AS f{s.place}" for s in streams]
        values = [
            f"CASE WHEN {s.condition} THEN {s.value} END AS v{s.place}"
            for s in streams
            if s.value is not None
        ]
        anchor = "0" if self.anchors else eligible(self.anchoring)
        rows = f"""
            SELECT k, key, ts, event_id, {anchor} AS anchor,
              CASE WHEN {goal(self.anchoring)} THEN 1 END AS goal,
              NULL AS given, {", ".join([*flags, *values])}
            FROM events JOIN visitors USING (key)"""
        if self.anchors is None:
            return rows
        empty = ["NULL" for _ in [*flags, *values]]
        return f"""{rows}
            UNION ALL
            SELECT k, key, anchor_ts, NULL, 1, NULL, label, {", ".join(empty)}
            FROM {self.anchors} JOIN visitors USING (key)"""

    def _timeline(self) -> str:
        running = [
            f"COUNT(f{s.place}) OVER (PARTITION BY k ORDER BY ts, event_id"
            f" ROWS UNBOUNDED PRECEDING) AS c{s.place}"
            for s in self.plan.streams
        ]
        numbered = "ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts, event_id) AS r"
        return f"SELECT *, {', '.join([numbered, *running])} FROM flagged"

    def _framed(self) -> str:
        frames = [
            f"MIN(r) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN {interval(period)} PRECEDING"
            f" AND CURRENT ROW) AS start_{place}"
            for place, period in enumerate(self.plan.periods)
        ]
        peers = "PARTITION BY k ORDER BY ts RANGE BETWEEN CURRENT ROW AND CURRENT ROW"
        last = (
            f"MIN(r) OVER ({peers}) - 1"
            if self.anchoring.strictly_before
            else f"MAX(r) OVER ({peers})"
        )
        ahead = interval(self.anchoring.horizon)
        within = f"PARTITION BY k ORDER BY ts RANGE BETWEEN CURRENT ROW AND {ahead} FOLLOWING"
        label = f"COUNT(goal) OVER ({within}) - COUNT(goal) OVER ({peers}) AS goals_ahead"
        return f"SELECT *, {', '.join([*frames, f'{last} AS last_r', label])} FROM timeline"

    def _bounded(self) -> str:
        """Every row with each stream's running number just before each period's frame."""
        needed = sorted(
            {(w.stream.place, w.period) for w in self.plan.windows if w.period is not None}
        )
        bounds = [f"p{p}.c{s} - COALESCE(p{p}.f{s}, 0) AS b{s}_{p}" for s, p in needed]
        joins = [
            f"JOIN timeline AS p{p} ON p{p}.k = framed.k AND p{p}.r = framed.start_{p}"
            for p in range(len(self.plan.periods))
        ]
        return f"SELECT {', '.join(['framed.*', *bounds])} FROM framed {' '.join(joins)}"

    def _anchored(self) -> str:
        """The anchors, with every window's first and last number: ``a`` and ``n``."""
        columns = ["here.k", "here.key", "here.ts", "here.event_id", "here.r"]
        columns += [f"{self._label()} AS label"]
        seen: set[str] = set()
        for window in self.plan.windows:
            if window.id not in seen:
                seen.add(window.id)
                columns += [f"{self._last(window)} AS n_{window.id}"]
                columns += [f"{self._first(window)} AS a_{window.id}"]
        return f"""
            SELECT {", ".join(columns)}
            FROM bounded AS here
            LEFT JOIN timeline AS there ON there.k = here.k AND there.r = here.last_r
            WHERE here.anchor = 1 {self._sampled()}"""

    def _label(self) -> str:
        return "here.given" if self.anchors else "CASE WHEN here.goals_ahead > 0 THEN 1 ELSE 0 END"

    def _sampled(self) -> str:
        """Keep some negatives and some anchors of a visitor, the same ones every time."""
        if self.anchors is not None:
            return ""
        draw = f"MD5(CONCAT(here.event_id, ':', {literal(str(self.anchoring.seed))}))"
        kept = ""
        if self.anchoring.negative_rate < 1:
            below = f"{int(self.anchoring.negative_rate * 16**8):08x}"
            kept = f"AND (here.goals_ahead > 0 OR SUBSTR({draw}, 1, 8) < {literal(below)})"
        if self.anchoring.anchors_per_visitor is not None:
            kept += (
                f" QUALIFY ROW_NUMBER() OVER (PARTITION BY here.k ORDER BY {draw})"
                f" <= {self.anchoring.anchors_per_visitor}"
            )
        return kept

    def _last(self, window: Windowed) -> str:
        return f"COALESCE(there.c{window.stream.place}, 0)"

    def _first(self, window: Windowed) -> str:
        if window.period is None:
            return "1"
        limit = self.anchoring.event_limit - 1
        return (
            f"GREATEST(here.b{window.stream.place}_{window.period} + 1,"
            f" {self._last(window)} - {limit})"
        )

    def _seen(self, window: Windowed) -> str:
        """A stream's events, numbered; ``fresh`` where their value was not within reach before."""
        s, p = window.stream.place, window.period
        reach = (
            "1" if p is None else f"GREATEST(b{s}_{p} + 1, c{s} - {self.anchoring.event_limit - 1})"
        )
        return f"""
            SELECT k, c{s} AS i, v{s} AS v, CASE WHEN COALESCE(
              LAG(c{s}) OVER (PARTITION BY k, v{s} ORDER BY c{s}) >= {reach}, FALSE
            ) THEN NULL ELSE 1 END AS fresh
            FROM bounded WHERE f{s} = 1"""

    def _runs(self, window: Windowed) -> str:
        """Runs begun up to each numbered event, and runs over by then."""
        return f"""
            SELECT k, i,
              COUNT(fresh) OVER (PARTITION BY k ORDER BY i ROWS UNBOUNDED PRECEDING) AS begun,
              COUNT(done) OVER (PARTITION BY k ORDER BY i ROWS UNBOUNDED PRECEDING) AS ended
            FROM (
              SELECT k, i, fresh,
                CASE WHEN LEAD(i) OVER (PARTITION BY k, v ORDER BY i) IS NULL THEN 1
                  ELSE LEAD(fresh) OVER (PARTITION BY k, v ORDER BY i) END AS done
              FROM seen_{window.id}
            ) AS ends"""

    def _lists(self, window: Windowed) -> str:
        """Every anchor's list: distinct, by when last seen, oldest first, newest 100 kept."""
        w = window.id
        return f"""
            SELECT k, r, LIST(v ORDER BY i) AS l
            FROM (
              SELECT anchored.k, anchored.r, v, MAX(i) AS i
              FROM anchored JOIN seen_{w} AS seen ON seen.k = anchored.k
                AND seen.i BETWEEN a_{w} AND n_{w}
              GROUP BY anchored.k, anchored.r, v
              QUALIFY ROW_NUMBER() OVER (
                PARTITION BY anchored.k, anchored.r ORDER BY MAX(i) DESC
              ) <= {LIST_LIMIT}
            ) AS kept GROUP BY k, r"""

    def _valued(self) -> str:
        """The anchors with one column for each attribute (a unique list as its length)."""
        columns, joins = ["anchored.*"], dict[str, str]()
        for window in self.plan.windows:
            attribute = window.attribute
            result = self._result(window, joins)
            if attribute.default_value is not None:
                result = f"COALESCE({result}, {self._default(window)})"
            columns.append(f"{result} AS {name(attribute.name)} {comment(attribute)}")
        return f"SELECT {', '.join(columns)} FROM anchored {' '.join(joins.values())}"

    def _default(self, window: Windowed) -> str:
        default = window.attribute.default_value
        if isinstance(default, list):
            return literal(default) if self.lists else str(len(default))  # type: ignore[arg-type]
        return literal(default)  # type: ignore[arg-type]

    def _result(self, window: Windowed, joins: dict[str, str]) -> str:
        """Return an attribute's value, and put the joins that it needs into ``joins``."""
        w, kind = window.id, window.attribute.aggregation
        if kind == "counter":
            return f"CASE WHEN n_{w} >= a_{w} THEN n_{w} - a_{w} + 1 END"
        if kind in ("first", "last"):
            at, number = f"{kind}_{w}", "a" if kind == "first" else "n"
            joins[at] = (
                f"LEFT JOIN values_{window.stream.place} AS {at} ON {at}.k = anchored.k"
                f" AND {at}.i = {number}_{w} AND n_{w} >= a_{w}"
            )
            return f"{at}.v"
        if self.lists:
            joins[f"list_{w}"] = (
                f"LEFT JOIN lists_{w} ON lists_{w}.k = anchored.k AND lists_{w}.r = anchored.r"
            )
            return f"lists_{w}.l"
        joins[f"in_{w}"] = (
            f"LEFT JOIN runs_{w} AS in_{w} ON in_{w}.k = anchored.k AND in_{w}.i = n_{w}"
        )
        joins[f"out_{w}"] = (
            f"LEFT JOIN runs_{w} AS out_{w} ON out_{w}.k = anchored.k AND out_{w}.i = a_{w} - 1"
        )
        distinct = f"in_{w}.begun - COALESCE(out_{w}.ended, 0)"
        return f"CASE WHEN {distinct} > 0 THEN LEAST({distinct}, {LIST_LIMIT}) END"
