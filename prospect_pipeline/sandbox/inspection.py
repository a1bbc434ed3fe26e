"""What was collected, for those who test their tracking: the paths that Snowplow Micro has.

Source: "Snowplow Micro REST API" in Snowplow's documentation.
"""

from __future__ import annotations

import re
from collections import deque
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Body
from pydantic import BaseModel

from prospect_pipeline.sandbox.collector import Bad, Collector, Good
from prospect_pipeline.sandbox.payloads import Undecodable, decode_base64

T = TypeVar("T")
VENDOR = {"vendor": "com.snowplowanalytics.snowplow", "version": "tp2"}
_SCHEMAS = re.compile(r'"schema"\s*:\s*"(iglu:[^"]+)"')


class GoodFilter(BaseModel):
    """Which good events to show: all that fits every part that is given."""

    event_type: str | None = None
    schema_: Annotated[str | None, Body(alias="schema")] = None
    contexts: list[str] | None = None
    limit: int | None = None


class BadFilter(BaseModel):
    """Which bad events to show."""

    vendor: str | None = None
    version: str | None = None
    limit: int | None = None


def inspection(collector: Collector) -> APIRouter:
    """Return ``/micro/all``, ``/micro/good``, ``/micro/bad`` and ``/micro/reset``."""
    router = APIRouter(prefix="/micro", tags=["what was collected"])
    seen = collector.seen

    def latest(kept: deque[T]) -> list[T]:
        """Return the latest first, of what may grow meanwhile."""
        return list(kept)[::-1]

    def counted() -> dict[str, int]:
        counts = seen.counts
        return {"total": counts["good"] + counts["bad"], **counts}

    @router.api_route("/all", methods=["GET", "POST"])
    def all_events() -> dict[str, int]:
        return counted()

    @router.get("/good")
    def good() -> list[dict[str, Any]]:
        return [_good(one) for one in latest(seen.good)]

    @router.post("/good")
    def chosen_good(wanted: GoodFilter) -> list[dict[str, Any]]:
        found = [shown for one in latest(seen.good) if _fits(shown := _good(one), wanted)]
        return found[: wanted.limit]

    @router.get("/bad")
    def bad() -> list[dict[str, Any]]:
        return [_bad(one) for one in latest(seen.bad)]

    @router.post("/bad")
    def chosen_bad(wanted: BadFilter) -> list[dict[str, Any]]:
        own = wanted.vendor in (None, VENDOR["vendor"]) and wanted.version in (None, "tp2")
        return [_bad(one) for one in latest(seen.bad) if own][: wanted.limit]

    @router.api_route("/reset", methods=["GET", "POST"])
    def reset() -> dict[str, int]:
        seen.reset()
        return counted()

    return router


def _good(one: Good) -> dict[str, Any]:
    schemas = _schemas(one, "ue_pr", "ue_px")[1:2]
    event = one.event
    own = f"iglu:{event['event_vendor']}/{event['event_name']}/jsonschema/{event['event_version']}"
    return {
        "rawEvent": {
            "api": VENDOR,
            "parameters": one.payload,
            "context": {
                "timestamp": event["collector_tstamp"].isoformat(),
                "ipAddress": event.get("user_ipaddress"),
                "useragent": event.get("useragent"),
                "userId": event.get("network_userid"),
            },
        },
        "eventType": event["event"],
        "schema": schemas[0] if schemas else own,
        "contexts": _schemas(one, "co", "cx")[1:],
        "event": {column: _plain(value) for column, value in sorted(event.items())},
    }


def _schemas(one: Good, plain: str, encoded: str) -> list[str]:
    text = one.payload.get(plain) or ""
    if not text and one.payload.get(encoded):
        try:
            text = decode_base64(one.payload[encoded], encoded)
        except Undecodable:  # it was stored, so it was decoded before
            return []
    return _SCHEMAS.findall(text)


def _fits(shown: dict[str, Any], wanted: GoodFilter) -> bool:
    return (
        wanted.event_type in (None, shown["rawEvent"]["parameters"]["e"], shown["eventType"])
        and wanted.schema_ in (None, shown["schema"])
        and all(entity in shown["contexts"] for entity in wanted.contexts or [])
    )


def _bad(one: Bad) -> dict[str, Any]:
    return {
        "collectorPayload": {"api": VENDOR, "body": one.body, "context": one.context},
        "rawEvent": None
        if one.payload is None
        else {"api": VENDOR, "parameters": one.payload, "context": one.context},
        "errors": one.errors,
    }


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
