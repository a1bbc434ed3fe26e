"""The local Signals, through the official Python SDK."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from snowplow_signals import (
    AtomicProperty,
    Attribute,
    AttributeKey,
    LinkAttributeKey,
    Service,
    SignalsAPIError,
    SignalsSandbox,
    StreamAttributeGroup,
    domain_userid,
)

from prospect_pipeline.attributes import prospect
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.settings import DataSettings, DefinitionSettings
from prospect_pipeline_tests.events import DAY, NOW, event, write
from prospect_pipeline_tests.sandbox.conftest import signals_over

GROUP = prospect.attribute_group(DefinitionSettings.load())
SERVICE = prospect.service(DefinitionSettings.load())


@pytest.fixture
def loaded(store: EventStore, tmp_path: Path) -> EventStore:
    events = [
        event("a", NOW - 10 * DAY, session="s1", page_url="https://x.io/pricing"),
        event("b", NOW - 2 * DAY, session="s2", mkt_medium="cpc"),
        event("c", NOW - DAY, "submit_form", session="s2"),
        event("d", NOW + DAY, session="s3"),
        event("e", NOW - timedelta(minutes=10), user="bob"),
    ]
    store.load(write(events, tmp_path / "events.parquet"))
    return store


def dump(model: Any) -> dict[str, Any]:
    found: dict[str, Any] = model.model_dump(mode="json", exclude_none=True)
    return found


def refused(status: int) -> Any:
    return pytest.raises(SignalsAPIError, match=str(status))


def test_published_objects_are_read_back_as_they_were(signals: SignalsSandbox) -> None:
    published = signals.publish([GROUP, SERVICE])

    read = signals.get_attribute_group(GROUP.name, 1)

    assert [one.is_published for one in published] == [True, True]
    assert dump(read)["attributes"] == dump(GROUP)["attributes"]
    assert dump(signals.get_attribute_group(GROUP.name)) == dump(read)
    assert [link.name for link in signals.registry.get_service(SERVICE.name).attribute_groups] == [
        GROUP.name
    ]


def test_publishing_twice_changes_nothing(signals: SignalsSandbox) -> None:
    signals.publish([GROUP, SERVICE])
    first = dump(signals.get_attribute_group(GROUP.name))

    signals.publish([GROUP, SERVICE])

    assert dump(signals.get_attribute_group(GROUP.name)) == first


def test_a_published_definition_cannot_change_without_a_new_version(
    signals: SignalsSandbox,
) -> None:
    signals.publish([GROUP])
    changed = GROUP.model_copy(update={"attributes": GROUP.attributes[:3]})

    with refused(409):
        signals.publish([changed])
    signals.publish([changed.model_copy(update={"version": 2})])

    assert len(signals.get_attribute_group(GROUP.name, 1).attributes or []) == 19
    assert signals.get_attribute_group(GROUP.name).version == 2


def test_objects_are_unpublished_before_they_are_deleted(signals: SignalsSandbox) -> None:
    signals.publish([GROUP, SERVICE])

    with refused(409):
        signals.delete([GROUP])
    signals.unpublish([GROUP, SERVICE])
    signals.delete([GROUP, SERVICE])

    with refused(404):
        signals.get_attribute_group(GROUP.name)


def test_a_group_that_a_service_uses_is_kept(signals: SignalsSandbox) -> None:
    signals.publish([GROUP, SERVICE])
    signals.unpublish([GROUP, SERVICE])

    with refused(409):
        signals.delete([GROUP])


def test_a_service_over_a_group_that_does_not_exist_is_refused(signals: SignalsSandbox) -> None:
    with refused(404):
        signals.publish([SERVICE])


def test_nonsense_that_the_sdk_lets_through_is_refused(signals: SignalsSandbox) -> None:
    odd = Attribute(name="odd", type="double", events=[], aggregation="sum")

    with refused(422):
        signals.publish([GROUP.model_copy(update={"attributes": [odd]})])


def test_service_attributes_are_those_of_the_clocks_moment(
    signals: SignalsSandbox, loaded: EventStore
) -> None:
    signals.publish([GROUP, SERVICE])

    values = signals.get_service_attributes(SERVICE.name, "domain_userid", "ann")

    assert values == {
        "domain_userid": "ann",
        "latest_app_id": "website",
        "latest_device_class": "Desktop",
        "num_sessions_l7d": ["s2"],
        "num_apps_l7d": ["website"],
        "num_page_views_l7d": 1,
        "num_page_pings_l7d": None,
        "num_pricing_views_l7d": None,
        "num_conversions_l7d": 1,
        "num_form_engagements_l7d": None,
        "num_sessions_l30d": ["s1", "s2"],
        "num_apps_l30d": ["website"],
        "num_page_views_l30d": 2,
        "num_page_pings_l30d": None,
        "num_pricing_views_l30d": 1,
        "num_conversions_l30d": 1,
        "num_media_events_l30d": None,
        "first_refr_medium_l30d": None,
        "first_mkt_medium_l30d": "cpc",
        "num_engaged_campaigns_l30d": None,
    }


def test_group_attributes_are_those_that_are_named(
    signals: SignalsSandbox, loaded: EventStore
) -> None:
    signals.publish([GROUP])

    values = signals.get_group_attributes(
        GROUP.name, 1, ["num_page_views_l30d"], "domain_userid", "ann"
    )

    assert values == {"domain_userid": "ann", "num_page_views_l30d": 2}


def test_several_identifiers_are_answered_in_their_order(
    signals: SignalsSandbox, loaded: EventStore
) -> None:
    signals.publish([GROUP, SERVICE])

    reply = signals.api_client.make_request(
        "POST",
        "get-online-attributes",
        data={
            "service": SERVICE.name,
            "attribute_keys": {"domain_userid": ["bob", "nobody", "ann"]},
        },
    )

    assert reply["domain_userid"] == ["bob", "nobody", "ann"]
    assert reply["num_page_views_l30d"] == [1, None, 2]


def test_an_unknown_identifier_has_empty_values(signals: SignalsSandbox) -> None:
    signals.publish([GROUP, SERVICE])

    values = signals.get_service_attributes(SERVICE.name, "domain_userid", "nobody")

    assert values == {"domain_userid": "nobody"} | {a.name: None for a in GROUP.attributes}


def test_an_unknown_service_is_not_found(signals: SignalsSandbox) -> None:
    with refused(404):
        signals.get_service_attributes("no_such_service", "domain_userid", "ann")


def test_any_attribute_key_works(signals: SignalsSandbox, loaded: EventStore) -> None:
    by_app = AttributeKey(name="app", property=AtomicProperty(name="app_id"))
    views = Attribute(
        name="views", type="int32", events=[prospect.PAGE_VIEW], aggregation="counter"
    )
    group = StreamAttributeGroup(
        name="apps",
        attribute_key=LinkAttributeKey(name="app"),
        owner="a@example.com",
        attributes=[views],
    )

    signals.publish([by_app, group])

    assert signals.get_group_attributes("apps", 1, "views", "app", "website")["views"] == 3


def test_a_definition_is_tested_on_the_last_hour_alone(
    signals: SignalsSandbox, loaded: EventStore
) -> None:
    frame = signals.test(GROUP, app_ids=["website"])

    assert frame["domain_userid"].tolist() == ["bob"]
    assert frame["num_page_views_l30d"].tolist() == [1]
    assert signals.test(GROUP, ["ann"], window=3 * DAY)["num_page_views_l30d"].tolist() == [1]


def test_a_restart_keeps_registry_and_events(data: DataSettings, loaded: EventStore) -> None:
    with signals_over(data) as before:
        before.publish([GROUP, SERVICE])
        known = before.get_service_attributes(SERVICE.name, "domain_userid", "ann")

    with signals_over(data) as after:
        assert after.get_service_attributes(SERVICE.name, "domain_userid", "ann") == known


def test_newly_loaded_events_are_seen_without_a_restart(
    signals: SignalsSandbox, loaded: EventStore, tmp_path: Path
) -> None:
    signals.publish([GROUP, SERVICE])
    assert signals.get_service_attributes(SERVICE.name, "domain_userid", "ann")["num_apps_l7d"]

    loaded.load(write([event("z", NOW, user="zoe")], tmp_path / "more.parquet"))

    values = signals.get_service_attributes(SERVICE.name, "domain_userid", "ann")
    assert values["num_apps_l7d"] is None


def test_the_clock_may_follow_the_last_event(data: DataSettings, loaded: EventStore) -> None:
    with signals_over(data, clock="last-event") as signals:
        signals.publish([GROUP, SERVICE])
        values = signals.get_service_attributes(SERVICE.name, "domain_userid", "ann")

    assert values["num_sessions_l7d"] == ["s2", "s3"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_calls_need_the_token(signals: SignalsSandbox, headers: dict[str, str]) -> None:
    url = f"{signals.api_client.api_url}/api/v1/registry/services/"

    reply = requests.get(url, headers=headers, timeout=5)

    assert reply.status_code == 401
    assert "token" in reply.json()["detail"]


def test_what_is_absent_says_so(signals: SignalsSandbox) -> None:
    with refused(501):
        signals.api_client.make_request("GET", "event_log", params={"name": "x"})


def test_health_needs_no_token(signals: SignalsSandbox) -> None:
    assert requests.get(f"{signals.api_client.api_url}/health", timeout=5).json() == {
        "status": "ok"
    }


def test_the_sdks_own_service_type_is_accepted(signals: SignalsSandbox) -> None:
    other = StreamAttributeGroup(
        name="other",
        attribute_key=domain_userid,
        owner="a@example.com",
        attributes=list(prospect.ATTRIBUTES[:1]),
    )
    service = Service(name="svc", owner="a@example.com", attribute_groups=[other])

    signals.publish([other, service])

    assert signals.registry.get_service("svc").owner == "a@example.com"
