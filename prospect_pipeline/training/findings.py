"""What was found on the test part, as sections of the report."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from prospect_pipeline.training.bootstrap import Interval
from prospect_pipeline.training.dataset import KEY
from prospect_pipeline.training.evaluation import MODEL, Evaluation
from prospect_pipeline.training.explanation import Explanation
from prospect_pipeline.training.measures import HIGHER_IS_BETTER, TOP
from prospect_pipeline.training.page import (
    Bar,
    Block,
    Card,
    Cell,
    Code,
    People,
    Person,
    Picture,
    Pictures,
    Section,
    Table,
    Text,
)
from prospect_pipeline.training.slices import LEAST_CONVERTERS
from prospect_pipeline.training.visitors import Explained

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
SLICE_WORDS = {
    name: METRIC_WORDS[name] for name in ("roc_auc", "pr_auc", "log_loss", "brier", "ece")
} | {
    "precision_top_10": "Precision, best 10 %",
    "recall_top_10": "Recall, best 10 %",
    "f1": METRIC_WORDS["f1"],
}
CARDS = ("roc_auc", "pr_auc", "log_loss", "brier", "f1")
QUALITY = {
    "ROC": "How well the order is right, whatever the threshold; 0.5 is a coin, 1 is perfect.",
    "Precision and recall": "What matters when few convert; the base rate is the level line.",
    "Calibration": "Ten groups of equally many rows; on the dashed line 10 % means 10 %.",
    "Scores": "Where each class is scored, on a logarithmic scale.",
    "Confusion matrix": "At the threshold, which other visitors' rows have chosen.",
    "Cumulative gains": "How many converters the best so many rows hold; a coin is the diagonal. "
    "Upright lines are the model's intervals.",
    "Lift by decile": "How often each tenth of the rows converts, with its interval; the dotted "
    "line is the average.",
}
DRIVERS = {
    "Feature importance": "How much of the loss each column's splits took away in training.",
    "Permutation importance": "How much worse the rows are scored with a column shuffled; the thin "
    "lines reach from the least to the most of several shuffles.",
    "SHAP summary": "How far a column moved each test row's score (blue: low value, red: high).",
}


def number(value: float, digits: int = 4) -> str:
    """Return a number as text, also where it is not defined."""
    return f"{value:.{digits}f}" if np.isfinite(value) else "not known"


def cards(evaluation: Evaluation) -> list[Card]:
    """Return the headline metrics with their intervals."""
    found = evaluation.intervals[MODEL]
    return [
        Card(METRIC_WORDS[name], number(found[name].value, 3), _span(found[name])) for name in CARDS
    ]


def _span(found: Interval) -> str:
    if not np.isfinite(found.width):
        return "interval not known"
    return f"{found.low:.3f} to {found.high:.3f}"


def against_baselines(evaluation: Evaluation) -> Section:
    """Set every scorer's metrics side by side, and how far the model is ahead of each baseline."""
    found, ahead = evaluation.intervals, evaluation.ahead
    rows: list[list[str | Cell]] = []
    best = set()
    for line, (metric, word) in enumerate(METRIC_WORDS.items()):
        rows.append([word, *(_cell(own[metric], 4) for own in found.values())])
        values = [own[metric].value for own in found.values()]
        if np.isfinite(values).all():
            wanted = max(values) if HIGHER_IS_BETTER[metric] else min(values)
            best.add((line, 1 + values.index(wanted)))
    blocks: list[Block] = [Text(_verdict(evaluation)), Table(("", *found), rows, frozenset(best))]
    if ahead:
        words = (
            "The model's number less each baseline's, on the same draws of visitors, which leaves "
            "out what is common to both; of log loss, Brier and calibration error less is better."
        )
        differences: list[list[str | Cell]] = [
            [word, *(_cell(own[metric], 4, "+") for own in ahead.values())]
            for metric, word in METRIC_WORDS.items()
        ]
        head = ("", *(f"less {name}" for name in ahead))
        blocks += [Text(words), Table(head, differences)]
    return Section("Against the baselines", blocks)


