"""The report needs nothing else, says everything, and trusts no text."""

import dataclasses
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from prospect_pipeline.training import findings, plots
from prospect_pipeline.training.comparison import Before, measure
from prospect_pipeline.training.evaluation import MODEL, Evaluation, evaluate, score_test
from prospect_pipeline.training.explanation import Explanation, explain
from prospect_pipeline.training.model import baselines
from prospect_pipeline.training.palette import DARK, LIGHT
from prospect_pipeline.training.promotion import Decision, Gate
from prospect_pipeline.training.report import Report, render
from prospect_pipeline_tests.training import signal_model, signal_split

IDENTITY = {"model": "prospect_scoring", "version": "17", "fingerprint": "sha256-abcdef"}
DATA = {"cohort": "60:30", "rows": "1,500"}
HOSTILE = "<script>alert(1)</script>"
APOSTROPHE = "'"
CHANGED = "what-changed-since-the-champion"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;"
PROMOTED = Decision(True, "It is the first version.", (Gate("serves", True, "it loads"),))
REFUSED = Decision(False, "Version 3 stays champion.", (Gate("calibrated", False, "it is not"),))
TITLES = [
    "ROC",
    "Precision and recall",
    "Calibration",
    "Scores",
    "Confusion matrix",
    "Cumulative gains",
    "Lift by decile",
    "Feature importance",
    "Permutation importance",
    "SHAP summary",
]


@cache
def evaluated() -> Evaluation:
    made, model = signal_split(), signal_model().model
    scored = score_test(made.test, model, baselines(made, seed=0))
    return evaluate(scored, made.test, model, 0.35)


@cache
def explained() -> Explanation:
    return explain(evaluated(), signal_split().test, signal_model().model)


@cache
def figures() -> dict[str, Figure]:
    return plots.figures(evaluated(), explained())


@cache
def pictures() -> dict[str, str]:
    return {title: plots.as_svg(figure) for title, figure in figures().items()}


def report_on(judged: Evaluation | None = None, **changed: Any) -> Report:
    given: dict[str, Any] = {
        "explanation": explained(),
        "pictures": pictures(),
        "model": "prospect_scoring", "version": "17", "identity": IDENTITY, "data": DATA,
        "question": "Will a form follow?", "split": signal_split().facts(),
        "params": {"rounds": "12", "threshold_rule": "f2", "threshold_why": "the highest F2"},
        "decision": PROMOTED,
    }  # fmt: skip
    return Report(judged or evaluated(), **(given | changed))


def page(judged: Evaluation | None = None, **changed: Any) -> str:
    return render(report_on(judged, **changed))


def section(html: str, anchor: str) -> str:
    """One section of the page."""
    return html.split(f'<section id="{anchor}">')[1].split("</section>")[0]


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

    assert set(findings.METRIC_WORDS) < set(evaluated().headline)
    for word in words:
        assert f"<td>{word}</td>" in html
    for values in evaluated().metrics.values():
        for name in findings.METRIC_WORDS:
            assert f">{values[name]:.4f}<small>" in html


def test_the_page_says_how_sure_its_numbers_are(html: str) -> None:
    found = evaluated().intervals[MODEL]

    own = found["pr_auc"]
    assert f"<b>{own.value:.3f}</b><span>{own.low:.3f} to {own.high:.3f}</span>" in html
    for share in (1, 5, 10):
        assert f"<td>best {share} %</td>" in html
        assert f"<td>{found[f'recall_top_{share}']}</td>" in html


def test_the_page_says_how_far_the_model_is_ahead_of_each_baseline(html: str) -> None:
    told = section(html, "against-the-baselines")

    for metric, word in findings.METRIC_WORDS.items():
        cells = "".join(
            f"<td>{one.value:+.4f}<small>{one.low:+.3f} to {one.high:+.3f}</small></td>"
            for one in (own[metric] for own in evaluated().ahead.values())
        )
        assert f"<td>{word}</td>{cells}" in told
    assert all(f"<th>less {name}</th>" in told for name in evaluated().ahead)


def test_the_page_has_a_line_for_each_tenth(html: str) -> None:
    told = section(html, "among-the-best-scores")

    for one in evaluated().deciles:
        assert f"<td>tenth {one.number}</td><td>{one.lift}</td><td>{one.gain}</td>" in told


