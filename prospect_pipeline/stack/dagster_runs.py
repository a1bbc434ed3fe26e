"""Launching a job in the Dagster instance whose web page is served, and following it.

GraphQL as the web page itself uses it, so that a run started here is like one started there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from prospect_pipeline.errors import StackError

LOCATION = "prospect_scoring"
REPOSITORY = "__repository__"
FINISHED = ("SUCCESS", "FAILURE", "CANCELED")

LAUNCH = """mutation($job: String!, $location: String!, $repository: String!,
  $config: RunConfigData) {
  launchRun(executionParams: {mode: "default", runConfigData: $config, selector: {
    repositoryLocationName: $location, repositoryName: $repository, jobName: $job}}) {
    __typename ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message } ... on RunConfigValidationInvalid { errors { message } } } }"""

STATUS = """query($run: ID!) { runOrError(runId: $run) { ... on Run {
  status stepStats { stepKey status } } } }"""

MATERIALIZED = """query($run: ID!) { runOrError(runId: $run) { ... on Run { assetMaterializations {
  assetKey { path } metadataEntries { label
    ... on IntMetadataEntry { intValue } ... on FloatMetadataEntry { floatValue }
    ... on TextMetadataEntry { text } ... on PathMetadataEntry { path }
    ... on JsonMetadataEntry { jsonString } ... on UrlMetadataEntry { url }
    ... on BoolMetadataEntry { boolValue } } } } } }"""

FAILURES = """query($run: ID!) { logsForRun(runId: $run, limit: 5000) { ... on EventConnection {
  events { __typename
    ... on ExecutionStepFailureEvent { stepKey error { message causes { message className } } }
    ... on AssetCheckEvaluationEvent { evaluation { success severity description } }
    ... on RunFailureEvent { message } } } } }"""

UNFINISHED = """query { runsOrError(filter: {statuses: [QUEUED, NOT_STARTED, STARTING, STARTED,
  CANCELING]}) { ... on Runs { results { runId } } } }"""

CANCEL = """mutation($runs: [String!]!) { terminateRuns(runIds: $runs,
  terminatePolicy: MARK_AS_CANCELED_IMMEDIATELY) { __typename } }"""

LOCATIONS = """query { workspaceOrError { ... on Workspace { locationEntries { name
  locationOrLoadError { __typename ... on PythonError { message } } } } } }"""


@dataclass(frozen=True)
class DagsterRuns:
    """The runs of a Dagster web server."""

    url: str

    def loaded(self) -> bool:
        """Whether the server is up and has loaded the definitions; raises where they are wrong."""
        try:
            entries = self._query(LOCATIONS)["workspaceOrError"]["locationEntries"]
        except (requests.RequestException, KeyError):
            return False
        for entry in entries:
            found = entry["locationOrLoadError"]
            if found and found["__typename"] == "PythonError":
                raise StackError(f"Dagster cannot load the definitions: {found['message']}")
            if found and entry["name"] == LOCATION:
                return True
        return False

    def cancel_unfinished(self) -> int:
        """Mark what an earlier, interrupted session left as canceled, or it blocks the queue."""
        runs = [run["runId"] for run in self._query(UNFINISHED)["runsOrError"]["results"]]
        if runs:
            self._query(CANCEL, runs=runs)
        return len(runs)

    def launch(self, job: str, config: Mapping[str, Any]) -> str:
        """Launch a job with its run config, and return the run's id."""
        found = self._query(
            LAUNCH, job=job, location=LOCATION, repository=REPOSITORY, config=config
        )
        reply = found["launchRun"]
        if reply["__typename"] != "LaunchRunSuccess":
            raise StackError(f"Dagster did not launch '{job}': {reply.get('message', reply)}")
        return str(reply["run"]["runId"])

    def follow(
        self, run: str, on_step: Callable[[str, str], None], check: Callable[[], None]
    ) -> None:
        """Wait until a run ends; ``on_step(step, status)`` is told of each step's new status."""
        known: dict[str, str] = {}
        while True:
            check()
            state = self._query(STATUS, run=run)["runOrError"]
            for step in state["stepStats"]:
                name, status = step["stepKey"], step["status"]
                if status and known.get(name) != status:
                    known[name] = status
                    on_step(name, status)
            if state["status"] in FINISHED:
                break
            time.sleep(0.3)
        if state["status"] != "SUCCESS":
            raise StackError(self._why(run, state["status"]))

    def materialized(self, run: str) -> dict[str, dict[str, Any]]:
        """Return the metadata that a run's materializations carry, by asset."""
        found = self._query(MATERIALIZED, run=run)["runOrError"]["assetMaterializations"]
        return {
            "/".join(each["assetKey"]["path"]): {
                entry.pop("label"): next(iter(entry.values()), None)
                for entry in each["metadataEntries"]
            }
            for each in found
        }

    def _why(self, run: str, status: str) -> str:
        page = f"{self.url}/runs/{run}"
        events = self._query(FAILURES, run=run)["logsForRun"]["events"]
        failed = [event["evaluation"] for event in events if "evaluation" in event]
        reasons = [
            check["description"]
            for check in failed
            if not check["success"] and check["severity"] == "ERROR"
        ]
        if reasons:
            return "The training data is not fit to be trained on. " + "\n".join(
                [*reasons, f"The run: {page}"]
            )
        for event in events:
            error = event.get("error")
            if error:
                cause = (error["causes"] or [error])[-1]
                message = cause["message"].strip().split(": ", 1)[-1]
                return f"{event['stepKey']} failed: {message}\nThe run: {page}"
        return f"The Dagster run ended as {status}: {page}"

    def _query(self, text: str, **variables: Any) -> dict[str, Any]:
        reply = requests.post(
            f"{self.url}/graphql", json={"query": text, "variables": variables}, timeout=30
        )
        reply.raise_for_status()
        body: dict[str, Any] = reply.json()
        if body.get("errors"):
            raise StackError(f"Dagster's GraphQL refused: {body['errors'][0]['message']}")
        return body["data"]  # type: ignore[no-any-return]
