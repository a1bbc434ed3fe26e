"""The champion: whether the version just registered takes its place, and why."""

# Annotations stay real objects here: Dagster reads them.

import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from prospect_pipeline.errors import DamagedModel, InputError, RegistryRefused
from prospect_pipeline.orchestration import metadata
from prospect_pipeline.orchestration.assets import GROUP
from prospect_pipeline.orchestration.published import published
from prospect_pipeline.orchestration.reported import (
    LAST_ROW,
    LEARNT_UNTIL,
    decision_file,
    stored_decision,
    stored_evaluation,
)
from prospect_pipeline.orchestration.resources import RegistryResource, SignalsResource
from prospect_pipeline.orchestration.retries import RETRIES, retried_where_it_may_pass
from prospect_pipeline.orchestration.trained_model import SCORED
from prospect_pipeline.registry.champions import Champions
from prospect_pipeline.registry.registration import add_artifacts
from prospect_pipeline.registry.store import LoadedModel, ModelVersion, Registry
from prospect_pipeline.registry.twins import judged_twin
from prospect_pipeline.settings import TrainingSettings
from prospect_pipeline.training import dataset
from prospect_pipeline.training.bootstrap import Draws
from prospect_pipeline.training.comparison import judges, worse_by
from prospect_pipeline.training.evaluation import MODEL
from prospect_pipeline.training.measures import Ranked
from prospect_pipeline.training.promotion import (
    Champion,
    Decision,
    Floors,
    Gate,
    Measured,
    decide,
)
from prospect_pipeline.training.reliability import chance_error
from prospect_pipeline.training.slices import Slice

SERVED_ROWS = 200


@dg.asset(kinds={"mlflow"}, group_name=GROUP, retry_policy=RETRIES)
@retried_where_it_may_pass
def champion(
    context: dg.AssetExecutionContext,
    training_dataframe: pd.DataFrame,
    registered_model: dict[str, str],
    registry: RegistryResource,
    signals: SignalsResource,
) -> dg.MaterializeResult[Any]:
    """The version that the service uses: the new one, where it passes every gate.

    Without a champion the first version that can be served becomes it. Otherwise the new one has to
    be trained on newer data, not be worse on the same test visitors, and have its attributes
    published; whatever comes of it, the reason is recorded with the version, and in its run, for
    the report.
    """
    opened, settings = registry.open(), TrainingSettings.load()
    challenger = ModelVersion(**{k: registered_model[k] for k in ("name", "version", "run_id")})
    scored = pd.read_parquet(io.BytesIO(opened.read_artifact(challenger.run_id, SCORED)))
    test = dataset.rows_of(scored, training_dataframe)
    draws = Draws(scored[dataset.KEY], scored["weight"].to_numpy(), settings.seed)
    found = stored_evaluation(opened, challenger, scored).slices
    champions = Champions(opened)
    with champions.alone():
        before = champions.current()
        if before is not None and before.version == challenger.version:
            decision = _made_champion_by(opened, challenger)
        else:
            floors, loaded = _floors(settings), _loaded(opened, challenger)
            measured = replace(
                _measured(opened, challenger, scored, found, draws),
                served_difference=_served_difference(loaded, scored, test),
                published=_published(signals, loaded, first=before is None),
            )
            present = _present(opened, before, scored, test, draws, floors) if before else None
            decision = decide(measured, present, floors)
            told = "promoted" if decision.promote else "refused"
            # Before the alias moves, so that a retry after it finds what was decided.
            add_artifacts(opened, challenger.run_id, decision_file(decision, before))
            opened.tag_version(challenger, {"decision": told, "reason": decision.reason})
            if decision.promote:
                champions.promote(challenger, f"dagster run {context.run.run_id}", decision.reason)
    context.log.info(f"Version {challenger.version}: {decision.reason}")
    return dg.MaterializeResult(metadata=_shown(champions, challenger, decision, found))


def _shown(
    champions: Champions, challenger: ModelVersion, decision: Decision, found: list[Slice]
) -> dict[str, Any]:
    """Return what Dagster shows of a decision."""
    present, history = champions.current(), reversed(champions.history())
    return {
        "version": present.version if present else "none",
        "challenger": challenger.version,
        "promoted": dg.MetadataValue.bool(decision.promote),
        "reason": decision.reason,
        "gates": metadata.table([vars(gate) for gate in decision.gates], cell=300),
        "slices": metadata.table([one.row() for one in found]),
        "history": metadata.table([vars(change) for change in history], cell=120),
    }


