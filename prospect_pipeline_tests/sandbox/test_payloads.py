"""A payload of the tracker protocol becomes an atomic event, or says why not."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect_pipeline.sandbox.atomic import Context, atomic_event, check_lengths
from prospect_pipeline.sandbox.enrichment import enrich
from prospect_pipeline.sandbox.payloads import Payload, Undecodable, of_body, of_query
from prospect_pipeline.sandbox.tail import from_line, to_line

AT = datetime(2026, 5, 1, 12, 0, 0, 250000, tzinfo=UTC)
EID = "5a305bf5-32fc-40d9-b0e8-66052f0f2c95"
SID = "be9520e7-16a5-4d4e-afa1-8e269f99a1cf"
SNOWPLOW = "com.snowplowanalytics.snowplow"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)
PHONE = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Mobile Safari/537.36"
)


ALONE = Context(AT)


def decoded(context: Context = ALONE, **payload: str) -> dict[str, Any]:
    event = enrich(atomic_event({"e": "pv", "eid": EID, **payload}, context))
    check_lengths(event)
    return event


def reason(**payload: str) -> str:
    with pytest.raises(Undecodable) as caught:
        decoded(**payload)
    return str(caught.value)


def envelope(kind: str, data: Any) -> str:
    return json.dumps({"schema": f"iglu:{SNOWPLOW}/{kind}/jsonschema/1-0-0", "data": data})


def body(*events: Any) -> bytes:
    schema = f"iglu:{SNOWPLOW}/payload_data/jsonschema/1-0-4"
    return json.dumps({"schema": schema, "data": list(events)}).encode()


def base64url(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_a_page_view_has_its_columns_in_their_types() -> None:
    event = decoded(
        aid="website", p="web", tna="sp1", tv="js-4.6.8", duid="d1", sid=SID, vid="3", uid="me",
        res="1920x1080", vp="1000x660", ds="988x670", cookie="1", cd="24", lang="en-GB",
        tz="Europe/London", url="https://Example.com:8443/a/b?x=1#top", page="A title",
    )  # fmt: skip

    assert event.items() >= {
        "event": "page_view", "event_id": EID, "event_vendor": SNOWPLOW, "event_name": "page_view",
        "event_format": "jsonschema", "event_version": "1-0-0", "app_id": "website",
        "domain_userid": "d1", "domain_sessionid": SID, "domain_sessionidx": 3, "user_id": "me",
        "dvce_screenwidth": 1920, "dvce_screenheight": 1080, "br_viewwidth": 1000,
        "br_viewheight": 660, "doc_width": 988, "doc_height": 670, "br_cookies": True,
        "page_url": "https://Example.com:8443/a/b?x=1#top", "page_urlscheme": "https",
        "page_urlhost": "example.com", "page_urlport": 8443, "page_urlpath": "/a/b",
        "page_urlquery": "x=1", "page_urlfragment": "top", "page_title": "A title",
        "collector_tstamp": AT, "derived_tstamp": AT,
    }.items()  # fmt: skip


@pytest.mark.parametrize(
    ("given_", "derived"),
    [
        ({}, AT),
        ({"dtm": "1000"}, AT),
        ({"dtm": "1000", "stm": "61000"}, AT - timedelta(minutes=1)),
        ({"dtm": "61000", "stm": "1000"}, AT),
        ({"dtm": "1000", "stm": "61000", "ttm": "5"}, datetime(1970, 1, 1, 0, 0, 0, 5000, UTC)),
    ],
)
def test_the_derived_moment_follows_the_documented_rule(
    given_: dict[str, str], derived: datetime
) -> None:
    assert decoded(**given_)["derived_tstamp"] == derived


@pytest.mark.parametrize(
    "encode", [lambda text: {"ue_pr": text}, lambda t: {"ue_px": base64url(t)}]
)
def test_a_self_describing_event_says_what_it_is(encode: Any) -> None:
    described = {
        "schema": "iglu:com.acme/buttonClick/jsonschema/2-1-3",
        "data": {"label": "Grüße 👋", "n": 1},
    }
    event = decoded(e="ue", **encode(envelope("unstruct_event", described)))

    assert event["event"] == "unstruct"
    assert (event["event_vendor"], event["event_name"]) == ("com.acme", "buttonClick")
    assert event["event_version"] == "2-1-3"
    column = json.loads(event["unstruct_event_com_acme_button_click_2"])
    assert column == {"label": "Grüße 👋", "n": 1}


def test_entities_of_one_schema_stand_in_one_column_in_their_order() -> None:
    entities = [
        {"schema": "iglu:com.acme/product/jsonschema/1-0-0", "data": {"sku": "a"}},
        {"schema": f"iglu:{SNOWPLOW}/web_page/jsonschema/1-0-0", "data": {"id": "p"}},
        {"schema": "iglu:com.acme/product/jsonschema/1-0-1", "data": {"sku": "b"}},
    ]
    for given_ in ({"co": envelope("contexts", entities)},
                   {"cx": base64url(envelope("contexts", entities))}):  # fmt: skip
        event = decoded(**given_)
        assert json.loads(event["contexts_com_acme_product_1"]) == [{"sku": "a"}, {"sku": "b"}]
        page = "contexts_com_snowplowanalytics_snowplow_web_page_1"
        assert json.loads(event[page]) == [{"id": "p"}]


def test_campaigns_and_click_ids_come_from_the_page() -> None:
    url = "https://a.io/?utm_source=News&utm_medium=e-mail&utm_campaign=May%20day&gclid=g1&_sp=u2.1000"
    event = decoded(url=url)

    assert event["mkt_source"] == "News"
    assert (event["mkt_medium"], event["mkt_campaign"]) == ("e-mail", "May day")
    assert (event["mkt_clickid"], event["mkt_network"]) == ("g1", "Google")
    assert event["refr_domain_userid"] == "u2"
    assert event["refr_dvce_tstamp"] == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("referrer", "medium", "source", "term"),
    [
        ("https://www.google.co.uk/search?q=lead+scoring", "search", "Google", "lead scoring"),
        ("https://www.linkedin.com/feed/", "social", "LinkedIn", None),
        ("https://mail.google.com/", "email", "Gmail", None),
        ("https://a.io/other", "internal", None, None),
        ("https://nobody.example/", "unknown", None, None),
    ],
)
def test_a_referrer_is_classified(
    referrer: str, medium: str, source: str | None, term: str | None
) -> None:
    event = decoded(url="https://a.io/", refr=referrer)

    found = (event["refr_medium"], event.get("refr_source"), event.get("refr_term"))
    assert found == (medium, source, term)


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (CHROME, "Desktop"),
        (PHONE, "Phone"),
        (PHONE.replace(" Mobile", ""), "Tablet"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148 Safari", "Phone"),
        ("Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) Mobile/15E148 Safari", "Tablet"),
        ("Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) 76.0 TV Safari/537.36", "TV"),
        ("Mozilla/5.0 (PlayStation; PlayStation 5/2.26) Safari/605.1.15", "Game Console"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://google.com/bot.html)", "Robot"),
        ("something else", "Unknown"),
    ],
)
def test_a_device_has_its_class(agent: str, device: str) -> None:
    column = decoded(Context(AT, useragent=agent))["contexts_nl_basjes_yauaa_context_1"]

    assert json.loads(column)[0]["deviceClass"] == device


def test_what_a_tracker_says_wins_over_what_the_request_says() -> None:
    context = Context(AT, "10.0.0.1", CHROME, "https://a.io/from-header", "n1")

    event = decoded(context, ip="8.8.8.8", ua=PHONE, url="https://a.io/", tnuid="n2")
    assert (event["user_ipaddress"], event["useragent"]) == ("8.8.8.8", PHONE)
    assert (event["page_url"], event["network_userid"]) == ("https://a.io/", "n2")

    event = decoded(context)
    assert (event["user_ipaddress"], event["useragent"]) == ("10.0.0.1", CHROME)
    assert (event["page_url"], event["network_userid"]) == ("https://a.io/from-header", "n1")


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"e": ""}, "it has no 'e'"),
        ({"e": "xx"}, "'xx' is no kind of event; expected one of pv, pp"),
        ({"eid": "5"}, "parameter eid (event_id) is '5': expected a UUID"),
        ({"vid": "two"}, "parameter vid (domain_sessionidx) is 'two': expected a whole number"),
        ({"se_va": "inf"}, "parameter se_va (se_value) is 'inf': expected a finite number"),
        ({"cookie": "maybe"}, "expected 1 or 0"),
        ({"dtm": "9" * 18}, "parameter dtm (dvce_created_tstamp)"),
        ({"res": "10"}, "parameter res is '10': expected WIDTHxHEIGHT"),
        ({"e": "ue"}, "a self-describing event has neither ue_pr nor ue_px"),
        ({"e": "ue", "ue_pr": "{"}, "parameter ue_pr is no JSON"),
        ({"e": "ue", "ue_px": "%%%"}, "parameter ue_px is no base64 of text"),
        ({"e": "ue", "ue_pr": "[" * 100_000}, "it is nested too deeply"),
        (
            {"e": "ue", "ue_pr": '{"schema": "iglu:a/b/jsonschema/1-0-0"}'},
            "is no iglu:com.snowplow",
        ),
        ({"e": "ue", "ue_pr": envelope("unstruct_event", {"schema": "x"})}, "has no schema like"),
        ({"co": envelope("contexts", {})}, "the entities are no list"),
        ({"co": '{"schema": NaN}'}, "NaN is no number of JSON"),
        ({"url": "http://[oops"}, "page_url is no URL"),
        ({"url": "http://a.io:99999/"}, "page_url is no URL"),
        ({"aid": "a" * 256}, "app_id has 256 characters, at most 255 are allowed"),
    ],
)
def test_what_cannot_be_decoded_says_why(payload: dict[str, str], words: str) -> None:
    assert words in reason(**payload)


def test_a_body_gives_each_event_or_the_reason_why_it_is_none() -> None:
    good, bad, numbered = of_body(
        body({"e": "pv", "aid": None}, {"e": ["pv"]}, {"e": "pp", "vid": 3})
    )

    assert good == {"e": "pv"}
    assert str(bad) == "parameter 'e' is no text"
    assert numbered == {"e": "pp", "vid": "3"}


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        (b"", "the body is no JSON"),
        (b"\xff\xfe", "the body is no JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[]", "but list"),
        (b'{"schema": "iglu:a/b/jsonschema/1-0-0", "data": [{}]}', "but iglu:a/b/jsonschema/1-0-0"),
        (body(), "no list of at least one event"),
    ],
)
def test_a_body_that_holds_no_payloads_says_why(given_: bytes, words: str) -> None:
    with pytest.raises(Undecodable, match=words.replace("[", r"\[")):
        list(of_body(given_))


def test_a_query_string_is_one_payload() -> None:
    assert of_query("e=pv&page=A+%26+B&aid=&url=https%3A%2F%2Fa.io%2F%3Fx%3D1") == {
        "e": "pv", "page": "A & B", "aid": "", "url": "https://a.io/?x=1",
    }  # fmt: skip


PARAMETERS = "e eid url refr co cx ue_pr vid dtm res page duid se_va ua".split()


@given(st.dictionaries(st.sampled_from(PARAMETERS), st.text(max_size=30)))
def test_any_payload_is_an_event_or_a_reason_and_survives_the_journal(payload: Payload) -> None:
    try:
        [read] = of_body(body(payload))
        if isinstance(read, Undecodable):
            raise read
        event = enrich(atomic_event(read, Context(AT)))
    except Undecodable as why:
        assert str(why)
    else:
        line = to_line(event)
        assert "\n" not in line
        assert from_line(line) == event
