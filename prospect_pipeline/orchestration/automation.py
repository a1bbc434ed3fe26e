"""Jobs, and the schedules: the weekly retraining, and a daily look at whether events arrive.

Publishing to Signals changes a live system, so that it is its own job and on no schedule.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from prospect_pipeline.errors import SettingsError
from prospect_pipeline.orchestration.assets import (
    atomic_events,
    evaluation_report,
    registered_model,
    signals_configuration,
    training_dataframe,
)
from prospect_pipeline.orchestration.champion import champion
from prospect_pipeline.orchestration.checks import events_arrive
from prospect_pipeline.settings import AutomationSettings

TICK_TAG = "prospect/scheduled_for"
"""The tag that names the moment for which the schedule asked for a run."""

DAILY = "0 4 * * *"

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

look_at_events = dg.define_asset_job(
    "look_at_events",
    selection=dg.AssetSelection.checks(events_arrive),
    description="See whether events still arrive; nothing is built.",
)


def schedules(settings: AutomationSettings) -> list[dg.ScheduleDefinition]:
    """Return every schedule; raises SettingsError where the cron expression is none."""
    return [
        _schedule("weekly_retraining", retrain, settings.retrain_cron, settings),
        _schedule("daily_look_at_events", look_at_events, DAILY, settings),
    ]


def _schedule(
    name: str, job: Any, cron: str, settings: AutomationSettings
) -> dg.ScheduleDefinition:
    try:
        return dg.ScheduleDefinition(
            name=name,
            job=job,
            cron_schedule=cron,
            execution_timezone=settings.retrain_timezone,
            tags_fn=_tick,
            default_status=dg.DefaultScheduleStatus.RUNNING,
        )
    except dg.DagsterInvalidDefinitionError:
        raise SettingsError(
            f"PROSPECT_RETRAIN_CRON: '{cron}' is no cron expression.",
            "Set PROSPECT_RETRAIN_CRON to five fields: minute, hour, day of the month, month, "
            "weekday, such as '0 5 * * 1' for Mondays at 05:00.",
        ) from None


def _tick(context: dg.ScheduleEvaluationContext) -> dict[str, str]:
    return {TICK_TAG: context.scheduled_execution_time.isoformat()}