def test_the_page_has_a_column_for_each_scorer(html: str) -> None:
    for name in (MODEL, "tutorial pipeline", "logistic regression", "viewed pricing", "base rate"):
        assert f"<th>{name}</th>" in html


def test_the_page_says_which_model_it_is_and_what_it_was_trained_on(html: str) -> None:
    assert "<title>prospect_scoring version 17</title>" in html
    assert "<h1>prospect_scoring version 17</h1>" in html
    for name, value in (IDENTITY | DATA).items():
        assert f"<td>{name}</td><td>{value}</td>" in html
    assert "Will a form follow?" in html


def test_the_page_says_the_threshold_and_what_it_means(html: str) -> None:
    told = section(html, "the-threshold")
    visitors = evaluated().scored.groupby("domain_userid")[[MODEL, "label"]].max()
    called = visitors[MODEL] >= 0.35

    assert "from a score of 0.350 on. The rule is f2: the highest F2." in told
    assert f"{called.mean() * 100:.1f} are called at some moment" in told
    assert f"{(called & (visitors['label'] == 1)).mean() * 100:.1f} of these convert" in told
    (right_no, false_yes), (false_no, right_yes) = evaluated().confusion
    assert f"<td>label 0: did not convert</td><td>{right_no}</td><td>{false_yes}</td>" in told
    assert f"<td>label 1: converted</td><td>{false_no}</td><td>{right_yes}</td>" in told


def test_the_page_says_the_split(html: str) -> None:
    assert "<th>first anchor</th>" in html
    for line in signal_split().facts():
        known = f"<td>{line['visitors']:,}</td><td>{line['converters']:,}</td>"
        assert html.count(f"<td>{line['part']}</td>{known}") == 2  # with the data, and in full


def test_every_section_is_in_the_table_of_contents_and_stands_once(html: str) -> None:
    anchors = re.findall(r'<section id="([^"]*)">', html)

    assert re.findall(r'<li><a href="#([^"]*)">', html) == anchors
    assert len(set(anchors)) == len(anchors)
    assert anchors[:3] == ["the-data", "the-promotion", "what-changed-since-the-champion"]
    identified = re.findall(r' id="([^"]*)"', re.sub(r"<defs>.*?</defs>", "", html, flags=re.S))
    assert len(set(identified) & set(anchors)) == len(anchors)


def test_the_decision_is_told_with_its_gates() -> None:
    promoted, refused = page(), page(decision=REFUSED)

    assert '<p class="badge good"><b>Promoted.</b> It is the first version.</p>' in promoted
    assert "<td>serves</td><td>yes</td><td>it loads</td>" in section(promoted, "the-promotion")
    assert '<p class="badge"><b>Refused.</b> Version 3 stays champion.</p>' in refused
    assert "<td>calibrated</td><td>no</td><td>it is not</td>" in section(refused, "the-promotion")


def test_without_a_champion_before_it_is_the_first_version(html: str) -> None:
    assert "It is the first version: there was no champion" in section(html, CHANGED)
    unknown = page(decision=None)
    assert "No decision is recorded" in section(unknown, CHANGED)
    assert 'class="badge' not in unknown


def test_what_changed_is_measured_on_the_same_rows() -> None:
    model = signal_model().model
    stumps = dataclasses.replace(model, booster=model.booster[:2], threshold=0.1)
    measured = measure(evaluated(), signal_split().test, stumps)
    before = Before("3", {"rounds": ("2", "12"), "seed": ("0", "0")}, measured)

    told = section(page(decision=REFUSED, before=before), CHANGED)

    new, old = evaluated().headline["log_loss"], measured.metrics["log_loss"]
    assert new < old
    assert measured.change["log_loss"].value == pytest.approx(new - old)
    change = measured.change["log_loss"]
    assert f"<td>Log loss</td><td>{new:.4f}</td><td>{old:.4f}</td><td>{change}</td>" in told
    assert "<td>rounds</td><td>12</td><td>2</td>" in told
    assert "The same in both: seed." in told
    names = re.findall(r"<tr><td>(\w+)</td><td>[\d.]+%</td><td>[\d.]+%</td></tr>", told)
    moves = [abs(evaluated().importance[n] - measured.importance[n]) for n in names]
    assert len(names) == 6
    assert moves == sorted(moves, reverse=True)


