"""The threshold is what its rule asks for, on the rows that it was chosen on."""

from datetime import UTC, datetime, timedelta
from math import comb

import numpy as np
import pandas as pd
import pytest

from prospect_pipeline.errors import SettingsError, TrainingError
from prospect_pipeline.training.threshold import Rule, Threshold, choose

DAY = datetime(2026, 5, 1, tzinfo=UTC)
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
HELD = pd.DataFrame(
    {
        "domain_userid": list("abcdef"),
        "anchor_ts": [DAY + timedelta(hours=10 * n) for n in range(6)],
        "label": [1, 0, 1, 1, 0, 0],
    }
)


def chosen(text: str) -> Threshold:
    return choose(Rule.parse(text), HELD, SCORES, np.ones(6))


@pytest.mark.parametrize(
    ("rule", "value", "why"),
    [
        ("f1", 0.6, "the highest F1 of the held-out rows, 0.857"),
        ("f0.5", 0.6, "the highest F0.5 of the held-out rows, 0.789"),
        ("precision=0.7", 0.6, "finds 100.0% of the held-out positives at a precision of 0.7"),
        ("precision=0.9", 0.9, "finds 33.3% of the held-out positives at a precision of 0.9"),
        ("value=200,cost=5", 0.025, "an action of 5 pays where the score is above 5 / 200"),
    ],
)
def test_each_rule_finds_its_threshold(rule: str, value: float, why: str) -> None:
    found = chosen(rule)

    assert found.value == pytest.approx(value)
    assert found.rule == rule
    assert found.why == why


def test_a_precision_out_of_reach_gives_the_best_and_says_so() -> None:
    held = HELD.assign(label=[0, 1, 0, 0, 1, 0])

    found = choose(Rule.parse("precision=0.9"), held, SCORES, np.ones(6))

    assert found.value == 0.8
    assert found.why.startswith("no threshold reaches a precision of 0.9")


def test_capacity_counts_visitors_a_day() -> None:
    found = chosen("capacity=1")  # two days and two hours

    assert (found.value > SCORES).tolist() == [False, False, True, True, True, True]
    assert found.why == "calls 1.0 new visitors a day of 2.9"
    assert chosen("capacity=100").value == 0


def test_visitors_of_one_score_are_called_together_or_not_at_all() -> None:
    found = choose(Rule.parse("capacity=1"), HELD, np.full(6, 0.5), np.ones(6))

    assert found.value > 0.5


def test_capacity_is_not_counted_among_rows_that_stand_for_others() -> None:
    weights = np.array([1.0, 10, 1, 1, 10, 10])

    with pytest.raises(TrainingError, match="'capacity=1', which counts visitors by their best"):
        choose(Rule.parse("capacity=1"), HELD, SCORES, weights)

    assert choose(Rule.parse("precision=0.7"), HELD, SCORES, weights).value == 0.9


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_no_weight_counts_visitors_by_sampled_rows_but_one_past_use(rate: float, rows: int) -> None:
    kept = np.arange(rows + 1)
    chance = np.array([comb(rows, k) * rate**k * (1 - rate) ** (rows - k) for k in kept])
    counted = 1 - (1 - 1 / rate) ** kept  # what the rule's reasoning says is unbiased

    assert chance @ counted == pytest.approx(1)
    spread = chance @ counted**2 - 1
    assert spread == pytest.approx(((1 - rate) / rate) ** rows)


@pytest.mark.parametrize(
    "text", ["", "f0", "f", "precision=1.5", "precision=0", "value=5,cost=5", "best", "capacity=0"]
)
def test_what_is_no_rule_says_what_is(text: str) -> None:
    with pytest.raises(SettingsError, match="is no rule for the threshold; expected f1"):
        Rule.parse(text)
