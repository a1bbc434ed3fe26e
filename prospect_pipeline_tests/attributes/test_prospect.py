"""The 19 attributes are those of the tutorial, each written out here once more by hand."""

from datetime import timedelta

import pytest
from snowplow_signals import AtomicProperty, Attribute, EntityProperty

from prospect_pipeline.attributes import prospect
from prospect_pipeline.settings import DefinitionSettings

WEEK, MONTH = timedelta(days=7), timedelta(days=30)
SNOWPLOW = "com.snowplowanalytics.snowplow"

EXPECTED = {
    # name: (type, aggregation, period, events, property, what page_url is like)
    "latest_app_id": ("string", "last", None, "page_view", "app_id", None),
    "latest_device_class": ("string", "last", None, "page_view", "deviceClass", None),
    "num_sessions_l7d": ("string_list", "unique_list", WEEK, "page_view", "domain_sessionid", None),
    "num_apps_l7d": ("string_list", "unique_list", WEEK, "page_view", "app_id", None),
    "num_page_views_l7d": ("int32", "counter", WEEK, "page_view", None, None),
    "num_page_pings_l7d": ("int32", "counter", WEEK, "page_ping", None, None),
    "num_pricing_views_l7d": ("int32", "counter", WEEK, "page_view", None, "%pricing%"),
    "num_conversions_l7d": ("int32", "counter", WEEK, "submit_form", None, None),
    "num_form_engagements_l7d": ("int32", "counter", WEEK, "focus_form change_form", None, None),
    "num_sessions_l30d": (
        *("string_list", "unique_list", MONTH, "page_view", "domain_sessionid", None),
    ),
    "num_apps_l30d": ("string_list", "unique_list", MONTH, "page_view", "app_id", None),
    "num_page_views_l30d": ("int32", "counter", MONTH, "page_view", None, None),
    "num_page_pings_l30d": ("int32", "counter", MONTH, "page_ping", None, None),
    "num_pricing_views_l30d": ("int32", "counter", MONTH, "page_view", None, "%pricing%"),
    "num_conversions_l30d": ("int32", "counter", MONTH, "submit_form", None, None),
    "num_media_events_l30d": ("int32", "counter", MONTH, "any media", None, None),
    "first_refr_medium_l30d": ("string", "first", MONTH, "page_view", "refr_medium", None),
    "first_mkt_medium_l30d": ("string", "first", MONTH, "page_view", "mkt_medium", None),
    "num_engaged_campaigns_l30d": (
        *("string_list", "unique_list", MONTH, "page_view", "mkt_campaign", None),
    ),
}


def events(attribute: Attribute) -> str:
    names = []
    for pattern in attribute.events:
        if pattern.name is None:
            assert (pattern.vendor, pattern.version) == (f"{SNOWPLOW}.media", None)
            names.append("any media")
        else:
            assert (pattern.vendor, pattern.version) == (SNOWPLOW, "1-0-0")
            names.append(pattern.name)
    return " ".join(names)


def property_of(attribute: Attribute) -> str | None:
    place = attribute.property
    if isinstance(place, EntityProperty):
        assert (place.vendor, place.name, place.major_version) == ("nl.basjes", "yauaa_context", 1)
        return place.path
    return place.name if isinstance(place, AtomicProperty) else None


def liked(attribute: Attribute) -> str | None:
    if attribute.criteria is None:
        return None
    [criterion] = attribute.criteria.all or []
    assert (criterion.property.name, criterion.operator) == ("page_url", "like")  # type: ignore[union-attr]
    return str(criterion.value)


@pytest.mark.parametrize("attribute", prospect.ATTRIBUTES, ids=lambda attribute: attribute.name)
def test_an_attribute_is_the_tutorials(attribute: Attribute) -> None:
    found = (attribute.type, attribute.aggregation, attribute.period, events(attribute))

    assert (*found, property_of(attribute), liked(attribute)) == EXPECTED[attribute.name]


def test_the_group_holds_all_of_them_and_the_service_the_group() -> None:
    settings = DefinitionSettings.load(group_version=3, owner="ann@example.com")
    group, service = prospect.attribute_group(settings), prospect.service(settings)

    assert [attribute.name for attribute in group.attributes] == list(EXPECTED)
    assert (group.name, group.version) == ("prospect_scoring_tutorial", 3)
    assert group.attribute_key.name == "domain_userid"
    assert service.name == "prospect_scoring_tutorial_service"
    [link] = service.attribute_groups
    assert (link.name, link.version) == (group.name, 3)
    assert group.owner == service.owner == "ann@example.com"
