"""The champion: whether the version just registered takes its place, and why."""

# Annotations stay real objects here: Dagster reads them.

import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from prospect_pipeline.errors import DamagedModel, InputError
from prospect_pipeline.orchestration import metadata
from prospect_pipeline.orchestration.assets import GROUP, SCORED
from prospect_pipeline.orchestration.published import published
from prospect_pipeline.orchestration.reported import decision_file
from prospect_pipeline.orchestration.resources import RegistryResource, SignalsResource
from prospect_pipeline.orchestration.retries import RETRIES, retried_where_it_may_pass
from prospect_pipeline.registry.champions import Champions
from prospect_pipeline.registry.store import ModelVersion, Registry
from prospect_pipeline.settings import TrainingSettings
from prospect_pipeline.training import dataset
from prospect_pipeline.training.bootstrap import Draws
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
from prospect_pipeline.training.slices import Slice, slices, worse_by

SERVED_ROWS = 200
EVER = datetime.min.replace(tzinfo=UTC)


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
    test = scored[[dataset.KEY, "event_id"]].merge(training_dataframe, validate="1:1")
    draws = Draws(scored[dataset.KEY], scored["weight"].to_numpy(), settings.seed)
    found = slices(test, scored[MODEL].to_numpy(), draws)
    champions = Champions(opened)
    with champions.alone():
        before = champions.current()
        if before is not None and before.version == challenger.version:
            decision = Decision(True, "It is the champion already.", ())
        else:
            measured = replace(
                _measured(opened, challenger, scored, test, found),
                published=_published(signals, opened, challenger, first=before is None),
            )
            present = _present(opened, before, scored, test, draws) if before else None
            decision = decide(measured, present, Floors(margin=settings.promotion_margin))
            if decision.promote:
                champions.promote(challenger, f"dagster run {context.run.run_id}", decision.reason)
            told = "promoted" if decision.promote else "refused"
            opened.tag_version(challenger, {"decision": told, "reason": decision.reason})
            opened.add_artifacts(challenger.run_id, decision_file(decision, before))
        after = champions.current()
    context.log.info(f"Version {challenger.version}: {decision.reason}")
    return dg.MaterializeResult(
        metadata={
            "version": after.version if after else "none",
            "challenger": challenger.version,
            "promoted": dg.MetadataValue.bool(decision.promote),
            "reason": decision.reason,
            "gates": metadata.table([vars(gate) for gate in decision.gates], cell=300),
            "slices": metadata.table([one.to_dict() for one in found]),
            "history": metadata.table(
                [vars(change) for change in reversed(champions.history())], cell=120
            ),
        }
    )


def _measured(
    registry: Registry,
    version: ModelVersion,
    scored: pd.DataFrame,
    test: pd.DataFrame,
    found: list[Slice],
) -> Measured:
    ranked = Ranked.of(scored["label"], scored[MODEL], 0.5)
    weight = scored["weight"].to_numpy()
    tags = registry.run_tags(version.run_id)
    return Measured(
        version=version.version,
        data_until=_moment(tags.get("last_event")),
        fingerprint=tags.get("fingerprint", ""),
        converters=dataset.converters(scored),
        calibration_error=ranked.measure(weight)["ece"],
        positive_rate=float(np.average(scored["label"], weights=weight)),
        weak_slices=[f"{one.what} is {one.value}" for one in found if one.is_weak],
        served_difference=_served_difference(registry, version, scored, test),
    )


def _published(
    signals: SignalsResource, registry: Registry, version: ModelVersion, *, first: bool
) -> Gate | None:
    try:
        group = registry.load(version).group
    except DamagedModel:  # the gate `serves` says so
        return None
    return published(signals, group, first=first)


def _served_difference(
    registry: Registry, version: ModelVersion, scored: pd.DataFrame, test: pd.DataFrame
) -> float | str:
    """Return how far the scores of the version as the service loads it are from training's."""
    try:
        model = registry.load(version).model
    except DamagedModel as error:
        return str(error)
    step = max(len(test) // SERVED_ROWS, 1)
    rows = test.iloc[::step][list(model.encoder.columns)].to_dict("records")
    served = np.array([model.score_one(row) for row in rows])  # type: ignore[arg-type]
    return float(np.abs(served - scored[MODEL].to_numpy()[::step]).max())


def _present(
    registry: Registry,
    version: ModelVersion,
    scored: pd.DataFrame,
    test: pd.DataFrame,
    draws: Draws,
) -> Champion:
    """Return what is known of the champion, measured on the challenger's own test rows."""
    tags = registry.run_tags(version.run_id)
    known = Champion(
        version.version, _moment(tags.get("last_event")), tags.get("fingerprint", ""), None
    )
    try:
        scores = registry.load(version).model.score(test)
    except (InputError, DamagedModel) as error:  # other columns than today's, or damaged
        return Champion(known.version, known.data_until, known.fingerprint, None, str(error))
    weight = scored["weight"].to_numpy()
    ranked = [Ranked.of(scored["label"], given, 0.5) for given in (scored[MODEL], scores)]
    new, old = (one.measure(weight)["log_loss"] for one in ranked)
    drawn_new, drawn_old = (draws.measure(one)["log_loss"] for one in ranked)
    compared = worse_by(drawn_new, drawn_old, new / old - 1)
    return Champion(known.version, known.data_until, known.fingerprint, compared)


def _moment(text: str | None) -> datetime:
    """Return a moment as a tag has it; one that is not there was before all others."""
    if not text:
        return EVER
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
