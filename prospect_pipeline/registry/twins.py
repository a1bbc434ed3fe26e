"""Versions of the same data and definition, and what became of them."""

from __future__ import annotations

from mlflow.entities.model_registry import ModelVersion as Registered

from prospect_pipeline.registry.champions import Champions
from prospect_pipeline.registry.store import ModelVersion

FINGERPRINT = "fingerprint"
"""The tag of a version's run that says which data and definition it was trained on."""


def judged_twin(champions: Champions, version: ModelVersion) -> str:
    """Return the version of the same data and definition that was judged before, in words.

    It is the champion, has been, or was refused; empty where there is none. One that was registered
    and never judged does not count. Raises RegistryError.
    """
    twins = {str(twin.version): dict(twin.tags) for twin in _twins(champions, version)}
    for number, fate in reversed(_fates(champions).items()):
        if number in twins:
            return f"version {number}, which {fate}"
    refused = [number for number, tags in twins.items() if tags.get("decision") == "refused"]
    return f"version {max(refused, key=int)}, which was refused" if refused else ""


def _twins(champions: Champions, version: ModelVersion) -> list[Registered]:
    """Return the other versions whose run has the same fingerprint."""
    with champions.registry.connected() as client:
        run = client.get_run(version.run_id)
        if not (fingerprint := run.data.tags.get(FINGERPRINT)):
            return []
        same = client.search_runs([run.info.experiment_id], f"tags.{FINGERPRINT} = '{fingerprint}'")
        others = ", ".join(f"'{one.info.run_id}'" for one in same)
        found = client.search_model_versions(f"run_id IN ({others})")
    return [
        each for each in found if each.name == version.name and str(each.version) != version.version
    ]


def _fates(champions: Champions) -> dict[str, str]:
    """Return what became of each version that ever was champion, the present one last."""
    fates = dict[str, str]()

    def became(version: str, fate: str) -> None:
        fates.pop(version, None)
        fates[version] = fate

    for change in champions.history():
        became(change.version, "was champion before")
        if change.back and change.previous:
            became(change.previous, f"was rolled back from ({change.why})")
    if present := champions.current():
        became(present.version, "is the champion")
    return fates
