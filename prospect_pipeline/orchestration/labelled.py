"""What a label says, and so what a score answers, in words that are true of the rows at hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prospect_pipeline.settings import TrainingSettings

FORM = "submit_form"


def label_facts(settings: TrainingSettings) -> dict[str, str]:
    """Return what `question` and `label` need to know; raises SettingsError, see its horizon."""
    minutes = settings.label_horizon.total_seconds() / 60
    return {
        "goal": _goal(settings),
        "horizon": f"{minutes:g} minutes",
        "anchored_by": settings.anchored_by,
    }


def question(facts: Mapping[Any, Any]) -> str:
    """Return what a score answers."""
    goal, rows = _read(facts)
    if rows == "sessions":
        return (
            f"How likely is it that this session reaches the goal of {goal} with its next event, "
            "rather than not at all?"
        )
    if rows == "table":
        return f"How likely is it that {goal} says 1 of this visitor at this moment?"
    what = "this visitor sends a form" if goal == FORM else f"{goal} follows"
    return f"How likely is it that {what} within the next {facts['horizon']}?"


def label(facts: Mapping[Any, Any]) -> str:
    """Return when a label is 1, and when that is known."""
    goal, rows = _read(facts)
    known = f"taken as known {facts['horizon']} after the row's moment"
    if rows == "sessions":
        return (
            f"1 for an event that reaches the goal of {goal}, 0 for an event of a session without "
            f"one, {known}; values leave the row's own event out"
        )
    if rows == "table":
        return f"as {goal} says, {known}"
    return f"1 where {goal} follows within {facts['horizon']}, strictly after the row's moment"


def _read(facts: Mapping[Any, Any]) -> tuple[str, str]:
    """Return the goal and where rows come from; data from before it said so has the defaults."""
    return facts.get("goal", FORM), facts.get("anchored_by", "visitors")


def _goal(settings: TrainingSettings) -> str:
    """Return what the rows' labels count, in short."""
    if settings.anchors or settings.goal:
        return Path(str(settings.anchors or settings.goal)).name
    events = " or ".join(settings.goal_events)
    return events if settings.goal_count == 1 else f"{events}, {settings.goal_count} times"
