"""What several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path)
PORT = click.IntRange(0, 65535)


def cohort_options(command: Command) -> Command:
    """Add what `run` and `dataset` share."""
    options = (
        click.option("--events", type=FILE, help="Atomic events: CSV, gzipped CSV or Parquet."),
        click.option(
            "--as-of", help="The cohort's today, ISO; default: just after the last event so far."
        ),
        click.option("--cohort", help="OLDEST:NEWEST days before as-of (60:30), or 'all'."),
        click.option("--json", "as_json", is_flag=True, help="End with a line of JSON."),
    )
    return functools.reduce(lambda decorated, option: option(decorated), reversed(options), command)


def say(message: str) -> None:
    """Print what a person reads; standard output is left to results."""
    click.echo(message, err=True)