def _cell(found: Interval, digits: int = 3, sign: str = "") -> Cell:
    """Return a number with its interval beneath, which has a digit less."""
    if not np.isfinite(found.value):
        return Cell("not known", "")
    ends = f"{sign}.{digits - 1}f"
    note = f"{found.low:{ends}} to {found.high:{ends}}" if np.isfinite(found.width) else ""
    return Cell(f"{found.value:{sign}.{digits}f}", note or "interval not known")


def _verdict(evaluation: Evaluation) -> str:
    model = evaluation.metrics[MODEL]["pr_auc"]
    others = {n: m["pr_auc"] for n, m in evaluation.metrics.items() if n != MODEL}
    if not others or not np.isfinite(model):
        return "Whether the model is better than anything simpler is not known."
    best = max(others, key=lambda name: others[name])
    word = "above" if model > others[best] else "not above"
    ahead = evaluation.ahead[best]["pr_auc"]
    sure = "the interval leaves out 0" if ahead.low > 0 or ahead.high < 0 else (
        "which may be chance: the interval does not leave out 0"
    )  # fmt: skip
    return (
        f"By PR AUC the model ({model:.3f}) is {word} the best baseline, the {best} "
        f"({others[best]:.3f}); the difference is {ahead}, and {sure}. "
        "The best of each line is bold. Draws add to the calibration error, so that its interval "
        "lies high."
    )


def best_scores(evaluation: Evaluation) -> Section:
    """Tell what is found by acting on the best scores alone."""
    found, rate = evaluation.intervals[MODEL], evaluation.positive_rate
    rows = [
        [
            f"best {share} %",
            str(found[f"precision_top_{share}"]),
            str(found[f"recall_top_{share}"]),
            number(found[f"precision_top_{share}"].value / rate if rate else np.nan, 1),
        ]
        for share in TOP
    ]
    text = (
        "What is found by acting on the best few. A lift of 4 means four times as many converters "
        "as among as many others; in brackets where the number lies 95 times of 100, had other "
        "visitors come."
    )
    table = Table(("", "Precision", "Recall", "Lift"), rows)
    tenths = [[f"tenth {one.number}", str(one.lift), str(one.gain)] for one in evaluation.deciles]
    words = "All rows in tenths, the best first; the share found counts the tenths before it too."
    found_by = Table(("", "Lift", "Share of converters found"), tenths)
    return Section("Among the best scores", (Text(text), table, Text(words), found_by))


def quality(drawn: Mapping[str, str]) -> Section:
    """Show how good the scores are; ``drawn`` has every picture as SVG by its title."""
    return Section("How good it is", (_pictures(drawn, QUALITY),))


def drivers(drawn: Mapping[str, str]) -> Section:
    """Show what the scores rest on."""
    text = (
        "Three views: what training gained from a column, what is lost without it, and how far it "
        "moves each score. Columns that say much the same, such as counts over 7 and over 30 days, "
        "share what they are worth."
    )
    return Section("What drives the score", (Text(text), _pictures(drawn, DRIVERS)))


def _pictures(drawn: Mapping[str, str], notes: Mapping[str, str]) -> Pictures:
    return Pictures([Picture(name, drawn[name], note) for name, note in notes.items()])