def test_a_champion_is_no_different_from_itself() -> None:
    model = dataclasses.replace(signal_model().model, threshold=0.35)

    measured = measure(evaluated(), signal_split().test, model)

    assert {(c.value, c.low, c.high) for c in measured.change.values()} == {(0.0, 0.0, 0.0)}
    assert measured.importance == evaluated().importance


def test_a_champion_that_cannot_be_compared_is_named_with_the_reason() -> None:
    before = Before("3", {"rounds": ("2", "12")}, problem="it is damaged")

    told = section(page(decision=PROMOTED, before=before), CHANGED)

    assert "Version 3, champion then, cannot be compared: it is damaged" in told
    assert "<td>rounds</td><td>12</td><td>2</td>" in told


def test_every_slice_has_its_interval_and_small_ones_are_marked(html: str) -> None:
    told = section(html, "for-whom-and-how-early")

    for one in evaluated().slices:
        span = f"{one.gain.value:z.0%} ({one.gain.low:z.0%} to {one.gain.high:z.0%})"
        mark = "few" if one.converters < 20 else ""
        assert f"<td>{one.what.replace(APOSTROPHE, '&#39;')}: {one.value}</td>" in told
        assert f"<td>{span}</td><td>{mark}</td>" in told
        measured = [one.metrics[name] for name in findings.SLICE_WORDS]
        cells = "".join(
            f"<td>{m.value:.3f}<small>{m.low:.2f} to {m.high:.2f}</small></td>" for m in measured
        )
        assert cells in told


def test_every_explained_visitor_is_told_with_bars(html: str) -> None:
    told = section(html, "visitors-explained")

    assert told.count('<article class="person">') == len(explained().visitors) == 10
    assert told.count('<div class="bar">') == 60
    widths = [float(width) for width in re.findall(r'style="width: ([\d.]+)%"', told)]
    assert max(widths) == 50
    for one in explained().visitors:
        reason = one.reasons[0]
        shown = f'<div class="number">{reason.contribution:+.2f}</div>'
        assert f"<h3>Visitor {one.visitor}</h3><b>{one.score:.1%}</b>" in told
        assert shown in told


def test_the_model_card_has_its_headings(html: str) -> None:
    told = section(html, "model-card")

    for heading in (
        "Model details", "Intended use", "Not intended use", "Metrics", "Training data",
        "Ethical considerations", "Caveats and recommendations",
    ):  # fmt: skip
        assert f"<td>{heading}</td>" in told


def test_every_colour_follows_the_dark_mode(html: str) -> None:
    assert list(LIGHT) == list(DARK)
    pictures = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.S))
    assert "var(--ink)" in pictures
    assert not [colour for colour in (*LIGHT.values(), "#ffffff", "white") if colour in pictures]


def test_a_phone_in_the_dark_shows_the_page_whole_and_its_pictures_in_light_ink(
    html: str, chromium: Any, tmp_path: Path
) -> None:
    (tmp_path / "report.html").write_text(html)
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    phone = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    try:
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        chromium.get((tmp_path / "report.html").as_uri())
        width, ink, box = chromium.execute_script(
            "const look = (what) => getComputedStyle(document.querySelector(what));"
            "return [document.documentElement.scrollWidth, look('figure svg text').fill,"
            " look('figure').backgroundColor]"
        )
    finally:
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    assert width == 390
    assert (ink, box) == (rgb(DARK["ink"]), rgb(DARK["card"]))


def rgb(colour: str) -> str:
    """A colour as a browser says it."""
    return f"rgb({', '.join(str(int(colour[n : n + 2], 16)) for n in (1, 3, 5))})"


def test_the_page_is_light(html: str) -> None:
    assert len(html) < 1_500_000


def test_the_page_has_every_picture(html: str) -> None:
    assert html.count("<svg ") == html.count("</svg>") == len(TITLES)
    for title in TITLES:
        assert f'aria-label="{title}"' in html


