"""A search stays within its bounds, repeats itself, and is never worse than what it starts from."""

import json
import logging
from dataclasses import replace

import pytest

from prospect_pipeline.training.model import DEFAULTS, PARAMS, train
from prospect_pipeline.training.search import SPACE, Budget, Judged, Params, Search, search
from prospect_pipeline_tests.training import signal_model, signal_split


def deepest(params: Params) -> Judged:
    """A validation part that likes deep trees, and slow learning among these."""
    return Judged(10 - params["max_depth"] + params["learning_rate"], 7)


def indifferent(_: Params) -> Judged:
    return Judged(0.5, 7)


def found(trials: int, seed: int = 0) -> Search:
    return search(deepest, DEFAULTS, Budget(trials), seed)


@pytest.mark.parametrize("trials", [0, 1])
def test_without_a_budget_the_defaults_are_all_that_is_tried(trials: int) -> None:
    made = found(trials)

    assert [trial.params for trial in made.trials] == [DEFAULTS]
    assert made.chosen.rounds == 7


def test_the_defaults_are_the_first_of_as_many_trials_as_are_allowed() -> None:
    made = found(6)

    assert made.trials[0].params == DEFAULTS
    assert [trial.number for trial in made.trials] == [1, 2, 3, 4, 5, 6]
    assert not made.out_of_time


def test_the_best_is_chosen_and_of_equal_ones_the_first() -> None:
    made = found(12)

    assert made.chosen.log_loss == min(trial.log_loss for trial in made.trials)
    assert made.chosen.params["max_depth"] == 6
    assert search(indifferent, DEFAULTS, Budget(5), 0).chosen.params == DEFAULTS


def test_the_same_seed_tries_the_same_and_more_trials_begin_with_those_of_fewer() -> None:
    assert found(8) == found(8)
    assert found(8).trials[:5] == found(5).trials
    assert found(8, seed=1).trials[1:] != found(8).trials[1:]


def test_what_is_tried_stays_around_the_defaults() -> None:
    bounds = {name: drawn.support() for name, drawn in SPACE.items()}
    tried = [trial.params for trial in found(200).trials]

    assert set(DEFAULTS) == set(SPACE)
    assert {name: PARAMS[name] for name in DEFAULTS if name in PARAMS} == {
        name: value for name, value in DEFAULTS.items() if name != "leaf_visitors"
    }
    for name, (least, most) in bounds.items():
        values = [params[name] for params in tried]
        assert least <= min(values) < DEFAULTS[name] < max(values) <= most
    assert all(isinstance(params["max_depth"], int) for params in tried)


def test_no_trial_begins_once_the_time_has_passed() -> None:
    moments = iter(range(100))  # every look at the clock is a second later
    said: list[str] = []

    made = search(deepest, DEFAULTS, Budget(50, 5.5), 0, said.append, lambda: next(moments))

    assert made.trials == found(3).trials
    assert made.out_of_time
    assert said[-1] == "The search ends after 3 trials: 5.5 s have passed."


def test_the_defaults_are_tried_however_little_time_there_is() -> None:
    made = search(deepest, DEFAULTS, Budget(50, 1e-9), 0)

    assert [trial.params for trial in made.trials] == [DEFAULTS]


def test_each_trial_is_told_in_words(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "prospect.search"):
        made = found(2)

    first, second = caplog.messages
    assert first.startswith("Trial 1 of 2: validation log loss 7.03000 after 7 rounds, in ")
    assert "max_depth 3, learning_rate 0.03, " in first
    best = made.chosen
    assert second.endswith(f"the best is trial {best.number} with {best.log_loss:.5f}.")


def test_a_single_trial_is_nothing_to_tell(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "prospect.search"):
        found(1)

    assert caplog.messages == []


def test_the_table_has_a_line_for_each_trial_and_is_json() -> None:
    made = found(3)

    stored = json.loads(json.dumps(made.to_dict()))

    assert stored["chosen"] == made.chosen.number
    assert stored["trials"][0] == {"trial": 1, "log_loss": 7.03, "rounds": 7, **DEFAULTS}
    assert len(stored["trials"]) == 3


def test_a_model_is_trained_with_what_the_search_chose() -> None:
    trained = train(signal_split(), seed=0, budget=Budget(4))

    chosen, defaults = trained.search.chosen, trained.search.trials[0]

    assert defaults == signal_model().search.chosen
    assert chosen.log_loss < defaults.log_loss
    assert trained.params.items() >= chosen.params.items()
    assert trained.params["search_trials"] == 4
    assert trained.model.booster.num_boosted_rounds() == chosen.rounds
    depth = json.loads(trained.model.booster.save_config())["learner"]["gradient_booster"]
    assert int(depth["tree_train_param"]["max_depth"]) == chosen.params["max_depth"]


def test_neither_the_calibration_part_nor_the_test_part_plays_a_role() -> None:
    made = signal_split()
    flipped = replace(
        made,
        calibration=made.calibration.assign(label=1 - made.calibration["label"]),
        test=made.test.assign(label=1 - made.test["label"]),
    )

    assert (
        train(flipped, seed=0, budget=Budget(2)).search
        == train(made, seed=0, budget=Budget(2)).search
    )
