"""Asset checks on the training data: blocking ones stop the model, others warn."""

# Annotations stay real objects here: Dagster reads them.

from collections.abc import Iterator
from datetime import datetime

import dagster as dg
import pandas as pd

from prospect_pipeline.orchestration.assets import training_dataframe
from prospect_pipeline.settings import TrainingSettings
from prospect_pipeline.training.dataset import CHECKS, check_dataset


@dg.multi_asset_check(
    name="training_data_checks",
    specs=[
        dg.AssetCheckSpec(
            name, asset=training_dataframe, blocking=rule.blocking, description=rule.asks
        )
        for name, rule in CHECKS.items()
    ],
)
def training_data_checks(training_dataframe: pd.DataFrame) -> Iterator[dg.AssetCheckResult]:
    """Whether the training dataframe is fit to be trained on."""
    settings = TrainingSettings.load()
    as_of = datetime.fromisoformat(training_dataframe.attrs["as_of"])
    for check in check_dataset(
        training_dataframe, settings.min_converters, as_of=as_of, horizon=settings.horizon
    ):
        yield dg.AssetCheckResult(
            check_name=check.name,
            passed=check.passed,
            description=check.description,
            severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
            metadata=check.facts,
        )
