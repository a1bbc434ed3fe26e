"""Two versions are compared on visitors whom neither has learnt from, where there are enough."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from prospect_pipeline.training.bootstrap import Draws
from prospect_pipeline.training.comparison import judges, worse_by
from prospect_pipeline_tests.training import START, anchor, frame

NOON = START.replace(tzinfo=UTC) + timedelta(hours=12)
TEST = frame(
    anchor("old", 60, 1), anchor("old", 1000, 1), anchor("edge", 720, 1),
    anchor("new", 721, 0), anchor("new", 900, 1), anchor("last", 800, 0),
)  # fmt: skip


def test_visitors_first_seen_later_are_judges_and_said_to_be_so_many() -> None:
    found = judges(TEST, "7", NOON, least=1)

    assert found.rows.tolist() == [False, False, False, True, True, True]
    assert found.words == (
        "2 of 4 test visitors (first seen after all whom version 7 has learnt from)"
    )


def test_where_all_came_later_all_judge_however_few_convert() -> None:
    found = judges(TEST, "7", NOON - timedelta(days=1), least=50)

    assert found.rows.all()
    assert found.words.startswith("4 of 4 test visitors (first seen after all whom version 7")


@pytest.mark.parametrize(
    ("until", "why"),
    [
        (NOON, "of 2 first seen after all whom version 7 has learnt from 1 convert, 2 expected; "
               "the others flatter it"),
        (None, "it is not known whom version 7 has learnt from"),
    ],
)  # fmt: skip
def test_where_too_few_remain_all_judge_and_the_words_say_why(
    until: datetime | None, why: str
) -> None:
    found = judges(TEST, "7", until, least=2)

    assert found.rows.all()
    assert found.words == f"all 4 test visitors ({why})"


def test_the_difference_is_that_of_the_chosen_rows_as_a_share_of_the_champions() -> None:
    labels = np.tile([1, 0], 40)
    scored = pd.DataFrame({
        "domain_userid": [f"v{n // 2}" for n in range(80)],
        "label": labels,
        "model": np.where(labels == 1, 0.6, 0.4),
    })  # fmt: skip
    rows = np.arange(80) >= 40
    champion = np.where(rows, np.where(labels == 1, 0.5, 0.5), scored["model"])
    draws = Draws(scored["domain_userid"], np.ones(80), seed=0, draws=50)

    some = worse_by(scored, champion, draws, rows)
    same = worse_by(scored, champion, draws, ~rows)

    expected = np.log(0.6) / np.log(0.5) - 1
    assert (some.value, some.low, some.high) == pytest.approx((expected, expected, expected))
    assert (same.value, same.low, same.high) == (0, 0, 0)
