"""The report's pictures: matplotlib figures, as SVG for the page and PNG for Dagster."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from sklearn import metrics as sk

from prospect_pipeline.training.bootstrap import Interval
from prospect_pipeline.training.deciles import TENTHS
from prospect_pipeline.training.evaluation import IDENTITY, MODEL, Evaluation
from prospect_pipeline.training.explanation import Explanation
from prospect_pipeline.training.importance import spread_rows
from prospect_pipeline.training.measures import BINS, Floats, Ranked
from prospect_pipeline.training.palette import LIGHT

INK, GRID, FIRST, SECOND = (LIGHT[name] for name in ("ink", "line", "first", "second"))
OTHERS = [colour for name, colour in LIGHT.items() if name.startswith("other")]
PLACES = np.arange(1, TENTHS + 1)
POINTS = 600
STYLE = {
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.hashsalt": "prospect",  # the same picture, the same text
    "svg.fonttype": "none",  # text stays text: light, and found by a search
}
LOW_TO_HIGH = LinearSegmentedColormap.from_list("values", ["#2f7de1", "#9a8fb5", "#e8434f"])
"""Colours that are seen on white and on black."""


class Drawing(NamedTuple):
    """How a picture is drawn, how large in inches, and whether it needs rows of both classes."""

    draw: Callable[[Axes, Evaluation], None]
    size: tuple[float, float]
    needs_both: bool = False


def figures(evaluation: Evaluation, explanation: Explanation) -> dict[str, Figure]:
    """Return every picture by its title."""
    drawings = PICTURES | {
        title: Drawing(partial(_explained, draw, explanation), TALL)
        for title, draw in EXPLAINED.items()
    }
    with rc_context(STYLE):
        return {title: _figure(drawing, evaluation) for title, drawing in drawings.items()}


def _explained(
    draw: Callable[[Axes, Explanation], None], explanation: Explanation, axes: Axes, _: Evaluation
) -> None:
    draw(axes, explanation)


def _figure(drawing: Drawing, evaluation: Evaluation) -> Figure:
    figure = Figure(figsize=drawing.size, layout="constrained")
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    axes.grid(color=GRID, linewidth=0.6)
    axes.tick_params(labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if drawing.needs_both and not evaluation.has_both_classes:
        words = "Not known: the test rows are of one class alone."
        axes.text(0.5, 0.5, words, ha="center", transform=axes.transAxes)
    else:
        drawing.draw(axes, evaluation)
    return figure


def as_svg(figure: Figure) -> str:
    """Return a figure as an SVG element whose colours are the page's own, without a background."""
    buffer = io.StringIO()
    with rc_context(STYLE):
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=metadata, transparent=True, dpi=110)
    text = buffer.getvalue()
    text = re.sub(r' id="[\w.]+_\d+"', "", text[text.index("<svg") :])  # else on the page twice
    for name, colour in LIGHT.items():
        text = text.replace(colour, f"var(--{name})")
    return text


def as_png(figure: Figure) -> bytes:
    """Return a figure as PNG, on white."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return buffer.getvalue()


def _scorers(evaluation: Evaluation) -> list[tuple[str, str, float]]:
    """Return (scorer, colour, line width), the model last, on top."""
    others = [c for c in evaluation.scored.columns if c not in (*IDENTITY, MODEL)]
    listed = [(name, OTHERS[i % len(OTHERS)], 1.1) for i, name in enumerate(others)]
    return [*listed, (MODEL, FIRST, 2.4)]


def _roc(axes: Axes, evaluation: Evaluation) -> None:
    labels, weight = evaluation.scored["label"], evaluation.scored["weight"]
    for name, colour, width in _scorers(evaluation):
        x, y, _ = sk.roc_curve(labels, evaluation.scored[name], sample_weight=weight)
        area = evaluation.metrics[name]["roc_auc"]
        x, y = _thinned(x, y)
        axes.plot(x, y, color=colour, linewidth=width, label=f"{name} ({area:.3f})")
    axes.set(xlabel="share of others wrongly called", ylabel="share of converters found")
    axes.legend(fontsize=8, frameon=False)


def _precision_recall(axes: Axes, evaluation: Evaluation) -> None:
    labels, weight = evaluation.scored["label"], evaluation.scored["weight"]
    for name, colour, width in _scorers(evaluation):
        y, x, _ = sk.precision_recall_curve(labels, evaluation.scored[name], sample_weight=weight)
        y[-1] = y[-2]  # scikit-learn ends at a precision of 1, which nobody has reached
        area = evaluation.metrics[name]["pr_auc"]
        x, y = _thinned(x, y)
        words = f"{name} ({area:.3f})"
        axes.plot(x, y, color=colour, linewidth=width, label=words, drawstyle="steps-post")
    axes.set(xlabel="recall: converters found", ylabel="precision: called and right", ylim=(0, 1))
    axes.legend(fontsize=8, frameon=False)


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return a curve of few points: more are not seen, and make the page heavy."""
    kept = spread_rows(len(x), POINTS)
    return x[kept], y[kept]


