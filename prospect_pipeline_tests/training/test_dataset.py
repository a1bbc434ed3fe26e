"""A training set that cannot give a model is refused, with what to change."""

from datetime import UTC, timedelta

import pandas as pd
import pytest

from prospect_pipeline.errors import ProspectError, TrainingError
from prospect_pipeline.settings import TrainingSettings
from prospect_pipeline.training.dataset import (
    CHECKS,
    Check,
    check_dataset,
    converters,
    known_by,
    require_trainable,
    rows_of,
)
from prospect_pipeline_tests.training import HOUR, START, anchor, frame, signal_frame


def failed(made: pd.DataFrame, min_converters: int = 1) -> dict[str, Check]:
    return {check.name: check for check in check_dataset(made, min_converters) if not check.passed}


def test_a_good_set_passes_every_check() -> None:
    made = signal_frame(300)

    checks = check_dataset(made, 1)
    require_trainable(made, 1)

    assert [check.name for check in checks] == list(CHECKS)
    assert all(check.passed for check in checks)


@pytest.mark.parametrize(("label", "positives"), [(0, 0), (1, 2)])
def test_one_class_alone_is_refused(label: int, positives: int) -> None:
    made = frame(anchor("v1", 0, label), anchor("v2", 1, label))

    with pytest.raises(TrainingError) as raised:
        require_trainable(made, 1)

    assert str(raised.value) == (
        f"{positives} of 2 rows have label 1; a model needs both classes. Move the cohort "
        "(--cohort, --as-of), or choose another goal (PROSPECT_GOAL_EVENTS)."
    )


def test_an_empty_set_is_refused_as_one_without_classes() -> None:
    made = frame(anchor("v1", 0, 0)).head(0)

    with pytest.raises(TrainingError, match=r"^0 of 0 rows have label 1;"):
        require_trainable(made, 1)


def test_too_few_converters_are_refused_with_both_numbers() -> None:
    made = frame(anchor("v1", 0, 1), anchor("v1", 1, 1), anchor("v2", 2, 1), anchor("v3", 3, 0))

    with pytest.raises(TrainingError) as raised:
        require_trainable(made, 1234)

    assert str(raised.value) == (
        "2 converting visitors, at least 1,234 expected. Take in more visitors (--cohort), or "
        "lower MIN_CONVERTERS if a rough model will do."
    )


def test_exactly_enough_converters_are_enough() -> None:
    made = frame(anchor("v1", 0, 1), anchor("v2", 2, 1), anchor("v3", 3, 0))

    require_trainable(made, 2)


def test_a_visitor_with_several_positive_rows_is_one_converter() -> None:
    made = frame(anchor("v1", 0, 1), anchor("v1", 1, 1), anchor("v2", 2, 0))

    assert converters(made) == 1


def test_a_repeated_anchor_is_refused() -> None:
    made = frame(anchor("v1", 0, 1), anchor("v1", 0, 1), anchor("v1", 0, 1), anchor("v2", 1, 0))

    with pytest.raises(TrainingError, match=r"^2 rows repeat an anchor"):
        require_trainable(made, 1)


def test_two_events_of_a_visitor_at_one_moment_are_two_anchors() -> None:
    made = frame(
        anchor("v1", 0, 1, event_id="a"), anchor("v1", 0, 1, event_id="b"), anchor("v2", 0, 0)
    )

    require_trainable(made, 1)


def test_nulls_are_refused_by_column_and_count() -> None:
    made = frame(
        anchor("v1", 0, 1, latest_app_id=None),
        anchor("v2", 1, 0, latest_app_id=None, num_apps_l7d=None),
    )

    with pytest.raises(TrainingError) as raised:
        require_trainable(made, 1)

    assert str(raised.value).startswith(
        "Columns with nulls: {'latest_app_id': 2, 'num_apps_l7d': 1};"
    )


def test_a_label_that_is_neither_0_nor_1_is_refused() -> None:
    made = frame(anchor("v1", 0, 1), anchor("v2", 1, 0), anchor("v3", 2, 2))

    with pytest.raises(TrainingError, match=r"^Labels other than 0 and 1: "):
        require_trainable(made, 1)

    assert failed(made)["labels_are_binary"].facts == {"others": ["2"]}


