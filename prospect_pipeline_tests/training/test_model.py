"""The same frame and seed give the same model, and it learns what there is to learn."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from prospect_pipeline.encoder import Encoder
from prospect_pipeline.features import COLUMNS
from prospect_pipeline.training.dataset import NUMERICAL
from prospect_pipeline.training.model import (
    CATEGORICAL,
    MAX_ROUNDS,
    TUTORIAL_NUMERICAL,
    baselines,
    train,
    weights,
)
from prospect_pipeline.training.split import Split
from prospect_pipeline.training.threshold import Rule
from prospect_pipeline_tests.training import signal_model, signal_split

BASELINES = ["tutorial pipeline", "logistic regression", "viewed pricing", "base rate"]


def changed(made: Split, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Split:
    """The same split with other columns."""
    parts = made.parts() | {"known": made.known}
    return Split(**{name: change(part) for name, part in parts.items()}, purged=made.purged)


def weighted(made: Split, negative: float) -> Split:
    """The same split, where each negative stands for several."""
    return changed(
        made, lambda part: part.assign(weight=np.where(part["label"] == 1, 1.0, negative))
    )


def test_the_same_frame_and_seed_predict_the_same_bit_for_bit() -> None:
    test = signal_split().test

    again = train(signal_split(), seed=0)

    assert again.model.score(test).tobytes() == signal_model().model.score(test).tobytes()
    assert again.params == signal_model().params


def test_another_seed_gives_another_model() -> None:
    test = signal_split().test

    other = train(signal_split(), seed=1)

    assert not np.array_equal(other.model.score(test), signal_model().model.score(test))
    assert other.params["seed"] == 1


def test_the_test_parts_labels_do_not_matter() -> None:
    made = signal_split()
    flipped = dataclasses.replace(made, test=made.test.assign(label=1 - made.test["label"]))

    blind = train(flipped, seed=0)

    assert np.array_equal(blind.model.score(made.test), signal_model().model.score(made.test))


def test_the_model_beats_the_base_rate_on_a_signal() -> None:
    made = signal_split()
    base = baselines(made, seed=0)["base rate"]

    found = log_loss(made.test["label"], signal_model().model.score(made.test))

    assert found < 0.95 * log_loss(made.test["label"], base)


def test_only_the_rounds_up_to_the_best_one_are_kept() -> None:
    trained = signal_model()

    rounds = trained.params["rounds"]

    assert trained.model.booster.num_boosted_rounds() == rounds
    assert 1 < rounds < MAX_ROUNDS


def test_the_vocabulary_is_that_of_the_rows_it_learns_from() -> None:
    made = signal_split()
    later = made.calibration.assign(latest_app_id="only-later")

    trained = train(dataclasses.replace(made, calibration=later), seed=0)

    assert trained.model.encoder == Encoder.fit(made.known)
    assert trained.model.encoder.vocabulary["latest_app_id"] == ("", "a", "b")


def test_there_are_four_baselines_with_a_probability_for_each_test_row() -> None:
    made = signal_split()

    scores = baselines(made, seed=0)

    assert list(scores) == BASELINES
    for one in scores.values():
        assert one.shape == (len(made.test),)
        assert one.dtype == np.float64
        assert ((one >= 0) & (one <= 1)).all()


def test_the_base_rate_is_that_of_the_rows_the_model_learns_from() -> None:
    made = signal_split()
    known = made.known["label"]

    rate = baselines(made, seed=0)["base rate"]

    assert rate == pytest.approx(np.full(len(made.test), known.mean()), abs=1e-15)


def test_the_rule_knows_the_share_of_positives_with_and_without_a_look_at_pricing() -> None:
    made = signal_split()
    known, rate = made.known, made.known["label"].mean()
    seen = known[known["num_pricing_views_l7d"] > 0]["label"]
    not_seen = known[known["num_pricing_views_l7d"] == 0]["label"]

    scores = baselines(made, seed=0)["viewed pricing"]

    looked = (made.test["num_pricing_views_l7d"] > 0).to_numpy()
    assert scores[looked] == pytest.approx((seen.sum() + rate) / (len(seen) + 1))
    assert scores[~looked] == pytest.approx((not_seen.sum() + rate) / (len(not_seen) + 1))
    assert scores[looked].min() > scores[~looked].max()


@pytest.mark.parametrize("views", [0, 1])
def test_the_rule_is_no_certainty_where_nobody_or_everybody_looked(views: int) -> None:
    alike = changed(signal_split(), lambda part: part.assign(num_pricing_views_l7d=views))
    other = dataclasses.replace(alike, test=alike.test.assign(num_pricing_views_l7d=1 - views))

    rate = alike.known["label"].mean()

    assert baselines(alike, seed=0)["viewed pricing"] == pytest.approx(rate)
    assert baselines(other, seed=0)["viewed pricing"] == pytest.approx(rate)


def test_the_tutorials_pipeline_has_18_columns() -> None:
    used = [*TUTORIAL_NUMERICAL, *CATEGORICAL]

    assert len(used) == 18
    assert set(COLUMNS) - set(used) == {"had_conversions_l7d", "had_conversions_l30d"}
    assert sorted([*NUMERICAL, *CATEGORICAL]) == sorted(COLUMNS)


def test_conversions_tell_the_tutorials_pipeline_nothing() -> None:
    made = signal_split()
    told = changed(
        made,
        lambda part: part.assign(
            had_conversions_l7d=part["label"], had_conversions_l30d=part["label"]
        ),
    )

    before, after = baselines(made, seed=0), baselines(told, seed=0)

    assert np.array_equal(before["tutorial pipeline"], after["tutorial pipeline"])
    assert not np.allclose(before["logistic regression"], after["logistic regression"])


def test_a_category_of_the_test_part_alone_is_no_error_to_the_baselines() -> None:
    made = signal_split()
    strange = dataclasses.replace(made, test=made.test.assign(latest_app_id="never seen"))

    scores = baselines(strange, seed=0)

    assert all(np.isfinite(one).all() for one in scores.values())


def test_the_baselines_repeat_themselves() -> None:
    first, second = baselines(signal_split(), seed=0), baselines(signal_split(), seed=0)

    assert all(np.array_equal(first[name], second[name]) for name in BASELINES)


def test_negatives_that_stand_for_several_lower_every_score() -> None:
    heavy = weighted(signal_split(), 5.0)
    test = heavy.test

    trained, base = train(heavy, seed=0), baselines(heavy, seed=0)

    plain = baselines(signal_split(), seed=0)
    assert trained.model.score(test).mean() < 0.6 * signal_model().model.score(test).mean()
    for name in BASELINES:
        assert base[name].mean() < 0.9 * plain[name].mean()


def test_weights_of_one_change_nothing() -> None:
    even = weighted(signal_split(), 1.0)

    trained = train(even, seed=0)

    assert np.array_equal(trained.model.score(even.test), signal_model().model.score(even.test))


def test_the_weighted_base_rate_is_exact() -> None:
    heavy = weighted(signal_split(), 5.0)
    known = heavy.known["label"]

    rate = baselines(heavy, seed=0)["base rate"][0]

    assert rate == pytest.approx(known.sum() / (known.sum() + 5 * (known == 0).sum()), abs=1e-12)


def test_rows_without_weights_weigh_one() -> None:
    assert weights(pd.DataFrame({"label": [0, 1]})).tolist() == [1.0, 1.0]
    assert weights(pd.DataFrame({"label": [0, 1], "weight": [4, 1]})).tolist() == [4.0, 1.0]


def test_the_threshold_follows_its_rule_on_rows_that_trained_nothing() -> None:
    made = signal_split()
    flipped = dataclasses.replace(
        made, calibration=made.calibration.assign(label=1 - made.calibration["label"])
    )
    worth = train(made, seed=0, rule=Rule.parse("value=10,cost=1"))

    assert worth.model.threshold == 0.1
    assert worth.params["threshold_rule"] == "value=10,cost=1"
    first, other = signal_model().model, train(flipped, seed=0).model
    assert first.booster.save_raw("json") == other.booster.save_raw("json")
    assert first.calibration != other.calibration
    assert first.threshold != other.threshold


def test_a_leaf_speaks_for_fifty_visitors() -> None:
    trained = signal_model()
    made = signal_split().known
    each = len(made) / made["domain_userid"].nunique()
    rate = made["label"].mean()

    assert trained.params["min_child_weight"] == pytest.approx(50 * each * rate * (1 - rate))
