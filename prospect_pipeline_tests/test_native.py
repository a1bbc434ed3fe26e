"""The C API, called directly, says what XGBoost's Python package says."""

import threading

import numpy as np
import numpy.typing as npt
import pytest
import xgboost
from xgboost.core import XGBoostError

from prospect_pipeline.native import margins
from prospect_pipeline_tests.test_trees import KINDS, table, trained

Matrix = npt.NDArray[np.float64]


def by_xgboost(booster: xgboost.Booster, matrix: Matrix) -> Matrix:
    data = xgboost.DMatrix(matrix, feature_types=KINDS, enable_categorical=True, nthread=1)
    found: Matrix = booster.predict(data, output_margin=True).astype(np.float64)
    return found


@pytest.mark.parametrize("rows", [0, 1, 2, 120])
def test_margins_are_xgboosts_own(rows: int) -> None:
    booster, matrix = trained(0, 20), table(1)[0][:rows]

    found = margins(booster, matrix)

    assert found.dtype == np.float64
    assert found.tolist() == (by_xgboost(booster, matrix).tolist() if rows else [])


def test_a_matrix_may_lie_in_memory_in_any_way() -> None:
    booster, matrix = trained(0, 20), table(1)[0]
    expected = margins(booster, matrix)

    for same in (np.asfortranarray(matrix), np.repeat(matrix, 2, axis=0)[::2]):
        assert np.array_equal(margins(booster, same), expected)


def test_what_was_found_stays_when_the_booster_is_asked_again() -> None:
    booster, matrix = trained(0, 20), table(1)[0]

    first = margins(booster, matrix[:1])
    kept = first.copy()
    margins(booster, matrix[1:2])

    assert np.array_equal(first, kept)


def test_threads_that_ask_at_once_get_their_own() -> None:
    booster, matrix = trained(0, 20), table(1)[0]
    expected = margins(booster, matrix)
    found: dict[int, Matrix] = {}

    def ask(part: int) -> None:
        own = matrix[part::4]
        found[part] = np.array([margins(booster, row[None])[0] for row in own])

    threads = [threading.Thread(target=ask, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(np.array_equal(found[part], expected[part::4]) for part in range(4))


def test_a_booster_that_is_not_trained_is_refused_in_xgboosts_words() -> None:
    with pytest.raises(XGBoostError, match="0 feature is supplied"):
        margins(xgboost.Booster({"nthread": 1}), table(1)[0])


def test_a_booster_of_several_numbers_a_row_is_refused() -> None:
    made, _ = table(0)
    data = xgboost.DMatrix(made, np.arange(len(made)) % 3, feature_types=KINDS, nthread=1)
    booster = xgboost.train({"objective": "multi:softprob", "num_class": 3, "nthread": 1}, data, 2)

    with pytest.raises(XGBoostError, match=r"shape \[120, 3\], expected \[120\]"):
        margins(booster, made)
