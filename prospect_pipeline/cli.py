"""The `prospect` command: parses, calls, prints. Errors are one message and exit status 1."""

from __future__ import annotations

import functools
import ipaddress
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prospect_pipeline.errors import ProspectError, SignalsError
from prospect_pipeline.settings import (
    DEMO_USERS,
    Clock,
    DataSettings,
    DefinitionSettings,
    RegistrySettings,
    SignalsSettings,
    TrainingSettings,
)

if TYPE_CHECKING:
    from snowplow_signals import AttributeGroup

    from prospect_pipeline.registry.champions import Champions, Change
    from prospect_pipeline.registry.store import LoadedModel

Command = Callable[..., Any]
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path)
PORT = click.IntRange(0, 65535)


def main() -> None:
    """Run the command line; whatever goes wrong on purpose is one message and status 1."""
    try:
        cli(standalone_mode=False)
    except ProspectError as error:
        click.secho(f"Error: {error}", fg="red", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        sys.exit(130)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="prospect-pipeline")
def cli() -> None:
    """Real-time prospect scoring on Snowplow Signals."""


def cohort_options(command: Command) -> Command:
    """Add what `run` and `dataset` share."""
    options = (
        click.option("--events", type=FILE, help="Atomic events: CSV, gzipped CSV or Parquet."),
        click.option(
            "--as-of", help="The cohort's today, ISO; default: just after the last event."
        ),
        click.option("--cohort", help="OLDEST:NEWEST days before as-of (60:30), or 'all'."),
        click.option("--json", "as_json", is_flag=True, help="End with a line of JSON."),
    )
    return functools.reduce(lambda decorated, option: option(decorated), reversed(options), command)


@cli.command()
@cohort_options
@click.option("--data-dir", type=FOLDER, help="Default: PROSPECT_DATA_DIR, else ./data.")
@click.option("--signals-port", type=PORT, default=8787, show_default=True)
@click.option("--predict-port", type=PORT, default=8080, show_default=True)
@click.option("--dagster-port", type=PORT, default=3000, show_default=True)
@click.option("--mlflow-port", type=PORT, default=5050, show_default=True)
@click.option("--website-port", type=PORT, default=8088, show_default=True)
@click.option("--once", is_flag=True, help="End after the first scores (as without a terminal).")
@click.option("--stay", is_flag=True, help="Stay up, even without a terminal.")
def run(
    events: Path | None,
    as_of: str | None,
    cohort: str | None,
    as_json: bool,
    data_dir: Path | None,
    signals_port: int,
    predict_port: int,
    dagster_port: int,
    mlflow_port: int,
    website_port: int,
    once: bool,
    stay: bool,
) -> None:
    """Start everything: events, local Signals, Dagster, MLflow, training, scoring."""
    from prospect_pipeline.stack.console import Console
    from prospect_pipeline.stack.run import Run, RunOptions
    from prospect_pipeline.stack.services import Ports

    if once and stay:
        raise click.UsageError("--once and --stay exclude each other.")
    options = RunOptions(
        events=events,
        as_of=as_of,
        cohort=cohort,
        data=DataSettings.load(data_dir=data_dir),
        ports=Ports(signals_port, predict_port, dagster_port, mlflow_port, website_port),
        stay=stay or (sys.stdout.isatty() and not once),
    )
    summary = Run(options, Console()).execute()
    if as_json:
        click.echo(json.dumps(summary))


@cli.command()
@click.option("--users", type=click.IntRange(min=1), default=DEMO_USERS, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--end", help="When the last event may happen, ISO; default: now.")
@click.option("--out", type=FILE, required=True, help="Parquet file to write.")
def events(users: int, seed: int, end: str | None, out: Path) -> None:
    """Generate atomic events of visitors who behave like people."""
    from prospect_pipeline.sandbox.generator import generate

    last = _moment(end, "--end") if end else datetime.now(UTC)
    made = generate(users, seed, last, out, progress=_say)
    _say(
        f"{made.events:,} events of {made.visitors:,} visitors, {made.conversions:,} conversions: "
        f"{made.path}; the true probabilities: {made.truth_path}"
    )


@cli.command()
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
    made = DuckDBWarehouse(events).write_training_set(request, out, _say)
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in made.dropped.items())
    _say(f"{made.rows:,} rows, {made.positives:,} positive: {out}")
    _say(f"Left out: {dropped or 'nothing'}")
    if as_json:
        facts = {**made.facts(), "seconds": round(time.monotonic() - started, 3), "out": str(out)}
        click.echo(json.dumps(facts))


@cli.command()
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


