"""Small atomic events for tests: written by hand, or drawn by hypothesis."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SNOWPLOW = "com.snowplowanalytics.snowplow"
YAUAA = "contexts_nl_basjes_yauaa_context_1"

SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("domain_userid", pa.string()),
        ("domain_sessionid", pa.string()),
        ("derived_tstamp", pa.timestamp("us", tz="UTC")),
        ("collector_tstamp", pa.timestamp("us", tz="UTC")),
        ("event_name", pa.string()),
        ("event_vendor", pa.string()),
        ("event_version", pa.string()),
        ("app_id", pa.string()),
        ("page_url", pa.string()),
        ("refr_medium", pa.string()),
        ("mkt_medium", pa.string()),
        ("mkt_campaign", pa.string()),
        ("useragent", pa.string()),
        ("se_value", pa.float64()),
        ("domain_sessionidx", pa.int64()),
        (YAUAA, pa.string()),
    ]
)

Event = dict[str, Any]


def event(
    event_id: str,
    at: datetime,
    name: str = "page_view",
    *,
    user: str | None = "ann",
    session: str | None = "s1",
    device: str | None = "Desktop",
    **columns: Any,
) -> Event:
    vendor = f"{SNOWPLOW}.media" if name == "play" else SNOWPLOW
    made: Event = dict.fromkeys(SCHEMA.names)
    made |= {
        "event_id": event_id,
        "domain_userid": user,
        "domain_sessionid": session,
        "derived_tstamp": at,
        "event_name": name,
        "event_vendor": vendor,
        "event_version": "1-0-0",
        "app_id": "website",
        YAUAA: json.dumps([{"deviceClass": device}]),
    }
    return made | columns


def write(events: list[Event], path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(events, schema=SCHEMA), path)
    return path


# Moments on a coarse grid, so that ties and gaps of exactly a period are common.
_MOMENTS = st.sampled_from(
    [
        NOW - DAY * d - timedelta(hours=h, microseconds=u)
        for d, h in [(0, 1), *((d, 0) for d in (0, 1, 6, 7, 8, 14, 29, 30, 31, 37, 60))]
        for u in (0, 1)
    ]
)
_NAMES = st.sampled_from(
    [
        "page_view",
        "page_view",
        "page_ping",
        "submit_form",
        "focus_form",
        "change_form",
        "play",
        "link_click",
    ]
)


@st.composite
def drawn_event(draw: st.DrawFn) -> Event:
    vendor = draw(st.sampled_from([None, None, None, "com.example"]))
    made = event(
        draw(st.sampled_from([None, *(f"e{n:02}" for n in range(40))])),
        draw(st.one_of(_MOMENTS, _MOMENTS, _MOMENTS, st.none())),
        draw(_NAMES),
        user=draw(st.sampled_from([None, "ann", "ann", "ann", "bob"])),
        session=draw(st.sampled_from([None, "s1", "s2", "s3"])),
        app_id=draw(st.sampled_from([None, "website", "hs-landing", "other"])),
        page_url=draw(st.sampled_from([None, "https://x.io/pricing", "https://x.io/Pricing", "/"])),
        refr_medium=draw(st.sampled_from([None, None, "search", "social"])),
        mkt_medium=draw(st.sampled_from([None, None, "cpc", "email"])),
        mkt_campaign=draw(st.sampled_from([None, "a", "b", "c"])),
        collector_tstamp=draw(st.sampled_from([None, NOW, NOW + DAY])),
        # Quarters: their sums are exact, in whatever order they are added.
        se_value=draw(st.sampled_from([None, -3.25, 0.0, 1.5, 2.0, 10.75])),
        domain_sessionidx=draw(st.sampled_from([None, 1, 2, 3, -7])),
    )
    made[YAUAA] = draw(
        st.sampled_from(
            [
                None,
                "[]",
                "[{}]",
                "not json",
                '[{"deviceClass": null}]',
                '[{"deviceClass": "Phone"}]',
                '[{"deviceClass": "Desktop"}, {"deviceClass": "TV"}]',
                '[{"deviceClass": {"a": 1}}]',
            ]
        )
    )
    if vendor:
        made["event_vendor"] = vendor
    return made


def distinct_copies(events: list[Event]) -> list[Event]:
    """Leave out copies that no rule tells apart: same id, same arrival, same moment."""
    kept: dict[Any, Event] = {}
    for number, one in enumerate(events):
        identity = (one["event_id"], one["collector_tstamp"], one["derived_tstamp"])
        kept.setdefault(identity if one["event_id"] else number, one)
    return list(kept.values())


drawn_events = st.lists(drawn_event(), min_size=1, max_size=40).map(distinct_copies)
