"""The split is by visitor and forward in time, and purges labels that were not yet known."""

import json
from datetime import UTC, timedelta
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect_pipeline.errors import TrainingError
from prospect_pipeline.training.split import PARTS, Split, split
from prospect_pipeline_tests.training import HOUR, START, anchor, frame

QUARTERS = (0.25, 0.25, 0.25, 0.25)
DAY = 24 * 60


def both(visitor: str, minutes: float) -> list[dict[str, Any]]:
    """A row of each class, a minute apart."""
    return [anchor(visitor, minutes, 0), anchor(visitor, minutes + 1, 1)]


def ids(made: Split) -> dict[str, list[str]]:
    return {name: part["event_id"].tolist() for name, part in made.parts().items()}


def test_each_part_has_the_rows_of_its_visitors() -> None:
    twenty = frame(*[row for n in range(20) for row in both(f"v{n:02}", n * DAY)])

    made = split(twenty, HOUR)

    assert list(made.parts()) == ["train", "validation", "calibration", "test"]
    assert made.train.equals(twenty.iloc[:22])
    assert made.validation.equals(twenty.iloc[22:28])
    assert made.calibration.equals(twenty.iloc[28:32])
    assert made.test.equals(twenty.iloc[32:])
    assert made.known.equals(twenty.iloc[:28])
    assert set(made.purged.values()) == {0}


def test_visitors_are_ordered_by_their_first_anchor_and_not_by_name_or_row() -> None:
    rows = [*both("a", 2 * DAY), *both("b", 0), *both("c", DAY), *both("d", 3 * DAY)]
    made = split(frame(*rows), HOUR, QUARTERS)

    assert ids(made) == {
        "train": ["b-0", "b-1"],
        "validation": [f"c-{DAY}", f"c-{DAY + 1}"],
        "calibration": [f"a-{2 * DAY}", f"a-{2 * DAY + 1}"],
        "test": [f"d-{3 * DAY}", f"d-{3 * DAY + 1}"],
    }


def test_it_has_learnt_until_the_last_visitor_that_training_or_calibration_used() -> None:
    rows = [*both("a", 0), *both("b", DAY), *both("c", 2 * DAY), *both("d", 3 * DAY)]
    returning = [anchor("c", 2 * DAY + 600, 1), anchor("a", 5 * DAY, 1)]

    made = split(frame(*rows, *returning), HOUR, QUARTERS)

    assert made.learnt_until == (START + timedelta(days=2)).replace(tzinfo=UTC)
    assert set(made.calibration["domain_userid"]) == {"c"}


def test_a_label_known_at_the_next_parts_first_anchor_is_kept_and_a_later_one_purged() -> None:
    tight = frame(
        *both("v1", 0),
        anchor("v1", DAY - 60, 1),
        anchor("v1", DAY - 59, 1),
        anchor("v1", 5 * DAY, 0),
        *both("v2", DAY),
        anchor("v2", 2 * DAY - 60, 0),
        anchor("v2", 2 * DAY - 60 + 1 / 60, 0),
        *both("v3", 2 * DAY),
        *both("v4", 3 * DAY),
        anchor("v4", 9 * DAY, 0),
    )

    made = split(tight, HOUR, QUARTERS)

    assert ids(made) == {
        "train": ["v1-0", "v1-1", f"v1-{DAY - 60}"],
        "validation": [f"v2-{DAY}", f"v2-{DAY + 1}", f"v2-{2 * DAY - 60}"],
        "calibration": [f"v3-{2 * DAY}", f"v3-{2 * DAY + 1}"],
        "test": [f"v4-{3 * DAY}", f"v4-{3 * DAY + 1}", f"v4-{9 * DAY}"],
    }
    assert made.purged == {"train": 2, "validation": 1, "calibration": 0, "test": 0}
    assert made.known["event_id"].tolist() == [
        "v1-0", "v1-1", f"v1-{DAY - 60}", f"v1-{DAY - 59}",
        f"v2-{DAY}", f"v2-{DAY + 1}", f"v2-{2 * DAY - 60}",
    ]  # fmt: skip