def _made_champion_by(registry: Registry, version: ModelVersion) -> Decision:
    """Return the decision that made a version the champion; a person's is not recorded with it."""
    stored = stored_decision(registry, version)
    if stored is None or not stored["promoted"]:
        return Decision(True, "It is the champion already.", ())
    return Decision.from_dict(stored)


def _floors(settings: TrainingSettings) -> Floors:
    return Floors(
        settings.promotion_margin, settings.promotion_calibration, settings.promotion_converters
    )


def _measured(
    registry: Registry,
    version: ModelVersion,
    scored: pd.DataFrame,
    found: list[Slice],
    draws: Draws,
) -> Measured:
    """Return what is known of a challenger before it is loaded."""
    ranked = Ranked.of(scored["label"], scored[MODEL], 0.5)
    weight = draws.weights
    return Measured(
        version=version.version,
        data_until=datetime.fromisoformat(registry.run_tags(version.run_id)[LAST_ROW]),
        twin=judged_twin(Champions(registry), version),
        converters=dataset.converters(scored),
        calibration_error=ranked.measure(weight)["ece"],
        chance_error=chance_error(ranked, draws),
        positive_rate=float(np.average(scored["label"], weights=weight)),
        weak_slices=[f"{one.what} is {one.value}" for one in found if one.is_weak],
        served_difference="it was not loaded",
    )


def _loaded(registry: Registry, version: ModelVersion) -> LoadedModel | DamagedModel:
    """Return a version as the service loads it, or why it does not load."""
    try:
        return registry.load(version)
    except DamagedModel as error:
        return error


def _published(
    signals: SignalsResource, loaded: LoadedModel | DamagedModel, *, first: bool
) -> Gate | None:
    """Return the gate that asks Signals; of what does not load the gate `serves` speaks."""
    return (
        None if isinstance(loaded, DamagedModel) else published(signals, loaded.group, first=first)
    )


def _served_difference(
    loaded: LoadedModel | DamagedModel, scored: pd.DataFrame, test: pd.DataFrame
) -> float | str:
    """Return how far the scores of the version as the service loads it are from training's."""
    if isinstance(loaded, DamagedModel):
        return str(loaded)
    model, step = loaded.model, max(len(test) // SERVED_ROWS, 1)
    rows = test.iloc[::step][list(model.encoder.columns)].to_dict("records")
    served = np.array([model.score_one(row) for row in rows])  # type: ignore[arg-type]
    return float(np.abs(served - scored[MODEL].to_numpy()[::step]).max())


def _present(
    registry: Registry,
    version: ModelVersion,
    scored: pd.DataFrame,
    test: pd.DataFrame,
    draws: Draws,
    floors: Floors,
) -> Champion:
    """Return what is known of the champion, measured on the challenger's own test rows.

    Of these it is measured on the visitors whom it has not learnt from, where there are enough.
    """
    tags = _tags(registry, version)
    number, until = version.version, _data_until(tags)
    try:
        scores = registry.load(version).model.score(test)
    except (InputError, DamagedModel) as error:  # other columns than today's, or damaged
        return Champion(number, until, None, problem=str(error))
    chosen = judges(test, number, _moment(tags.get(LEARNT_UNTIL)), floors.converters)
    compared = worse_by(scored, scores, draws, chosen.rows)
    return Champion(number, until, compared, chosen.words)


def _tags(registry: Registry, version: ModelVersion) -> dict[str, str]:
    """Return the tags of a version's run, none where MLflow has the run no more."""
    try:
        return registry.run_tags(version.run_id)
    except RegistryRefused:
        return {}


def _data_until(tags: Mapping[str, str]) -> datetime | None:
    """Return the moment of a version's last row, as far as it is on record.

    Earlier releases have recorded as-of and the last event: the earlier of these bounds it.
    """
    bounds = [_moment(tags.get(name)) for name in ("last_event", "as_of")]
    return _moment(tags.get(LAST_ROW)) or min(filter(None, bounds), default=None)


def _moment(text: str | None) -> datetime | None:
    """Return a moment as a tag has it."""
    if not text:
        return None
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
