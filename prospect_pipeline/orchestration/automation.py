"""Jobs, and the schedule of the weekly retraining.

Publishing to Signals changes a live system, so that it is its own job and on no schedule.
"""

from __future__ import annotations

import dagster as dg

from prospect_pipeline.orchestration.assets import (
    atomic_events,
    evaluation_report,
    registered_model,
    signals_configuration,
    training_dataframe,
)
from prospect_pipeline.orchestration.champion import champion

deploy_configuration = dg.define_asset_job(
    "deploy_configuration",
    selection=dg.AssetSelection.assets(signals_configuration),
    description="Publish the attribute group and its service to Signals.",
)

retrain = dg.define_asset_job(
    "retrain",
    selection=dg.AssetSelection.assets(
        atomic_events, training_dataframe, registered_model, champion, evaluation_report
    ),
    description="Build the training dataframe, train, register, promote and report: one unit.",
)

everything = dg.define_asset_job(
    "everything",
    selection=dg.AssetSelection.all(),
    description="Publish the configuration, then retrain: what `prospect run` does.",
)

weekly_retraining = dg.ScheduleDefinition(
    name="weekly_retraining",
    job=retrain,
    cron_schedule="0 5 * * 1",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every Monday at 05:00 UTC.",
)
