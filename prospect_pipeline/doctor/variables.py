"""The settings: whether they can be read, and whether something looks like one and is none."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from dotenv import dotenv_values

from prospect_pipeline.doctor.report import Answer, Check, ok, unused, warning, wrong
from prospect_pipeline.doctor.system import KINDS, System
from prospect_pipeline.errors import ProspectError
from prospect_pipeline.settings import SnowflakeSettings, TrainingSettings

AREA = "settings"
UNREAD = f"{AREA} values"
"""The check that is wrong where settings cannot be read."""

PAGE = "docs/settings.md lists them all"
OURS = ("PROSPECT_", "PREDICT_", "SIGNALS_", "MODEL_", "SNOWFLAKE_", "SP_")
NEAR, NEARLY_THE_SAME = 0.6, 0.9
"""How alike a name is to one of ours: with our prefix, and with none of ours."""


def checks(system: System) -> list[Check]:
    """Return the checks of what is set."""
    remedy = f"correct what is named; {PAGE}"
    return [
        Check(AREA, "values", lambda: _values(system), remedy),
        Check(AREA, "names", lambda: _names(_given()), remedy),
        Check(AREA, "files", lambda: _files(system), remedy),
    ]


def _known() -> set[str]:
    return {str(f.validation_alias) for kind in KINDS for f in kind.model_fields.values()}


def _given() -> set[str]:
    """Return the names of all variables that are set, in the environment and in ``.env``."""
    found = {**dotenv_values(".env"), **os.environ}
    return {name.upper() for name, value in found.items() if value}


def _values(system: System) -> Sequence[Answer]:
    remedy = f"set it so, or unset it; {PAGE}"
    found = [wrong(problem, remedy) for problem in system.problems.values()]
    if system.has(TrainingSettings):
        found += [wrong(problem, remedy) for problem in _contradictions(system[TrainingSettings])]
    count = len(_given() & _known())
    where = " (.env is read too)" if Path(".env").is_file() else ""
    return found or [ok(f"{count} of {len(_known())} are set, and all can be read{where}")]


def _contradictions(settings: TrainingSettings) -> Iterator[str]:
    """Yield what only a training would stumble over."""
    from prospect_pipeline.training.threshold import Rule

    try:
        Rule.parse(settings.threshold)
    except ProspectError as error:
        yield f"PROSPECT_THRESHOLD: {error}"
    try:
        _ = settings.label_horizon
    except ProspectError as error:  # it names its variable
        yield str(error)


def _names(given: set[str]) -> Sequence[Answer]:
    """Name what is set and is no setting, where it looks like one of ours."""
    known = _known()
    found = []
    for name in sorted(given - known):
        cutoff = NEAR if name.startswith(OURS) else NEARLY_THE_SAME
        near = difflib.get_close_matches(name, known, 1, cutoff)
        if near:
            found.append(warning(f"{name} is no setting, so it does nothing", f"set {near[0]}?"))
        elif name.startswith(OURS):
            found.append(warning(f"{name} is no setting, so it does nothing", f"unset it; {PAGE}"))
    return found or [ok("none is misspelt")]


def _files(system: System) -> Answer | Sequence[Answer]:
    """Look for the files that settings name."""
    named = dict(_named(system))
    missing = [
        wrong(f"{variable} names {path}, which cannot be read", f"put it there, or set {variable}")
        for variable, path in named.items()
        if not (path.is_file() and os.access(path, os.R_OK))
    ]
    if missing:
        return missing
    return ok(f"{', '.join(named)} can be read") if named else unused("no setting names one")


def _named(system: System) -> Iterator[tuple[str, Path]]:
    """Yield the settings that name a file; a module may be named in place of one."""
    if system.has(SnowflakeSettings) and (key := system[SnowflakeSettings].private_key_path):
        yield "SNOWFLAKE_PRIVATE_KEY_PATH", key.expanduser()
    if not system.has(TrainingSettings):
        return
    training = system[TrainingSettings]
    for variable, value in (
        ("PROSPECT_ANCHORS", training.anchors),
        ("PROSPECT_GOAL", training.goal),
    ):
        where, _, name = (value or "").rpartition(":")
        if where.endswith(".py") or (name and not where):
            yield variable, Path(where or name)
