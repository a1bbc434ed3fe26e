"""The report's pictures: matplotlib figures, as SVG for the page and PNG for Dagster."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn import metrics as sk

from prospect_pipeline.training.evaluation import IDENTITY, MODEL, Evaluation

INK, GRID, FIRST, SECOND = "#1f2933", "#d9dee5", "#5b3df5", "#e8590c"
OTHERS = ("#8792a2", "#2b8a3e", "#c2255c")
BINS = 10

Draw = Callable[[Axes, Evaluation], None]


def figures(evaluation: Evaluation) -> dict[str, Figure]:
    """Return every picture by its title."""
    drawn = {}
    for title, (draw, size) in PICTURES.items():
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        axes.set_axisbelow(True)
        axes.grid(color=GRID, linewidth=0.6)
        axes.tick_params(colors=INK, labelsize=9)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        draw(axes, evaluation)
        drawn[title] = figure
    return drawn


def as_svg(figure: Figure) -> str:
    """Return a figure as an SVG element, without an XML header."""
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "prospect"}):  # the same picture, the same text
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def as_png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
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
        axes.plot(x, y, color=colour, linewidth=width, label=f"{name} ({area:.3f})")
    axes.set(xlabel="share of others wrongly called", ylabel="share of converters found")
    axes.legend(fontsize=8, frameon=False)


def _precision_recall(axes: Axes, evaluation: Evaluation) -> None:
    labels, weight = evaluation.scored["label"], evaluation.scored["weight"]
    for name, colour, width in _scorers(evaluation):
        scores = evaluation.scored[name]
        y, x, _ = sk.precision_recall_curve(labels, scores, sample_weight=weight)
        if scores.nunique() == 1:  # one score for all can only call all: a level line
            y = np.full_like(y, y[0])
        area = evaluation.metrics[name]["pr_auc"]
        axes.plot(x, y, color=colour, linewidth=width, label=f"{name} ({area:.3f})")
    axes.set(xlabel="recall: converters found", ylabel="precision: called and right", ylim=(0, 1))
    axes.legend(fontsize=8, frameon=False)


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
    axes.plot([0, top], [0, top], color=GRID, linewidth=1.4, linestyle="--")
    axes.plot(said, seen, color=FIRST, marker="o", linewidth=1.8)
    axes.set(xlabel="mean score", ylabel="share that sent a form", xlim=(0, top), ylim=(0, top))


def _scores(axes: Axes, evaluation: Evaluation) -> None:
    edges = np.linspace(0, float(evaluation.scored[MODEL].max()), 40)
    for label, colour, words in ((0, OTHERS[0], "no form"), (1, SECOND, "form")):
        rows = evaluation.scored["label"] == label
        axes.hist(
            evaluation.scored.loc[rows, MODEL],
            edges.tolist(),
            density=True,
            alpha=0.6,
            color=colour,
            label=words,
        )
    axes.axvline(evaluation.threshold, color=INK, linewidth=1, linestyle=":")
    axes.set(xlabel="score (dotted: the threshold)", ylabel="density", yscale="log")
    axes.legend(fontsize=8, frameon=False)


def _confusion(axes: Axes, evaluation: Evaluation) -> None:
    counts = np.array(evaluation.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Purples", vmin=0, vmax=1)
    axes.grid(visible=False)
    for row in range(2):
        for column in range(2):
            colour = "white" if shares[row, column] > 0.5 else INK
            text = f"{counts[row, column]:,}\n{shares[row, column]:.1%}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=12)
    axes.set_xticks([0, 1], ["called no form", "called form"])
    axes.set_yticks([0, 1], ["no form", "form"])


def _importance(axes: Axes, evaluation: Evaluation) -> None:
    names = list(evaluation.importance)[::-1]
    axes.barh(names, [evaluation.importance[name] for name in names], color=FIRST)
    axes.set_xlabel("share of the total gain")


def _shap(axes: Axes, evaluation: Evaluation) -> None:
    """Draw each row's contribution by column, coloured by the column's value (low to high)."""
    contributions = evaluation.contributions[:, :-1]
    order = np.argsort(np.abs(contributions).mean(axis=0))
    columns = list(evaluation.explained.columns)
    spread = np.random.default_rng(0).uniform(-0.32, 0.32, len(contributions))
    for place, column in enumerate(order):
        values = evaluation.explained[columns[column]]
        ranks = (
            values.rank(pct=True)
            if values.dtype != object
            else values.astype("category").cat.codes.rank(pct=True)
        )
        axes.scatter(
            contributions[:, column],
            place + spread,
            c=ranks,
            cmap="coolwarm",
            s=5,
            alpha=0.7,
            linewidths=0,
            rasterized=True,
        )
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(columns)), [columns[column] for column in order])
    axes.set_xlabel("contribution to the log-odds")


WIDE, TALL = (5.4, 4.0), (5.4, 5.4)
PICTURES: dict[str, tuple[Draw, tuple[float, float]]] = {
    "Confusion matrix": (_confusion, WIDE),
    "ROC": (_roc, WIDE),
    "Precision and recall": (_precision_recall, WIDE),
    "Calibration": (_calibration, WIDE),
    "Scores": (_scores, WIDE),
    "Feature importance": (_importance, TALL),
    "SHAP summary": (_shap, TALL),
}
