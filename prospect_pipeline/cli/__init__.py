"""The `prospect` command: parses, calls, prints. Errors are one message and exit status 1."""

from __future__ import annotations

import sys

import click

from prospect_pipeline.cli import data, examining, models, running
from prospect_pipeline.errors import ProspectError


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


for command in (
    running.run, running.sandbox, running.score,
    data.events, data.dataset, data.sql,
    models.evaluate, models.promote, models.rollback, examining.doctor,
):  # fmt: skip
    cli.add_command(command)
