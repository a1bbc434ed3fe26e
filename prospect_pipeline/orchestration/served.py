"""Whether the running service gives the scores that its version gives offline."""

# Annotations stay real objects here: Dagster reads them.

from dataclasses import dataclass
from typing import Any

import dagster as dg
import pandas as pd

from prospect_pipeline.errors import ProspectError
from prospect_pipeline.orchestration import checks
from prospect_pipeline.orchestration.champion import champion
from prospect_pipeline.orchestration.resources import RegistryResource, ScoringService
from prospect_pipeline.registry.store import LoadedModel, Registry
from prospect_pipeline.training.dataset import KEY, Check
from prospect_pipeline.training.promotion import SAME

NAME = "served_equals_trained"
VISITORS = 20


@dg.asset_check(
    asset=champion, additional_ins={"training_dataframe": dg.AssetIn("training_dataframe")}
)
def served_equals_trained(
    training_dataframe: pd.DataFrame,
    registry: RegistryResource,
    scoring: dg.ResourceParam[ScoringService],
) -> dg.AssetCheckResult:
    """The running service's scores are those of the same version, on the same columns, offline."""
    address = scoring.address()
    if address is None:
        return checks.result(_aside(True, "No service is running: not checked."))
    visitors = training_dataframe[KEY].drop_duplicates()
    visitors = visitors.iloc[:: max(len(visitors) // VISITORS, 1)].head(VISITORS)
    try:
        answers = [scoring.score(address, visitor) for visitor in visitors]
        return checks.result(
            compare(answers, registry.open()), severity=dg.AssetCheckSeverity.ERROR
        )
    except ProspectError as error:
        return checks.result(_aside(False, f"It could not be compared: {error}"))


@dataclass(frozen=True)
class _Offline:
    """Loads each version that a service has used, once: it may swap in the midst of a sample."""

    registry: Registry
    loaded: dict[str, LoadedModel]

    def score(self, answer: dict[str, Any]) -> float:
        version = answer["model"]["version"]
        if version not in self.loaded:
            self.loaded[version] = self.registry.load(self.registry.resolve(version))
        return self.loaded[version].model.score_one(answer["scoring_attributes"])


def compare(answers: list[dict[str, Any]], registry: Registry) -> Check:
    """Compare a service's answers with the versions that it says it used; raises RegistryError."""
    if not all("scoring_attributes" in answer for answer in answers):
        return _aside(True, "The service leaves the columns out (PREDICT_DETAIL): not checked.")
    offline = _Offline(registry, {})
    apart = [abs(answer["score"] - offline.score(answer)) for answer in answers]
    worst = max(range(len(apart)), key=apart.__getitem__)
    versions = sorted(offline.loaded, key=int)
    passed = apart[worst] <= SAME
    words = (
        f"{len(answers):,} visitors were scored by the service and offline, by version "
        f"{', '.join(versions)}; the scores differ by {apart[worst]:.2g} at most, {SAME:g} is "
        "allowed."
    )
    if not passed:
        words += (
            f" The furthest: {answers[worst][KEY]}. See whether the service runs this release, "
            "and start it again."
        )
    facts = {"visitors": len(answers), "versions": versions, "differs_by": apart[worst]}
    return Check(NAME, passed, False, words, facts)


def _aside(passed: bool, words: str) -> Check:
    return Check(NAME, passed, False, words)