def test_odd_labels_are_shown_as_plain_numbers() -> None:
    made = frame(anchor("v1", 0, 1), anchor("v2", 1, 0), anchor("v3", 2, 2), anchor("v4", 3, -1))

    assert failed(made)["labels_are_binary"].description.startswith(
        "Labels other than 0 and 1: [-1, 2]. "
    )


def test_a_set_without_one_of_the_columns_is_refused_by_its_name() -> None:
    lacking = signal_frame(300).drop(columns="num_apps_l7d")

    with pytest.raises(ProspectError, match="num_apps_l7d"):
        require_trainable(lacking, 1)


def test_a_null_label_counts_as_a_null_and_not_as_an_odd_label() -> None:
    made = frame(anchor("v1", 0, 1), anchor("v2", 1, 0), anchor("v3", 2, None))

    assert [name for name, check in failed(made).items() if check.blocking] == ["no_nulls"]


def test_constant_columns_only_warn() -> None:
    made = signal_frame(300).assign(num_apps_l7d=3, latest_app_id="website")

    found = failed(made)
    require_trainable(made, 1)

    assert list(found) == ["no_constant_columns"]
    assert not found["no_constant_columns"].blocking
    assert found["no_constant_columns"].facts == {"constant": ["latest_app_id", "num_apps_l7d"]}
    assert found["no_constant_columns"].description == (
        "Columns with one value alone, which cannot help: latest_app_id, num_apps_l7d. "
        "Harmless; if they should vary, look at how their events are tracked."
    )


def test_the_facts_are_plain_numbers() -> None:
    made = frame(anchor("v1", 0, 1), anchor("v2", 1, 0), anchor("v3", 2, 0), anchor("v4", 3, 0))

    facts = {check.name: check.facts for check in check_dataset(made, 5)}

    assert facts["has_both_classes"] == {"rows": 4, "positives": 1}
    assert facts["has_enough_converters"] == {"converters": 1, "expected": 5}
    assert facts["anchors_are_unique"] == {"copies": 0}
    assert facts["no_nulls"] == {"nulls": {}}
    assert facts["labels_are_binary"] == {"others": []}


@pytest.mark.parametrize(
    ("positives", "rows", "plausible"),
    [(0, 9, False), (1, 10_000, True), (1, 10_001, False), (1, 2, True), (2, 3, False)],
)
def test_an_implausible_label_rate_warns_and_does_not_block(
    positives: int, rows: int, plausible: bool
) -> None:
    made = pd.concat([frame(anchor("v1", 0, 0))] * rows, ignore_index=True)
    made["label"] = [1] * positives + [0] * (rows - positives)

    [check] = [each for each in check_dataset(made, 1) if each.name == "label_rate"]

    assert (check.passed, check.blocking) == (plausible, False)
    assert check.facts["label_rate"] == positives / rows


def test_the_label_rate_counts_a_row_by_its_weight() -> None:
    made = frame(anchor("v1", 0, 1, weight=1.0), anchor("v2", 1, 0, weight=4.0))

    [check] = [each for each in check_dataset(made, 1) if each.name == "label_rate"]

    assert check.facts == {"label_rate": 0.2, "least": 0.0001, "most": 0.5, "weighted": True}
    assert check.description.startswith(
        "The label rate is 20.0000% (weighted by row); between 0.01% and 50% is plausible."
    )


def test_no_rows_have_a_label_rate_of_nothing() -> None:
    assert failed(frame(anchor("v1", 0, 1)).head(0))["label_rate"].facts["label_rate"] == 0.0


def test_labels_of_mixed_types_are_refused_in_words() -> None:
    made = frame(*(anchor(f"v{n}", n, label) for n, label in enumerate([1, 0, "1", "yes", 2.5])))

    with pytest.raises(TrainingError) as raised:
        require_trainable(made, 1)

    assert str(raised.value) == (
        "Labels other than 0 and 1: ['1', 'yes', 2.5]. Write a label as the number 1 where the "
        "goal follows, as 0 where it does not."
    )


def test_labels_as_text_are_named_as_such_and_not_as_one_class_alone() -> None:
    made = signal_frame(300)

    with pytest.raises(TrainingError, match=r"^Labels other than 0 and 1: \['0', '1'\]\."):
        require_trainable(made.assign(label=made["label"].astype(str)), 1)


def test_labels_that_are_true_or_false_are_labels() -> None:
    made = signal_frame(300)

    require_trainable(made.assign(label=made["label"] == 1), 1)