def test_hostile_text_is_escaped_wherever_it_stands() -> None:
    html = page(
        model=HOSTILE,
        version=HOSTILE,
        identity={HOSTILE: HOSTILE},
        data={HOSTILE: HOSTILE, "quoted": '"><img src=x onerror=alert(1)>'},
        split=[{"part": HOSTILE, HOSTILE: HOSTILE, "rows": 1}],
        params={"threshold_rule": HOSTILE, HOSTILE: HOSTILE},
        question=HOSTILE,
        decision=Decision(False, HOSTILE, (Gate(HOSTILE, False, HOSTILE),)),
        before=Before(HOSTILE, {HOSTILE: (HOSTILE, "")}, problem=HOSTILE),
    )

    assert "<script" not in html
    assert "<img" not in html
    assert f"<title>{ESCAPED} version {ESCAPED}</title>" in html
    assert f"<td>{ESCAPED}</td><td>{ESCAPED}</td>" in html


def test_hostile_values_of_the_data_are_escaped() -> None:
    made, model = signal_split(), signal_model().model
    test = made.test.assign(latest_app_id=HOSTILE, domain_userid=HOSTILE + made.test.domain_userid)
    scored = score_test(test, model, {HOSTILE: model.score(test) / 2})

    judged = evaluate(scored, test, model, 0.5)
    told = explain(judged, test, model)
    drawn = {title: plots.as_svg(figure) for title, figure in plots.figures(judged, told).items()}
    html = page(judged, pictures=drawn, explanation=told)

    assert "<script" not in html
    assert f"<th>{ESCAPED}</th>" in html
    assert f"<td>app: {ESCAPED}</td>" in html


@pytest.mark.parametrize("rows", ["one class", "one row", "one row of each class"])
def test_what_few_rows_do_not_define_is_not_known(rows: str) -> None:
    made, model = signal_split(), signal_model().model
    by_label = made.test.sort_values("label", kind="stable")
    test = {
        "one class": made.test[made.test["label"] == 0],
        "one row": made.test.head(1),
        "one row of each class": by_label.iloc[[0, -1]],
    }[rows]
    scored = score_test(test, model, {"base rate": np.full(len(test), 0.2)})

    judged = evaluate(scored, test, model, 0.3)
    told = explain(judged, test, model)
    drawn = {title: plots.as_svg(figure) for title, figure in plots.figures(judged, told).items()}
    html = page(judged, pictures=drawn, explanation=told)

    assert "nan" not in re.sub(r"base64,[^\"]*", "", html).lower()
    assert html.count("<b>not known</b>") == (0 if rows == "one row of each class" else 5)
    assert html.count("<svg ") == len(TITLES)
    json.dumps(judged.to_dict(), allow_nan=False)


def test_the_page_tells_whether_the_model_beats_the_best_baseline(html: str) -> None:
    pr_auc = {name: values["pr_auc"] for name, values in evaluated().metrics.items()}
    own = pr_auc.pop(MODEL)
    best = max(pr_auc, key=lambda name: pr_auc[name])
    word = "above" if own > pr_auc[best] else "not above"

    assert (
        f"the model ({own:.3f}) is {word} the best baseline, the {best} ({pr_auc[best]:.3f})"
        in (html)
    )


def test_the_best_number_of_each_line_stands_out(html: str) -> None:
    metrics = evaluated().metrics

    assert html.count('class="best"') == len(findings.METRIC_WORDS)
    for metric in ("roc_auc", "pr_auc", "f1"):
        best = max(values[metric] for values in metrics.values())
        assert f'class="best">{best:.4f}<small>' in html
    for metric in ("log_loss", "brier"):
        best = min(values[metric] for values in metrics.values())
        assert f'class="best">{best:.4f}<small>' in html


def test_the_same_evaluation_gives_the_same_page(html: str) -> None:
    again = {
        title: plots.as_svg(one) for title, one in plots.figures(evaluated(), explained()).items()
    }

    assert page(pictures=again) == html


def test_every_picture_is_drawn_and_has_a_note() -> None:
    assert list(figures()) == list(findings.QUALITY | findings.DRIVERS) == TITLES


@pytest.mark.parametrize("title", TITLES)
def test_a_picture_becomes_svg(title: str) -> None:
    svg = plots.as_svg(figures()[title])

    assert svg.startswith("<svg ")
    assert svg.rstrip().endswith("</svg>")


def test_a_picture_becomes_png() -> None:
    assert plots.as_png(figures()["ROC"]).startswith(b"\x89PNG\r\n\x1a\n")