def _calibration(axes: Axes, evaluation: Evaluation) -> None:
    """Draw mean label over mean score, in bins of equally many rows."""
    scores = evaluation.scored[MODEL].to_numpy()
    order = np.argsort(scores, kind="stable")
    labels = evaluation.scored["label"].to_numpy()
    weight = evaluation.scored["weight"].to_numpy()
    bins = [b for b in np.array_split(order, BINS) if len(b)]
    said = [float(np.average(scores[b], weights=weight[b])) for b in bins]
    seen = [float(np.average(labels[b], weights=weight[b])) for b in bins]
    top = max(*said, *seen) * 1.05
    axes.plot([0, top], [0, top], color=OTHERS[0], linewidth=1.2, linestyle="--")
    axes.plot(said, seen, color=FIRST, marker="o", linewidth=1.8)
    axes.set(xlabel="mean score", ylabel="share that converted", xlim=(0, top), ylim=(0, top))


def _scores(axes: Axes, evaluation: Evaluation) -> None:
    edges = np.linspace(0, float(evaluation.scored[MODEL].max()), 40)
    for label, colour, words in ((0, OTHERS[0], "did not convert"), (1, SECOND, "converted")):
        rows = evaluation.scored.loc[evaluation.scored["label"] == label, MODEL]
        if rows.empty:
            continue
        axes.hist(rows, edges.tolist(), density=True, alpha=0.6, color=colour, label=words)
    axes.axvline(evaluation.threshold, color=INK, linewidth=1, linestyle=":")
    axes.set(xlabel="score (dotted: the threshold)", ylabel="density", yscale="log")
    axes.legend(fontsize=8, frameon=False)


