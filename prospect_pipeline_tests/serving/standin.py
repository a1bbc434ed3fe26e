"""A Signals whose answers a test chooses, and what is served of them."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Request, Response

from prospect_pipeline.signals.connection import CLOCK_HEADER

KEY = "domain_userid"
SUNDAY = datetime(2026, 5, 3, 23, 59, tzinfo=UTC)
ANN: dict[str, Any] = {
    "latest_app_id": "website",
    "latest_device_class": "search",
    "num_sessions_l7d": ["s2", "s3"],
    "num_apps_l7d": ["website"],
    "num_page_views_l7d": 3,
    "num_page_pings_l7d": None,
    "num_pricing_views_l7d": 1,
    "num_conversions_l7d": 2,
    "num_form_engagements_l7d": 1,
    "num_sessions_l30d": ["s1", "s2", "s3"],
    "num_apps_l30d": ["website"],
    "num_page_views_l30d": 4,
    "num_page_pings_l30d": 2,
    "num_pricing_views_l30d": 4,
    "num_conversions_l30d": 2,
    "num_media_events_l30d": None,
    "first_refr_medium_l30d": "search",
    "first_mkt_medium_l30d": None,
    "num_engaged_campaigns_l30d": None,
}
ANNS_COLUMNS: dict[str, Any] = {
    "latest_app_id": "website",
    "day_of_week": 7,
    "latest_device_class": "search",
    "num_sessions_l7d": 2,
    "num_apps_l7d": 1,
    "num_page_views_l7d": 3,
    "num_page_pings_l7d": 0,
    "num_pricing_views_l7d": 1,
    "had_conversions_l7d": 1,
    "num_form_engagements_l7d": 1,
    "num_sessions_l30d": 3,
    "num_apps_l30d": 1,
    "num_page_views_l30d": 4,
    "num_page_pings_l30d": 2,
    "num_pricing_views_l30d": 4,
    "had_conversions_l30d": 1,
    "num_media_events_l30d": 0,
    "first_refr_medium_l30d": "search",
    "first_mkt_medium_l30d": "",
    "num_engaged_campaigns_l30d": 0,
}


@dataclass
class StandIn:
    """Knows ``visitors``, has every version of a group published, and takes whatever is pushed."""

    url: str = ""
    status: int = 200
    clock: datetime | None = SUNDAY
    silent: bool = False
    visitors: dict[str, dict[str, Any]] = field(default_factory=lambda: {"ann": ANN})
    app: FastAPI = field(default_factory=FastAPI)
    asked: list[list[str]] = field(default_factory=list)
    pushed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.app.post("/api/v1/get-online-attributes")(self._answer)
        self.app.post("/api/v1/interventions")(self._push)
        self.app.get("/api/v1/registry/attribute_groups/{name}/versions/{version}")(self._group)

    async def _push(self, domain_userid: str) -> dict[str, str]:
        self.pushed.append(domain_userid)
        return {"status": "success"}

    async def _group(self, name: str, version: int) -> dict[str, Any]:
        return {"name": name, "version": version, "is_published": True}

    async def _answer(self, request: Request) -> Response:
        asked = (await request.json())["attribute_keys"][KEY]
        self.asked.append(asked)
        while self.silent and (await request.receive())["type"] != "http.disconnect":
            pass
        rows = [self.visitors.get(visitor, dict.fromkeys(ANN)) for visitor in asked]
        columns = {KEY: asked} | {name: [row[name] for row in rows] for name in rows[0]}
        headers = {CLOCK_HEADER: self.clock.isoformat()} if self.clock else None
        return Response(json.dumps(columns), self.status, headers, "application/json")
