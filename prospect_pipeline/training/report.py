"""The evaluation report: a tree of sections, rendered once into one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jinja2

from prospect_pipeline.training.evaluation import MODEL, Evaluation
from prospect_pipeline.training.measures import HIGHER_IS_BETTER, TOP
from prospect_pipeline.training.plots import as_svg, figures

METRIC_WORDS = {
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "log_loss": "Log loss",
    "brier": "Brier",
    "ece": "Calibration error",
    "f1": "F1",
    "f2": "F2",
    "precision": "Precision",
    "recall": "Recall",
}
NOTES = {
    "Confusion matrix": "At the threshold, which other visitors' rows have chosen.",
    "ROC": "How well the order is right, whatever the threshold; 0.5 is a coin, 1 is perfect.",
    "Precision and recall": "What matters when few convert; the base rate is the level line.",
    "Calibration": "Ten groups of equally many rows; on the dashed line 10 % means 10 %.",
    "Scores": "Where each class is scored, on a logarithmic scale.",
    "Feature importance": "How much of the loss each column's splits took away in training.",
    "SHAP summary": "How far a column moved each test row's score (blue: low value, red: high).",
}


@dataclass(frozen=True)
class Table:
    """A table: its head, and rows of text, of which the best cells stand out."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    best: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Picture:
    """A picture as SVG, with a line that says how to read it."""

    title: str
    svg: str
    note: str


@dataclass(frozen=True)
class Section:
    """A titled part of the page."""

    title: str
    text: str = ""
    table: Table | None = None
    pictures: Sequence[Picture] = ()
    code: str = ""


@dataclass(frozen=True)
class Page:
    """The whole report."""

    title: str
    lead: str
    cards: Mapping[str, str]
    sections: Sequence[Section] = field(default_factory=tuple)


def render(
    evaluation: Evaluation,
    identity: Mapping[str, str],
    data: Mapping[str, str],
    split: Sequence[Mapping[str, Any]],
    horizon: str,
) -> str:
    """Return the report as HTML that needs nothing else.

    ``identity`` says which model this is, ``data`` what it was trained on, ``split`` has a line on
    each part, ``horizon`` is the label's, in words.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("prospect_pipeline.training", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = _page(evaluation, identity, data, split, horizon)
    return environment.get_template("report.html").render(page=page)


def _page(
    evaluation: Evaluation,
    identity: Mapping[str, str],
    data: Mapping[str, str],
    split: Sequence[Mapping[str, Any]],
    horizon: str,
) -> Page:
    pictures = [
        Picture(title, as_svg(figure), NOTES[title])
        for title, figure in figures(evaluation).items()
    ]
    return Page(
        title=f"{identity.get('model', 'Model')} version {identity.get('version', '?')}",
        lead=f"How likely is it that this visitor sends a form within the next {horizon}? "
        "Judged on visitors who came later than all that it was trained on.",
        cards={
            METRIC_WORDS[name]: str(evaluation.intervals[MODEL][name])
            for name in ("roc_auc", "pr_auc", "log_loss", "brier", "f1")
        },
        sections=(
            Section("Against the baselines", _verdict(evaluation), _metrics_table(evaluation)),
            Section(
                "Among the best scores",
                "What is found by acting on the best few. A lift of 4 means four times as many "
                "converters as among as many others; in brackets where the number lies 95 times "
                "of 100, had other visitors come.",
                _best_table(evaluation),
            ),
            Section("How good it is", pictures=pictures[:5]),
            Section("What drives the score", pictures=pictures[5:]),
            Section(
                "The decision",
                f"A visitor is called a prospect from a score of {evaluation.threshold:.3f} on.",
                code=evaluation.classification_report,
            ),
            Section("The data", table=Table(("What", "Value"), list(data.items()))),
            Section(
                "The split",
                "By visitor and forward in time; rows whose label was not yet known when the next "
                "part begins are purged.",
                _split_table(split),
            ),
            Section("The model", table=Table(("What", "Value"), list(identity.items()))),
            Section("Limits", LIMITS),
        ),
    )


LIMITS = (
    "A score says how often visitors who look alike sent a form, not why. It knows what the "
    "attributes hold and nothing else: not the company, the offer or the season. It was judged on "
    "one stretch of time; retrain and judge again when the website changes. Numbers from few "
    "converters are rough: see how many there are in the test part."
)


def _verdict(evaluation: Evaluation) -> str:
    model = evaluation.metrics[MODEL]["pr_auc"]
    others = {n: m["pr_auc"] for n, m in evaluation.metrics.items() if n != MODEL}
    if not others:
        return ""
    best = max(others, key=lambda name: others[name])
    word = "above" if model > others[best] else "not above"
    ahead = evaluation.ahead[best]["pr_auc"]
    sure = "the interval leaves out 0" if ahead.low > 0 or ahead.high < 0 else (
        "which may be chance: the interval holds 0"
    )  # fmt: skip
    return (
        f"By PR AUC the model ({model:.3f}) is {word} the best baseline, the {best} "
        f"({others[best]:.3f}); the difference is {ahead}, and {sure}. "
        "The best of each column is bold."
    )


def _metrics_table(evaluation: Evaluation) -> Table:
    names = list(evaluation.metrics)
    rows = [
        [name, *(f"{evaluation.metrics[name][metric]:.4f}" for metric in METRIC_WORDS)]
        for name in names
    ]
    best = set()
    for place, metric in enumerate(METRIC_WORDS, start=1):
        values = [evaluation.metrics[name][metric] for name in names]
        wanted = max(values) if HIGHER_IS_BETTER[metric] else min(values)
        best.add((values.index(wanted), place))
    return Table(("", *METRIC_WORDS.values()), rows, frozenset(best))


def _best_table(evaluation: Evaluation) -> Table:
    found, rate = evaluation.intervals[MODEL], evaluation.positive_rate
    rows = [
        [
            f"best {share} %",
            str(found[f"precision_top_{share}"]),
            str(found[f"recall_top_{share}"]),
            f"{found[f'precision_top_{share}'].value / rate:.1f}",
        ]
        for share in TOP
    ]
    return Table(("", "Precision", "Recall", "Lift"), rows)


def _split_table(split: Sequence[Mapping[str, Any]]) -> Table:
    head = list(split[0]) if split else []
    rows = [
        [f"{value:,}" if isinstance(value, int) else str(value)[:16] for value in line.values()]
        for line in split
    ]
    return Table([name.replace("_", " ") for name in head], rows)