def by_slice(evaluation: Evaluation) -> Section:
    """Tell for whom the score is good, and how early in a visit."""
    rows = [
        [
            f"{one.what}: {one.value}",
            f"{one.rows:,}",
            f"{one.converters:,}",
            f"{one.label_rate:.1%}",
            f"{one.mean_score:.1%}",
            _as_share(one.gain),
            "weak" if one.is_weak else "few" if one.converters < LEAST_CONVERTERS else "",
        ]
        for one in evaluation.slices
    ]
    head = ("", "Rows", "Converters", "Rate", "Score", "Gain", "")
    text = (
        "Rate is the share of rows that convert, score the mean of what was said. "
        "Gain is by what share the log loss lies below that of knowing only the slice's own rate; "
        "where its whole interval is below 0 the score misleads, and the slice is weak. Fewer than "
        f"{LEAST_CONVERTERS} converters say little, and are marked."
    )
    measured: list[list[str | Cell]] = [
        [f"{one.what}: {one.value}", *(_cell(one.metrics[name]) for name in SLICE_WORDS)]
        for one in evaluation.slices
    ]
    words = (
        "How good the score is within each; F1 is at the threshold of all. A visit is a session, "
        "or ends where the visitor has no row for half an hour."
    )
    blocks = (
        Text(text), Table(head, rows), Text(words), Table(("", *SLICE_WORDS.values()), measured)
    )  # fmt: skip
    return Section("For whom, and how early", blocks)


def _as_share(found: Interval) -> str:
    if not np.isfinite(found.width):
        return str(found)
    return f"{found.value:z.0%} ({found.low:z.0%} to {found.high:z.0%})"


def people(explanation: Explanation) -> Section:
    """Tell of a few visitors what made the score."""
    shown = explanation.visitors
    widest = max((abs(r.contribution) for one in shown for r in one.reasons), default=0.0) or 1.0
    text = (
        "A moment of each visitor, from the highest score to the lowest. Bars to the right raise "
        "the score, bars to the left lower it, in log-odds: 0.69 doubles the odds, -0.69 halves "
        "them."
    )
    return Section(
        "Visitors, explained", (Text(text), People([_person(one, widest) for one in shown]))
    )


def _person(one: Explained, widest: float) -> Person:
    said = "called a prospect" if one.called else "not called"
    happened = "converted" if one.converted else "did not convert"
    return Person(
        title=f"Visitor {one.visitor[:8]}",  # enough to look one up, for those who have the data
        score=f"{one.score:.1%}",
        outcome=f"{said}, and {happened}",
        right=one.called == one.converted,
        note=f"{one.moment:%Y-%m-%d %H:%M}; {one.why}.",
        bars=[
            Bar(r.column, r.value or "nothing", f"{r.contribution:+.2f}", r.contribution / widest)
            for r in one.reasons
        ],
        rest=f"All other columns {one.rest:+.2f}; every score starts from {one.base:+.2f}.",
    )


def threshold(evaluation: Evaluation, params: Mapping[str, str]) -> Section:
    """Tell who is called, by which rule, and what that means."""
    rule, why = params.get("threshold_rule", ""), params.get("threshold_why", "")
    chosen = f" The rule is {rule}{f': {why}' if why else ''}." if rule else ""
    (right_no, false_yes), (false_no, right_yes) = evaluation.confusion
    rows = [
        ["label 0: did not convert", f"{right_no:,}", f"{false_yes:,}"],
        ["label 1: converted", f"{false_no:,}", f"{right_yes:,}"],
    ]
    return Section(
        "The threshold",
        (
            Text(
                f"A visitor is called a prospect from a score of {evaluation.threshold:.3f} on."
                f"{chosen}"
            ),
            Text(_calls(evaluation)),
            Table(("Rows", "not called", "called"), rows),
            Code(evaluation.classification_report),
        ),
    )


def _calls(evaluation: Evaluation) -> str:
    """Return what the threshold means for a hundred visitors, by their best moment."""
    visitors = evaluation.scored.groupby(KEY).agg(best=(MODEL, "max"), converts=("label", "max"))
    called, converts = visitors["best"] >= evaluation.threshold, visitors["converts"] > 0
    words = (
        f"Of 100 visitors of the test part, {called.mean() * 100:.1f} are called at some moment, "
        f"and {(called & converts).mean() * 100:.1f} of these convert; "
        f"{(~called & converts).mean() * 100:.1f} convert and are never called."
    )
    if evaluation.is_sampled:
        words += " Rows were sampled, so that some calls are not seen here."
    return words
