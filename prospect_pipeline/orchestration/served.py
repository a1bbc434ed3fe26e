"""Whether the running service answers what the warehouse and the champion give offline."""

# Annotations stay real objects here: Dagster reads them.

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pandas as pd
from snowplow_signals import AttributeGroup

from prospect_pipeline.attributes import prospect
from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.errors import ProspectError, StackError
from prospect_pipeline.features import COLUMNS
from prospect_pipeline.orchestration import checks
from prospect_pipeline.orchestration.champion import champion
from prospect_pipeline.orchestration.resources import (
    RegistryResource,
    ScoringService,
    WarehouseResource,
)
from prospect_pipeline.registry.store import LoadedModel
from prospect_pipeline.settings import (
    DefinitionSettings,
    ServingSettings,
    TrainingSettings,
    parse_moment,
)
from prospect_pipeline.training.dataset import KEY, Check
from prospect_pipeline.training.promotion import SAME
from prospect_pipeline.warehouse.base import Columns, Warehouse

NAME = "served_equals_trained"
VISITORS = 20
SHOWN = 10
ASK_AGAIN_SECONDS = 0.3
LOADING_SECONDS = 10.0
LONGEST_SECONDS = 60.0
"""How long a service is waited for at most, however seldom it looks for a newer model."""

Answer = dict[str, Any]
KINDS: tuple[Columns, Columns] = ("attributes", "features")


