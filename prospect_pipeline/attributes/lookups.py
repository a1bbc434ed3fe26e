"""What an attribute is worth at an anchor: look-ups of a stream's rows by their numbers.

At an anchor, ``n`` is the number of a stream's events so far, and ``b`` how many of them lie before
the period. The window is then the events ``a`` to ``n``, where ``a`` is ``b + 1``, or
``n - 99`` where a period holds more than 100 events.
"""

from __future__ import annotations

from prospect_pipeline.attributes.expressions import Dialect, literal
from prospect_pipeline.attributes.plan import Windowed
from prospect_pipeline.attributes.streams import DISTINCT, SUMMED, Step

LIST_LIMIT = 100
UNITS = {"s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}
CASTS = {"int32": "BIGINT", "int64": "BIGINT", "float": "DOUBLE", "double": "DOUBLE"}


class Lookups:
    """Expressions over ``anchored``, and the joins and steps that they need on the way."""

    def __init__(self, event_limit: int, dialect: Dialect, *, lists: bool) -> None:
        self.limit = event_limit
        self.dialect = dialect
        self.lists = lists
        self.joins: dict[str, str] = {}
        self.steps: dict[str, Step] = {}
        self.streams: set[int] = set()

    def value(self, one: Windowed) -> str:
        """Return an attribute's value at each anchor (a unique list as its length, or itself)."""
        result = self._result(one)
        cast = CASTS.get(one.attribute.type)
        if cast and one.kind in (*SUMMED, "approx_count_distinct"):
            result = f"CAST({result} AS {cast})"
        default = one.attribute.default_value
        if default is None:
            return result
        if one.kind == "unique_list" and not self.lists:
            return f"COALESCE({result}, {len(default)})"  # type: ignore[arg-type]
        return f"COALESCE({result}, {literal(default)})"  # type: ignore[arg-type]

    def _result(self, one: Windowed) -> str:
        kind = one.kind
        if kind == "counter":
            return self._when_present(one, self._many(one))
        if kind in ("first", "last", "time_since_first", "time_since_last"):
            row = self._first_row(one) if kind.endswith("first") else self._now(one)
            return self._when_present(one, self._read(one, row))
        if kind in SUMMED:
            so_far = f"{self._now(one)}.{kind}_{one.window.id}"
            if one.window.kind == "period":
                within = f"anchored.{kind}{one.stream.place}_{one.window.id}"
                many = f"{_n(one)} - {_b(one)} > {self.limit}"
                so_far = f"CASE WHEN {many} THEN {so_far} ELSE {within} END"
            return self._when_present(one, so_far)
        if kind in DISTINCT and not (self.lists and kind == "unique_list"):
            return self._distinct(one)
        if kind == "most_frequent" and one.window.kind != "period":
            return self._when_present(one, f"{self._winner(one)}.v")
        return self._when_present(one, self._tallied(one))

    def _read(self, one: Windowed, row: str) -> str:
        unit = one.attribute.time_unit
        if not one.kind.startswith("time_since") or unit is None:
            return f"{row}.v"
        return f"CAST(anchored.ts - {row}.ts AS DOUBLE) / {UNITS[unit]}"

    def _when_present(self, one: Windowed, result: str) -> str:
        return f"CASE WHEN {self._present(one)} THEN {result} END"

    def _present(self, one: Windowed) -> str:
        if one.window.kind == "period":
            return f"{_n(one)} > {_b(one)}"
        if one.window.kind == "ever":
            return f"{_n(one)} > 0"
        return f"anchored.ts - {self._now(one)}.ts <= {one.window.microseconds}"

    def _first(self, one: Windowed) -> str:
        """Return ``a``: the number of the window's first event."""
        if one.window.kind == "period":
            return f"GREATEST({_b(one)}, {_n(one)} - {self.limit}) + 1"
        return "1" if one.window.kind == "ever" else f"{self._now(one)}.begin_{one.window.id}"

    def _many(self, one: Windowed) -> str:
        """Return how many events are in the window."""
        if one.window.kind == "period":
            return f"LEAST({_n(one)} - {_b(one)}, {self.limit})"
        return _n(one) if one.window.kind == "ever" else f"{_n(one)} - {self._first(one)} + 1"

    def _row(self, alias: str, one: Windowed, number: str) -> str:
        """Join the stream's row of a number, once, and return its alias."""
        stream = self._stream(one)
        self.joins[alias] = (
            f"LEFT JOIN {stream} AS {alias} ON {alias}.k = anchored.k AND {alias}.i = {number}"
        )
        return alias

    def _stream(self, one: Windowed) -> str:
        self.streams.add(one.stream.place)
        return f"stream_{one.stream.place}"

    def _now(self, one: Windowed) -> str:
        return self._row(f"now_{one.stream.place}", one, _n(one))

    def _first_row(self, one: Windowed) -> str:
        return self._row(f"first_{one.id}", one, self._first(one))

    def _winner(self, one: Windowed) -> str:
        return self._row(f"winner_{one.id}", one, f"{self._now(one)}.winner_{one.window.id}")

    def _distinct(self, one: Windowed) -> str:
        """Runs of a value begun by now, less those over before the window."""
        found = f"{self._now(one)}.begun_{one.window.id}"
        if one.window.kind == "period":
            before = f"GREATEST({_b(one)}, {_n(one)} - {self.limit})"
            out = self._row(f"out_{one.id}", one, before)
            found = f"{found} - COALESCE({out}.ended_{one.window.id}, 0)"
        if one.kind == "unique_list":
            found = f"LEAST({found}, {LIST_LIMIT})"
        return self._when_present(one, found)

    def _tallied(self, one: Windowed) -> str:
        """Return a value that needs every distinct value in the window, and add its steps."""
        reach, tally = f"reach_{one.id}", f"tally_{one.id}"
        if reach not in self.steps:
            present, first = self._present(one), self._first(one)
            self.steps[reach] = (reach, self._reach(one, present, first))
            periodic = one.window.kind == "period"
            self.steps[tally] = (tally, self._counted(one) if periodic else self._alive(one))
        result = f"{one.kind}_{one.id}"
        self.steps[result] = (result, self._summary(one))
        number = f"{result}.a = {self._first(one)} AND " if one.window.kind == "period" else ""
        self.joins[result] = (
            f"LEFT JOIN {result} ON {result}.k = anchored.k AND {number}{result}.n = {_n(one)}"
        )
        return f"{result}.result"

    def _reach(self, one: Windowed, present: str, first: str) -> str:
        """Every window that some anchor has: its first and last number."""
        now = self.joins.get(f"now_{one.stream.place}", "") if one.window.kind == "ttl" else ""
        return f"""
            SELECT DISTINCT anchored.k, {first} AS a, {_n(one)} AS n
            FROM anchored {now} WHERE {present}"""

    def _counted(self, one: Windowed) -> str:
        """Count a period's values: windows of at most 100 events, met through two buckets each."""
        size = self.limit
        return f"""
            SELECT pieces.k, a, n, v, COUNT(*) AS times, MAX(i) AS seen
            FROM (
              SELECT k, a, n, FLOOR(n / {size}) AS bucket FROM reach_{one.id}
              UNION ALL
              SELECT k, a, n, FLOOR(a / {size}) FROM reach_{one.id}
              WHERE FLOOR(a / {size}) <> FLOOR(n / {size})
            ) AS pieces
            JOIN {self._stream(one)} AS stream
              ON stream.k = pieces.k AND FLOOR(stream.i / {size}) = pieces.bucket
              AND stream.i BETWEEN a AND n
            GROUP BY pieces.k, a, n, v"""

    def _alive(self, one: Windowed) -> str:
        """Every value's last sighting by then: seen no later, and not seen again until after."""
        return f"""
            SELECT reach.k, a, n, v, times_{one.window.id} AS times, i AS seen
            FROM reach_{one.id} AS reach JOIN {self._stream(one)} AS stream
              ON stream.k = reach.k AND stream.i BETWEEN a AND n
              AND (stream.next_i IS NULL OR stream.next_i > n)"""

    def _summary(self, one: Windowed) -> str:
        """Make the value of one window out of its tally."""
        order = {
            "unique_list": "seen DESC",
            "least_frequent": "times, seen DESC",
        }.get(one.kind, "times DESC, seen DESC")
        many = LIST_LIMIT if one.kind in ("unique_list", "category_count") else 1
        kept = f"""
              SELECT k, a, n, v, times, seen FROM tally_{one.id}
              QUALIFY ROW_NUMBER() OVER (PARTITION BY k, a, n ORDER BY {order}) <= {many}"""
        if many == 1:
            return f"SELECT k, a, n, v AS result FROM ({kept}) AS kept"
        result = "LIST(v ORDER BY seen)"
        if one.kind == "category_count":
            ordered = "ORDER BY times DESC, v"
            result = f"MAP(LIST(v {ordered}), LIST(times {ordered}))"
            if self.dialect == "snowflake":
                result = "OBJECT_AGG(v, times)"
        return f"SELECT k, a, n, {result} AS result FROM ({kept}) AS kept GROUP BY k, a, n"


def _n(one: Windowed) -> str:
    return f"anchored.n{one.stream.place}"


def _b(one: Windowed) -> str:
    return f"anchored.b{one.stream.place}_{one.window.id}"
