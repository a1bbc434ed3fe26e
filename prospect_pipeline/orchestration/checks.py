"""Asset checks on the training data: blocking ones stop the model, others warn."""

# Annotations stay real objects here: Dagster reads them.

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
from snowplow_signals import AttributeGroup

from prospect_pipeline.attributes import prospect
from prospect_pipeline.errors import EventsError
from prospect_pipeline.orchestration import metadata
from prospect_pipeline.orchestration.assets import atomic_events, training_dataframe
from prospect_pipeline.orchestration.resources import WarehouseResource
from prospect_pipeline.orchestration.retries import RETRIES, retried_where_it_may_pass
from prospect_pipeline.settings import Clock, DefinitionSettings, TrainingSettings, parse_moment
from prospect_pipeline.training import continuity, dataset, labels, leakage
from prospect_pipeline.warehouse.base import Columns, DatasetRequest, Warehouse

COUNTED = {"rows": "dagster/row_count", "positives": "positives", "visitors": "visitors"}
"""Where `training_dataframe` keeps its counts among its metadata."""

LOOKED_AT = 100
"""How many materializations are searched for the one before."""


@dg.multi_asset_check(
    name="training_data_checks",
    specs=[
        dg.AssetCheckSpec(
            name, asset=training_dataframe, blocking=rule.blocking, description=rule.asks
        )
        for name, rule in dataset.CHECKS.items()
    ],
)
def training_data_checks(training_dataframe: pd.DataFrame) -> Iterator[dg.AssetCheckResult]:
    """Whether the training dataframe is fit to be trained on."""
    settings = TrainingSettings.load()
    known_by = dataset.known_by(training_dataframe.attrs, settings)
    for check in dataset.check_dataset(training_dataframe, settings.min_converters, **known_by):
        yield result(check)


