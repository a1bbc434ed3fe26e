"""The steps over one stream: its events numbered, and what is known at each of them.

Everything here is a window function over the stream's own rows, so its cost grows with them. What
an attribute is worth at an anchor is then a look-up of a row by its number (see `lookups`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prospect_pipeline.attributes.lanes import Lanes
from prospect_pipeline.attributes.plan import Stream, Window, Windowed

Step = tuple[str, str]
Layer = tuple[str, Callable[[str], str | None]]

DISTINCT = ("unique_list", "approx_count_distinct")
RANKED = ("most_frequent", "least_frequent", "category_count")
SUMMED = {"sum": "SUM", "min": "MIN", "max": "MAX", "mean": "AVG"}
SO_FAR = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"


class StreamSteps:
    """Builds the common table expressions of one stream; the last is called ``stream_N``.

    Columns: ``k`` and ``i`` (a visitor's events of this stream, numbered from 1), ``ts``, ``v``
    (the value), and for the windows (``W``) that need them:

    ======================  ==================================================================
    ``begin_W``             number of the first event since the last gap longer than the ttl
    ``next_i``              number of the next event with the same value
    ``times_W``             how often the value was seen so far
    ``begun_W, ended_W``    runs of a value within reach, begun and over by this event
    ``sum_W`` and its like  the aggregate so far; over a period, of the last events alone
    ``winner_W``            number of the event that showed the most frequent value last
    ======================  ==================================================================
    """

    def __init__(
        self,
        stream: Stream,
        over: Sequence[Windowed],
        event_limit: int,
        *,
        lists: bool,
        heaviest: int | None,
    ) -> None:
        self.stream = stream
        self.heaviest = heaviest
        self.tallied = ("unique_list", *RANKED) if lists else RANKED
        self.over = over
        self.limit = event_limit

    def steps(self) -> list[Step]:
        """Return the steps that the attributes over this stream need, in order."""
        layers: list[Layer] = [
            ("numbered", self._numbered),
            ("spans", self._spans),
            ("sightings", self._sightings),
            ("distinct", self._distinct),
            ("running", self._running),
            ("stream", self._winners),
        ]
        steps, source = list[Step](), "placed"
        for title, layer in layers:
            query = layer(source)
            if query is not None:
                source = f"{title}_{self.stream.place}"
                steps.append((source, query))
        steps[-1] = (f"stream_{self.stream.place}", steps[-1][1])
        return steps

    def _windows(self, aggregations: Sequence[str], *kinds: str) -> list[Window]:
        found = {
            one.window.id: one.window
            for one in self.over
            if one.kind in aggregations and one.window.kind in kinds
        }
        return [found[name] for name in sorted(found)]

    def _numbered(self, source: str) -> str:
        place = self.stream.place
        value = f"v{place} AS v," if self.stream.value else ""
        return f"""
            SELECT k, ts, {value}
              ROW_NUMBER() OVER (PARTITION BY k ORDER BY r) AS i
            FROM {source} WHERE {self.stream.column} IS NOT NULL"""

    def _spans(self, source: str) -> str | None:
        ttls = {one.window.id: one.window for one in self.over if one.window.kind == "ttl"}
        begins = [
            f"MAX(CASE WHEN earlier IS NULL OR ts - earlier > {ttl.microseconds} THEN i END)"
            f" OVER (PARTITION BY k ORDER BY i {SO_FAR}) AS begin_{ttl.id}"
            for ttl in ttls.values()
        ]
        if not begins:
            return None
        gaps = f"SELECT *, LAG(ts) OVER (PARTITION BY k ORDER BY i) AS earlier FROM {source}"
        return f"SELECT *, {', '.join(begins)} FROM ({gaps}) AS gaps"

    def _sightings(self, source: str) -> str | None:
        """When the same value was seen before and after, and how often so far."""
        if not any(one.kind in (*DISTINCT, *RANKED) for one in self.over):
            return None
        same = "OVER (PARTITION BY k, v ORDER BY i)"
        columns = [
            f"{f}({c}) {same} AS {w}_{c}"
            for c in ("i", "ts")
            for f, w in (("LAG", "previous"), ("LEAD", "next"))
        ]
        columns += [
            f"ROW_NUMBER() OVER (PARTITION BY {self._span(window, 'k, v')} ORDER BY i)"
            f" AS times_{window.id}"
            for window in self._windows(self.tallied, "ttl", "ever")
        ]
        return f"SELECT *, {', '.join(columns)} FROM {source}"

    def _span(self, window: Window, keys: str = "k") -> str:
        return f"{keys}, begin_{window.id}" if window.kind == "ttl" else keys

    def _distinct(self, source: str) -> str | None:
        """How many runs of a value within reach have begun, and how many are over, so far."""
        runs: dict[str, dict[str, str]] = {}
        for window in self._windows(DISTINCT, "ttl", "ever"):
            new = "previous_i IS NULL"
            if window.kind == "ttl":
                new += f" OR previous_i < begin_{window.id}"
            runs.setdefault(self._span(window), {})[f"begun_{window.id}"] = new
        for window in self._windows(DISTINCT, "period"):
            length, limit = window.microseconds, self.limit
            new = f"previous_i IS NULL OR ts - previous_ts > {length} OR i - previous_i >= {limit}"
            over = f"next_i IS NULL OR next_ts - ts > {length} OR next_i - i >= {limit}"
            runs.setdefault("k", {}).update({f"begun_{window.id}": new, f"ended_{window.id}": over})
        for keys, flags in runs.items():
            source = f"({self._counted(source, keys, flags)}) AS counted"
        return f"SELECT * FROM {source}" if runs else None

    def _counted(self, source: str, keys: str, flags: dict[str, str]) -> str:
        """Count the rows so far that meet each condition."""
        marks = {f"is_{title}": test for title, test in flags.items()}
        word = f"w_{next(iter(flags))}_"
        counts = Lanes(tuple(marks), self.heaviest, word)
        over = f"OVER (PARTITION BY {keys} ORDER BY i {SO_FAR})"
        marked = [f"CASE WHEN {test} THEN 1 END AS {mark}" for mark, test in marks.items()]
        rows = f"(SELECT *, {', '.join(marked)} FROM {source}) AS flagged"
        if words := counts.words():
            rows = f"(SELECT *, {', '.join(words)} FROM {rows}) AS packed"
        rows = f"(SELECT *, {', '.join(counts.sums('so_far', over, counts.flags))} FROM {rows})"
        if halves := counts.halves("so_far", counts.flags):
            rows = f"(SELECT *, {', '.join(halves)} FROM {rows} AS summed)"
        read = [f"{counts.count('so_far', f'is_{title}')} AS {title}" for title in flags]
        return f"SELECT *, {', '.join(read)} FROM {rows} AS halved"

    def _running(self, source: str) -> str | None:
        columns = []
        for aggregation, function in SUMMED.items():
            for window in self._windows([aggregation], "period", "ttl", "ever"):
                frame = SO_FAR
                if window.kind == "period":
                    frame = f"ROWS BETWEEN {self.limit - 1} PRECEDING AND CURRENT ROW"
                columns.append(
                    f"{function}(v) OVER (PARTITION BY {self._span(window)} ORDER BY i {frame})"
                    f" AS {aggregation}_{window.id}"
                )
        columns += [
            f"MAX(times_{window.id}) OVER (PARTITION BY {self._span(window)}"
            f" ORDER BY i {SO_FAR}) AS most_{window.id}"
            for window in self._windows(["most_frequent"], "ttl", "ever")
        ]
        return f"SELECT *, {', '.join(columns)} FROM {source}" if columns else None

    def _winners(self, source: str) -> str | None:
        columns = [
            f"MAX(CASE WHEN times_{w.id} = most_{w.id} THEN i END)"
            f" OVER (PARTITION BY {self._span(w)} ORDER BY i {SO_FAR}) AS winner_{w.id}"
            for w in self._windows(["most_frequent"], "ttl", "ever")
        ]
        return f"SELECT *, {', '.join(columns)} FROM {source}" if columns else None
