"""The scorer that serves says what XGBoost says of the same matrix, unseen categories included."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xgboost

from prospect_pipeline.scoring import Calibration
from prospect_pipeline_tests.training import signal_model, signal_split


@pytest.fixture
def unseen() -> pd.DataFrame:
    test = signal_split().test.reset_index(drop=True)
    test.loc[:9, "latest_device_class"] = "never seen"
    return test


def test_scores_equal_those_of_a_matrix_before_calibration(unseen: pd.DataFrame) -> None:
    model = replace(signal_model().model, calibration=Calibration())
    encoded = model.encoder.encode(unseen)
    matrix = xgboost.DMatrix(
        encoded, feature_names=model.encoder.names, feature_types=model.encoder.types
    )

    assert int(np.isnan(encoded).sum()) == 10
    np.testing.assert_allclose(
        model.score(unseen), model.booster.predict(matrix), rtol=0, atol=1e-6
    )


def test_one_row_scores_as_it_does_among_many(unseen: pd.DataFrame) -> None:
    model = signal_model().model

    alone = [model.score_one(row) for row in unseen.to_dict("records")]

    np.testing.assert_allclose(alone, model.score(unseen), rtol=0, atol=1e-6)


def test_contributions_add_up_to_the_score(unseen: pd.DataFrame) -> None:
    model = signal_model().model

    odds = model.contributions(model.encoder.encode(unseen)).sum(axis=1)

    np.testing.assert_allclose(1 / (1 + np.exp(-odds)), model.score(unseen), atol=1e-5)
