"""Contributions from the arrays are XGBoost's own, whatever the trees and the row."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from prospect_pipeline.encoder import Encoder
from prospect_pipeline.scoring import ScoringModel
from prospect_pipeline.trees import Paths
from prospect_pipeline_tests.test_scoring import columns, drawn, matrix

KINDS = ["q", "q", "q", "c", "c"]
CATEGORIES = 9

Matrix = npt.NDArray[np.float64]


def table(seed: int, rows: int = 120) -> tuple[Matrix, Matrix]:
    """Three numbers and two categories, a tenth of them missing, and a label."""
    random = np.random.default_rng(seed)
    numbers = random.integers(-3, 6, (rows, 3)) / 2
    made = np.hstack([numbers, random.integers(0, CATEGORIES, (rows, 2)).astype(float)])
    margin = made[:, 0] - made[:, 1] * made[:, 2] + np.where(made[:, 3] % 3 == 1, 2, -1)
    label = (margin + random.logistic(size=rows) > 0).astype(float)
    made[random.random(made.shape) < 0.1] = np.nan
    return made, label


def trained(seed: int, rounds: int, **params: Any) -> xgboost.Booster:
    made, label = table(seed)
    data = xgboost.DMatrix(made, label, feature_types=KINDS, enable_categorical=True, nthread=1)
    common = {"objective": "binary:logistic", "nthread": 1, "seed": seed}
    return xgboost.train(common | params, data, rounds)


def by_xgboost(booster: xgboost.Booster, row: Matrix) -> Matrix:
    data = xgboost.DMatrix(row[None], feature_types=KINDS, enable_categorical=True, nthread=1)
    found: Matrix = booster.predict(data, pred_contribs=True)[0, :-1]
    return found


def by_paths(booster: xgboost.Booster, row: Matrix) -> Matrix:
    paths = Paths.of(booster, len(row))
    assert paths is not None
    return paths.contributions(row)


numbers = st.one_of(
    st.integers(-5, 8).map(lambda n: n / 4), st.floats(-(2.0**60), 2.0**60, width=32)
)
categories = st.integers(0, CATEGORIES + 3).map(float)
missing = st.just(float("nan"))
rows = st.tuples(
    *[st.one_of(numbers if kind == "q" else categories, missing) for kind in KINDS]
).map(np.array)


@given(
    rows=st.lists(rows, min_size=1, max_size=4),
    seed=st.integers(0, 50),
    rounds=st.integers(0, 12),
    max_depth=st.integers(1, 7),
    max_cat_to_onehot=st.sampled_from([1, 5, 100]),
    min_child_weight=st.sampled_from([0.0, 1.0, 5.0]),
    learning_rate=st.sampled_from([0.1, 1.0]),
    num_parallel_tree=st.sampled_from([1, 3]),
)
def test_each_contribution_is_xgboosts_own(
    rows: list[Matrix], seed: int, rounds: int, **params: Any
) -> None:
    booster = trained(seed, rounds, subsample=0.7, **params)

    for row in rows:
        np.testing.assert_allclose(
            by_paths(booster, row), by_xgboost(booster, row), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("gamma", [0, 1e9])
def test_trees_with_and_without_splits_are_read(gamma: float) -> None:
    booster = trained(0, 3, gamma=gamma)
    row = table(1)[0][0]

    found = by_paths(booster, row)

    assert found.shape == (len(KINDS),)
    assert found.any() == (gamma == 0)


def test_a_split_is_met_in_single_precision() -> None:
    made = np.array([[0.1], [0.1], [0.3], [0.3]] * 10)
    data = xgboost.DMatrix(made, made[:, 0] > 0.2, nthread=1)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, 1)
    threshold = float(booster.trees_to_dataframe()["Split"].iloc[0])

    for number in (threshold, np.nextafter(threshold, 0), np.nextafter(np.float32(threshold), 0)):
        row = np.array([float(number)])
        own = booster.predict(xgboost.DMatrix(row[None], nthread=1), pred_contribs=True)[0, :-1]
        np.testing.assert_allclose(by_paths(booster, row), own, rtol=1e-5)


@pytest.mark.filterwarnings("ignore")  # later versions deprecate it
def test_a_booster_whose_trees_are_weighted_is_explained_by_xgboost() -> None:
    known = drawn(300, seed=0)
    encoder = Encoder.fit(known)
    params = {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.5, "nthread": 1}
    booster = xgboost.train(params, matrix(encoder, known, known["label"]), 10)
    model, row = ScoringModel(booster, encoder), columns(num_pricing_views_l7d=4)

    told = model.explain_one(row)

    assert Paths.of(booster, len(encoder.names)) is None
    by_hand = model.contributions(encoder.encode_one(row))[0, :-1]
    assert dict(told) == dict(zip(encoder.columns, by_hand.tolist(), strict=True))
