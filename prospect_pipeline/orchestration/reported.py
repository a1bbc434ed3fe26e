"""What the evaluation report tells, gathered from the run of a version and from its data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from prospect_pipeline.errors import DamagedModel, InputError, RegistryRefused
from prospect_pipeline.orchestration.labelled import label, question
from prospect_pipeline.registry.store import ModelVersion, Registry
from prospect_pipeline.settings import DefinitionSettings
from prospect_pipeline.training.comparison import Before, measure
from prospect_pipeline.training.evaluation import Evaluation
from prospect_pipeline.training.explanation import Explanation
from prospect_pipeline.training.promotion import Decision
from prospect_pipeline.training.report import Report
from prospect_pipeline.warehouse.dropped import told

EVALUATION = "evaluation.json"
"""The file of a version's run that has every number on its test part."""

DECISION = "decision.json"
"""The file of a version's run that says whether it was promoted, why, and over which champion."""

LAST_ROW, LEARNT_UNTIL = "last_row", "learnt_until"
"""Tags of a version's run: the moment of its last row, and when the last visitor whom it has learnt
from was first seen."""


def stored_evaluation(opened: Registry, version: ModelVersion, scored: pd.DataFrame) -> Evaluation:
    """Return how a version was evaluated when it was registered; ``scored`` are its test scores.

    Raises RegistryError, or TrainingError where another release has evaluated it.
    """
    return Evaluation.from_dict(
        json.loads(opened.read_artifact(version.run_id, EVALUATION)), scored
    )


def decision_file(decision: Decision, before: ModelVersion | None) -> dict[str, str]:
    """Return a decision as a file of the version's run, with the champion of the time."""
    stored = decision.to_dict() | {"champion": vars(before) if before else None}
    return {DECISION: json.dumps(stored, indent=2)}


def stored_decision(opened: Registry, version: ModelVersion) -> dict[str, Any] | None:
    """Return what `decision_file` stored, None where a version was not judged."""
    if not opened.has_artifact(version.run_id, DECISION):
        return None
    stored: dict[str, Any] = json.loads(opened.read_artifact(version.run_id, DECISION))
    return stored


def reported(
    opened: Registry,
    version: ModelVersion,
    judged: Evaluation,
    explained: Explanation,
    test: pd.DataFrame,
    facts: Mapping[str, Any],
    pictures: Mapping[str, str],
) -> Report:
    """Gather the report on a version; ``facts`` are what `training_dataframe` says of itself.

    Raises RegistryError where the version's own run cannot be read.
    """
    params = opened.run_params(version.run_id)
    decision, before = _decision(opened, version, judged, test)
    return Report(
        evaluation=judged,
        explanation=explained,
        pictures=pictures,
        model=version.name,
        version=version.version,
        identity={
            "model": version.name,
            "version": version.version,
            "owner": DefinitionSettings.load().owner,
            "run": version.run_id,
            "attribute group": facts["group"],
            "registry": opened.address,
        },
        question=question(facts),
        data=_data(facts),
        split=[
            {
                name: value if isinstance(value, int) else _to_the_minute(value)
                for name, value in line.items()
            }
            for line in json.loads(opened.read_artifact(version.run_id, "split.json"))
        ],
        params={name: _short(value) for name, value in sorted(params.items())},
        decision=decision,
        before=before,
    )


def _decision(
    opened: Registry, version: ModelVersion, judged: Evaluation, test: pd.DataFrame
) -> tuple[Decision | None, Before | None]:
    """Return what was decided on a version, and the champion of the time beside it."""
    stored = stored_decision(opened, version)
    if stored is None:
        return None, None
    champion = stored["champion"]
    before = champion and _before(opened, ModelVersion(**champion), version, judged, test)
    return Decision.from_dict(stored), before


def _before(
    opened: Registry,
    champion: ModelVersion,
    version: ModelVersion,
    judged: Evaluation,
    test: pd.DataFrame,
) -> Before:
    known: dict[str, tuple[str, str]] = {}
    try:
        then, now = (_known(opened, one.run_id) for one in (champion, version))
        known = {name: (then.get(name, "none"), now.get(name, "none")) for name in {**now, **then}}
        return Before(champion.version, known, measure(judged, test, opened.load(champion).model))
    except (DamagedModel, InputError, RegistryRefused) as error:
        return Before(champion.version, known, problem=str(error))


def _known(opened: Registry, run_id: str) -> dict[str, str]:
    """Return what sets a version apart from another: its data, and what it was trained with."""
    tags, params = opened.run_tags(run_id), opened.run_params(run_id)
    data = {
        "visitors first seen": tags.get("window"),
        "as of": tags.get("as_of"),
        "last event": tags.get("last_event"),
        "last row": tags.get(LAST_ROW),
        "last visitor learnt from": tags.get(LEARNT_UNTIL),
        "attribute group": tags.get("group"),
        "fingerprint": tags.get("fingerprint"),
    }
    trained = {name: _short(value) for name, value in sorted(params.items())}
    trained.pop("threshold_why", None)
    return {name: _to_the_minute(value or "none") for name, value in data.items()} | trained


def _short(value: str) -> str:
    """Return a number with the digits that are read, other text as it is."""
    try:
        number = float(value)
    except ValueError:
        return value
    return value if number.is_integer() else f"{number:.4g}"


def _to_the_minute(text: object) -> str:
    """Return text with its moments as they are read: UTC, without seconds."""
    return re.sub(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)[\d:.]*(\+00:00)?", r"\1 \2", str(text))


def _data(facts: Mapping[str, Any]) -> dict[str, str]:
    return {
        "As of": _to_the_minute(facts["as_of"]),
        "Visitors first seen": _to_the_minute(facts["window"]),
        "Atomic events": f"{facts['events']:,}",
        "Training rows": f"{facts['rows']:,}",
        "Positive rows": f"{facts['positives']:,} ({facts['positives'] / facts['rows']:.2%})",
        "Events that became no row": "; ".join(told(facts["dropped"])) or "none",
        "Label": label(facts),
        "Fingerprint of definition and data": facts["fingerprint"],
    }
