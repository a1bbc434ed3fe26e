"""Training datasets, as the SDK's dataset builder asks for them, on this project's compiler.

The warehouse is the local Signals' own events, so the SQL is DuckDB's; a table of the user's own
anchors is a file of that name under ``tables`` in the data directory.
"""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from snowplow_signals import AttributeGroup
from snowplow_signals.models.model import (
    DatasetBundleRequest,
    SessionAnchors,
    UserSuppliedAnchors,
    WarehouseTable,
)

from prospect_pipeline.attributes.definition import check_group
from prospect_pipeline.attributes.expressions import name
from prospect_pipeline.attributes.sql import TrainingQuery
from prospect_pipeline.errors import DefinitionError, ProspectError
from prospect_pipeline.sandbox.groups import Groups
from prospect_pipeline.sandbox.registry import Body, Missing
from prospect_pipeline.settings import DataSettings, TrainingSettings
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse, embedded_events

Status = Literal["pending", "success", "failed"]
ANCHORS = "signals_anchors"
DATASET = "signals_dataset"
PREFIX = "signals_attributes"
RUNS_KEPT = 20


class Cancelled(Exception):
    """A run was told to stop."""


@dataclass
class DatasetRun:
    """One run: what it makes, how it stands, and its table once it is done."""

    table: WarehouseTable
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    status: Status = "pending"
    error: str | None = None
    made: pa.Table | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)

    def go_on(self, _: str = "") -> None:
        """Raise Cancelled where the run was told to stop."""
        if self.cancelled.is_set():
            raise Cancelled


