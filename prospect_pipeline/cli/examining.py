"""The command that looks whether everything is as it should be."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from prospect_pipeline.cli.options import FOLDER


@click.command()
@click.option("--data-dir", type=FOLDER, help="Default: PROSPECT_DATA_DIR, else ./data.")
@click.option("--json", "as_json", is_flag=True, help="Print the same as one JSON document.")
def doctor(data_dir: Path | None, as_json: bool) -> None:
    """Check every setting and connection; change nothing. Status 1 where something is wrong."""
    from rich.console import Console

    from prospect_pipeline.doctor.report import Finding
    from prospect_pipeline.doctor.rounds import examined

    terminal = Console(highlight=False, soft_wrap=True)

    def tell(finding: Finding) -> None:
        """Print a finding as soon as it is known."""
        if not as_json:
            terminal.print(finding.line())

    report = examined(data_dir, tell)
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2))
    else:
        terminal.print(report.summary(), style="bold", markup=False)
    sys.exit(0 if report.well else 1)
