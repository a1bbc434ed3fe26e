"""`prospect run`: the whole system, from no events to visitors scored over HTTP."""

from __future__ import annotations

import contextlib
import fcntl
import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from prospect_pipeline.errors import StackError
from prospect_pipeline.sandbox import address
from prospect_pipeline.sandbox.store import Loaded
from prospect_pipeline.settings import (
    AutomationSettings,
    Clock,
    DataSettings,
    DefinitionSettings,
    RegistrySettings,
    ServingSettings,
    SignalsSettings,
    SnowflakeSettings,
    TrainingSettings,
)
from prospect_pipeline.stack import services
from prospect_pipeline.stack.console import Console
from prospect_pipeline.stack.dagster_runs import DagsterRuns
from prospect_pipeline.stack.demo import in_child, load_events, sample_visitors
from prospect_pipeline.stack.processes import Processes, base_environment
from prospect_pipeline.stack.scores import fetch_score
from prospect_pipeline.training.threshold import Rule
from prospect_pipeline.writing import whole_file

SCORED_VISITORS = 5


@dataclass(frozen=True)
class RunOptions:
    """What `prospect run` was asked for."""

    events: Path | None
    as_of: str | None
    cohort: str | None
    data: DataSettings
    ports: services.Ports
    stay: bool


@dataclass
class Run:
    """One `prospect run`: starts everything, follows the training, scores, and cleans up."""

    options: RunOptions
    console: Console

    def execute(self) -> dict[str, Any]:
        """Run it all, and return the summary; with ``stay``, only when it is interrupted."""
        signals = self._check_settings()
        ports = self.options.ports.settled()
        started = time.monotonic()
        data, timed = self.options.data, self.console.timed
        with _only_one(data), _ended_by_signals():
            if signals.target == "local":
                address.refuse_second(data)
            with timed("events", "Events"):
                loaded, as_of, told = self._load_events(ports)
            environment = base_environment() | told
            with Processes(services.log_folder(data), environment) as processes:
                with timed("services", "Services"):
                    self._start(processes, ports, signals)
                with timed("training", "Training"):
                    facts = self._train(services.url(ports.dagster), processes, as_of)
                with timed("scoring", "Scoring"):
                    version = facts["champion"]["version"]
                    scores = self._score(processes, ports, version)
                summary = _summary(facts, loaded) | {"scores": scores}
                summary["memory_gb"] = round(processes.memory() / 1e9, 2)
                total = round(time.monotonic() - started, 1)
                summary["seconds"] = self.console.seconds | {"total": total}
                with self._announced(ports) as addresses:
                    self.console.results(summary, addresses)
                    if self.options.stay:
                        self._stay(processes)
                    else:
                        self.console.say(
                            "All of that ends now: this is no terminal, or --once was given. "
                            "`prospect run --stay` keeps it up."
                        )
        return summary

    def _check_settings(self) -> SignalsSettings:
        """Read every setting before anything is started."""
        signals = SignalsSettings.load()
        registry = RegistrySettings.load()
        training = TrainingSettings.load(as_of=self.options.as_of, cohort=self.options.cohort)
        Rule.parse(training.threshold)
        _ = training.label_horizon  # refuses a table of labels of which nothing is said
        for settings in (
            AutomationSettings, Clock, DefinitionSettings, ServingSettings, SnowflakeSettings
        ):  # fmt: skip
            settings.load()
        if registry.tracking_uri:
            from prospect_pipeline.registry.store import Registry  # slow, and seldom needed

            Registry(registry, self.options.data).check()
        return signals

    def _load_events(self, ports: services.Ports) -> tuple[Loaded, datetime, dict[str, str]]:
        """Load the events; return as-of too, and what the services are to be told."""
        if self.options.events is not None:
            self.console.say(f"Loading {self.options.events}")
        loaded, just_after = in_child(load_events, self.options.data, self.options.events)
        for line in loaded.told:
            self.console.say(line)
        as_of = TrainingSettings.load(as_of=self.options.as_of).as_of_moment or just_after
        environment = {
            "MLFLOW_UI_URL": services.url(ports.mlflow),
            "DAGSTER_UI_URL": services.url(ports.dagster),
            "PROSPECT_DATA_DIR": str(self.options.data.root),
            "MODEL_POLL_SECONDS": "1",
            "PREDICT_CORS_ORIGINS": ",".join(
                [*ServingSettings.load().cors_origins, services.website_origins(ports)]
            ),
            "PREDICT_URL": AutomationSettings.load().predict_url or services.url(ports.predict),
            "SIGNALS_TIMEOUT_MS": str(services.patience_ms()),
        }
        if RegistrySettings.load().tracking_uri:
            del environment["MLFLOW_UI_URL"]
        if self.options.cohort:
            environment["PROSPECT_COHORT"] = self.options.cohort
        if self.options.events is not None:
            environment["PROSPECT_CLOCK"] = as_of.isoformat()
        return loaded, as_of, environment

    def _start(
        self, processes: Processes, ports: services.Ports, settings: SignalsSettings
    ) -> None:
        """Start the services, each as soon as what it needs is there."""
        data = self.options.data
        if settings.target == "local":
            services.start_signals(processes, data, ports)
        pages = services.Dagster.prepare(processes, data, ports.dagster)
        pages.start_definitions()
        own_registry = RegistrySettings.load().tracking_uri is None
        if own_registry:
            services.start_mlflow(processes, data, ports.mlflow)
        if settings.target == "local":
            services.wait_for_signals(processes, ports.signals)
            self.console.say(f"Local Signals  {services.url(ports.signals)}")
        pages.start_pages()
        dagster = DagsterRuns(services.url(ports.dagster))
        processes.wait_for("Dagster", dagster.loaded, services.START_SECONDS)
        self.console.say(f"Dagster        {dagster.url}")
        dagster.cancel_unfinished()
        if own_registry:
            services.wait_for_mlflow(processes, ports.mlflow)
            self.console.say(f"MLflow         {services.url(ports.mlflow)}")
        # It waits for a model, so that the training can be compared with what is served.
        services.start_scoring(processes, data, ports.predict)
        self.console.say(
            f"Signals has {services.patience_ms()} ms here to answer (SIGNALS_TIMEOUT_MS)"
        )

    def _train(self, url: str, processes: Processes, as_of: datetime) -> dict[str, dict[str, Any]]:
        """Materialize everything in the Dagster instance whose page is served.

        As-of is this run's alone: what the schedule starts later goes by the events of its time.
        """
        dagster = DagsterRuns(url)
        config = {"ops": {"training_dataframe": {"config": {"as_of": as_of.isoformat()}}}}
        run = dagster.launch("everything", config)
        self.console.say(f"Run            {dagster.url}/runs/{run}")
        dagster.follow(run, self.console.step, processes.check)
        return dagster.materialized(run)

    def _score(
        self, processes: Processes, ports: services.Ports, champion: str
    ) -> list[dict[str, Any]]:
        """Score a few known visitors over HTTP, by the champion."""
        services.wait_for_scoring(processes, ports.predict)
        address = services.url(ports.predict)
        visitors = in_child(sample_visitors, self.options.data, SCORED_VISITORS)

        def swapped() -> bool:
            answer = fetch_score(address, visitors[0], dry_run=True)
            return bool(answer["model"]["version"] == champion)

        if RegistrySettings.load().version is None:  # it may still use the champion before
            processes.wait_for(f"Version {champion}", swapped, services.START_SECONDS)
        scores = []
        for visitor in visitors:
            answer = fetch_score(address, visitor)
            scores.append(
                {
                    "domain_userid": visitor,
                    "score": answer["score"],
                    "model_version": answer["model"]["version"],
                }
            )
        versions = {score["model_version"] for score in scores}
        if versions != {champion}:
            raise StackError(
                f"The service scored with version {', '.join(sorted(versions))}, not with the "
                f"champion, {champion}. Is MODEL_VERSION set?"
            )
        return scores

    @contextlib.contextmanager
    def _announced(self, ports: services.Ports) -> Iterator[dict[str, str]]:
        """Say in ``run.json`` where everything is, as long as it is."""
        path = self.options.data.run_file
        found = services.addresses(ports, self.options.data)
        told = found | {"signals_timeout_ms": services.patience_ms()}
        with whole_file(path, private=True) as unfinished:
            unfinished.write_text(json.dumps(told, indent=2))
        try:
            yield found
        finally:
            path.unlink(missing_ok=True)

    def _stay(self, processes: Processes) -> None:
        self.console.say("Ctrl-C ends everything.")
        while True:
            self._watch(processes)
            time.sleep(1)

    def _watch(self, processes: Processes) -> None:
        """Warn of what has ended; raises StackError where it is what scores need."""
        for gone in processes.let_go(services.SPARED):
            self.console.warn(
                f"{gone.ended}: {services.SPARED[gone.name]}, scores go on. Its log: {gone.log}"
            )
        processes.check()