@cli.command()
@click.option("--port", type=PORT, default=8787, show_default=True, help="0: any free one.")
@click.option("--token", envvar="SP_SANDBOX_TOKEN", help="Bearer token; default: a random one.")
@click.option("--data-dir", type=FOLDER, help="Default: PROSPECT_DATA_DIR, else ./data.")
@click.option("--clock", help="wall, last-event or an ISO moment; default: PROSPECT_CLOCK.")
@click.option("--events", type=FILE, help="Load this file of atomic events first.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--expose", is_flag=True, help="Allow a --host that other machines can reach.")
@click.option("--website-port", type=PORT, help="Serve the demo website there; 0: any free one.")
@click.option("--predict-url", default="http://127.0.0.1:8080", show_default=True, hidden=True)
def sandbox(
    port: int,
    token: str | None,
    data_dir: Path | None,
    clock: str | None,
    events: Path | None,
    host: str,
    expose: bool,
    website_port: int | None,
    predict_url: str,
) -> None:
    """Run the local Signals alone: for development and tests, on loopback."""
    from prospect_pipeline.sandbox.server import LocalSignals
    from prospect_pipeline.sandbox.store import EventStore

    if not expose and not _is_loopback(host):
        raise click.UsageError(
            f"{host} may be reached by other machines, and the local Signals is not made for that: "
            "whoever sends events to it is believed. Give --expose if that is what you want."
        )
    data = DataSettings.load(data_dir=data_dir)
    signals = LocalSignals(
        data, Clock.load(setting=clock), port, token or "", host, website_port, predict_url
    )
    if events is not None:
        loaded = EventStore(data).load(events)
        _say(f"Loaded {loaded.events:,} events of {events}")
        for reason, count in loaded.uncounted.items():
            _say(f"  {count:,} count nowhere: {reason}")
        if loaded.put_away:
            _say(f"  What was collected before is in {loaded.put_away}")
    _say(f"Local Signals, for development and tests: {signals.url}")
    _say(f"  token {signals.token}, data in {data.root}; Ctrl-C ends it")
    if signals.website_url is not None:
        _say(f"Website: {signals.website_url}")
    signals.serve()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@cli.command()
@click.argument("domain_userid")
@click.option("--url", help="The scoring service; default: that of run.json.")
@click.option("--data-dir", type=FOLDER, help="Default: PROSPECT_DATA_DIR, else ./data.")
@click.option("--explain", is_flag=True, help="Say what drove the score.")
def score(domain_userid: str, url: str | None, data_dir: Path | None, explain: bool) -> None:
    """Score one visitor through the running service."""
    from prospect_pipeline.stack.scores import fetch_score, service_url

    address = url or service_url(DataSettings.load(data_dir=data_dir))
    click.echo(json.dumps(fetch_score(address, domain_userid, explain=explain), indent=2))


@cli.command()
@click.option("--seeds", type=click.IntRange(1), default=5, help="How many; default: 5.")
@click.option("--users", type=click.IntRange(1), default=DEMO_USERS, help="Visitors of each.")
@click.option("--json", "as_json", is_flag=True, help="End with a line of JSON.")
def evaluate(seeds: int, users: int, as_json: bool) -> None:
    """Judge the pipeline on generated visitors, against the best score that is possible."""
    from prospect_pipeline.stack.rehearsal import rehearse, table

    found = rehearse(seeds, users, _say)
    click.echo(table(found))
    if as_json:
        click.echo(json.dumps(found.to_dict()))


@cli.command()
@click.argument("version")
@click.option("--why", default="by hand", help="The reason, for the record.")
@click.option("--data-dir", type=FOLDER, help="Default: PROSPECT_DATA_DIR, else ./data.")
def promote(version: str, why: str, data_dir: Path | None) -> None:
    """Make a registered version the champion, which the service then follows."""
    from prospect_pipeline.registry.champions import whoever

    champions = _champions(data_dir)
    with champions.alone():
        _say_changed(champions.promote(champions.registry.resolve(version), whoever(), why))


@cli.command()
@click.option("--why", default="by hand", help="The reason, for the record.")
@click.option("--data-dir", type=FOLDER, help="Default: PROSPECT_DATA_DIR, else ./data.")
def rollback(why: str, data_dir: Path | None) -> None:
    """Go back to the champion before the present one, which the service then follows."""
    from prospect_pipeline.registry.champions import whoever

    _say_changed(_champions(data_dir).rollback(whoever(), why))


def _champions(data_dir: Path | None) -> Champions:
    from prospect_pipeline.registry.champions import Champions
    from prospect_pipeline.registry.store import Registry

    data = DataSettings.load(data_dir=data_dir)
    registry = Registry(RegistrySettings.load(), data)
    registry.check()
    return Champions(registry, functools.partial(_confirm_published, data))


def _confirm_published(data: DataSettings, loaded: LoadedModel) -> None:
    """Raise SignalsError for a version whose attributes Signals has not; warn where unknown."""
    from prospect_pipeline.signals.connection import connection
    from prospect_pipeline.signals.deployment import is_published

    group, version = loaded.group, loaded.identity.version
    if group is None:
        return
    try:
        there = is_published(connection(SignalsSettings.load(), data).sdk(), group)
    except SignalsError as error:
        _say(f"Warning: it is not known whether Signals has published {group}. {error}")
        return
    if not there:
        raise SignalsError(
            f"Signals has not published {group}, which version {version} was trained on: it could "
            f"score nobody. Set SIGNALS_GROUP_VERSION={group.version}, publish it by the job "
            "deploy_configuration, and come again; or choose another version."
        )


def _say_changed(change: Change) -> None:
    before = f"before: version {change.previous}" if change.previous else "there was none before"
    click.echo(f"Version {change.version} is the champion now ({before}).")


def _group(definition: str | None) -> AttributeGroup:
    """Return the attribute group that ``FILE.py:NAME`` or ``MODULE:NAME`` names."""
    from snowplow_signals import AttributeGroup

    from prospect_pipeline.attributes import prospect
    from prospect_pipeline.attributes.named import load_named

    if definition is None:
        return prospect.attribute_group(DefinitionSettings.load())
    return load_named(definition, AttributeGroup)


def _moment(text: str, option: str) -> datetime:
    from prospect_pipeline.settings import parse_moment

    try:
        return parse_moment(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from None


def _say(message: str) -> None:
    """Print what a person reads; standard output is left to results."""
    click.echo(message, err=True)
