"""Dagster's composition root: what there is, put together once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from prospect_pipeline.orchestration import alerts, assets, automation, champion, checks, served
from prospect_pipeline.orchestration.resources import (
    RegistryResource,
    SignalsResource,
    WarehouseResource,
    json_values,
    parquet_frames,
)
from prospect_pipeline.settings import AutomationSettings
from prospect_pipeline.stack.demo import DemoEvents
from prospect_pipeline.stack.scores import RunningService


def build_defs(resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Return the definitions; ``resources`` replace the usual ones by name."""
    return dg.Definitions(
        assets=[
            assets.atomic_events,
            assets.signals_configuration,
            assets.training_dataframe,
            assets.registered_model,
            champion.champion,
            assets.evaluation_report,
        ],
        asset_checks=[
            checks.training_data_checks,
            checks.no_leakage,
            checks.events_are_fresh,
            checks.counts_like_last_run,
            checks.labels_follow,
            checks.events_arrive,
            served.served_equals_trained,
        ],
        jobs=[
            automation.deploy_configuration,
            automation.retrain,
            automation.everything,
            automation.look_at_events,
        ],
        schedules=automation.schedules(AutomationSettings.load()),
        sensors=[alerts.failed_runs, alerts.odd_runs],
        resources={
            "signals": SignalsResource(),
            "warehouse": WarehouseResource(),
            "registry": RegistryResource(),
            "frames": parquet_frames,
            "io_manager": json_values,
            "source": DemoEvents(),
            "scoring": RunningService(),
            **(resources or {}),
        },
        executor=dg.in_process_executor,
    )


defs = build_defs()