METRICS = ("roc_auc", "pr_auc", "log_loss", "brier", "ece", "accuracy", "f1", "f2")


def _summary(facts: dict[str, dict[str, Any]], loaded: Loaded) -> dict[str, Any]:
    frame, model = facts["training_dataframe"], facts["registered_model"]
    intervals = json.loads(model["intervals"])
    identity = {name: model[name] for name in ("name", "version", "run_id")}
    return {
        "events": facts["atomic_events"]["dagster/row_count"],
        "training_rows": frame["dagster/row_count"],
        "positives": frame["positives"],
        "dropped": json.loads(frame["dropped_counts"]) | loaded.uncounted,
        "as_of": frame["as_of"],
        "model": identity,
        "champion": {name: facts["champion"][name] for name in ("version", "promoted", "reason")},
        "metrics": {name: model[name] for name in METRICS},
        "intervals": {name: [intervals[name][end] for end in ("low", "high")] for name in METRICS},
        "threshold": model["threshold"],
        "report": facts["evaluation_report"]["report"],
    }


@contextlib.contextmanager
def _only_one(data: DataSettings) -> Iterator[None]:
    """Hold the data directory; raises StackError where another run does."""
    data.root.mkdir(parents=True, exist_ok=True)
    with (data.root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StackError(
                f"Another `prospect run` uses {data.root}. End it, or give another --data-dir."
            ) from None
        yield


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the run; a second one does not interrupt the clearing up."""
    signals = (signal.SIGINT, signal.SIGTERM)

    def interrupt(*_: object) -> NoReturn:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