@dg.asset_check(
    asset=champion, additional_ins={"training_dataframe": dg.AssetIn("training_dataframe")}
)
def served_equals_trained(
    training_dataframe: pd.DataFrame,
    registry: RegistryResource,
    warehouse: WarehouseResource,
    scoring: dg.ResourceParam[ScoringService],
) -> dg.AssetCheckResult:
    """The running service's values and scores are the warehouse's and the champion's, offline."""
    address = scoring.address()
    if address is None:
        return checks.result(_aside(True, "No service is running: not checked."))
    try:
        opened, group = registry.open(), prospect.attribute_group(DefinitionSettings.load())
        loaded = opened.load(opened.resolve())
        if loaded.group not in (None, GroupVersion.of(group)):
            words = f"The champion was trained on {loaded.group}, which is defined here no more"
            return checks.result(_aside(True, f"{words}: not checked."))
        visitors = training_dataframe[KEY].drop_duplicates()
        visitors = visitors.iloc[:: max(len(visitors) // VISITORS, 1)].head(VISITORS)
        answers = _answers(scoring, address, list(visitors), loaded.identity.version)
        offline = _offline(warehouse.open(), group, answers)
        return checks.result(
            compare(answers, offline, loaded), severity=dg.AssetCheckSeverity.ERROR
        )
    except ProspectError as error:
        return checks.result(_aside(False, f"It could not be compared: {error}"))


@dataclass(frozen=True)
class Offline:
    """What the warehouse holds of one visitor at one moment: attributes and model columns."""

    attributes: dict[str, Any]
    columns: dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """A value of one visitor that the service and the warehouse do not share."""

    visitor: str
    what: str
    served: Any
    trained: Any


def compare(answers: list[Answer], offline: dict[str, Offline], loaded: LoadedModel) -> Check:
    """Compare a service's answers with what was computed for the same visitors and moments."""
    found = [one for answer in answers for one in _values(answer, offline[answer[KEY]])]
    scores = [
        Difference(answer[KEY], "score", answer["score"], score)
        for answer in answers
        for score in [loaded.model.score_one(offline[answer[KEY]].columns)]
    ]
    furthest = max(scores, key=lambda one: abs(one.served - one.trained))
    apart = abs(furthest.served - furthest.trained)
    found += [furthest] if apart > SAME else []
    words = (
        f"{len(answers):,} visitors were scored by the service, by version "
        f"{loaded.identity.version}, and offline, on what the warehouse holds of the same moments: "
        f"{_counted(found)}; the scores differ by {apart:.2g} at most, {SAME:g} is allowed."
    )
    if "signals" not in answers[0]:
        words += " The service leaves its attributes out (PREDICT_DETAIL)."
    if found:
        words += (
            " Whose they are, first_differing says. See whether Signals has counted long enough "
            "(SIGNALS_BACKFILL_SINCE), whether the warehouse holds the last events, and whether "
            "the service runs this release."
        )
    facts = {
        "visitors": len(answers),
        "version": loaded.identity.version,
        "scores_differ_by": apart,
        "differing": len(found),
        "first_differing": [
            {name: str(value) for name, value in vars(one).items()} for one in found[:SHOWN]
        ],
    }
    return Check(NAME, not found, False, words, facts)


def _answers(
    scoring: ScoringService, address: str, visitors: list[str], version: str
) -> list[Answer]:
    """Ask for each visitor, once the service uses a version; raises StackError where it does not.

    A service that has just been promoted a model to takes it with its next look at the registry.
    """
    patience = min(ServingSettings.load().poll_seconds + LOADING_SECONDS, LONGEST_SECONDS)
    deadline = time.monotonic() + patience
    while problem := _not_ready(scoring, address, visitors[0], version):
        if time.monotonic() > deadline:
            raise StackError(f"{problem} That did not change within {patience:g} s.")
        time.sleep(ASK_AGAIN_SECONDS)
    answers = [scoring.score(address, visitor) for visitor in visitors]
    if {answer["model"]["version"] for answer in answers} != {version}:
        raise StackError("The service changed its model meanwhile.")
    return answers


def _not_ready(scoring: ScoringService, address: str, visitor: str, version: str) -> str:
    """Return why a service cannot be compared yet, '' where it can."""
    try:
        answer = scoring.score(address, visitor)
    except StackError as error:
        return str(error)
    used = answer["model"]["version"]
    if used != version:
        return (
            f"The service uses version {used}, and not the champion, {version}. See its log, and "
            "whether MODEL_VERSION is set."
        )
    return "" if "moment" in answer else "The service does not run this release: start it again."


def _offline(
    warehouse: Warehouse, group: AttributeGroup, answers: list[Answer]
) -> dict[str, Offline]:
    """Return what the warehouse holds of each visitor at the moment of the answer."""
    moments = [parse_moment(answer["moment"]) for answer in answers]
    anchors = pd.DataFrame(
        {KEY: [answer[KEY] for answer in answers], "anchor_ts": moments, "label": 0}
    )
    settings = TrainingSettings.load(as_of=max(moments).isoformat())
    attributes, columns = (
        checks.at_moments(warehouse, group, settings, anchors, kind).to_pylist() for kind in KINDS
    )
    columns_of = {row[KEY]: {name: row[name] for name in COLUMNS} for row in columns}
    names = GroupVersion.of(group).attributes
    return {
        row[KEY]: Offline({name: row[name] for name in names}, columns_of[row[KEY]])
        for row in attributes
    }


def _values(answer: Answer, offline: Offline) -> Iterator[Difference]:
    pairs = (("signals", offline.attributes), ("scoring_attributes", offline.columns))
    for part, trained in pairs:
        served = answer.get(part)
        for name, value in trained.items():
            if served is not None and not _same(served.get(name), value):
                what = f"attribute {name}" if part == "signals" else f"column {name}"
                yield Difference(answer[KEY], what, served.get(name), value)


def _same(served: Any, trained: Any) -> bool:
    if isinstance(served, dict):
        return served == dict(trained or ())
    if isinstance(served, float) and isinstance(trained, float):
        return math.isclose(served, trained, rel_tol=1e-9)
    return bool(served == trained)


def _counted(found: list[Difference]) -> str:
    differing = sorted({one.what for one in found if one.what != "score"})
    if not differing:
        return "every value is the same"
    return f"{len(found):,} values differ ({', '.join(differing)})"


def _aside(passed: bool, words: str) -> Check:
    return Check(NAME, passed, False, words)
