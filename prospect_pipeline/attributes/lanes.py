"""Several running counts in one integer, side by side, like the lanes of a road.

A running count costs a window function, and on DuckDB window functions are most of what a training
set costs. Where it is known how many events a visitor has at most, one sum carries as many counts
as fit into a word of 126 bits. Without that bound every count is its own column, and reads like
one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

HALF = 63
"""A word is two halves: an integer of 128 bits adds as fast as one of 64, but reads slower."""


@dataclass(frozen=True)
class Lanes:
    """How often each of ``flags`` is not null, over any frame; never more than ``heaviest``.

    Three queries, one over the other: `words` are columns beside the flags, `sums` are columns over
    the words (``title`` tells one frame's from another's), and `counts` are columns over the sums.
    """

    flags: tuple[str, ...]
    heaviest: int | None = None
    word: str = "w"

    @property
    def packed(self) -> bool:
        """Whether there are words; otherwise `sums` are over the flags."""
        return self.heaviest is not None and bool(self.flags)

    @property
    def width(self) -> int:
        """Bits of one count."""
        return min(max((self.heaviest or 0).bit_length(), 1), HALF)

    def words(self) -> list[str]:
        """Return the words, each with one bit for every flag that is not null."""
        terms: dict[int, list[str]] = {}
        for flag in self.flags if self.packed else ():
            word, half, shift = self._place(flag)
            bit = 1 << half * HALF + shift
            term = f"CASE WHEN {flag} IS NULL THEN 0 ELSE {bit} END"
            terms.setdefault(word, []).append(term)
        return [f"{' + '.join(added)} AS {self.word}{word}" for word, added in terms.items()]

    def sums(self, title: str, over: str, flags: Iterable[str]) -> list[str]:
        """Return what holds the counts of some of the flags over a frame."""
        if not self.packed:
            return [f"COUNT({flag}) {over} AS {title}_{flag}" for flag in flags]
        words = sorted({self._place(flag)[0] for flag in flags})
        return [f"SUM({self.word}{word}) {over} AS {title}_{self.word}{word}" for word in words]

    def halves(self, title: str, flags: Iterable[str]) -> list[str]:
        """Return the halves of the sums' words, which are null over an empty frame."""
        halves = sorted({self._place(flag)[:2] for flag in flags}) if self.packed else []
        return [
            f"CAST(COALESCE({total} {cut}, 0) AS BIGINT) AS {total}_{half}"
            for word, half in halves
            for total in [f"{title}_{self.word}{word}"]
            for cut in [f">> {HALF}" if half else f"& {(1 << HALF) - 1}"]
        ]

    def count(self, title: str, flag: str) -> str:
        """Return the count of one flag, over `halves`."""
        if not self.packed:
            return f"{title}_{flag}"
        word, half, shift = self._place(flag)
        return f"({title}_{self.word}{word}_{half} >> {shift}) & {(1 << self.width) - 1}"

    def _place(self, flag: str) -> tuple[int, int, int]:
        """Return a flag's word, its half of the word, and its first bit there."""
        half, lane = divmod(self.flags.index(flag), HALF // self.width)
        return half // 2, half % 2, lane * self.width
