"""Several running counts in one integer are the counts one by one."""

import duckdb
import pytest

from prospect_pipeline.attributes.lanes import Lanes

FLAGS = tuple(f"f{n}" for n in range(9))
SO_FAR = "OVER (ORDER BY i RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
BEFORE = "OVER (ORDER BY i RANGE BETWEEN UNBOUNDED PRECEDING AND 3 PRECEDING)"
ROWS = [tuple((n * step) % 7 % 3 == 0 for step in range(1, 10)) for n in range(50)]


def counted(lanes: Lanes, over: str, flags: tuple[str, ...]) -> list[tuple[int, ...]]:
    rows = ", ".join(
        f"({i}, {', '.join('1' if flag else 'NULL' for flag in row)})" for i, row in enumerate(ROWS)
    )
    query = f"SELECT * FROM (VALUES {rows}) AS given(i, {', '.join(FLAGS)})"
    for columns in (lanes.words(), lanes.sums("s", over, flags), lanes.halves("s", flags)):
        query = f"SELECT {', '.join(['*', *columns])} FROM ({query})"
    read = ", ".join(lanes.count("s", flag) for flag in flags)
    return duckdb.connect().execute(f"SELECT {read} FROM ({query}) ORDER BY i").fetchall()


@pytest.mark.parametrize(
    ("heaviest", "words"),
    [(None, 0), (50, 1), (1_000, 1), (2**15 - 1, 2), (2**32 - 1, 5), (2**63 - 1, 5)],
)
def test_counts_are_the_same_in_any_number_of_words(heaviest: int | None, words: int) -> None:
    lanes = Lanes(FLAGS, heaviest)
    so_far = [
        tuple(sum(row[n] for row in ROWS[: i + 1]) for n in range(9)) for i in range(len(ROWS))
    ]
    before = [
        tuple(sum(row[n] for row in ROWS[: max(i - 2, 0)]) for n in (2, 7))
        for i in range(len(ROWS))
    ]

    assert len(lanes.words()) == words
    assert counted(lanes, SO_FAR, FLAGS) == so_far
    assert counted(lanes, BEFORE, ("f2", "f7")) == before


def test_a_count_may_reach_the_most_that_is_promised_without_touching_its_neighbours() -> None:
    lanes = Lanes(("a", "b", "c"), heaviest=7)
    [word] = lanes.words()
    query = f"SELECT {word} FROM (SELECT 1 AS a, NULL AS b, 1 AS c FROM RANGE(7))"
    for columns in (lanes.sums("s", "", lanes.flags), lanes.halves("s", lanes.flags)):
        query = f"SELECT {', '.join(columns)} FROM ({query})"
    read = ", ".join(lanes.count("s", flag) for flag in lanes.flags)

    assert duckdb.connect().execute(f"SELECT {read} FROM ({query})").fetchall() == [(7, 0, 7)]
