"""The promotion and what changed since the champion, as sections of the report."""

from __future__ import annotations

from prospect_pipeline.training.comparison import Before, Worth
from prospect_pipeline.training.evaluation import Evaluation
from prospect_pipeline.training.findings import METRIC_WORDS, number
from prospect_pipeline.training.page import Badge, Block, Section, Table, Text
from prospect_pipeline.training.promotion import Decision

MOVED = 6
"""How many columns whose importance moved most are shown."""

UNRECORDED = (
    "No decision is recorded with this version: it was not judged yet, or was promoted by hand."
)


def badge(decision: Decision | None) -> Badge | None:
    """Return the decision in a word."""
    if decision is None:
        return None
    return Badge("Promoted" if decision.promote else "Refused", decision.promote, decision.reason)


def decided(decision: Decision | None) -> Section:
    """Tell whether the version became champion, and what was asked of it."""
    title = "The promotion"
    if decision is None:
        return Section(title, (Text(UNRECORDED),))
    rows = [
        [gate.name.replace("_", " "), "yes" if gate.passed else "no", gate.words]
        for gate in decision.gates
    ]
    blocks: list[Block] = [Text(decision.told)]
    if rows:
        blocks.append(Table(("Gate", "Passed", "What was found"), rows, is_prose=True))
    return Section(title, blocks)


def changed(decision: Decision | None, before: Before | None, evaluation: Evaluation) -> Section:
    """Set the version beside the champion of the time."""
    title = "What changed since the champion"
    if before is None:
        words = "It is the first version: there was no champion to compare it with."
        return Section(title, (Text(words if decision else UNRECORDED),))
    blocks: list[Block] = []
    if before.measured is None:
        blocks.append(
            Text(f"Version {before.version}, champion then, cannot be compared: {before.problem}")
        )
    else:
        blocks += _measured(before, before.measured, evaluation)
    return Section(title, [*blocks, *_facts(before)])


def _measured(before: Before, measured: Worth, evaluation: Evaluation) -> list[Block]:
    metrics = [
        [
            METRIC_WORDS[name],
            number(evaluation.headline[name]),
            number(measured.metrics[name]),
            str(change),
        ]
        for name, change in measured.change.items()
    ]
    now, then = evaluation.importance, measured.importance
    names = sorted({*now, *then}, key=lambda n: (-abs(now.get(n, 0.0) - then.get(n, 0.0)), n))
    moved = [
        [name, f"{now.get(name, 0.0):.1%}", f"{then.get(name, 0.0):.1%}"] for name in names[:MOVED]
    ]
    old = f"Version {before.version}"
    return [
        Text(
            f"Both scored the same test rows, each called from its own threshold on. {old} may "
            "have learnt from some of these visitors, which flatters it; the gate `not worse` "
            "says whom it went by."
        ),
        Table(("", "This version", old, "Difference"), metrics),
        Text("The columns whose share of the gain moved most:"),
        Table(("Column", "This version", old), moved),
    ]


def _facts(before: Before) -> list[Block]:
    differ = [[name, now, then] for name, (then, now) in before.facts.items() if then != now]
    same = [name for name, (then, now) in before.facts.items() if then == now]
    blocks: list[Block] = []
    if differ:
        head = ("What", "This version", f"Version {before.version}")
        blocks.append(Table(head, differ, is_prose=True))
    if same:
        blocks.append(Text(f"The same in both: {', '.join(same)}."))
    return blocks
