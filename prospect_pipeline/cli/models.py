"""The commands that judge models, and choose the one that is served."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from prospect_pipeline.cli.options import FOLDER, say
from prospect_pipeline.errors import SignalsError
from prospect_pipeline.settings import (
    DEMO_USERS,
    DataSettings,
    RegistrySettings,
    SignalsSettings,
)

if TYPE_CHECKING:
    from prospect_pipeline.registry.champions import Champions, Change
    from prospect_pipeline.registry.store import LoadedModel


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=5, help="How many; default: 5.")
@click.option("--users", type=click.IntRange(1), default=DEMO_USERS, help="Visitors of each.")
@click.option("--json", "as_json", is_flag=True, help="End with a line of JSON.")
def evaluate(seeds: int, users: int, as_json: bool) -> None:
    """Judge the pipeline on generated visitors, against the best score that is possible.

    By the default settings, without a search; nothing is registered.
    """
    from prospect_pipeline.stack.rehearsal import rehearse, table

    found = rehearse(seeds, users, say)
    click.echo(table(found))
    if as_json:
        click.echo(json.dumps(found.to_dict()))


@click.command()
@click.argument("version")
@click.option("--why", default="by hand", help="The reason, for the record.")
@click.option("--data-dir", type=FOLDER, help="Default: PROSPECT_DATA_DIR, else ./data.")
def promote(version: str, why: str, data_dir: Path | None) -> None:
    """Make a registered version the champion, which the service then follows."""
    from prospect_pipeline.registry.champions import whoever

    champions = _champions(data_dir)
    with champions.alone():
        _say_changed(champions.promote(champions.registry.resolve(version), whoever(), why))


@click.command()
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
        say(f"Warning: it is not known whether Signals has published {group}. {error}")
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
