"""What a person sees of `prospect run`: progress line by line, and a table of what runs where."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console as Terminal
from rich.table import Table

from prospect_pipeline.redaction import shown_address

DONE = {"SUCCESS": "done", "FAILURE": "FAILED", "SKIPPED": "skipped"}


class Console:
    """Prints progress and results, and keeps each step's seconds."""

    def __init__(self) -> None:
        self.terminal = Terminal(highlight=False, soft_wrap=True)
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, step: str, words: str) -> Iterator[None]:
        """Announce a step, and say how long it took."""
        self.terminal.print(f"[bold]{words}[/bold] ...")
        started = time.monotonic()
        yield
        self.seconds[step] = round(time.monotonic() - started, 1)
        self.terminal.print(f"  [green]done[/green] in {self.seconds[step]} s")

    def say(self, message: str) -> None:
        """Print one line about the step at hand."""
        self.terminal.print(f"  {message}", markup=False)

    def warn(self, message: str) -> None:
        """Print one line about what went wrong, where the rest goes on."""
        self.terminal.print(f"  {message}", markup=False, style="yellow")

    def step(self, name: str, status: str) -> None:
        """Print that a Dagster step has ended."""
        if status in DONE:
            self.say(f"{name:<42}{DONE[status]}")

    def results(self, summary: Mapping[str, Any], addresses: Mapping[str, str]) -> None:
        """Print the model, the scores, and where everything is."""
        model, metrics, champion = summary["model"], summary["metrics"], summary["champion"]
        low, high = summary["intervals"]["pr_auc"]
        self.terminal.print(
            f"\n[bold]{model['name']} version {model['version']}[/bold] from "
            f"{summary['training_rows']:,} rows ({summary['positives']:,} positive) of "
            f"{summary['events']:,} events: ROC AUC {metrics['roc_auc']:.3f}, "
            f"PR AUC {metrics['pr_auc']:.3f} ({low:.3f} to {high:.3f}), "
            f"log loss {metrics['log_loss']:.3f}"
        )
        self.terminal.print(
            f"Champion: version {champion['version']}. {champion['reason']}", markup=False
        )
        scores = Table(
            "visitor", "score", "version", title="Scored over HTTP", title_justify="left"
        )
        for score in summary["scores"]:
            scores.add_row(score["domain_userid"], f"{score['score']:.4f}", score["model_version"])
        where = Table("what", title="Running", title_justify="left")
        where.add_column("where", overflow="fold")
        for name, words in WORDS.items():
            if name in addresses:
                where.add_row(words, shown_address(addresses[name]))
        self.terminal.print(scores, where)
        # In one piece, however long it is: to be clicked, or copied.
        self.terminal.print(f"Evaluation report: {summary['report']}", markup=False)
        self.terminal.print(
            f"{summary['seconds']['total']} s in all, {summary['memory_gb']} GB of memory"
        )


WORDS = {
    "website": "Website: click, and watch your score",
    "dagster": "Dagster: assets, runs, schedule",
    "mlflow": "MLflow: models and their runs",
    "predict": "Scoring service: POST /predict",
    "signals": "Signals",
}
