"""A payload of the tracker protocol, as one of Snowplow's atomic events.

Sources: "Snowplow atomic event properties" (parameters, columns, types, lengths) and "Timestamps"
in Snowplow's documentation. Where a parameter is given it wins over what the request says.
"""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from prospect_pipeline.attributes.properties import column_type, entity_column, event_column
from prospect_pipeline.sandbox.payloads import Payload, Undecodable, decode_base64, parse_json

AtomicEvent = dict[str, Any]

FIELDS = {
    "e": "event", "eid": "event_id", "aid": "app_id", "p": "platform", "tna": "name_tracker",
    "tv": "v_tracker", "uid": "user_id", "duid": "domain_userid", "tnuid": "network_userid",
    "sid": "domain_sessionid", "vid": "domain_sessionidx", "ip": "user_ipaddress",
    "dtm": "dvce_created_tstamp", "stm": "dvce_sent_tstamp", "ttm": "true_tstamp",
    "tz": "os_timezone", "fp": "user_fingerprint", "tid": "txn_id", "url": "page_url",
    "page": "page_title", "refr": "page_referrer", "cs": "doc_charset", "lang": "br_lang",
    "cookie": "br_cookies", "cd": "br_colordepth", "ua": "useragent", "f_pdf": "br_features_pdf",
    "f_fla": "br_features_flash", "f_java": "br_features_java", "f_dir": "br_features_director",
    "f_qt": "br_features_quicktime", "f_realp": "br_features_realplayer",
    "f_wma": "br_features_windowsmedia", "f_gears": "br_features_gears",
    "f_ag": "br_features_silverlight", "pp_mix": "pp_xoffset_min", "pp_max": "pp_xoffset_max",
    "pp_miy": "pp_yoffset_min", "pp_may": "pp_yoffset_max", "se_ca": "se_category",
    "se_ac": "se_action", "se_la": "se_label", "se_pr": "se_property", "se_va": "se_value",
    "tr_id": "tr_orderid", "tr_af": "tr_affiliation", "tr_tt": "tr_total", "tr_tx": "tr_tax",
    "tr_sh": "tr_shipping", "tr_ci": "tr_city", "tr_st": "tr_state", "tr_co": "tr_country",
    "tr_cu": "tr_currency", "ti_id": "ti_orderid", "ti_sk": "ti_sku", "ti_na": "ti_name",
    "ti_ca": "ti_category", "ti_pr": "ti_price", "ti_qu": "ti_quantity", "ti_cu": "ti_currency",
}  # fmt: skip
SIZES = {
    "res": ("dvce_screenwidth", "dvce_screenheight"),
    "vp": ("br_viewwidth", "br_viewheight"),
    "ds": ("doc_width", "doc_height"),
}
LENGTHS = {
    "app_id": 255, "platform": 255, "user_id": 255, "os_timezone": 255, "br_lang": 255,
    "v_tracker": 100, "page_url": 10000, "page_title": 2000, "page_referrer": 10000,
    "page_urlscheme": 16, "page_urlhost": 255, "page_urlpath": 3000, "page_urlquery": 6000,
    "page_urlfragment": 3000, "refr_urlscheme": 16, "refr_urlhost": 255, "refr_urlpath": 6000,
    "refr_urlquery": 6000, "refr_urlfragment": 3000, "refr_medium": 25, "refr_source": 50,
    "mkt_medium": 255, "mkt_source": 255, "mkt_term": 255, "mkt_content": 500,
    "mkt_campaign": 255, "mkt_clickid": 1000, "mkt_network": 64, "useragent": 1000,
    "br_colordepth": 12, "se_category": 1000, "se_action": 1000, "se_label": 4096,
    "se_property": 1000, "event_vendor": 1000, "event_name": 1000,
}  # fmt: skip
OTHER_LENGTH = 128

SNOWPLOW = "com.snowplowanalytics.snowplow"
EVENTS = {
    "pv": ("page_view", SNOWPLOW, "page_view"),
    "pp": ("page_ping", SNOWPLOW, "page_ping"),
    "se": ("struct", "com.google.analytics", "event"),
    "tr": ("transaction", SNOWPLOW, "transaction"),
    "ti": ("transaction_item", SNOWPLOW, "transaction_item"),
    "ue": ("unstruct", "", ""),
}
"""The kinds of events: ``event``, ``event_vendor`` and ``event_name`` (of version 1-0-0)."""

