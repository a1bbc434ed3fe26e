"""The commands that make data: events, training sets, and their query."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from prospect_pipeline.cli.options import FILE, cohort_options, say
from prospect_pipeline.settings import (
    DEMO_USERS,
    DefinitionSettings,
    TrainingSettings,
    parse_moment,
)

if TYPE_CHECKING:
    from snowplow_signals import AttributeGroup


@click.command()
@click.option("--users", type=click.IntRange(min=1), default=DEMO_USERS, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--end", help="When the last event may happen, ISO; default: now.")
@click.option("--out", type=FILE, required=True, help="Parquet file to write.")
def events(users: int, seed: int, end: str | None, out: Path) -> None:
    """Generate atomic events of visitors who behave like people."""
    from prospect_pipeline.sandbox.generator import generate

    last = _moment(end, "--end") if end else datetime.now(UTC)
    made = generate(users, seed, last, out, progress=say)
    say(
        f"{made.events:,} events of {made.visitors:,} visitors, {made.conversions:,} conversions: "
        f"{made.path}; the true probabilities: {made.truth_path}"
    )


@click.command()
@cohort_options
@click.option("--out", type=FILE, required=True, help="File to write: .parquet or .csv.")
@click.option(
    "--attributes", "definition", help="An SDK attribute group, FILE.py:NAME or MODULE:NAME."
)
@click.option("--anchors", help="Your own anchors' file, or FILE.py:NAME of SessionAnchors.")
@click.option("--goal", help="FILE.py:NAME of the goal's Criteria; default: goal events.")
@click.option("--strictly-before", is_flag=True, help="Leave out events at anchor_ts itself.")
@click.option("--columns", type=click.Choice(["features", "attributes"]), default=None)
def dataset(
    events: Path | None,
    as_of: str | None,
    cohort: str | None,
    as_json: bool,
    out: Path,
    definition: str | None,
    anchors: str | None,
    goal: str | None,
    strictly_before: bool,
    columns: str | None,
) -> None:
    """Build a training set from atomic events."""
    from prospect_pipeline.warehouse.base import DatasetRequest
    from prospect_pipeline.warehouse.dropped import told
    from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse

    if events is None:
        raise click.UsageError("Missing option '--events': a file of atomic events.")
    started = time.monotonic()
    settings = TrainingSettings.load(as_of=as_of, cohort=cohort, anchors=anchors, goal=goal)
    chosen = columns or ("attributes" if definition else "features")
    if definition and chosen == "features":
        raise click.UsageError(
            "--columns features are the model's, over the tutorial's attributes; "
            "with --attributes use --columns attributes."
        )
    request = DatasetRequest(_group(definition), settings, chosen, None, strictly_before)  # type: ignore[arg-type]
    made = DuckDBWarehouse(events).write_training_set(request, out, say)
    say(f"{made.rows:,} rows, {made.positives:,} positive: {out}")
    for line in told(made.dropped) or ["no event was left out"]:
        say(f"  {line}")
    if as_json:
        facts = {**made.facts(), "seconds": round(time.monotonic() - started, 3), "out": str(out)}
        click.echo(json.dumps(facts))


@click.command()
@click.option("--dialect", type=click.Choice(["duckdb", "snowflake"]), default="duckdb")
@click.option("--as-of", help="The cohort's today, ISO; default: now.")
@click.option("--cohort", help="OLDEST:NEWEST days before as-of (60:30), or 'all'.")
@click.option("--attributes", "definition", help="An SDK attribute group, as for `dataset`.")
@click.option("--anchors", help="FILE.py:NAME of SessionAnchors, or a table of your own.")
@click.option("--goal", help="FILE.py:NAME of the goal's Criteria; default: goal events.")
@click.option("--strictly-before", is_flag=True, help="Leave out events at anchor_ts itself.")
@click.option("--columns", type=click.Choice(["features", "attributes"]), default=None)
def sql(
    dialect: str,
    as_of: str | None,
    cohort: str | None,
    definition: str | None,
    anchors: str | None,
    goal: str | None,
    strictly_before: bool,
    columns: str | None,
) -> None:
    """Print the query that builds the training set."""
    from prospect_pipeline.attributes.anchors import Anchoring
    from prospect_pipeline.attributes.sql import TrainingQuery
    from prospect_pipeline.warehouse.base import FEATURE_EXPRESSIONS

    settings = TrainingSettings.load(as_of=as_of, cohort=cohort, anchors=anchors, goal=goal)
    anchoring = Anchoring.from_settings(
        settings, settings.as_of_moment or datetime.now(UTC), strictly_before=strictly_before
    )
    raw = (columns or ("attributes" if definition else "features")) == "attributes"
    features = None if raw else FEATURE_EXPRESSIONS
    own = settings.anchors if anchoring.sessions is None else None
    query = TrainingQuery(_group(definition), anchoring, features, anchors=own, dialect=dialect)  # type: ignore[arg-type]
    click.echo(query.whole())


def _group(definition: str | None) -> AttributeGroup:
    """Return the attribute group that ``FILE.py:NAME`` or ``MODULE:NAME`` names."""
    from snowplow_signals import AttributeGroup

    from prospect_pipeline.attributes import prospect
    from prospect_pipeline.attributes.named import load_named

    if definition is None:
        return prospect.attribute_group(DefinitionSettings.load())
    return load_named(definition, AttributeGroup)


def _moment(text: str, option: str) -> datetime:
    try:
        return parse_moment(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from None
