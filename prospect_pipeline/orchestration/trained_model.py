"""A trained model as others have it: what MLflow keeps of it, and what Dagster shows."""

from __future__ import annotations

import io
import json
from typing import Any

import dagster as dg
import pandas as pd

from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.orchestration import metadata
from prospect_pipeline.orchestration.reported import EVALUATION, LAST_ROW, LEARNT_UNTIL
from prospect_pipeline.training import evaluation
from prospect_pipeline.training.model import TrainedModel
from prospect_pipeline.training.split import Split

SCORED = "test_scores.parquet"
PINNED = "group_version"
TAGS = ("as_of", "fingerprint", "group", "window", "last_event", LAST_ROW)


def kept(
    trained: TrainedModel,
    scored: pd.DataFrame,
    judged: evaluation.Evaluation,
    split: Split,
    facts: dict[str, Any],
) -> dict[str, Any]:
    """Return what a version is registered with, beside its model."""
    chosen = trained.threshold
    return {
        "example": split.train.head(5),
        "params": {**trained.params, "threshold": chosen.value, "threshold_why": chosen.why},
        "metrics": judged.flat_metrics(),
        "tags": {name: str(facts[name]) for name in TAGS}
        | {LEARNT_UNTIL: split.learnt_until.isoformat()},
        "artifacts": {
            "training.sql": facts["sql"],
            EVALUATION: json.dumps(judged.to_dict(), indent=2),
            "search.json": json.dumps(trained.search.to_dict(), indent=2),
            "split.json": json.dumps(split.facts(), indent=2),
            "classification_report.txt": judged.classification_report,
            SCORED: _parquet(scored),
        },
        "group": GroupVersion.from_json(facts[PINNED]) if PINNED in facts else None,
    }


def shown(trained: TrainedModel, judged: evaluation.Evaluation, split: Split) -> dict[str, Any]:
    """Return what Dagster shows of a trained model."""
    return {
        "rounds": trained.params["rounds"],
        "search": metadata.table(trained.search.table()),
        "intervals": dg.MetadataValue.json(judged.to_dict()["intervals"][evaluation.MODEL]),
        "threshold": trained.threshold.value,
        "threshold_rule": f"{trained.threshold.rule}: {trained.threshold.why}",
        **judged.headline,
        "baselines": metrics(judged),
        "deciles": metadata.table([vars(one) for one in judged.deciles]),
        "split": metadata.table(split.facts()),
    }


def metrics(judged: evaluation.Evaluation) -> dg.MarkdownMetadataValue:
    """Return a table of every scorer's metrics."""
    return metadata.table(
        [
            {"scorer": scorer, **{name: str(found) for name, found in own.items()}}
            for scorer, own in judged.intervals.items()
        ]
    )


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()