def test_a_longer_horizon_purges_more() -> None:
    rows = [*both("v1", 0), anchor("v1", DAY - 120, 1)]
    rows += [row for n in (2, 3, 4) for row in both(f"v{n}", (n - 1) * DAY)]

    assert split(frame(*rows), 2 * HOUR, QUARTERS).purged["train"] == 0
    assert split(frame(*rows), 2.5 * HOUR, QUARTERS).purged["train"] == 1


@settings(max_examples=30)
@given(
    firsts=st.lists(st.integers(0, 300), min_size=10, max_size=13, unique=True),
    extras=st.lists(st.tuples(st.integers(0, 8), st.integers(1, 9000)), max_size=20),
    shuffled=st.randoms(use_true_random=False),
)
def test_no_visitor_is_on_two_sides_and_later_parts_begin_after_earlier_labels_are_known(
    firsts: list[int], extras: list[tuple[int, int]], shuffled: Any
) -> None:
    rows = [row for n, first in enumerate(firsts) for row in both(f"v{n}", first * 90)]
    rows += [anchor(f"v{n}", firsts[n] * 90 + 1 + after, 0) for n, after in extras]
    shuffled.shuffle(rows)
    everything = frame(*rows)

    made = split(everything, HOUR)

    first = everything.groupby("domain_userid")["anchor_ts"].min()
    sides = [set(part["domain_userid"]) for part in made.parts().values()]
    assert sum(map(len, sides)) == len(set.union(*sides)) == len(firsts)
    for earlier, later in pairwise(sides):
        assert first[list(earlier)].max() < first[list(later)].min()
    for name, later in zip(PARTS, sides[1:], strict=False):
        known = made.parts()[name]["anchor_ts"].max() + HOUR
        assert known <= first[list(later)].min()
    kept = sum(len(part) for part in made.parts().values())
    assert kept + sum(made.purged.values()) == len(everything)


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("label", [0, 1])
def test_a_part_with_one_class_is_refused_by_name(name: str, label: int) -> None:
    rows = [row for n in range(4) for row in both(f"v{n}", n * DAY)]
    made = frame(*rows)
    made.loc[made["domain_userid"] == f"v{PARTS.index(name)}", "label"] = label

    with pytest.raises(TrainingError) as raised:
        split(made, HOUR, QUARTERS)

    assert str(raised.value) == (
        f"The {name} part has 2 rows, {2 * label} of them positive (0 purged); each part needs "
        "both classes. Take in more visitors (--cohort), or a longer span of events."
    )


def test_a_part_purged_to_one_class_is_refused_with_how_many_were_purged() -> None:
    rows = [anchor("v1", 0, 0), anchor("v1", DAY - 1, 1)]
    rows += [row for n in (2, 3, 4) for row in both(f"v{n}", (n - 1) * DAY)]

    with pytest.raises(TrainingError, match=r"train part has 1 rows, 0 .* \(1 purged\)"):
        split(frame(*rows), HOUR, QUARTERS)


def test_too_few_visitors_for_the_parts_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"^The validation part has 0 rows"):
        split(frame(*both("v1", 0), *both("v2", DAY)), HOUR)


def test_the_facts_have_a_line_for_each_part() -> None:
    rows = [*both("v1", 0), anchor("v1", DAY, 0)]
    rows += [row for n in (2, 3, 4) for row in both(f"v{n}", (n - 1) * DAY)]

    facts = split(frame(*rows), HOUR, QUARTERS).facts()

    assert [line["part"] for line in facts] == list(PARTS)
    assert facts[0] == {
        "part": "train",
        "visitors": 1,
        "converters": 1,
        "rows": 2,
        "positives": 1,
        "purged": 1,
        "first_anchor": START.isoformat(),
        "last_anchor": (START + pd.Timedelta(minutes=1)).isoformat(),
    }
    assert json.loads(json.dumps(facts)) == facts


@pytest.mark.parametrize(
    ("one", "other"),
    [("train", "test"), ("validation", "calibration"), ("known", "test"), ("train", "validation")],
)
def test_a_split_with_a_visitor_on_both_sides_cannot_be_made(one: str, other: str) -> None:
    made = split(frame(*[row for n in range(20) for row in both(f"v{n:02}", n * DAY)]), HOUR)
    parts = {**vars(made), other: pd.concat([getattr(made, other), getattr(made, one).head(1)])}

    with pytest.raises(TrainingError, match=r"^1 visitors are on two sides of the split"):
        Split(**parts)