class Datasets:
    """Writes the SQL of datasets, and runs it; the last twenty runs are known."""

    def __init__(self, data: DataSettings, groups: Groups) -> None:
        self.data = data
        self.groups = groups
        self._runs: dict[uuid.UUID, DatasetRun] = {}
        self._pool = ThreadPoolExecutor(1, "datasets")

    def bundle(self, request: DatasetBundleRequest) -> Body:
        """Return the SQL of anchors, attributes and dataset; raises DefinitionError."""
        by_key, prefix = self._by_key(request), request.attributes.table_prefix or PREFIX
        queries = {key: self._query(request, group) for key, group in by_key.items()}
        first = next(iter(queries.values()))
        alone = first.group.model_copy(update={"attributes": (first.group.attributes or [])[:1]})
        anchors = getattr(request.anchors, "output", None) or WarehouseTable(table=ANCHORS)
        if isinstance(request.anchors, UserSuppliedAnchors):
            anchors, anchors_sql = request.anchors.source, None
        else:
            anchors_sql = replace(first, group=alone, features={}).whole()
        at = "anchor_ts" if first.anchors else "event_id"
        tables = {key: f"{prefix}_{key}" for key in by_key}
        attributes = [
            {
                **_table(WarehouseTable(table=tables[key])),
                "sql": query.whole(),
                "attribute_key": {**_plain(query.group.attribute_key), "blobl_path": None},
            }
            for key, query in queries.items()
        ]
        columns = [
            f"{tables[key]}.{name(str(attribute.name))}"
            for key, group in by_key.items()
            for attribute in group.attributes or []
        ]
        joins = "\n".join(
            f"JOIN {table} ON {table}.{at} = {anchors.table}.{at}"
            + (f" AND {table}.{name(key)} = {anchors.table}.{name(key)}" if first.anchors else "")
            for key, table in tables.items()
        )
        selected = ",\n  ".join([f"{anchors.table}.*", *columns])
        return {
            "anchors": {**_table(anchors), "sql": anchors_sql},
            "attributes": attributes,
            "dataset": {
                **_table(request.dataset or WarehouseTable(table=DATASET)),
                "sql": f"SELECT\n  {selected}\nFROM {anchors.table}\n{joins}",
            },
        }

    def start(self, request: DatasetBundleRequest) -> DatasetRun:
        """Begin a run; raises DefinitionError."""
        by_key = self._by_key(request)
        for group in by_key.values():
            self._query(request, group)
        run = DatasetRun(request.dataset or WarehouseTable(table=DATASET))
        self._runs[run.id] = run
        done = [one.id for one in self._runs.values() if one.status != "pending"]
        for old in done[: max(len(self._runs) - RUNS_KEPT, 0)]:
            del self._runs[old]
        self._pool.submit(self._run, run, request, by_key)
        return run

    def get(self, identity: uuid.UUID) -> DatasetRun:
        """Return a run; raises Missing."""
        if identity not in self._runs:
            raise Missing(f"dataset run {identity} does not exist")
        return self._runs[identity]

    def _run(
        self, run: DatasetRun, request: DatasetBundleRequest, by_key: dict[str, AttributeGroup]
    ) -> None:
        try:
            run.made = self._make(run, request, by_key)
            run.status = "success"
        except Cancelled:
            run.status, run.error = "failed", "cancelled"
        except ProspectError as error:
            run.status, run.error = "failed", str(error)
        except Exception as error:  # whoever asks for the run is told, and nobody else is there
            run.status, run.error = "failed", f"{type(error).__name__}: {error}"

    def _make(
        self, run: DatasetRun, request: DatasetBundleRequest, by_key: dict[str, AttributeGroup]
    ) -> pa.Table:
        """Build each key's table, and join them by the anchors' events."""
        whole: pa.Table | None = None
        for group in by_key.values():
            run.go_on()
            asked = self._request(request, group)
            warehouse = DuckDBWarehouse(embedded_events(self.data))
            table = warehouse.training_set(asked, run.go_on).table
            if whole is None:
                whole = table
            else:
                own = table.drop_columns(["anchor_ts", "label", *_weights(table)])
                whole = whole.join(own, "event_id", join_type="inner")
        run.go_on()
        assert whole is not None  # a request has at least one group
        order = [(column, "ascending") for column in ("anchor_ts", "event_id") if column in
                 whole.column_names]  # fmt: skip
        last = [column for column in ("label", *_weights(whole)) if column in whole.column_names]
        first = [column for column in whole.column_names if column not in last]
        return whole.select([*first, *last]).sort_by(order)

    def _by_key(self, request: DatasetBundleRequest) -> dict[str, AttributeGroup]:
        """Return one group for each attribute key, with the attributes of all of its groups."""
        if request.max_lookback_days is not None:
            raise DefinitionError(
                "max_lookback_days would change what attributes are worth; leave it out: every "
                "attribute looks back as far as its period says."
            )
        merged: dict[str, AttributeGroup] = {}
        for given in request.attributes.attribute_groups:
            body = given.model_dump(mode="json", exclude_none=True, by_alias=True)
            group = self.groups.of(body)
            key = str(group.attribute_key.name)
            known = list(merged[key].attributes or []) if key in merged else []
            together = group.model_copy(update={"attributes": known + list(group.attributes or [])})
            check_group(together)
            merged[key] = together
        if isinstance(request.anchors, UserSuppliedAnchors) and len(merged) > 1:
            raise DefinitionError(
                f"A table of your own anchors has one key, these groups have {', '.join(merged)}; "
                "ask for a dataset of each."
            )
        return merged

    def _request(self, request: DatasetBundleRequest, group: AttributeGroup) -> DatasetRequest:
        settings = TrainingSettings.load(cohort="all", anchors="")
        if isinstance(request.anchors, SessionAnchors):
            return DatasetRequest(group, settings, "attributes", sessions=request.anchors)
        return DatasetRequest(group, settings, "attributes", self._file(request.anchors.source))

    def _query(self, request: DatasetBundleRequest, group: AttributeGroup) -> TrainingQuery:
        asked = self._request(request, group)
        anchoring = asked.anchoring(_end(request.anchors))
        given = request.anchors
        own = given.source.table if isinstance(given, UserSuppliedAnchors) else None
        return TrainingQuery(group, anchoring, anchors=own)

    def _file(self, table: WarehouseTable) -> Path:
        folder = self.data.root / "tables"
        for ending in (".parquet", ".csv"):
            if (folder / f"{table.table}{ending}").is_file():
                return folder / f"{table.table}{ending}"
        raise DefinitionError(
            f"Table '{table.table}' is none; the local Signals expects it as a file "
            f"{folder / table.table}.parquet or .csv."
        )


def _end(anchors: SessionAnchors | UserSuppliedAnchors) -> datetime:
    if isinstance(anchors, SessionAnchors):
        end = anchors.training_span.end_time
        return end.replace(tzinfo=UTC) if end.tzinfo is None else end
    return datetime.now(UTC)


def _plain(key: Any) -> Body:
    body: Body = key.model_dump(mode="json", exclude_none=True)
    return body


def _weights(table: pa.Table) -> list[str]:
    return ["weight"] if "weight" in table.column_names else []


def _table(table: WarehouseTable) -> dict[str, Any]:
    return {"database": table.database, "schema": table.schema_, "table": table.table}
