"""The commands that start something, or ask what runs."""

from __future__ import annotations

import ipaddress
import json
import sys
from pathlib import Path

import click

from prospect_pipeline.cli.options import FILE, FOLDER, PORT, cohort_options, say
from prospect_pipeline.settings import Clock, DataSettings, web_address


@click.command()
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


@click.command()
@click.option("--port", type=PORT, default=8787, show_default=True, help="0: any free one.")
@click.option("--token", envvar="SP_SANDBOX_TOKEN", help="Bearer token; default: a random one.")
@click.option("--data-dir", type=FOLDER, help="Default: PROSPECT_DATA_DIR, else ./data.")
@click.option("--clock", help="wall, last-event or an ISO moment; default: PROSPECT_CLOCK.")
@click.option("--events", type=FILE, help="Load this file of atomic events first.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--expose", is_flag=True, help="Allow a --host that other machines can reach.")
@click.option("--website-port", type=PORT, help="Serve the demo website there; 0: any free one.")
@click.option("--predict-url", default="http://127.0.0.1:8080", show_default=True, hidden=True)
@click.option("--hide-token", is_flag=True, help="Say where the token is, and not which.")
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
    hide_token: bool,
) -> None:
    """Run the local Signals alone: for development and tests, on loopback."""
    from prospect_pipeline.sandbox.server import LocalSignals
    from prospect_pipeline.sandbox.store import EventStore
    from prospect_pipeline.signals.connection import ADDRESS_FILE

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
        say(f"Loaded {loaded.events:,} events of {events}")
        for line in loaded.told:
            say(f"  {line}")
    say(f"Local Signals, for development and tests: {signals.url}")
    shown = f"in {ADDRESS_FILE}" if hide_token else signals.token
    say(f"  token {shown}, data in {data.root}; Ctrl-C ends it")
    if signals.website_url is not None:
        say(f"Website: {signals.website_url}")
    signals.serve()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _web_address(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    try:
        return web_address(given) if given else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("domain_userid")
@click.option(
    "--url", callback=_web_address, help="The scoring service; default: that of run.json."
)
@click.option("--data-dir", type=FOLDER, help="Default: PROSPECT_DATA_DIR, else ./data.")
@click.option("--explain", is_flag=True, help="Say what drove the score.")
def score(domain_userid: str, url: str | None, data_dir: Path | None, explain: bool) -> None:
    """Score one visitor through the running service."""
    from prospect_pipeline.stack.scores import fetch_score, service_url

    address = url or service_url(DataSettings.load(data_dir=data_dir))
    click.echo(json.dumps(fetch_score(address, domain_userid, explain=explain), indent=2))
