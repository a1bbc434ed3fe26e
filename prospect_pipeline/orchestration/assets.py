"""The assets: each calls one part of the package, and says in its metadata what came of it."""

# Annotations stay real objects here: Dagster reads them.

import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field

from prospect_pipeline.attributes import prospect
from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.errors import RegistryError, SignalsError
from prospect_pipeline.orchestration import metadata, trained_model
from prospect_pipeline.orchestration.described import described
from prospect_pipeline.orchestration.labelled import label_facts
from prospect_pipeline.orchestration.reported import LAST_ROW, reported, stored_evaluation
from prospect_pipeline.orchestration.resources import (
    EventSource,
    RegistryResource,
    SignalsResource,
    WarehouseResource,
)
from prospect_pipeline.orchestration.retries import (
    RETRIES,
    patiently,
    retried_where_it_may_pass,
)
from prospect_pipeline.orchestration.trained_model import PINNED, SCORED
from prospect_pipeline.redaction import shown_address
from prospect_pipeline.registry.registration import add_artifacts, log_version
from prospect_pipeline.registry.store import ModelVersion, Registry
from prospect_pipeline.settings import DataSettings, DefinitionSettings, TrainingSettings
from prospect_pipeline.signals.deployment import call, deploy
from prospect_pipeline.training import dataset, evaluation, model, plots, report
from prospect_pipeline.training.explanation import explain
from prospect_pipeline.training.search import Budget
from prospect_pipeline.training.split import split as split_frame
from prospect_pipeline.training.threshold import Rule
from prospect_pipeline.warehouse.base import DatasetRequest, TrainingSet, Warehouse
from prospect_pipeline.writing import whole_file

GROUP = "prospect_scoring"
EVERY_WEEK = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=8))


class AsOf(dg.Config):
    """The cohort's today: a run with it trains as if nothing had happened since."""

    as_of: str | None = Field(
        None,
        description="ISO moment (UTC). Default: PROSPECT_AS_OF, else after the last event so far.",
    )


@dg.asset(kinds={"snowplow", "duckdb"}, group_name=GROUP, retry_policy=RETRIES)
@retried_where_it_may_pass
def atomic_events(
    context: dg.AssetExecutionContext,
    warehouse: WarehouseResource,
    source: dg.ResourceParam[EventSource],
) -> dg.MaterializeResult[Any]:
    """Snowplow's atomic events, as the warehouse holds them.

    The embedded warehouse is filled with generated events where it has none at all; events that
    are there are never touched.
    """
    opened = warehouse.open()
    embedded = opened.name == "DuckDB"
    made = embedded and source.fill_if_empty(context.log.info)
    span = opened.span()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": span.events,
            "first_event": span.first.isoformat(),
            "last_event": span.last.isoformat(),
            "generated": dg.MetadataValue.bool(made),
            "warehouse": f"{opened.name}: {opened.place}",
        }
    )


@dg.asset(
    kinds={"snowplow", "python"}, group_name=GROUP, deps=[atomic_events], retry_policy=RETRIES
)
@retried_where_it_may_pass
def signals_configuration(
    context: dg.AssetExecutionContext, signals: SignalsResource
) -> dg.MaterializeResult[Any]:
    """The attribute group and its service, published to Signals.

    Publishing twice changes nothing; a changed definition needs a new SIGNALS_GROUP_VERSION.
    """
    settings = DefinitionSettings.load()
    group = prospect.attribute_group(settings)
    connected = signals.connect()
    client = connected.sdk()
    deployed = deploy(client, group, prospect.service(settings))
    for warning in deployed.warnings:
        context.log.warning(warning)
    since = deployed.backfill_since
    shown: dict[str, Any] = {
        "signals": f"{shown_address(connected.url)} ({connected.kind})",
        "group": f"{group.name} version {group.version}",
        "service": settings.service_name,
        "changed": dg.MetadataValue.bool(deployed.changed),
        "changes": metadata.table(
            [
                {
                    "object": f"{c.kind} {c.name}",
                    "action": c.action,
                    "differs": ", ".join(c.differs),
                }
                for c in deployed.changes
            ]
        ),
        "backfill_since": since.isoformat() if since else "not set",
        "warnings": dg.MetadataValue.md("\n\n".join(deployed.warnings) or "none"),
        "attributes": metadata.table(
            [
                {"attribute": a.name, "aggregation": a.aggregation, "period": str(a.period or "")}
                for a in group.attributes
            ]
        ),
    }
    try:
        preview = call(lambda: client.test(group))
        shown["preview"] = metadata.frame(pd.DataFrame() if preview is None else preview)
    except SignalsError as error:  # a Signals without a warehouse cannot test; publishing stands
        context.log.warning(f"No preview: {error}")
        shown["preview"] = dg.MetadataValue.md(f"none: {error}")
    return dg.MaterializeResult(metadata=shown)


@dg.asset(
    kinds={"pandas", "duckdb"},
    group_name=GROUP,
    deps=[atomic_events],
    io_manager_key="frames",
    retry_policy=RETRIES,
    freshness_policy=EVERY_WEEK,
)
@retried_where_it_may_pass
def training_dataframe(
    context: dg.AssetExecutionContext, config: AsOf, warehouse: WarehouseResource
) -> dg.Output[pd.DataFrame]:
    """Every anchor of the cohort: the 20 columns as of its moment, and the label after it."""
    settings = TrainingSettings.load(as_of=config.as_of)
    labels = label_facts(settings)  # before the work: it may be refused
    group = prospect.attribute_group(DefinitionSettings.load())
    opened = warehouse.open()
    made = opened.training_set(DatasetRequest(group, settings))
    for note in made.notes:
        context.log.warning(note)
    last = _last_event_read(opened, made)
    frame = made.table.to_pandas()
    if "event_id" not in frame:  # the user's own anchors are moments: what tells them apart
        frame.insert(2, "event_id", frame["anchor_ts"].map(str))
    frame.attrs = {
        **made.facts(),
        "as_of_given": settings.as_of is not None,
        "last_event": last.isoformat(),
        "sql": made.sql,
        "group": f"{group.name} version {group.version}",
        PINNED: GroupVersion.of(group).to_json(),
        **labels,
        "window": " to ".join(str(moment or "ever") for moment in made.anchoring.window),
        "strictly_before": made.anchoring.strictly_before,
    }
    return dg.Output(frame, metadata=described(frame, made))