@dg.asset_check(asset=training_dataframe, blocking=True, retry_policy=RETRIES)
@retried_where_it_may_pass
def no_leakage(
    training_dataframe: pd.DataFrame, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """No value depends on later events: rows computed again without these are the same."""
    cut = leakage.choose_cut(training_dataframe)
    sampled = leakage.sample(training_dataframe, cut)
    strictly_before = bool(training_dataframe.attrs.get("strictly_before"))
    again = _recomputed(warehouse.open(), sampled, cut, strictly_before)
    return result(leakage.check_leakage(training_dataframe, cut, sampled, again))


@dg.asset_check(asset=training_dataframe, retry_policy=RETRIES)
@retried_where_it_may_pass
def events_are_fresh(
    training_dataframe: pd.DataFrame, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """The last event is recent at as-of; where as-of follows the last event, by the clock."""
    settings = TrainingSettings.load()
    as_of = datetime.fromisoformat(training_dataframe.attrs["as_of"])
    given = training_dataframe.attrs["as_of_given"]
    now = as_of if given else Clock.load().now(as_of)
    try:  # an event after it says nothing of the others
        last = warehouse.open().span(until=now).last
    except EventsError as error:
        return result(dataset.Check("events_are_fresh", False, False, str(error)))
    return result(continuity.check_freshness(last, as_of, now, settings.freshness_hours))


@dg.asset_check(asset=atomic_events, retry_policy=RETRIES)
@retried_where_it_may_pass
def events_arrive(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """The last event is recent by the clock, whether or not a model is trained today."""
    opened, clock = warehouse.open(), Clock.load()
    now = clock.now(opened.span().last if clock.needs_events else None)
    try:  # one dated ahead says nothing of whether others arrive
        last = opened.span(until=now).last
    except EventsError as error:
        return result(dataset.Check("events_arrive", False, False, str(error)))
    allowed = TrainingSettings.load().freshness_hours
    found = continuity.check_freshness(last, last, now, allowed)
    return result(replace(found, name="events_arrive"))


@dg.asset_check(asset=training_dataframe, blocking=True, retry_policy=RETRIES)
@retried_where_it_may_pass
def labels_follow(
    training_dataframe: pd.DataFrame, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """A label is 1 where the goal follows strictly later, within the horizon: counted again."""
    settings = TrainingSettings.load(as_of=training_dataframe.attrs["as_of"])
    if settings.anchors:
        return result(labels.not_checked())
    sampled = labels.sample(training_dataframe)
    group = labels.goal_group(settings)
    moments = labels.moments_of(sampled, settings)
    counted = at_moments(warehouse.open(), group, settings, moments).to_pandas()
    return result(labels.check_labels(sampled, counted, settings))


@dg.asset_check(asset=training_dataframe)
def counts_like_last_run(
    context: dg.AssetCheckExecutionContext, training_dataframe: pd.DataFrame
) -> dg.AssetCheckResult:
    """Rows, positives and visitors are about as many as the last time, as of an earlier moment."""
    present = dataset.counts(training_dataframe)
    allowed = TrainingSettings.load().count_change
    as_of = parse_moment(training_dataframe.attrs["as_of"])
    previous = _previous(context.instance, context.run.run_id, as_of)
    return result(continuity.check_counts(present, previous, allowed))


def _recomputed(
    warehouse: Warehouse, sampled: pd.DataFrame, cut: datetime, strictly_before: bool
) -> pd.DataFrame:
    """Return the sample's rows as the warehouse gives them when as-of is the cut."""
    group = prospect.attribute_group(DefinitionSettings.load())
    settings = TrainingSettings.load(as_of=cut.isoformat())
    given = leakage.anchors(sampled)
    made = at_moments(warehouse, group, settings, given, "features", strictly_before)
    again: pd.DataFrame = made.to_pandas()
    return again


def at_moments(
    warehouse: Warehouse,
    group: AttributeGroup,
    settings: TrainingSettings,
    moments: pd.DataFrame,
    columns: Columns = "attributes",
    strictly_before: bool = False,
) -> pa.Table:
    """Return what a group is worth at some visitors' moments, a row each in no order."""
    with tempfile.TemporaryDirectory(prefix="prospect-check-") as folder:
        anchors = Path(folder) / "anchors.parquet"
        moments.to_parquet(anchors, index=False)
        request = DatasetRequest(group, settings, columns, anchors, strictly_before)
        return warehouse.training_set(request).table


def _previous(
    instance: dg.DagsterInstance, run_id: str, as_of: datetime
) -> tuple[str, dict[str, int]] | None:
    """Return run and counts of the training data before the present ones, None without any.

    These are the latest by their as-of, which is earlier, of those that were there when the run
    began: no other run's of the same time, and a backfill's only where it is of the time before.
    """
    run = instance.get_run_record_by_id(run_id)
    earlier = dg.AssetRecordsFilter(
        training_dataframe.key, before_timestamp=run.start_time if run else None
    )
    found: dict[datetime, tuple[str, dict[str, int]]] = {}
    for record in instance.fetch_materializations(earlier, limit=LOOKED_AT).records:
        shown = record.asset_materialization.metadata if record.asset_materialization else {}
        if not {"as_of", *COUNTED.values()} <= set(shown):
            continue  # it was made before these were kept
        counts = {name: int(str(shown[at].value)) for name, at in COUNTED.items()}
        found.setdefault(parse_moment(str(shown["as_of"].value)), (record.run_id, counts))
    latest = max((moment for moment in found if moment < as_of), default=None)
    return found[latest] if latest else None


def result(
    check: dataset.Check, severity: dg.AssetCheckSeverity | None = None
) -> dg.AssetCheckResult:
    """Return a check as Dagster has it; without ``severity`` only a blocking one is an error."""
    usual = dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        check_name=check.name,
        passed=check.passed,
        description=check.description,
        severity=severity or usual,
        metadata={name: _shown(fact) for name, fact in check.facts.items()},
    )


def _shown(fact: Any) -> Any:
    rows = isinstance(fact, list) and fact and isinstance(fact[0], dict)
    return metadata.table(fact) if rows else fact
