"""Dagster's composition root: what there is, put together once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from prospect_pipeline.orchestration import assets, automation, champion, checks
from prospect_pipeline.orchestration.resources import (
    RegistryResource,
    SignalsResource,
    WarehouseResource,
    parquet_frames,
)
from prospect_pipeline.stack.demo import DemoEvents


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
        ],
        jobs=[automation.deploy_configuration, automation.retrain, automation.everything],
        schedules=[automation.weekly_retraining],
        resources={
            "signals": SignalsResource(),
            "warehouse": WarehouseResource(),
            "registry": RegistryResource(),
            "frames": parquet_frames,
            "source": DemoEvents(),
            **(resources or {}),
        },
        executor=dg.in_process_executor,
    )


defs = build_defs()
