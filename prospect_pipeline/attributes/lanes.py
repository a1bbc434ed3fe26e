"""Several running counts in one integer, side by side, like the lanes of a road.

A running count costs a window function, and on DuckDB window functions are most of what a training
set costs. Where it is known how many events a visitor has at most, one sum carries as many counts
as fit into 62 bits. Without that bound every count is its own column, and reads like one.
"""

from __future__ import annotations

from dataclasses import dataclass

BITS = 62


@dataclass(frozen=True)
class Lanes:
    """How often each of ``columns`` is not null, over a frame; never more than ``heaviest``.

    The counts, or the integers that hold them, are the columns ``title`` and a number.
    """

    title: str
    columns: tuple[str, ...]
    over: str
    heaviest: int | None = None

    @property
    def width(self) -> int:
        """Bits of one count."""
        return BITS if self.heaviest is None else min(max(self.heaviest.bit_length(), 1), BITS)

    @property
    def per_word(self) -> int:
        """Counts in one integer."""
        return BITS // self.width

    def sums(self) -> list[str]:
        """Return the columns."""
        if self.per_word == 1:
            return [
                f"COUNT({column}) {self.over} AS {self.title}{place}"
                for place, column in enumerate(self.columns)
            ]
        words: dict[int, list[str]] = {}
        for place, column in enumerate(self.columns):
            term = f"CASE WHEN {column} IS NULL THEN 0 ELSE {1 << self._shift(place)} END"
            words.setdefault(place // self.per_word, []).append(term)
        return [
            f"CAST(COALESCE(SUM({' + '.join(terms)}) {self.over}, 0) AS BIGINT)"
            f" AS {self.title}{word}"
            for word, terms in words.items()
        ]

    def read(self, column: str) -> str:
        """Return the count of one column, over rows that have `sums`."""
        place = self.columns.index(column)
        word = f"{self.title}{place // self.per_word}"
        if self.per_word == 1:
            return word
        return f"({word} >> {self._shift(place)}) & {(1 << self.width) - 1}"

    def _shift(self, place: int) -> int:
        return place % self.per_word * self.width