def test_of_many_odd_labels_a_few_are_shown() -> None:
    made = frame(*(anchor(f"v{n}", n, n) for n in range(10)))

    check = failed(made)["labels_are_binary"]

    assert check.description.startswith("Labels other than 0 and 1: [2, 3, 4, 5, 6, ...]. ")
    assert check.facts == {"others": ["2", "3", "4", "5", "6"]}


def test_infinite_numbers_are_refused_by_column_and_count() -> None:
    made = signal_frame(300).astype({"num_apps_l7d": float, "num_page_views_l7d": float})
    made.loc[:2, "num_apps_l7d"] = float("inf")
    made.loc[5, "num_page_views_l7d"] = -float("inf")

    with pytest.raises(TrainingError) as raised:
        require_trainable(made, 1)

    assert str(raised.value) == (
        "Columns with infinite numbers: {'num_apps_l7d': 3, 'num_page_views_l7d': 1}; every number "
        "is finite. Look at the events they were computed from, or build the data again."
    )


def test_nan_in_a_column_of_numbers_is_a_null() -> None:
    made = signal_frame(300).astype({"num_apps_l7d": float})
    made.loc[:2, "num_apps_l7d"] = float("nan")

    with pytest.raises(TrainingError, match=r"^Columns with nulls: \{'num_apps_l7d': 3\};"):
        require_trainable(made, 1)


def test_a_column_that_is_all_null_is_refused_as_nulls() -> None:
    made = signal_frame(300).assign(latest_app_id=None)

    with pytest.raises(TrainingError, match=r"^Columns with nulls: \{'latest_app_id': 300\};"):
        require_trainable(made, 1)


def test_a_column_of_another_type_is_refused_by_its_name() -> None:
    with pytest.raises(ProspectError, match=r"num_apps_l7d \(found string, expected numbers\)"):
        require_trainable(signal_frame(300).assign(num_apps_l7d="two"), 1)


def test_rows_are_found_again_in_the_order_of_their_scores() -> None:
    made = frame(anchor("v1", 0, 1), anchor("v2", 5, 0), anchor("v3", 9, 0))
    scored = made.loc[[2, 0], ["domain_userid", "event_id"]].assign(label=7, model=0.5)

    found = rows_of(scored, made)

    pd.testing.assert_frame_equal(found, made.loc[[2, 0]].reset_index(drop=True)[[*found.columns]])
    assert list(found["label"]) == [0, 1]


def test_rows_that_are_gone_since_they_were_scored_are_counted_by_name() -> None:
    made = frame(anchor("v1", 0, 1), anchor("v2", 5, 0))
    built_again = frame(anchor("v1", 0, 1), anchor("v2", 6, 0))

    with pytest.raises(TrainingError) as raised:
        rows_of(made, built_again)

    assert str(raised.value) == (
        "1 of the 2 test rows that the model was judged on are not in training_dataframe: it was "
        "built again since. Materialize training_dataframe and all that follows it in one run (the "
        "job `retrain`)."
    )


def test_labels_that_look_past_as_of_do_not_train() -> None:
    made = frame(anchor("v1", 0, 1), anchor("v2", 60, 0))
    as_of = START.replace(tzinfo=UTC) + HOUR

    require_trainable(made, 1, as_of=as_of + HOUR, horizon=HOUR)
    with pytest.raises(TrainingError, match="1 rows have a label that looks past as-of"):
        require_trainable(made, 1, as_of=as_of, horizon=HOUR)


@pytest.mark.parametrize(
    ("anchors", "minutes", "given", "checked", "horizon"),
    [
        (None, None, False, True, HOUR),
        ("own.csv", 43200, True, True, timedelta(days=30)),
        ("own.csv", 43200, False, False, timedelta(days=30)),
        ("mine.py:sessions", None, True, False, timedelta(days=1)),
    ],
)
def test_a_label_is_known_once_its_own_horizon_is_over_at_as_of(
    anchors: str | None, minutes: int | None, given: bool, checked: bool, horizon: timedelta
) -> None:
    settings = TrainingSettings.load(anchors=anchors, anchors_horizon_minutes=minutes)
    as_of = START.replace(tzinfo=UTC)

    found = known_by({"as_of": as_of.isoformat(), "as_of_given": given}, settings)

    assert found == {"as_of": as_of if checked else None, "horizon": horizon}
