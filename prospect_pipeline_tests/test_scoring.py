"""A score is the booster's own probability, however the row is given."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost

from prospect_pipeline.encoder import Encoder
from prospect_pipeline.errors import InputError
from prospect_pipeline.features import COLUMNS, FEATURES
from prospect_pipeline.scoring import EPSILON, ScoringModel

TEXTS = [feature.name for feature in FEATURES if feature.kind == "text"]


def columns(**changed: Any) -> dict[str, Any]:
    """The model's columns, on a Monday, of somebody who did nothing."""
    nothing: dict[str, Any] = {name: "" if name in TEXTS else 0 for name in COLUMNS}
    return nothing | {"day_of_week": 1} | changed


def drawn(rows: int, seed: int) -> pd.DataFrame:
    """Rows whose label follows from the pricing views and the medium; the rest is noise."""
    random = np.random.default_rng(seed)
    made = pd.DataFrame(
        {
            name: random.choice(["", "search", "paid"], rows)
            if name in TEXTS
            else random.integers(1, 5, rows) - (name != "day_of_week")
            for name in COLUMNS
        }
    )
    margin = 2.0 * made["num_pricing_views_l7d"] + 2.0 * (made["first_mkt_medium_l30d"] == "paid")
    return made.assign(label=(margin + random.logistic(size=rows) > 4.5).astype(int))


def matrix(encoder: Encoder, frame: pd.DataFrame, label: Any = None) -> xgboost.DMatrix:
    return xgboost.DMatrix(
        encoder.encode(frame),
        label=label,
        feature_names=encoder.names,
        feature_types=encoder.types,
        enable_categorical=True,
        nthread=1,
    )


@pytest.fixture(scope="module")
def model() -> ScoringModel:
    known = drawn(600, seed=0)
    encoder = Encoder.fit(known)
    params = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.2, "nthread": 1}
    booster = xgboost.train(params, matrix(encoder, known, known["label"]), num_boost_round=40)
    return ScoringModel(booster, encoder)


@pytest.fixture
def later() -> pd.DataFrame:
    return drawn(200, seed=1)


def test_a_score_is_the_boosters_own_prediction(model: ScoringModel, later: pd.DataFrame) -> None:
    own = model.booster.predict(matrix(model.encoder, later))

    assert model.score(later) == pytest.approx(own, abs=1e-6)


def test_one_row_at_a_time_scores_as_all_at_once(model: ScoringModel, later: pd.DataFrame) -> None:
    rows = later[list(COLUMNS)].head(40)

    one_by_one = [model.score_one(row) for row in rows.to_dict("records")]

    assert one_by_one == model.score(rows).tolist()


def test_other_columns_and_their_order_do_not_matter(
    model: ScoringModel, later: pd.DataFrame
) -> None:
    backwards = later[[*reversed(later.columns)]].assign(extra="x")

    assert np.array_equal(model.score(backwards), model.score(later))


def test_a_category_never_seen_is_scored(model: ScoringModel) -> None:
    strange = columns(latest_app_id="never seen", first_mkt_medium_l30d="nor this")
    alone = pd.DataFrame([strange])

    score = model.score_one(strange)

    assert 0 < score < 1
    assert score == model.score(alone)[0]
    assert score == pytest.approx(model.booster.predict(matrix(model.encoder, alone))[0], abs=1e-6)


def test_who_looks_at_prices_is_scored_above_who_did_nothing(model: ScoringModel) -> None:
    eager = columns(num_pricing_views_l7d=4, first_mkt_medium_l30d="paid")

    assert model.score_one(columns()) < 0.2 < 0.6 < model.score_one(eager)


def test_an_explanation_adds_up_with_the_base_value_to_the_margin(
    model: ScoringModel, later: pd.DataFrame
) -> None:
    rows = later[list(COLUMNS)].head(10)
    margins = model.booster.predict(matrix(model.encoder, rows), output_margin=True)

    for row, margin in zip(rows.to_dict("records"), margins, strict=True):
        base = model.contributions(model.encoder.encode_one(row))[0, -1]
        parts = sum(part for _, part in model.explain_one(row))
        assert base + parts == pytest.approx(margin, abs=1e-4)


def test_an_explanation_has_every_column_largest_first(model: ScoringModel) -> None:
    explained = model.explain_one(columns(num_pricing_views_l7d=4))

    sizes = [abs(part) for _, part in explained]
    assert sorted(name for name, _ in explained) == sorted(COLUMNS)
    assert sizes == sorted(sizes, reverse=True)
    assert explained[0][0] == "num_pricing_views_l7d"
    assert explained[0][1] > 0


def test_a_score_is_never_a_certainty() -> None:
    two = pd.DataFrame([columns(num_apps_l7d=n) for n in (0, 1)])
    encoder = Encoder.fit(two)
    certain = {"objective": "binary:logistic", "eta": 1, "lambda": 0, "min_child_weight": 0}
    booster = xgboost.train(
        certain | {"base_score": 0.5, "nthread": 1},
        matrix(encoder, two, two["num_apps_l7d"]),
        num_boost_round=60,
    )

    scores = ScoringModel(booster, encoder).score(two)

    assert scores.tolist() == [EPSILON, 1 - EPSILON]


def test_a_model_read_back_scores_the_same(model: ScoringModel, later: pd.DataFrame) -> None:
    booster = xgboost.Booster()
    booster.load_model(model.booster.save_raw("ubj"))

    again = ScoringModel(booster, Encoder.from_dict(model.encoder.to_dict()))

    assert np.array_equal(again.score(later), model.score(later))


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("odd", [None, float("nan"), float("inf"), -float("inf"), 1e300])
def test_a_null_or_a_number_without_bounds_is_scored_as_missing(
    model: ScoringModel, name: str, odd: Any
) -> None:
    row = columns(**{name: None if name in TEXTS else odd})
    alone = pd.DataFrame([row])

    score = model.score_one(row)

    assert 0 < score < 1
    assert score == model.score(alone)[0] == model.score_one(row | {name: np.nan})
    assert all(np.isfinite(part) for _, part in model.explain_one(row))


def test_columns_that_are_all_null_are_scored(model: ScoringModel) -> None:
    nothing = pd.DataFrame([dict.fromkeys(COLUMNS)] * 2)

    assert ((model.score(nothing) > 0) & (model.score(nothing) < 1)).all()


def test_no_rows_have_no_scores(model: ScoringModel, later: pd.DataFrame) -> None:
    assert model.score(later.head(0)).shape == (0,)


def test_a_frame_that_the_model_cannot_read_is_refused_in_words(
    model: ScoringModel, later: pd.DataFrame
) -> None:
    with pytest.raises(InputError, match=r"lacks the model's column\(s\) num_apps_l7d;"):
        model.score(later.drop(columns="num_apps_l7d"))
    with pytest.raises(InputError, match=r"num_apps_l7d \(found string, expected numbers\)"):
        model.score(later.assign(num_apps_l7d="two"))
