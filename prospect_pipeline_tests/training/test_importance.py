"""A column is worth what is lost without it."""

import numpy as np
import pytest

from prospect_pipeline.features import COLUMNS
from prospect_pipeline.training.importance import SHUFFLES, gain, permutation, spread_rows
from prospect_pipeline_tests.training import signal_model, signal_split


def shuffled(seed: int = 0, **constant: object) -> dict[str, list[float]]:
    test = signal_split().test
    labels = test["label"].to_numpy(float)
    model = signal_model().model
    return permutation(model, test.assign(**constant), labels, np.ones(len(test)), seed)


def test_the_columns_that_make_the_label_are_worth_most() -> None:
    assert set(list(shuffled())[:2]) == {"num_pricing_views_l7d", "first_mkt_medium_l30d"}
    assert set(list(gain(signal_model().model))[:2]) == {
        "num_pricing_views_l7d", "first_mkt_medium_l30d"
    }  # fmt: skip


def test_a_column_with_one_value_is_worth_nothing() -> None:
    found = shuffled(num_pricing_views_l7d=2)

    assert found["num_pricing_views_l7d"] == [0.0] * SHUFFLES


def test_every_column_is_shuffled_and_the_largest_comes_first() -> None:
    found = shuffled()
    means = [float(np.mean(rises)) for rises in found.values()]

    assert sorted(found) == sorted(COLUMNS)
    assert {len(rises) for rises in found.values()} == {SHUFFLES}
    assert means == sorted(means, reverse=True)


def test_the_same_seed_gives_the_same_shuffles() -> None:
    assert shuffled(seed=1) == shuffled(seed=1)
    assert shuffled(seed=1) != shuffled(seed=2)


def test_a_row_of_twice_the_weight_counts_as_two() -> None:
    test, model = signal_split().test.head(40), signal_model().model
    constant = test.assign(num_pricing_views_l7d=1)
    heavy = np.where(test["label"] == 1, 2.0, 1.0)

    found = permutation(model, constant, test["label"].to_numpy(float), heavy, seed=0)

    assert found["num_pricing_views_l7d"] == [0.0] * SHUFFLES
    assert any(abs(rise) > 0 for rise in found["first_mkt_medium_l30d"])


@pytest.mark.parametrize(("count", "most"), [(10, 3), (1000, 999), (5, 5), (2, 7), (1, 1)])
def test_rows_are_spread_from_the_first_to_the_last_and_never_too_many(
    count: int, most: int
) -> None:
    places = spread_rows(count, most).tolist()

    assert len(set(places)) == len(places) == min(count, most)
    assert places[0] == 0
    assert len(places) == 1 or places[-1] == count - 1
