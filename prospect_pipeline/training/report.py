"""The evaluation report: one self-contained page on one version, from question to limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prospect_pipeline.training import findings, succession
from prospect_pipeline.training.comparison import Before
from prospect_pipeline.training.evaluation import Evaluation
from prospect_pipeline.training.explanation import Explanation
from prospect_pipeline.training.modelcard import card
from prospect_pipeline.training.page import Page, Section, Table, Text, facts
from prospect_pipeline.training.page import render as render_page
from prospect_pipeline.training.promotion import Decision

LIMITS = (
    "A score says how often visitors who look alike converted, not why. It knows what the "
    "attributes hold and nothing else: not the company, the offer or the season.",
    "It was judged on one stretch of time; retrain and judge again when the website changes. "
    "Numbers from few converters are rough: see how many there are in the test part. What drives "
    "the score says what the model goes by, not what would happen if a visitor did otherwise.",
)


@dataclass(frozen=True)
class Report:
    """All that the page tells of one version; names and values are shown as they are.

    ``explanation`` is of the evaluation's scores, ``pictures`` are those of `plots` as SVG, by
    title. ``question`` is what a score answers, ``data`` what was trained on, ``split`` has a line
    on each part, ``params`` are those of the training. ``decision`` is None where none is recorded,
    and ``before`` where there was no champion, or none is known.
    """

    evaluation: Evaluation
    explanation: Explanation
    pictures: Mapping[str, str]
    model: str
    version: str
    identity: Mapping[str, str]
    question: str
    data: Mapping[str, str]
    split: Sequence[Mapping[str, Any]]
    params: Mapping[str, str]
    decision: Decision | None = None
    before: Before | None = None


def render(report: Report) -> str:
    """Return the report as HTML that needs nothing else."""
    return render_page(
        Page(
            title=f"{report.model} version {report.version}",
            lead=f"{report.question} Judged on visitors who came later than all that it was "
            "trained on.",
            badge=succession.badge(report.decision),
            cards=findings.cards(report.evaluation),
            sections=_sections(report),
        )
    )


def _sections(report: Report) -> tuple[Section, ...]:
    judged = report.evaluation
    return (
        Section("The data", (facts(report.data), _parts(report.split))),
        succession.decided(report.decision),
        succession.changed(report.decision, report.before, judged),
        findings.against_baselines(judged),
        findings.best_scores(judged),
        findings.quality(report.pictures),
        findings.drivers(report.pictures),
        findings.by_slice(judged),
        findings.people(report.explanation),
        findings.threshold(judged, report.params),
        _split(report.split),
        Section("Limits", [Text(text) for text in LIMITS]),
        card(report.identity, report.question, report.data, judged),
        Section("The version", (facts(report.identity), facts(report.params))),
    )


def _parts(split: Sequence[Mapping[str, Any]]) -> Table:
    wanted = ("part", "visitors", "converters", "rows", "positives")
    return _lines([{name: line.get(name, "") for name in wanted} for line in split])


def _split(split: Sequence[Mapping[str, Any]]) -> Section:
    return Section(
        "The split",
        (
            Text(
                "By visitor and forward in time: no visitor is in two parts, and later visitors "
                "judge what was learnt from earlier ones. The validation part says how many "
                "rounds are good, the calibration part how far scores can be believed and from "
                "which on a visitor is called. Rows whose label was not yet known when the next "
                "part begins are purged."
            ),
            _lines(split),
        ),
    )


def _lines(lines: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [f"{value:,}" if isinstance(value, int) else str(value) for value in line.values()]
        for line in lines
    ]
    return Table([name.replace("_", " ") for name in (lines[0] if lines else ())], rows)
