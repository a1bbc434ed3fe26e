"""The report needs nothing else, says everything, and trusts no text."""

import re
from functools import cache
from typing import Any

import pytest
from matplotlib.figure import Figure

from prospect_pipeline.training import plots, report
from prospect_pipeline.training.evaluation import MODEL, Evaluation, evaluate, score_test
from prospect_pipeline.training.model import baselines
from prospect_pipeline_tests.training import signal_model, signal_split

IDENTITY = {"model": "prospect_scoring", "version": "17", "fingerprint": "sha256-abcdef"}
DATA = {"cohort": "60:30", "rows": "1,500"}
HOSTILE = "<script>alert(1)</script>"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;"
TITLES = [
    "Confusion matrix",
    "ROC",
    "Precision and recall",
    "Calibration",
    "Scores",
    "Feature importance",
    "SHAP summary",
]


@cache
def evaluated() -> Evaluation:
    made, model = signal_split(), signal_model().model
    scored = score_test(made.test, model, baselines(made, seed=0))
    return evaluate(scored, made.test, model, 0.35)


@cache
def figures() -> dict[str, Figure]:
    return plots.figures(evaluated())


def page(**changed: Any) -> str:
    given: dict[str, Any] = {"identity": IDENTITY, "data": DATA, "horizon": "60 minutes"}
    given["split"] = signal_split().facts()
    return report.render(evaluated(), **(given | changed))


@pytest.fixture(scope="module")
def html() -> str:
    return page()


def test_the_page_needs_nothing_else(html: str) -> None:
    for tag in ("script", "link", "iframe", "img", "object", "base", "meta http-equiv"):
        assert f"<{tag}" not in html.lower()
    targets = re.findall(r"""(?:href|src)\s*=\s*["']?([^"'\s>]*)""", html)
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in targets)
    assert not re.search(r"url\((?!['\"]?#)", html)
    assert "@import" not in html


def test_the_page_has_every_metric_with_its_number(html: str) -> None:
    words = "ROC AUC|PR AUC|Log loss|Brier|Calibration error|F1|F2|Precision|Recall".split("|")

    assert set(report.METRIC_WORDS) < set(evaluated().headline)
    for word in words:
        assert f"<th>{word}</th>" in html
    for values in evaluated().metrics.values():
        for name in report.METRIC_WORDS:
            assert f">{values[name]:.4f}</td>" in html


def test_the_page_says_how_sure_its_numbers_are(html: str) -> None:
    found = evaluated().intervals[MODEL]

    assert f">{found['pr_auc']}<" in html
    for share in (1, 5, 10):
        assert f"<td>best {share} %</td>" in html
        assert f"<td>{found[f'recall_top_{share}']}</td>" in html


def test_the_page_has_a_line_for_each_scorer(html: str) -> None:
    for name in (MODEL, "tutorial pipeline", "logistic regression", "base rate"):
        assert f"<td>{name}</td>" in html


def test_the_page_says_which_model_it_is_and_what_it_was_trained_on(html: str) -> None:
    assert "<title>prospect_scoring version 17</title>" in html
    assert "<h1>prospect_scoring version 17</h1>" in html
    for name, value in (IDENTITY | DATA).items():
        assert f"<td>{name}</td><td>{value}</td>" in html
    assert "within the next 60 minutes?" in html


def test_the_page_says_the_threshold_and_the_split(html: str) -> None:
    lines = signal_split().facts()

    assert "from a score of 0.350 on" in html
    assert "<th>first anchor</th>" in html
    for line in lines:
        assert f"<td>{line['part']}</td><td>{line['visitors']:,}</td>" in html


def test_the_page_has_every_picture(html: str) -> None:
    assert html.count("<svg ") == html.count("</svg>") == len(TITLES)
    for title in TITLES:
        assert f'aria-label="{title}"' in html


def test_hostile_text_is_escaped_wherever_it_stands() -> None:
    html = page(
        identity={"model": HOSTILE, "version": HOSTILE, HOSTILE: HOSTILE},
        data={HOSTILE: HOSTILE, "quoted": '"><img src=x onerror=alert(1)>'},
        split=[{HOSTILE: HOSTILE, "rows": 1}],
        horizon=HOSTILE,
    )

    assert "<script" not in html
    assert "<img" not in html
    assert f"<title>{ESCAPED} version {ESCAPED}</title>" in html
    assert f"<td>{ESCAPED}</td><td>{ESCAPED}</td>" in html
    assert f"within the next {ESCAPED}?" in html


def test_hostile_names_of_scorers_are_escaped() -> None:
    made, model = signal_split(), signal_model().model
    scored = score_test(made.test, model, {HOSTILE: model.score(made.test) / 2})

    html = report.render(evaluate(scored, made.test, model, 0.5), {}, {}, [], "hour")

    assert "<script" not in html
    assert f"<td>{ESCAPED}</td>" in html
    assert "<title>Model version ?</title>" in html


def test_the_page_tells_whether_the_model_beats_the_best_baseline(html: str) -> None:
    pr_auc = {name: values["pr_auc"] for name, values in evaluated().metrics.items()}
    own = pr_auc.pop(MODEL)
    best = max(pr_auc, key=lambda name: pr_auc[name])
    word = "above" if own > pr_auc[best] else "not above"

    assert (
        f"the model ({own:.3f}) is {word} the best baseline, the {best} ({pr_auc[best]:.3f})"
        in (html)
    )


def test_the_best_number_of_each_column_stands_out(html: str) -> None:
    metrics = evaluated().metrics

    assert html.count('class="best"') == len(report.METRIC_WORDS)
    for metric in ("roc_auc", "pr_auc", "f1"):
        best = max(values[metric] for values in metrics.values())
        assert f'class="best">{best:.4f}<' in html
    for metric in ("log_loss", "brier"):
        best = min(values[metric] for values in metrics.values())
        assert f'class="best">{best:.4f}<' in html


def test_the_same_evaluation_gives_the_same_page(html: str) -> None:
    assert page() == html


def test_every_picture_is_drawn_and_has_a_note() -> None:
    assert list(figures()) == list(report.NOTES) == TITLES


@pytest.mark.parametrize("title", TITLES)
def test_a_picture_becomes_svg(title: str) -> None:
    svg = plots.as_svg(figures()[title])

    assert svg.startswith("<svg ")
    assert svg.rstrip().endswith("</svg>")


def test_a_picture_becomes_png() -> None:
    assert plots.as_png(figures()["ROC"]).startswith(b"\x89PNG\r\n\x1a\n")
