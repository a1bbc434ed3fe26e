"""Contributions from the arrays are XGBoost's own, whatever the trees and the row."""

import json
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from prospect_pipeline.encoder import Encoder
from prospect_pipeline.scoring import Calibration, ScoringModel
from prospect_pipeline.trees import Paths, Tree, as_json, leaves
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
    split = np.float32(booster.trees_to_dataframe()["Split"].iloc[0])
    just_below = np.nextafter(np.float64(split), 0)

    assert np.float32(just_below) == split
    assert by_paths(booster, np.array([just_below]))[0] > 0
    assert by_paths(booster, np.array([float(np.nextafter(split, np.float32(0)))]))[0] < 0


def test_a_split_that_no_row_of_its_training_reached_is_read() -> None:
    written = json.loads(as_json(trained(0, 3)))["learner"]["gradient_booster"]["model"]["trees"]
    for tree in written:
        tree["sum_hessian"] = [0.0] * len(tree["sum_hessian"])
    rows, _ = table(1)

    paths = Paths([Tree(list(leaves(tree))) for tree in written], len(KINDS))

    assert np.isfinite([paths.contributions(row) for row in rows]).all()


def inverted(tree: dict[str, Any]) -> None:
    tree["default_left"] = [1 - way for way in tree["default_left"]]


def shifted(tree: dict[str, Any]) -> None:
    tree["categories"] = [category + (category > 0) for category in tree["categories"]]


def doubled(tree: dict[str, Any]) -> None:
    inner = [child >= 0 for child in tree["left_children"]]
    tree["split_conditions"] = [
        split * 2 if is_inner else split
        for split, is_inner in zip(tree["split_conditions"], inner, strict=True)
    ]


def renamed(tree: dict[str, Any]) -> None:
    tree["cover"] = tree.pop("sum_hessian")


def cut(tree: dict[str, Any]) -> None:
    tree["split_indices"] = tree["split_indices"][:1]


@pytest.mark.parametrize("change", [inverted, shifted, doubled, renamed, cut])
def test_trees_that_are_written_in_another_way_are_left_to_xgboost(
    change: Callable[[dict[str, Any]], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    booster = trained(0, 30, max_depth=4, max_cat_to_onehot=1)
    written = json.loads(as_json(booster))
    for tree in written["learner"]["gradient_booster"]["model"]["trees"]:
        change(tree)
    monkeypatch.setattr("prospect_pipeline.trees.as_json", lambda _: json.dumps(written))

    assert Paths.of(booster, len(KINDS)) is None
    assert "Reasons come from XGBoost itself" in caplog.text


@pytest.fixture
def explained() -> ScoringModel:
    known = drawn(300, seed=0)
    encoder = Encoder.fit(known)
    params = {"objective": "binary:logistic", "nthread": 1}
    booster = xgboost.train(params, matrix(encoder, known, known["label"]), 10)
    return ScoringModel(booster, encoder, Calibration(0.7, -0.4))


def test_once_the_trees_are_read_reasons_do_without_xgboost(
    explained: ScoringModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = columns(num_pricing_views_l7d=4, first_mkt_medium_l30d="paid")
    by_hand = explained.contributions(explained.encoder.encode_one(row))[0, :-1]
    first = explained.explain_one(columns())
    monkeypatch.setattr(xgboost, "DMatrix", None)

    told = dict(explained.explain_one(row))

    assert dict(first) != told
    assert [told[name] for name in explained.encoder.columns] == pytest.approx(by_hand, abs=1e-5)


@pytest.mark.filterwarnings("ignore")  # later versions deprecate it
def test_a_booster_whose_trees_are_weighted_is_explained_by_xgboost(
    explained: ScoringModel,
) -> None:
    known = drawn(300, seed=0)
    params = {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.5, "nthread": 1}
    booster = xgboost.train(params, matrix(explained.encoder, known, known["label"]), 10)
    model, row = ScoringModel(booster, explained.encoder), columns(num_pricing_views_l7d=4)

    told = model.explain_one(row)

    assert Paths.of(booster, len(model.encoder.names)) is None
    by_hand = model.contributions(model.encoder.encode_one(row))[0, :-1]
    assert dict(told) == dict(zip(model.encoder.columns, by_hand.tolist(), strict=True))


def test_what_xgboost_keeps_of_a_text_goes_with_the_thread_that_asked() -> None:
    booster, asked_by = trained(0, 1), set[int]()

    class Watched(xgboost.Booster):
        def save_raw(self, raw_format: str = "ubj") -> bytearray:
            asked_by.add(threading.get_ident())
            return booster.save_raw(raw_format)

    assert json.loads(as_json(Watched()))
    assert threading.get_ident() not in asked_by
    assert len(asked_by) == 1