_SCHEMA = re.compile(
    r"iglu:(?P<vendor>[a-zA-Z0-9-_.]+)/(?P<name>[a-zA-Z0-9-_]+)/(?P<format>[a-zA-Z0-9-_]+)"
    r"/(?P<version>(?P<major>[1-9]\d*)-\d+-\d+)"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Context:
    """What is known of the request that brought an event."""

    collector_tstamp: datetime
    user_ipaddress: str | None = None
    useragent: str | None = None
    referer: str | None = None
    network_userid: str | None = None


def atomic_event(payload: Payload, context: Context) -> AtomicEvent:
    """Return the event by column, without columns that are null; raises Undecodable."""
    given = {name: text for name, text in payload.items() if text}
    kind = given.get("e", "")
    if kind not in EVENTS:
        raise Undecodable(
            f"'{kind[:50]}' is no kind of event; expected one of {', '.join(EVENTS)}"
            if kind
            else "it has no 'e', which says what kind of event it is"
        )
    event = _of_request(context)
    for name, column in FIELDS.items():
        if name in given:
            event[column] = _converted(name, column, given[name])
    for name, columns in SIZES.items():
        if name in given:
            event |= zip(columns, _size(name, given[name]), strict=True)
    event["event"], event["event_vendor"], event["event_name"] = EVENTS[kind]
    event |= {"event_format": "jsonschema", "event_version": "1-0-0"}
    event.setdefault("event_id", str(uuid.uuid4()))
    if kind == "ue":
        event |= _self_describing(given)
    event |= _entities(given)
    event["derived_tstamp"] = _derived(event)
    return event


def check_lengths(event: AtomicEvent) -> None:
    """Raise Undecodable where a text is longer than its column."""
    for column, value in event.items():
        most = LENGTHS.get(column, OTHER_LENGTH)
        if isinstance(value, str) and column_type(column) == "text" and len(value) > most:
            raise Undecodable(f"{column} has {len(value)} characters, at most {most} are allowed")


def _of_request(context: Context) -> AtomicEvent:
    known = {
        "collector_tstamp": context.collector_tstamp,
        "etl_tstamp": context.collector_tstamp,
        "user_ipaddress": context.user_ipaddress,
        "useragent": context.useragent,
        "network_userid": context.network_userid,
        "page_url": context.referer,
    }
    return {column: value for column, value in known.items() if value}


def _derived(event: AtomicEvent) -> datetime:
    """Return when it happened, by the documented rule.

    ``true_tstamp``, else ``collector_tstamp - (dvce_sent_tstamp - dvce_created_tstamp)``; an event
    that was sent before it was created counts as sent at once.
    """
    collected: datetime = event["collector_tstamp"]
    exact: datetime | None = event.get("true_tstamp")
    if exact is not None:
        return exact
    if "dvce_sent_tstamp" not in event or "dvce_created_tstamp" not in event:
        return collected
    waited: timedelta = event["dvce_sent_tstamp"] - event["dvce_created_tstamp"]
    try:
        return collected - max(waited, timedelta(0))
    except OverflowError:
        raise Undecodable("dtm and stm are too far apart") from None


def _converted(name: str, column: str, text: str) -> Any:
    convert = CONVERSIONS.get(column) or CONVERSIONS[column_type(column)]
    try:
        return convert(text)
    except (ValueError, OverflowError) as error:
        reason = str(error)[:200]
        raise Undecodable(f"parameter {name} ({column}) is '{text[:100]}': {reason}") from None


def _integer(text: str) -> int:
    number = int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else None
    if number is None:
        raise ValueError("expected a whole number")
    return number


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("expected a finite number")
    return number


def _boolean(text: str) -> bool:
    known = {"1": True, "true": True, "0": False, "false": False}
    if text.lower() not in known:
        raise ValueError("expected 1 or 0")
    return known[text.lower()]


def _moment(text: str) -> datetime:
    return _EPOCH + timedelta(milliseconds=_integer(text))


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ValueError("expected a UUID") from None


CONVERSIONS: dict[str, Callable[[str], Any]] = {
    "text": str,
    "integer": _integer,
    "float": _float,
    "boolean": _boolean,
    "timestamp": _moment,
    "event_id": _uuid,
    "domain_sessionid": _uuid,
}


def _size(name: str, text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,9})x(\d{1,9})", text)
    if found is None:
        raise Undecodable(f"parameter {name} is '{text[:100]}': expected WIDTHxHEIGHT")
    return int(found[1]), int(found[2])


def _self_describing(given: Payload) -> AtomicEvent:
    data = _json(given, "ue_pr", "ue_px", "unstruct_event")
    if data is None:
        raise Undecodable("a self-describing event has neither ue_pr nor ue_px")
    schema, body = _described(data, "the self-describing event")
    column = event_column(schema["vendor"], schema["name"], int(schema["major"]))
    return {
        "event_vendor": schema["vendor"],
        "event_name": schema["name"],
        "event_format": schema["format"],
        "event_version": schema["version"],
        column: json.dumps(body, ensure_ascii=False),
    }


def _entities(given: Payload) -> AtomicEvent:
    """Return the entities by column, those of one schema in their order."""
    data = _json(given, "co", "cx", "contexts")
    if data is None:
        return {}
    if not isinstance(data, list):
        raise Undecodable("the entities are no list")
    columns: dict[str, list[Any]] = {}
    for entity in data:
        schema, body = _described(entity, "an entity")
        column = entity_column(schema["vendor"], schema["name"], int(schema["major"]))
        columns.setdefault(column, []).append(body)
    return {column: json.dumps(bodies, ensure_ascii=False) for column, bodies in columns.items()}


def _json(given: Payload, plain: str, encoded: str, envelope: str) -> Any:
    """Return the data of an envelope, given as it is or as base64; None where it is not given."""
    if plain in given:
        name, text = plain, given[plain]
    elif encoded in given:
        name, text = encoded, decode_base64(given[encoded], f"parameter {encoded}")
    else:
        return None
    whole = parse_json(text, f"parameter {name}")
    expected = f"iglu:{SNOWPLOW}/{envelope}/jsonschema/1-0-"
    if not isinstance(whole, dict) or not str(whole.get("schema")).startswith(expected):
        raise Undecodable(f"parameter {name} is no {expected}*")
    return whole.get("data")


def _described(data: Any, what: str) -> tuple[re.Match[str], dict[str, Any]]:
    """Return schema and data of a self-describing JSON."""
    schema = _SCHEMA.fullmatch(str(data.get("schema"))) if isinstance(data, dict) else None
    if schema is None:
        found = str(data.get("schema") if isinstance(data, dict) else data)[:200]
        raise Undecodable(f"{what} has no schema like iglu:vendor/name/jsonschema/1-0-0: {found}")
    body = data.get("data")
    if not isinstance(body, dict):
        raise Undecodable(f"{what} of {schema[0]} has no object as its data")
    return schema, body
