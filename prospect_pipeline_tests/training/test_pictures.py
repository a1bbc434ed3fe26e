"""Pictures are whole, and say of a constant score what it can say."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from prospect_pipeline.training.evaluation import Evaluation, evaluate, score_test
from prospect_pipeline.training.explanation import explain
from prospect_pipeline.training.plots import figures
from prospect_pipeline_tests.training import signal_model, signal_split


@pytest.fixture(scope="module")
def judged() -> Evaluation:
    test, model = signal_split().test, signal_model().model
    return evaluate(
        score_test(test, model, {"base rate": np.full(len(test), 0.2)}), test, model, 0.3
    )


@pytest.fixture(scope="module")
def drawn(judged: Evaluation) -> dict[str, Figure]:
    return figures(judged, explain(judged, signal_split().test, signal_model().model))


def test_every_label_lies_inside_its_picture(drawn: dict[str, Figure]) -> None:
    for title, figure in drawn.items():
        figure.draw_without_rendering()
        axes = figure.axes[0]
        for text in (axes.xaxis.label, axes.yaxis.label, *axes.get_yticklabels()):
            box = text.get_window_extent()
            assert not text.get_text() or box.x0 >= -1, (title, text)
            assert not text.get_text() or box.x1 <= figure.bbox.width + 1, (title, text)


def test_lifts_are_drawn_with_their_intervals(judged: Evaluation, drawn: dict[str, Figure]) -> None:
    axes = drawn["Lift by decile"].axes[0]
    [upright] = [each for each in axes.collections if isinstance(each, LineCollection)]

    assert [bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle)] == [
        one.lift.value for one in judged.deciles
    ]
    assert [tuple(ends[:, 1]) for ends in upright.get_segments()] == [
        (one.lift.low, one.lift.high) for one in judged.deciles
    ]


def test_one_score_for_all_is_a_level_line_at_the_positive_rate(
    judged: Evaluation, drawn: dict[str, Figure]
) -> None:
    lines = drawn["Precision and recall"].axes[0].get_lines()
    base = next(line for line in lines if str(line.get_label()).startswith("base rate"))

    np.testing.assert_allclose(np.asarray(base.get_ydata(), float), judged.positive_rate)
