"""Drawn events as atomic events: identifiers, addresses, contexts, copies, in Arrow tables."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prospect_pipeline.sandbox.generator.process import DEVICES, PAGES, SOURCES
from prospect_pipeline.sandbox.generator.sessions import EVENTS
from prospect_pipeline.sandbox.generator.visitors import Visitors

Ints = npt.NDArray[np.int64]
Drawn = dict[str, npt.NDArray[np.generic]]

SITE = "www.example.com"
SNOWPLOW = "com.snowplowanalytics.snowplow"
COPY_SHARE = 0.004

PATHS = (
    "/",
    "/product",
    "/pricing",
    "/customers",
    "/blog/composable-cdp",
    "/docs/getting-started",
    "/video/product-tour",
    "/book-a-demo",
)
CAMPAIGNS = {
    "cpc": ("google", "brand_search", "competitors"),
    "email": ("newsletter", "spring_update", "webinar"),
    "social": ("linkedin", "launch", "hiring"),
}
REFERRERS = {
    "search": ("search", "Google", "www.google.com"),
    "cpc": ("search", "Google", "www.google.com"),
    "social": ("social", "LinkedIn", "www.linkedin.com"),
    "referral": ("unknown", None, "news.example.org"),
}
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1",
    "Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
)
BOT = len(DEVICES)

SELF_DESCRIBING = {
    "link_click": {"targetUrl": f"https://{SITE}/product"},
    "focus_form": {"formId": "demo", "elementId": "email", "elementType": "INPUT"},
    "change_form": {"formId": "demo", "elementId": "email", "type": "email", "nodeName": "INPUT"},
    "submit_form": {"formId": "demo"},
}
VERSIONS = {"link_click": "1-0-1"}
VENDORS = {
    "play": f"{SNOWPLOW}.media",
    "pause": f"{SNOWPLOW}.media",
}


@dataclass(frozen=True)
class Tables:
    """The atomic events, and the true probability of each of them that counts."""

    events: pa.Table
    truth: pa.Table


def to_tables(drawn: Drawn, visitors: Visitors, rng: np.random.Generator) -> Tables:
    """Return the tables, sorted by visitor, moment and event."""
    rows = drawn["row"].astype(np.int64)
    count = len(rows)
    people = pa.array(_uuids(len(visitors.intent), rng))
    session_place = rows * visitors.start.shape[1] + drawn["session"].astype(np.int64)
    known, session_row = np.unique(session_place, return_inverse=True)
    delay = rng.integers(40, 1500, count) * 1000
    columns = _described(drawn, visitors, rows) | {
        "event_id": pa.array(_uuids(count, rng)),
        "domain_userid": _hide(people.take(pa.array(rows)), visitors.cookieless[rows]),
        "domain_sessionid": pa.array(_uuids(len(known), rng)).take(pa.array(session_row)),
        "domain_sessionidx": pa.array(drawn["session"].astype(np.int64) + 1),
        "derived_tstamp": _times(drawn["at"].astype(np.int64) * 1000),
        "dvce_created_tstamp": _times(drawn["at"].astype(np.int64) * 1000),
        "collector_tstamp": _times(drawn["at"].astype(np.int64) * 1000 + delay),
    }
    order = [("domain_userid", "ascending"), ("derived_tstamp", "ascending")]
    by = [*order, ("event_id", "ascending")]
    events = pa.table(dict(sorted(columns.items())))
    truth = pa.table(
        {name: columns[name] for name in ("event_id", "domain_userid", "derived_tstamp")}
        | {"p_true": pa.array(drawn["p"].astype(np.float64))}
    )
    copied = events.take(pa.array(np.flatnonzero(rng.random(count) < COPY_SHARE)))
    late = pc.add(copied["collector_tstamp"], pa.scalar(2_000_000, pa.duration("us")))
    place = copied.schema.get_field_index("collector_tstamp")
    events = pa.concat_tables([events, copied.set_column(place, "collector_tstamp", late)])
    return Tables(
        events.sort_by([*by, ("collector_tstamp", "ascending")]),
        truth.filter(pc.is_valid(truth["domain_userid"])).sort_by(by),
    )


def _described(drawn: Drawn, visitors: Visitors, rows: Ints) -> dict[str, pa.Array]:
    """Return the columns that follow from codes: each is a small vocabulary and its places."""
    event, page = drawn["event"].astype(np.int64), drawn["page"].astype(np.int64)
    device = np.where(visitors.bot[rows], BOT, visitors.device[rows])
    landing = (drawn["step"].astype(np.int64) == 0) & (page < len(PAGES)) & (device != BOT)
    source = np.where(landing, drawn["source"].astype(np.int64), len(SOURCES))
    campaign = np.where(source == len(SOURCES), 0, 1 + rows % 2)
    arrival = (source * len(PATHS) + page) * 3 + campaign
    app = (visitors.landing_app[rows] & landing).astype(np.int64)
    arrivals = [
        _arrival(s, p, c)
        for s in range(len(SOURCES) + 1)
        for p in range(len(PATHS))
        for c in range(3)
    ]
    classes = [*DEVICES, "Robot"]
    iab = [None] * len(DEVICES) + [json.dumps([{"spiderOrRobot": True, "category": "SPIDER"}])]
    return {
        **{name: _coded([a[name] for a in arrivals], arrival) for name in arrivals[0]},
        "app_id": _coded(["website", "hs-landing"], app),
        "event_name": _coded(list(EVENTS), event),
        "event_vendor": _coded([VENDORS.get(name, SNOWPLOW) for name in EVENTS], event),
        "event_version": _coded([VERSIONS.get(name, "1-0-0") for name in EVENTS], event),
        "event_format": _coded(["jsonschema"], np.zeros_like(event)),
        "event": _coded([n if n.startswith("page_") else "unstruct" for n in EVENTS], event),
        "platform": _coded(["web"], np.zeros_like(event)),
        "name_tracker": _coded(["sp"], np.zeros_like(event)),
        "useragent": _coded(list(AGENTS), device),
        "contexts_nl_basjes_yauaa_context_1": _coded(
            [json.dumps([{"deviceClass": name}]) for name in classes], device
        ),
        "contexts_com_iab_snowplow_spiders_and_robots_1": _coded(iab, device),
        **{
            f"unstruct_event_com_snowplowanalytics_snowplow_{name}_1": _coded(
                [json.dumps(body) if name == other else None for other in EVENTS], event
            )
            for name, body in SELF_DESCRIBING.items()
        },
    }


def _arrival(source: int, page: int, campaign: int) -> dict[str, str | None]:
    """Return what a page's address and referrer say: on landing, of the source it came from."""
    name = SOURCES[source] if source < len(SOURCES) else "internal"
    medium, refr_source, host = REFERRERS.get(name, (None, None, None))
    if name == "internal":
        medium, host = "internal", SITE
    tagged = CAMPAIGNS.get(name)
    bought = tagged[campaign] if tagged and campaign else None
    query = f"utm_source={tagged[0]}&utm_medium={name}&utm_campaign={bought}" if tagged else None
    return {
        "page_url": f"https://{SITE}{PATHS[page]}{f'?{query}' if query else ''}",
        "page_title": (*PAGES, "book a demo")[page].title(),
        "page_urlhost": SITE,
        "page_urlpath": PATHS[page],
        "page_urlquery": query,
        "page_referrer": f"https://{host}/" if host else None,
        "refr_urlhost": host,
        "refr_medium": medium,
        "refr_source": refr_source,
        "mkt_medium": name if tagged else None,
        "mkt_source": tagged[0] if tagged else None,
        "mkt_campaign": bought,
    }


def _coded(vocabulary: list[str | None] | list[str], places: Ints) -> pa.Array:
    return pa.array(vocabulary, pa.string()).take(pa.array(places))


def _hide(people: pa.Array, hidden: npt.NDArray[np.bool_]) -> pa.Array:
    return pc.if_else(pa.array(hidden), pa.scalar(None, pa.string()), people)


def _times(microseconds: Ints) -> pa.Array:
    return pa.array(microseconds).cast(pa.timestamp("us", tz="UTC"))


def _uuids(count: int, rng: np.random.Generator) -> npt.NDArray[np.str_]:
    """Return version 4 UUIDs as text."""
    raw = np.frombuffer(rng.bytes(16 * count), np.uint8).reshape(count, 16).copy()
    raw[:, 6] = raw[:, 6] & 0x0F | 0x40
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    digits = np.frombuffer(raw.tobytes().hex().encode(), np.uint8).reshape(count, 32)
    text = np.full((count, 36), ord("-"), np.uint8)
    text[:, [i for i in range(36) if i not in (8, 13, 18, 23)]] = digits
    return np.asarray(text.view("S36").reshape(count).astype("U36"))
