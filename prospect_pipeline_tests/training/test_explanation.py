"""What makes the scores is told of a spread of rows, and of each column."""

import pytest

from prospect_pipeline.features import COLUMNS
from prospect_pipeline.training import explanation
from prospect_pipeline.training.evaluation import evaluate, score_test
from prospect_pipeline.training.explanation import Explanation, explain
from prospect_pipeline_tests.training import signal_model, signal_split


def explained() -> Explanation:
    test, model = signal_split().test, signal_model().model
    return explain(evaluate(score_test(test, model, {}), test, model, 0.5), test, model)


@pytest.mark.parametrize("most", [100, 299, 1000])
def test_contributions_are_of_so_many_rows_at_most(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(explanation, "EXPLAINED_ROWS", most)
    test = signal_split().test
    assert len(test) == 300

    found = explained()

    assert len(found.rows) == min(most, 300)
    assert found.contributions.shape == (len(found.rows), len(COLUMNS) + 1)
    first, last = test[list(COLUMNS)].iloc[0], test[list(COLUMNS)].iloc[-1]
    assert found.rows.iloc[0].to_dict() == first.to_dict()
    assert found.rows.iloc[-1].to_dict() == last.to_dict()


def test_every_column_is_shuffled_and_visitors_are_told_at_the_threshold() -> None:
    found = explained()

    assert set(found.permutation) == set(COLUMNS)
    assert all(one.called == (one.score >= 0.5) for one in found.visitors)
