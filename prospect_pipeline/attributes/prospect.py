"""The 19 attributes of Snowplow's prospect-scoring tutorial, their group and their service.

Data only. The warehouse's SQL, the local Signals and the model's columns are derived from these
objects; what each is worth at a moment is defined in `semantics`.
"""

from __future__ import annotations

from datetime import timedelta

from snowplow_signals import (
    AtomicProperty,
    Attribute,
    Criteria,
    Criterion,
    EntityProperty,
    Event,
    Service,
    StreamAttributeGroup,
    domain_userid,
)

from prospect_pipeline.settings import DefinitionSettings

SNOWPLOW = "com.snowplowanalytics.snowplow"


def _event(name: str) -> Event:
    return Event(vendor=SNOWPLOW, name=name, version="1-0-0")


PAGE_VIEW = _event("page_view")
PAGE_PING = _event("page_ping")
SUBMIT_FORM = _event("submit_form")
FOCUS_FORM = _event("focus_form")
CHANGE_FORM = _event("change_form")
MEDIA = Event(vendor=f"{SNOWPLOW}.media")  # any event of this vendor

DAYS_7 = timedelta(days=7)
DAYS_30 = timedelta(days=30)

PRICING_PAGE = Criteria(all=[Criterion.like(AtomicProperty(name="page_url"), "%pricing%")])


def _counter(
    name: str, events: list[Event], period: timedelta, criteria: Criteria | None = None
) -> Attribute:
    return Attribute(
        name=name,
        type="int32",
        events=events,
        aggregation="counter",
        period=period,
        criteria=criteria,
    )


def _unique(name: str, column: str, period: timedelta) -> Attribute:
    return Attribute(
        name=name,
        type="string_list",
        events=[PAGE_VIEW],
        aggregation="unique_list",
        property=AtomicProperty(name=column),
        period=period,
    )


def _first(name: str, column: str, period: timedelta) -> Attribute:
    return Attribute(
        name=name,
        type="string",
        events=[PAGE_VIEW],
        aggregation="first",
        property=AtomicProperty(name=column),
        period=period,
    )


ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute(
        name="latest_app_id",
        type="string",
        events=[PAGE_VIEW],
        aggregation="last",
        property=AtomicProperty(name="app_id"),
    ),
    Attribute(
        name="latest_device_class",
        type="string",
        events=[PAGE_VIEW],
        aggregation="last",
        property=EntityProperty(
            vendor="nl.basjes", name="yauaa_context", major_version=1, path="deviceClass"
        ),
    ),
    _unique("num_sessions_l7d", "domain_sessionid", DAYS_7),
    _unique("num_apps_l7d", "app_id", DAYS_7),
    _counter("num_page_views_l7d", [PAGE_VIEW], DAYS_7),
    _counter("num_page_pings_l7d", [PAGE_PING], DAYS_7),
    _counter("num_pricing_views_l7d", [PAGE_VIEW], DAYS_7, PRICING_PAGE),
    _counter("num_conversions_l7d", [SUBMIT_FORM], DAYS_7),
    _counter("num_form_engagements_l7d", [FOCUS_FORM, CHANGE_FORM], DAYS_7),
    _unique("num_sessions_l30d", "domain_sessionid", DAYS_30),
    _unique("num_apps_l30d", "app_id", DAYS_30),
    _counter("num_page_views_l30d", [PAGE_VIEW], DAYS_30),
    _counter("num_page_pings_l30d", [PAGE_PING], DAYS_30),
    _counter("num_pricing_views_l30d", [PAGE_VIEW], DAYS_30, PRICING_PAGE),
    _counter("num_conversions_l30d", [SUBMIT_FORM], DAYS_30),
    _counter("num_media_events_l30d", [MEDIA], DAYS_30),
    _first("first_refr_medium_l30d", "refr_medium", DAYS_30),
    _first("first_mkt_medium_l30d", "mkt_medium", DAYS_30),
    _unique("num_engaged_campaigns_l30d", "mkt_campaign", DAYS_30),
)


def attribute_group(settings: DefinitionSettings) -> StreamAttributeGroup:
    """Return the attribute group of the 19 attributes, keyed by ``domain_userid``."""
    return StreamAttributeGroup(
        name=settings.group_name,
        version=settings.group_version,
        description="What a prospect did on the website over the last 7 and 30 days.",
        attribute_key=domain_userid,
        owner=settings.owner,
        attributes=list(ATTRIBUTES),
        backfill_since_tstamp=settings.backfill_since,
    )


def service(settings: DefinitionSettings) -> Service:
    """Return the service through which the scoring endpoint reads that group's version."""
    return Service(
        name=settings.service_name,
        description="The attributes that the prospect-scoring model is given.",
        owner=settings.owner,
        attribute_groups=[attribute_group(settings)],
    )