def _confusion(axes: Axes, evaluation: Evaluation) -> None:
    counts = np.array(evaluation.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.grid(visible=False)
    axes.set(xlim=(-0.5, 1.5), ylim=(1.5, -0.5))
    for row in range(2):
        for column in range(2):
            # Faint enough that the text is read on it, on white and on black.
            tint = 0.04 + 0.4 * shares[row, column]
            corner = (column - 0.49, row - 0.49)
            axes.add_patch(Rectangle(corner, 0.98, 0.98, color=FIRST, alpha=tint, linewidth=0))
            text = f"{counts[row, column]:,}\n{shares[row, column]:.1%}"
            axes.text(column, row, text, ha="center", va="center", fontsize=12)
    axes.set_xticks([0, 1], ["not called", "called"])
    axes.set_yticks([0, 1], ["did not\nconvert", "converted"])
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def _gains(axes: Axes, evaluation: Evaluation) -> None:
    """Draw the share of all positives among the best rows, over the share of rows."""
    weight = evaluation.scored["weight"].to_numpy(np.float64)
    shares = np.linspace(0, 1, 101)
    for name, colour, width in _scorers(evaluation):
        ranked = Ranked.of(evaluation.scored["label"], evaluation.scored[name], 0.5)
        found = ranked.gains(weight, shares)
        axes.plot(shares, found, color=colour, linewidth=width, label=name)
    gains = [each.gain for each in evaluation.deciles]
    axes.vlines(PLACES / TENTHS, *_ends(gains), color=FIRST, linewidth=1.2)
    axes.set(xlabel="share of rows, the best scores first", ylabel="share of converters found")
    axes.legend(fontsize=8, frameon=False)


def _lift(axes: Axes, evaluation: Evaluation) -> None:
    """Draw how many times the positive rate each tenth of the rows has, the best scores first."""
    lifts = [each.lift for each in evaluation.deciles]
    axes.bar(PLACES, [lift.value for lift in lifts], color=FIRST, width=0.75, alpha=0.75)
    axes.vlines(PLACES, *_ends(lifts), color=INK, linewidth=1.2)
    axes.axhline(1, color=INK, linewidth=1, linestyle=":")
    for place, lift in enumerate(lifts, start=1):
        top = lift.high if np.isfinite(lift.high) else lift.value
        axes.text(place, top, f"{lift.value:.1f}", ha="center", va="bottom", fontsize=8)
    axes.set_xticks(PLACES)
    axes.set(xlabel="tenth of the rows, the best scores first", ylabel="times the average rate")


def _ends(found: Sequence[Interval]) -> tuple[list[float], list[float]]:
    """Return where intervals begin and end; one that is not known has no length."""
    known = [one if np.isfinite(one.width) else replace(one, low=one.value, high=one.value)
             for one in found]  # fmt: skip
    return [one.low for one in known], [one.high for one in known]


def _importance(axes: Axes, evaluation: Evaluation) -> None:
    names = list(evaluation.importance)[::-1]
    axes.barh(names, [evaluation.importance[name] for name in names], color=FIRST)
    axes.set_xlabel("share of the total gain")
    axes.locator_params(axis="x", nbins=5)


def _permutation(axes: Axes, explanation: Explanation) -> None:
    names = list(explanation.permutation)[::-1]
    rises = np.array([explanation.permutation[name] for name in names])
    axes.barh(names, rises.mean(axis=1), color=FIRST)
    axes.hlines(names, rises.min(axis=1), rises.max(axis=1), color=INK, linewidth=1.2)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel("rise of the log loss")
    axes.locator_params(axis="x", nbins=5)


def _shap(axes: Axes, explanation: Explanation) -> None:
    """Draw each row's contribution by column, coloured by the column's value (low to high)."""
    contributions = explanation.contributions[:, :-1]
    order = np.argsort(np.abs(contributions).mean(axis=0))
    columns = list(explanation.rows.columns)
    spread = np.random.default_rng(0).uniform(-0.32, 0.32, len(contributions))
    for place, column in enumerate(order):
        values = explanation.rows[columns[column]]
        ranks = (
            values.rank(pct=True)
            if values.dtype != object
            else values.astype("category").cat.codes.rank(pct=True)
        )
        axes.scatter(
            contributions[:, column],
            place + spread,
            c=ranks,
            cmap=LOW_TO_HIGH,
            s=5,
            alpha=0.7,
            linewidths=0,
            rasterized=True,
        )
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(columns)), [columns[column] for column in order])
    axes.set_xlabel("contribution to the log-odds")


WIDE, TALL = (5.4, 4.0), (5.4, 5.4)
PICTURES: dict[str, Drawing] = {
    "ROC": Drawing(_roc, WIDE, needs_both=True),
    "Precision and recall": Drawing(_precision_recall, WIDE, needs_both=True),
    "Calibration": Drawing(_calibration, WIDE),
    "Scores": Drawing(_scores, WIDE),
    "Confusion matrix": Drawing(_confusion, WIDE),
    "Cumulative gains": Drawing(_gains, WIDE, needs_both=True),
    "Lift by decile": Drawing(_lift, WIDE, needs_both=True),
    "Feature importance": Drawing(_importance, TALL),
}
EXPLAINED: dict[str, Callable[[Axes, Explanation], None]] = {
    "Permutation importance": _permutation,
    "SHAP summary": _shap,
}
