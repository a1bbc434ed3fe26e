"""The steps of the training query, one common table expression each, in the order of the data.

Events that count for the same reason form a *stream* (see `plan`). On a visitor's timeline every
row knows how many events of each stream there were by its moment (``n``), and how many before each
period (``b``): every window is a pair of numbers. Each stream's events are numbered, and carry what
is known when they happen (see `streams`); an attribute is then looked up by number (see `lookups`).

Moments are integers (microseconds since 1970, UTC) and visitors are numbered. Frames go by moment
alone, so that events at the same moment are known to each other; ``event_id`` orders them where
order matters. No join is on time and nothing is compared pair by pair, so the cost grows with the
events, however heavy a single visitor is.
"""

from __future__ import annotations

from datetime import timedelta

from snowplow_signals import AttributeGroup

from prospect_pipeline.attributes import expressions
from prospect_pipeline.attributes.anchors import (
    APP,
    Anchoring,
    eligible,
    goal,
    microseconds,
    session_steps,
)
from prospect_pipeline.attributes.definition import check_criteria
from prospect_pipeline.attributes.expressions import Dialect, literal, moment, since_epoch
from prospect_pipeline.attributes.lanes import Lanes
from prospect_pipeline.attributes.lookups import Lookups
from prospect_pipeline.attributes.plan import EVENT_COLUMNS, MICROSECOND, Plan, Windowed
from prospect_pipeline.attributes.properties import Source, key_source
from prospect_pipeline.attributes.streams import SUMMED, Step, StreamSteps


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
        dialect: Dialect,
        unique: bool = False,
        heaviest: int | None = None,
    ) -> None:
        self.group = group
        self.anchoring = anchoring
        self.lists = lists
        self.source = source
        self.anchors = anchors
        self.dialect = dialect
        self.unique = unique
        self.reads: dict[Source, str] = {}
        self.key = expressions.identifier(key_source(group.attribute_key), dialect)
        self.plan = Plan(group, self.names)
        if anchoring.goal is not None:
            check_criteria(anchoring.goal, "the goal")
        for place in anchoring.sources():
            self.names(place)
        self.counts = Lanes(tuple(s.column for s in self.plan.streams), heaviest)

    def names(self, source: Source) -> str:
        """Return the column of ``events`` that holds what is read from a place in an event."""
        if source not in self.reads:
            self.reads[source] = f"p{len(self.reads)}" if source.path else source.column
        return self.reads[source]

    def steps(self) -> list[Step]:
        """Return (name, query) of every step up to ``valued``, one row for each anchor."""
        steps = [*self.first_steps(), ("placed", self._placed())]
        steps += [("timeline", self._timeline()), ("anchored", self._anchored())]
        lookups = Lookups(self.anchoring.event_limit, self.dialect, lists=self.lists)
        columns = [
            f"{lookups.value(one)} AS x{place} {comment(one)}"
            for place, one in enumerate(self.plan.attributes)
        ]
        for stream in self.plan.streams:
            if stream.place in lookups.streams:
                over, limit = self.plan.over(stream), self.anchoring.event_limit
                steps += StreamSteps(
                    stream, over, limit, lists=self.lists, heaviest=self.counts.heaviest
                ).steps()
        joins = " ".join(lookups.joins.values())
        own = [f"anchored.{column}" for column in ("k", "r", "ts", "event_id", "label")]
        own += ["anchored.weight"] if self.anchoring.sessions else []
        valued = f"SELECT {', '.join([*own, *columns])} FROM anchored {joins}"
        return [*steps, *lookups.steps.values(), ("valued", valued)]

    def first_steps(self) -> list[Step]:
        """Return the steps up to ``flagged``: every event of the visitors wanted, once."""
        steps = [] if self.unique else [("copies", self._copies())]
        steps.append(("events", self._events()))
        if self.anchoring.sessions is not None:
            steps += session_steps(self.anchoring, self.names)
        return [*steps, ("visitors", self._visitors()), ("flagged", self._flagged())]

    @property
    def _counted(self) -> str:
        """The condition under which a row of the source is an event that counts."""
        return (
            f"{self.key} IS NOT NULL AND event_id IS NOT NULL"
            f" AND derived_tstamp <= {moment(self.anchoring.as_of)}"
        )

    def _copies(self) -> str:
        """Which ids may stand for several events; whether they do is seen where it matters."""
        return f"""
            SELECT HASH(event_id) AS h FROM {self.source} WHERE {self._counted}
            GROUP BY HASH(event_id) HAVING COUNT(*) > 1"""

    def _events(self) -> str:
        columns = [
            f"{self.key} AS key",
            f"{since_epoch('derived_tstamp')} AS ts",
            *EVENT_COLUMNS,
        ]
        columns += [
            f"{expressions.read(source, self.dialect)} AS {column} {_path(source)}"
            for source, column in self.reads.items()
            if column not in EVENT_COLUMNS
        ]
        every = f"SELECT {', '.join(columns)} FROM {self.source} WHERE {self._counted}"
        if self.unique:
            return every
        return f"""
            {every} AND HASH(event_id) NOT IN (SELECT h FROM copies)
            UNION ALL
            {every} AND HASH(event_id) IN (SELECT h FROM copies)
            QUALIFY ROW_NUMBER() OVER (
              PARTITION BY event_id ORDER BY collector_tstamp NULLS LAST, derived_tstamp
            ) = 1"""

    def _visitors(self) -> str:
        given = "chosen" if self.anchoring.sessions else self.anchors
        if given is not None:
            keys = f"SELECT DISTINCT key FROM {given}"
        else:
            since, until = self.anchoring.window
            seen = [f"ts >= {microseconds(since)}"] if since else []
            if self.anchoring.cohort and self.anchoring.app_ids:
                apps = ", ".join(map(literal, self.anchoring.app_ids))
                seen.append(f"{self.names(APP)} IN ({apps})")
            keys = f"""
                SELECT key FROM events WHERE {" AND ".join(seen) or "TRUE"}
                GROUP BY key HAVING MIN(ts) <= {microseconds(until)}"""
        return f"SELECT key, ROW_NUMBER() OVER (ORDER BY key) AS k FROM ({keys}) AS wanted"

    def _flagged(self) -> str:
        """The visitors' events with each stream's flag and value; anchors as rows of their own."""
        flags = [
            f"CASE WHEN {s.condition} THEN {s.value or 'TRUE'} END AS {s.column}"
            for s in self.plan.streams
        ]
        joins = "JOIN visitors USING (key)"
        if self.anchoring.sessions:
            own = ["CASE WHEN label IS NULL THEN 0 ELSE 1 END AS anchor", "label", "weight"]
            joins += " LEFT JOIN chosen ON chosen.event_id = events.event_id"
        elif self.anchors:
            own = ["0 AS anchor", "NULL AS label"]
        else:
            own = [
                f"{eligible(self.anchoring, self.names)} AS anchor",
                f"CASE WHEN {goal(self.anchoring, self.names)} THEN TRUE END AS goal",
            ]
        rows = f"""
            SELECT k, ts, events.event_id, {", ".join([*own, *flags])} FROM events {joins}"""
        if self.anchors is None:
            return rows
        at = since_epoch("anchor_ts")
        empty = ", ".join("NULL" for _ in flags)
        return f"""{rows}
            UNION ALL
            SELECT k, {at}, NULL, 1, label, {empty} FROM {self.anchors} JOIN visitors USING (key)"""

    def _placed(self) -> str:
        """Every row with its place (``r``) among its visitor's."""
        place = "ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts, event_id)"
        return f"SELECT *, {place} AS r FROM flagged"

    def _timeline(self) -> str:
        """Every row with how much was known at its moment, and how much before each period."""
        columns = ["k", "r", "ts", "event_id", "anchor", *self._labels()]
        for title, (over, flags) in self._counted_over().items():
            columns += self.counts.sums(title, over, flags)
        if self.anchoring.stop_at_conversion:
            now = "OVER (PARTITION BY k ORDER BY ts)"
            columns.append(f"COUNT(goal) {now} AS goals_so_far")
        for stream in self.plan.streams:
            sums = {
                (one.kind, one.window)
                for one in self.plan.over(stream)
                if one.kind in SUMMED and one.window.kind == "period"
            }
            columns += [
                f"{SUMMED[kind]}(v{stream.place}) {self._frame(f'{window.microseconds} PRECEDING')}"
                f" AS {kind}{stream.place}_{window.id}"
                for kind, window in sorted(sums, key=str)
            ]
        words = self.counts.words()
        rows = f"(SELECT *, {', '.join(words)} FROM placed) AS packed" if words else "placed"
        return f"SELECT {', '.join(columns)} FROM {rows}"

    def _counted_over(self) -> dict[str, tuple[str, list[str]]]:
        """Return the running counts: of every stream by now, and before each period."""
        known = self._frame("UNBOUNDED PRECEDING")
        counts = {"n": (known, [stream.column for stream in self.plan.streams])}
        for period in self.plan.periods:
            before = (
                "OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN UNBOUNDED PRECEDING"
                f" AND {period.microseconds + 1} PRECEDING)"
            )
            over = [stream.column for stream, window in self.plan.bounds() if window == period]
            counts[period.id] = (before, over)
        return counts

    def _frame(self, begin: str) -> str:
        end = "1 PRECEDING" if self.anchoring.strictly_before else "CURRENT ROW"
        return f"OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN {begin} AND {end})"

    def _labels(self) -> list[str]:
        if self.anchoring.sessions:
            return ["label", "weight"]
        if self.anchors:
            return ["label"]
        ahead = self.anchoring.horizon // MICROSECOND
        return [
            f"CASE WHEN COUNT(goal) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN 1 FOLLOWING"
            f" AND {ahead} FOLLOWING) >= {self.anchoring.goal_count} THEN 1 ELSE 0 END AS label"
        ]

    def _anchored(self) -> str:
        """The anchors: how many events of each stream by then, and before each period."""
        columns = ["k", "r", "ts", "event_id", "label"]
        columns += ["weight"] if self.anchoring.sessions else []
        columns += [f"{self.counts.count('n', s.column)} AS n{s.place}" for s in self.plan.streams]
        columns += [
            f"{self.counts.count(period.id, stream.column)} AS b{stream.place}_{period.id}"
            for stream, period in self.plan.bounds()
        ]
        columns += [
            f"{one.kind}{one.stream.place}_{one.window.id}"
            for one in self.plan.attributes
            if one.kind in SUMMED and one.window.kind == "period"
        ]
        chosen = f"FROM timeline WHERE anchor = 1 {self._sampled()}"
        if self.counts.packed:
            halves = [
                half
                for title, (_, flags) in self._counted_over().items()
                for half in self.counts.halves(title, flags)
            ]
            chosen = f"FROM (SELECT *, {', '.join(halves)} {chosen}) AS chosen_rows"
        return f"SELECT {', '.join(dict.fromkeys(columns))} {chosen}"

    def _sampled(self) -> str:
        """Keep some negatives and some anchors of a visitor, the same ones every time."""
        if self.anchors is not None or self.anchoring.sessions:
            return ""
        kept, draw = "", self.anchoring.draw("event_id")
        if self.anchoring.stop_at_conversion:
            kept += " AND goals_so_far = 0"
        if self.anchoring.negative_rate < 1:
            below = f"{int(self.anchoring.negative_rate * 16**8):08x}"
            kept += f" AND (label = 1 OR SUBSTR({draw}, 1, 8) < {literal(below)})"
        if self.anchoring.anchors_per_visitor is not None:
            kept += (
                f" QUALIFY ROW_NUMBER() OVER (PARTITION BY k ORDER BY {draw})"
                f" <= {self.anchoring.anchors_per_visitor}"
            )
        return kept


def comment(one: Windowed) -> str:
    """Return a comment that says in words what an attribute is."""
    attribute = one.attribute
    names = [f"{e.vendor or 'any'} {e.name or 'any'}" for e in attribute.events] or ["any event"]
    length = str(timedelta(microseconds=one.window.microseconds)).removesuffix(", 0:00:00")
    span = {"period": f"over {length}", "ttl": f"until a gap of {length}", "ever": "of all time"}
    words = f"{attribute.name}: {attribute.aggregation} of {', '.join(names)}"
    return _note(f"{words} {span[one.window.kind]}")


def _path(source: Source) -> str:
    steps = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in source.path)
    return _note(f"{source.column}{steps}") if steps else ""


def _note(words: str) -> str:
    return f"/* {words.replace('*/', '').replace('/*', '')} */"
