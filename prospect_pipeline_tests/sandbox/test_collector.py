"""The collector over HTTP, with Snowplow's own Python tracker and with requests by hand."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from snowplow_signals import SignalsSandbox
from snowplow_tracker import (
    Emitter,
    PagePing,
    PageView,
    SelfDescribing,
    SelfDescribingJson,
    StructuredEvent,
    Subject,
    Tracker,
)

from prospect_pipeline.attributes import prospect, semantics
from prospect_pipeline.attributes.plan import attribute_columns
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.settings import DataSettings, DefinitionSettings, TrainingSettings
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse
from prospect_pipeline_tests.events import DAY
from prospect_pipeline_tests.sandbox.conftest import signals_over
from prospect_pipeline_tests.sandbox.test_payloads import CHROME, SNOWPLOW, body

GROUP = prospect.attribute_group(DefinitionSettings.load())
SERVICE = prospect.service(DefinitionSettings.load())
TP2 = "/com.snowplowanalytics.snowplow/tp2"


@pytest.fixture
def live(data: DataSettings) -> Any:
    with signals_over(data, "wall") as signals:
        yield signals


@pytest.fixture
def url(live: SignalsSandbox) -> str:
    return str(live.api_client.api_url)


def counts(url: str) -> dict[str, int]:
    found: dict[str, int] = requests.get(f"{url}/micro/all", timeout=5).json()
    return found


def post(url: str, given: bytes, **more: Any) -> requests.Response:
    return requests.post(f"{url}{TP2}", given, timeout=10, **more)


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("encode", [True, False])
def test_snowplows_python_tracker_changes_attributes_within_the_same_moment(
    live: SignalsSandbox, url: str, method: Any, encode: bool
) -> None:
    live.publish([GROUP, SERVICE])
    visitor, failures = str(uuid.uuid4()), list[Any]()
    host, port = url.removeprefix("http://").split(":")
    emitter = Emitter(
        host, protocol="http", port=int(port), method=method, batch_size=1,
        on_failure=lambda _sent, failed: failures.extend(failed),
    )  # fmt: skip
    subject = Subject().set_domain_user_id(visitor).set_domain_session_id(str(uuid.uuid4()))
    subject.set_useragent(CHROME).set_platform("web")
    tracker = Tracker("py", emitter, subject, app_id="website", encode_base64=encode)

    def value(name: str) -> Any:
        found = live.get_service_attributes(SERVICE.name, "domain_userid", visitor)
        return found[name]

    assert value("num_page_views_l7d") is None
    tracker.track(
        PageView("https://a.io/pricing?utm_medium=cpc", "Pricing", "https://www.google.com/")
    )
    assert value("num_page_views_l7d") == value("num_pricing_views_l7d") == 1
    tracker.track(PagePing("https://a.io/pricing"))
    tracker.track(StructuredEvent("shop", "add", value=2.5))
    form = {"formId": "demo", "formClasses": [], "elements": []}
    schema = f"iglu:{SNOWPLOW}/submit_form/jsonschema/1-0-0"
    tracker.track(SelfDescribing(SelfDescribingJson(schema, form)))

    assert not failures
    assert value("num_page_pings_l7d") == 1
    assert value("num_conversions_l7d") == 1
    assert value("latest_device_class") == "Desktop"
    assert value("latest_app_id") == "website"
    assert value("first_refr_medium_l30d") == "search"
    assert value("first_mkt_medium_l30d") == "cpc"
    assert counts(url) == {"total": 4, "good": 4, "bad": 0, "duplicate": 0}


def test_collected_events_make_the_training_set_that_was_served(
    live: SignalsSandbox, url: str, data: DataSettings
) -> None:
    live.publish([GROUP, SERVICE])
    visitor, session = str(uuid.uuid4()), str(uuid.uuid4())
    served = []
    for n in range(4):
        event = {"e": "pv", "eid": str(uuid.uuid4()), "duid": visitor, "sid": session,
                 "aid": "website", "url": f"https://a.io/{'pricing' if n % 2 else ''}"}  # fmt: skip
        post(url, body(event), headers={"User-Agent": CHROME})
        served.append(live.get_service_attributes(SERVICE.name, "domain_userid", visitor))

    as_of = datetime.now(UTC) + timedelta(hours=2)
    settings = TrainingSettings.load(cohort="all", as_of=as_of.isoformat())
    made = DuckDBWarehouse(EventStore(data).folder).training_set(
        DatasetRequest(GROUP, settings, "attributes")
    )
    names = [attribute.name for attribute in GROUP.attributes]
    trained = [{name: row[name] for name in names} for row in made.table.to_pylist()]

    assert trained == [{name: values[name] for name in names} for values in served]


def test_attributes_are_the_references_in_whatever_order_events_arrive(
    live: SignalsSandbox, url: str, data: DataSettings
) -> None:
    live.publish([GROUP, SERVICE])
    now = datetime.now(UTC)
    events = [
        {"e": "pv" if n % 3 else "pp", "eid": str(uuid.uuid4()), "duid": "d", "aid": f"app{n % 4}",
         "sid": str(uuid.UUID(int=n % 5)), "url": "https://a.io/pricing",
         "ttm": str(int((now - n * 37 % 11 * DAY).timestamp() * 1000))}
        for n in range(40)
    ]  # fmt: skip
    for start in range(0, 40, 7):
        post(url, body(*events[start : start + 7]))
        live.get_service_attributes(SERVICE.name, "domain_userid", "d")

    served = live.get_service_attributes(SERVICE.name, "domain_userid", "d")
    store = EventStore(data)
    stored = store.between(now - 99 * DAY, datetime.now(UTC), attribute_columns(GROUP))
    history = semantics.histories(stored, GROUP)["d"]
    expected = semantics.values_at(GROUP, history, datetime.now(UTC))
    assert {name: served[name] for name in expected} == expected


def test_what_is_no_event_is_kept_with_its_reason_and_the_rest_counts(url: str) -> None:
    good = {"e": "pv", "eid": str(uuid.uuid4()), "duid": "d"}

    assert post(url, body(good, {"e": "nope"}, good)).text == "ok"
    assert post(url, b"{").status_code == 200
    assert post(url, b"x" * 5_000_001).status_code == 200
    assert requests.get(f"{url}/i?e=pv&vid=x", timeout=5).status_code == 200

    assert counts(url) == {"total": 5, "good": 1, "bad": 4, "duplicate": 1}
    shown = requests.get(f"{url}/micro/bad", timeout=5).json()
    reasons = [one["errors"][0] for one in reversed(shown)]
    assert reasons[0].startswith("'nope' is no kind of event")
    assert reasons[1].startswith("the body is no JSON")
    assert reasons[2] == "the body has 5000001 bytes, at most 5000000 are taken"
    assert reasons[3].startswith("parameter vid")


def test_each_reason_is_logged_once_for_whoever_looks_at_the_console(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    for session in ("ann", "ann", "\x1b[2J"):
        post(url, body({"e": "pv", "sid": session}))

    told = [record.getMessage() for record in caplog.records if "bad event" in record.getMessage()]
    assert len(told) == 2
    assert told[0] == (
        "A bad event: parameter sid (domain_sessionid) is 'ann': expected a UUID; "
        "GET /micro/bad shows it"
    )
    assert told[1].isprintable()


def test_what_was_collected_can_be_looked_at_as_in_micro(url: str) -> None:
    page = {"schema": f"iglu:{SNOWPLOW}/web_page/jsonschema/1-0-0", "data": {"id": "p"}}
    entities = {"schema": f"iglu:{SNOWPLOW}/contexts/jsonschema/1-0-0", "data": [page]}
    post(url, body({"e": "pv", "duid": "d", "co": json.dumps(entities)}, {"e": "pp", "duid": "d"}))

    ping, view = requests.get(f"{url}/micro/good", timeout=5).json()
    assert (ping["eventType"], view["eventType"]) == ("page_ping", "page_view")
    assert view["schema"] == f"iglu:{SNOWPLOW}/page_view/jsonschema/1-0-0"
    assert view["contexts"] == [page["schema"]]
    assert view["event"]["domain_userid"] == "d"
    wanted: dict[str, Any]
    for wanted, found in (
        ({"event_type": "pv"}, [view]),
        ({"contexts": [page["schema"]]}, [view]),
        ({"limit": 1}, [ping]),
        ({"schema": "iglu:a/b/jsonschema/1-0-0"}, []),
    ):
        assert requests.post(f"{url}/micro/good", json=wanted, timeout=5).json() == found
    requests.get(f"{url}/micro/reset", timeout=5)
    assert counts(url) == {"total": 0, "good": 0, "bad": 0, "duplicate": 0}


def test_a_page_elsewhere_may_send_with_its_cookie(url: str) -> None:
    origin = {"Origin": "https://shop.example"}
    asked = requests.options(
        f"{url}{TP2}", timeout=5,
        headers={**origin, "Access-Control-Request-Method": "POST",
                 "Access-Control-Request-Headers": "content-type"},
    )  # fmt: skip
    with requests.Session() as browser:
        first = browser.post(f"{url}{TP2}", body({"e": "pv"}), headers=origin, timeout=5)
        browser.post(f"{url}{TP2}", body({"e": "pv"}), headers=origin, timeout=5)
        anonymous = browser.post(
            f"{url}{TP2}", body({"e": "pv"}), headers={"SP-Anonymous": "*"}, timeout=5
        )

    for answer in (asked, first):
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "content-type" in asked.headers["Access-Control-Allow-Headers"].lower()
    events = [one["event"] for one in requests.get(f"{url}/micro/good", timeout=5).json()]
    assert events[2]["network_userid"] == events[1]["network_userid"] == first.cookies["sp"]
    assert events[1]["user_ipaddress"] == "127.0.0.1"
    assert "network_userid" not in events[0]
    assert "user_ipaddress" not in events[0]
    assert "set-cookie" not in anonymous.headers


def test_the_pixel_is_a_picture(url: str) -> None:
    answer = requests.get(f"{url}/i?e=pv&duid=d", timeout=5)

    assert answer.headers["content-type"] == "image/gif"
    assert answer.content.startswith(b"GIF89a")
    assert counts(url)["good"] == 1