@dg.asset(
    kinds={"xgboost", "mlflow"},
    group_name=GROUP,
    retry_policy=RETRIES,
    freshness_policy=EVERY_WEEK,
)
@retried_where_it_may_pass
def registered_model(
    context: dg.AssetExecutionContext, training_dataframe: pd.DataFrame, registry: RegistryResource
) -> dg.Output[dict[str, str]]:
    """XGBoost on the 20 columns, in MLflow with everything that says how it came about.

    A model that is trained is registered patiently, and once: no retry trains it again.
    """
    settings = TrainingSettings.load()
    rule = Rule.parse(settings.threshold)
    facts = _facts(training_dataframe)
    facts[LAST_ROW] = dataset.moments(training_dataframe).max().isoformat()
    opened = registry.open()  # before the work, so that a registry that is away is known at once
    dataset.require_trainable(
        training_dataframe, settings.min_converters, **dataset.known_by(facts, settings)
    )
    split = split_frame(training_dataframe, settings.label_horizon)
    budget = Budget(settings.search_trials, settings.search_seconds)
    trained = model.train(split, settings.seed, rule, budget, context.log.info)
    threshold = trained.threshold.value
    scored = evaluation.score_test(split.test, trained.model, model.baselines(split, settings.seed))
    judged = evaluation.evaluate(scored, split.test, trained.model, threshold, settings.seed)
    kept = trained_model.kept(trained, scored, judged, split, facts)
    version = patiently(
        lambda: log_version(opened, trained.model, **kept, dagster_run=context.run.run_id),
        context.log.warning,
    )
    return dg.Output(
        {**vars(version), "threshold": repr(threshold), "as_of": facts["as_of"]},
        metadata={
            "name": version.name,
            "version": version.version,
            "run_id": version.run_id,
            "mlflow": opened.address,
            "mlflow_run": _link(opened, version),
            **trained_model.shown(trained, judged, split),
        },
    )


def _link(opened: Registry, version: ModelVersion) -> dg.MetadataValue[Any]:
    """Return a link to a version's run; without one, the version stands all the same."""
    try:
        return metadata.link(opened.run_url(version.run_id))
    except RegistryError as error:
        return dg.MetadataValue.text(f"unknown: {error}")


@dg.asset(kinds={"html", "mlflow"}, group_name=GROUP, deps=["champion"], retry_policy=RETRIES)
@retried_where_it_may_pass
def evaluation_report(
    training_dataframe: pd.DataFrame,
    registered_model: dict[str, str],
    registry: RegistryResource,
) -> dg.MaterializeResult[Any]:
    """One self-contained page on the registered model, also stored with its MLflow run.

    Drawn from the registered version as it was stored, so that a version that does not load is
    noticed here; whether it was promoted, and over which champion, is read from its run.
    """
    opened = registry.open()
    version = ModelVersion(**{k: registered_model[k] for k in ("name", "version", "run_id")})
    scored = pd.read_parquet(io.BytesIO(opened.read_artifact(version.run_id, SCORED)))
    test = dataset.rows_of(scored, training_dataframe)
    judged = stored_evaluation(opened, version, scored)
    explained = explain(judged, test, opened.load(version).model)
    drawn = plots.figures(judged, explained)
    pictures = {name: plots.as_svg(one) for name, one in drawn.items()}
    facts = _facts(training_dataframe)
    told = reported(opened, version, judged, explained, test, facts, pictures)
    page = report.render(told)
    shuffled = json.dumps(explained.permutation, indent=2)
    files = {"report.html": page, "permutation.json": shuffled}
    add_artifacts(opened, version.run_id, files)
    path = _written(page, version)
    return dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.path(str(path)),
            "open": dg.MetadataValue.url(path.as_uri()),
            "mlflow_run": metadata.link(opened.run_url(version.run_id)),
            "decision": told.decision.told if told.decision else "none recorded",
            "champion_before": told.before.version if told.before else "none",
            **judged.headline,
            "metrics": trained_model.metrics(judged),
            "classification_report": metadata.code(judged.classification_report, "text"),
            **{name: metadata.picture(plots.as_png(one), name) for name, one in drawn.items()},
        }
    )


def _written(page: str, version: ModelVersion) -> Path:
    """Write a report under the data directory, and return where it is."""
    path = DataSettings.load().root / "reports" / f"{version.name}-{version.version}.html"
    with whole_file(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8")
    return path


def _last_event_read(warehouse: Warehouse, made: TrainingSet) -> datetime:
    """Return when the last event up to as-of was: what a version's age is judged by."""
    as_of = made.anchoring.as_of
    return made.span.last if made.span.last <= as_of else warehouse.span(until=as_of).last


def _facts(frame: pd.DataFrame) -> dict[str, Any]:
    """Return what `training_dataframe` says of itself; it travels with the frame."""
    return {str(name): value for name, value in frame.attrs.items()}
