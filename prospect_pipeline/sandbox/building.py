"""The dataset builder over HTTP: SQL, runs, their previews, and cancelling them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from snowplow_signals.models.model import DatasetBundleRequest

from prospect_pipeline.sandbox.datasets import DatasetRun, Datasets
from prospect_pipeline.sandbox.registry import Body

MOST_SHOWN = 10_000


def building(datasets: Datasets) -> APIRouter:
    """Return the paths under ``/datasets``."""
    router = APIRouter(prefix="/datasets", tags=["datasets"])

    @router.post("/sql")
    def sql(request: DatasetBundleRequest) -> Body:
        return datasets.bundle(request)

    @router.post("/runs", status_code=201)
    def start(request: DatasetBundleRequest) -> Body:
        run = datasets.start(request)
        return {**_shown(run), "created_at": run.created_at.isoformat()}

    @router.get("/runs/{identity}")
    def status(identity: UUID) -> Body:
        run = datasets.get(identity)
        return {**_shown(run), "status": run.status, "error": run.error}

    @router.get("/runs/{identity}/preview")
    def preview(identity: UUID, limit: int = Query(10, ge=1, le=MOST_SHOWN)) -> Body:
        run = datasets.get(identity)
        if run.made is None:
            reason = f": {run.error}" if run.error else ""
            raise HTTPException(409, f"dataset run {identity} is {run.status}{reason}")
        rows = run.made.slice(0, limit)
        columns = [[_plain(value) for value in column.to_pylist()] for column in rows.columns]
        data = [list(row) for row in zip(*columns, strict=True)]
        return {"columns": rows.column_names, "data": data, "row_count": run.made.num_rows}

    @router.post("/runs/{identity}/cancel")
    def cancel(identity: UUID) -> Body:
        run = datasets.get(identity)
        run.cancelled.set()
        return {"id": str(run.id), "message": "it stops as soon as it can"}

    return router


def _shown(run: DatasetRun) -> Body:
    table = {"database": run.table.database, "schema": run.table.schema_, "table": run.table.table}
    return {"id": str(run.id), "dataset": table}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
