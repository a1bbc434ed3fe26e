"""What one Dagster run has tried to register: a second attempt ends what the first one began.

MLflow's run and the version carry the Dagster run's id as a tag, under the name that dagster-mlflow
gives it. MLflow itself knows no such key, and its client sends a request again that was not
answered in time: a version can be there although nobody was told, or be there twice.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mlflow
from mlflow import MlflowClient

from prospect_pipeline.registry.failures import FAILURES

TAG = "dagster_run_id"
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempts:
    """The attempts of a Dagster run at a version of a model; without its id each stands alone.

    ``experiment`` is the id of MLflow's experiment. What is found is MLflow's own version.
    """

    client: MlflowClient
    model: str
    experiment: str
    dagster_run: str | None

    @property
    def tags(self) -> dict[str, str]:
        """What marks a run or a version as one of these."""
        return {TAG: self.dagster_run} if self.dagster_run else {}

    @contextmanager
    def run(self, tags: Mapping[str, str]) -> Iterator[mlflow.ActiveRun]:
        """Open a run of MLflow's, which has failed where the block raises.

        That it cannot be ended raises nothing: what it holds is there.
        """
        status = "FAILED"
        opened = mlflow.start_run(experiment_id=self.experiment, tags={**tags, **self.tags})
        try:
            yield opened
            status = "FINISHED"
        finally:
            with _only_logged(f"run {opened.info.run_id} stays open"):
                mlflow.end_run(status)

    def registered(self) -> Any | None:
        """Return the version that there is, None without one; end every run that is still open."""
        found = self._versions()[:1]
        version = found[0] if found else None
        with _only_logged("runs of an earlier attempt stay as they are"):
            self._end_runs(version.run_id if version else None)
        return version

    def settled(self, made: Any) -> Any:
        """Return the one version after ``made`` was registered: the first stays, others go."""
        first = made
        with _only_logged("whether the version was registered twice was not looked up"):
            first, *doubled = self._versions() or [made]
            for each in doubled:
                self.client.delete_model_version(self.model, str(each.version))
        return first

    def _versions(self) -> list[Any]:
        if not self.dagster_run:
            return []
        wanted = f"name = '{self.model}' and tags.{TAG} = '{self.dagster_run}'"
        return sorted(self.client.search_model_versions(wanted), key=lambda each: int(each.version))

    def _end_runs(self, finished: str | None) -> None:
        if not self.dagster_run:
            return
        wanted = f"tags.{TAG} = '{self.dagster_run}'"
        for run in self.client.search_runs([self.experiment], wanted):
            status = "FINISHED" if run.info.run_id == finished else "FAILED"
            if run.info.status != status:
                self.client.set_terminated(run.info.run_id, status)


@contextmanager
def _only_logged(consequence: str) -> Iterator[None]:
    """Let a failure of MLflow's be a line in the log, where nothing hangs on it."""
    try:
        yield
    except FAILURES as error:
        LOG.warning("MLflow did not answer (%s): %s.", type(error).__name__, consequence)
