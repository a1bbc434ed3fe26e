"""Makes the checks one by one: each within its time, whatever becomes of the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from prospect_pipeline.doctor.report import Answer, Check, Finding, Report, Status, wrong
from prospect_pipeline.errors import ProspectError
from prospect_pipeline.redaction import known_secrets, without_secrets

LONGEST = 600
"""Characters of what was found: a server may answer with a whole page."""

Outcome = Status | None
"""None for a check that could not be made because another is wrong."""

GRAVITY: tuple[Status, ...] = ("not used", "ok", "warning", "wrong")


def examine(checks: Iterable[Check], tell: Callable[[Finding], None]) -> Report:
    """Make every check, tell each finding as soon as it is known, and return them all.

    A check after one that is wrong is not made, and named; after one of something that is not used
    it says nothing.
    """
    report, known = Report(), [*known_secrets()]
    outcomes: dict[str, Outcome] = {}
    for check in checks:
        before = [outcomes.get(key) for key in check.after]
        if "not used" in before:
            outcomes[check.key] = "not used"
        elif None in before or "wrong" in before:
            outcomes[check.key] = None
            report.unchecked.append(check.key)
        else:
            answers = _answers(check)
            outcomes[check.key] = max((a.status for a in answers), key=GRAVITY.index)
            for finding in (_finding(check, answer, known) for answer in answers):
                report.findings.append(finding)
                tell(finding)
    return report


def _answers(check: Check) -> Sequence[Answer]:
    """Make a check in a thread that ends with the process, so that nothing waits for it."""
    said: list[Sequence[Answer]] = []

    def look() -> None:
        try:
            answer = check.look()
            said.append([answer] if isinstance(answer, Answer) else answer)
        except ProspectError as error:
            said.append([wrong(error.found, _in_a_line(error.remedy) or check.remedy)])
        except BaseException as error:  # its words may hold anything, a secret too
            said.append([wrong(f"it failed in a way of its own ({_kind(error)})", check.remedy)])

    looking = threading.Thread(target=look, name=check.key, daemon=True)
    looking.start()
    looking.join(check.seconds)
    return said[0] if said else [wrong(f"no answer within {check.seconds:g} s", check.remedy)]


def _in_a_line(sentence: str) -> str:
    """Return a sentence as it stands behind what was found."""
    return f"{sentence[:1].lower()}{sentence[1:]}".removesuffix(".")


def _kind(error: BaseException) -> str:
    return type(error).__name__


def _finding(check: Check, answer: Answer, known: list[tuple[str, str]]) -> Finding:
    found, remedy = (_shown(words, known) for words in (answer.found, answer.remedy))
    return Finding(check.area, check.name, answer.status, found, remedy)


def _shown(words: str, known: list[tuple[str, str]]) -> str:
    """Return words in one line, without secrets."""
    line = " ".join(without_secrets(words, known).split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."
