"""Slices say where a score is good, where it misleads, and where there is too little to say."""

import json

import numpy as np
import pandas as pd
import pytest

from prospect_pipeline.scoring import Floats
from prospect_pipeline.training.bootstrap import Draws
from prospect_pipeline.training.measures import Ranked
from prospect_pipeline.training.slices import LEAST_CONVERTERS, SLICED, Slice, slices
from prospect_pipeline_tests.training import anchor, frame, signal_model, signal_split


def sliced(
    test: pd.DataFrame, scores: Floats, threshold: float = 0.5
) -> dict[tuple[str, str], Slice]:
    draws = Draws(test["domain_userid"], np.ones(len(test)), seed=0, draws=100)
    return {(one.what, one.value): one for one in slices(test, scores, draws, threshold)}


def test_every_row_is_in_one_slice_of_each_kind() -> None:
    test = signal_split().test

    found = sliced(test, signal_model().model.score(test))

    for what in {what for what, _ in found}:
        assert sum(one.rows for one in found.values() if one.what == what) == len(test)
    assert {value for what, value in found if what == "device"} == {"unknown", "a", "b"}
    early = {value: one.rows for (what, value), one in found.items() if what.startswith("how")}
    assert early == {"1": 100, "2 to 3": 200}  # each visitor has three rows
    assert {what for what, _ in found} == {
        "device", "app", "first referrer", "visitor", "page views and pings so far",
        "how early: the visit's nth row",
    }  # fmt: skip


def test_a_slices_numbers_are_those_of_its_rows() -> None:
    rows = [
        anchor("a", 0, 1, num_sessions_l30d=1), anchor("a", 1, 0, num_sessions_l30d=1),
        anchor("b", 2, 1, num_sessions_l30d=2), anchor("b", 3, 0, num_sessions_l30d=2),
        anchor("b", 4, 0, num_sessions_l30d=2),
    ]  # fmt: skip

    found = sliced(frame(*rows), np.array([0.9, 0.2, 0.1, 0.4, 0.8]))

    new, returning = found["visitor", "new"], found["visitor", "returning"]
    assert (new.rows, new.converters, new.label_rate) == (2, 1, 0.5)
    assert new.metrics["roc_auc"].value == 1
    assert new.mean_score == pytest.approx(0.55)
    entropy = np.log(2)
    assert new.gain.value == pytest.approx(1 + (np.log(0.9) + np.log(0.8)) / 2 / entropy)
    assert (returning.rows, returning.converters) == (3, 1)
    assert returning.metrics["roc_auc"].value == 0
    assert returning.label_rate == pytest.approx(1 / 3)
    assert ("device", "unknown") in found


def test_a_slices_metrics_are_those_of_its_rows_alone_at_the_threshold_of_all() -> None:
    test = signal_split().test
    scores = signal_model().model.score(test)

    found = sliced(test, scores, threshold=0.3)

    for (what, value), one in found.items():
        if what == "device":
            rows = (test["latest_device_class"].replace("", "unknown") == value).to_numpy()
            alone = Ranked.of(test["label"][rows], scores[rows], 0.3).measure(np.ones(rows.sum()))
            assert {name: x.value for name, x in one.metrics.items()} == {
                name: alone[name] for name in SLICED
            }
            for name in ("roc_auc", "pr_auc", "log_loss"):
                assert one.metrics[name].low < one.metrics[name].value < one.metrics[name].high


def test_a_stored_slice_is_read_back() -> None:
    test = signal_split().test

    for one in sliced(test, signal_model().model.score(test)).values():
        assert Slice.from_dict(json.loads(json.dumps(one.to_dict()))) == one
        assert one.row()["pr_auc"] == str(one.metrics["pr_auc"])


HOW_EARLY = "how early: the visit's nth row"


def early(test: pd.DataFrame) -> dict[str, int]:
    found = sliced(test, np.full(len(test), 0.5))
    return {value: one.rows for (what, value), one in found.items() if what == HOW_EARLY}


def test_how_early_begins_anew_after_half_an_hour_without_a_row() -> None:
    minutes = [0, 30, 60.5, 61, 200]  # a gap of exactly half an hour is none

    rows = [anchor(who, at, label) for who, label in (("a", 0), ("b", 1)) for at in minutes]

    assert early(frame(*rows)) == {"1": 6, "2 to 3": 4}


def test_how_early_goes_by_the_sessions_where_rows_name_them() -> None:
    sessions = ["s1", "s2", "s1", "s2", "s2"]

    rows = [
        anchor(who, minute, label, domain_sessionid=f"{who} {session}")
        for who, label in (("a", 0), ("b", 1))
        for minute, session in enumerate(sessions)
    ]

    assert early(frame(*rows)) == {"1": 4, "2 to 3": 6}


def test_a_slice_where_the_score_misleads_is_weak_and_a_small_one_never() -> None:
    visitors = 4 * LEAST_CONVERTERS
    rows = [
        anchor(f"{device}{n:03}", n, n % 2, latest_device_class=device)
        for device in ("Phone", "Desktop")
        for n in range(visitors)
    ]
    test = frame(*rows)
    right = np.where(test["label"] == 1, 0.7, 0.3)
    scores = np.where(test["latest_device_class"] == "Phone", 1 - right, right)

    found = sliced(test, scores)
    few = (test["domain_userid"].str[-3:].astype(int) < 2 * LEAST_CONVERTERS - 2).to_numpy()
    fewer = sliced(test[few], scores[few])

    assert found["device", "Phone"].is_weak
    assert not found["device", "Desktop"].is_weak
    assert fewer["device", "Phone"].gain.high < 0
    assert not fewer["device", "Phone"].is_weak


def test_one_class_alone_is_no_slice() -> None:
    rows = [anchor("a", 0, 1), anchor("b", 1, 0, latest_device_class="Phone")]

    found = sliced(frame(*rows), np.array([0.5, 0.5]))

    assert ("device", "Phone") not in found
    assert found["app", "unknown"].rows == 2
