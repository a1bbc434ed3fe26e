"""What is added to an event: the parts of its URLs, its campaign, its referrer, its device.

Sources: Snowplow's documentation of these enrichments. The known referrers are those of
``pyreferrer``, browsers and devices are recognized by ``ua-parser``.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote_plus, urlsplit

import ua_parser

from prospect_pipeline.attributes.properties import entity_column
from prospect_pipeline.sandbox.atomic import AtomicEvent
from prospect_pipeline.sandbox.payloads import Undecodable

PORTS = {"http": 80, "https": 443}
CAMPAIGN = {
    f"mkt_{part}": f"utm_{part}" for part in ("medium", "source", "term", "content", "campaign")
}
CLICK_IDS = {"gclid": "Google", "msclkid": "Microsoft", "dclid": "DoubleClick"}
YAUAA = entity_column("nl.basjes", "yauaa_context", 1)
MEDIA = ("search", "social", "email")


def enrich(event: AtomicEvent) -> AtomicEvent:
    """Return an event with all that follows from its own columns; raises Undecodable."""
    page = _split(event, "page_url")
    referrer = _split(event, "page_referrer")
    added = {**_parts("page", page), **_parts("refr", referrer)}
    if page is not None:
        added |= _campaign(page.query) | _cross_navigation(page.query)
    if referrer is not None:
        added |= _referrer(referrer, page.hostname if page else None)
    if agent := event.get("useragent"):
        added[YAUAA] = _device(agent)
    return {**event, **{column: value for column, value in added.items() if value is not None}}


def _split(event: AtomicEvent, column: str) -> SplitResult | None:
    if column not in event:
        return None
    try:
        split = urlsplit(event[column])
        _ = split.port
    except ValueError as error:
        raise Undecodable(f"{column} is no URL: {error}") from None
    return split


def _parts(of: str, url: SplitResult | None) -> dict[str, Any]:
    if url is None:
        return {}
    parts = {
        "scheme": url.scheme or None,
        "host": url.hostname,
        "port": url.port or PORTS.get(url.scheme),
        "path": url.path or None,
        "query": url.query or None,
        "fragment": url.fragment or None,
    }
    return {f"{of}_url{name}": value for name, value in parts.items()}


def _campaign(query: str) -> dict[str, Any]:
    given = {name: values[0] for name, values in _parameters(query).items()}
    found = {column: given.get(parameter) for column, parameter in CAMPAIGN.items()}
    for parameter, network in CLICK_IDS.items():
        if parameter in given:
            return found | {"mkt_clickid": given[parameter], "mkt_network": network}
    return found


def _cross_navigation(query: str) -> dict[str, Any]:
    """Return who linked here from another domain, and when: ``_sp=DOMAIN_USERID.MILLISECONDS``."""
    [given, *_] = _parameters(query).get("_sp", [""])
    user, _, at = given.partition(".")
    found: dict[str, Any] = {"refr_domain_userid": user or None}
    if re.fullmatch(r"\d{1,13}", at):
        found["refr_dvce_tstamp"] = datetime.fromtimestamp(int(at) / 1000, UTC)
    return found


def _referrer(url: SplitResult, own_host: str | None) -> dict[str, Any]:
    if not url.hostname:
        return {}
    if url.hostname == own_host:
        return {"refr_medium": "internal"}
    known = _known_referrer(url.hostname, url.path)
    if known is None:
        return {"refr_medium": "unknown"}
    medium, source, searched_by = known
    words = _parameters(url.query)
    term = next((words[name][0] for name in searched_by if name in words), None)
    return {"refr_medium": medium, "refr_source": source, "refr_term": term}


def _parameters(query: str) -> dict[str, list[str]]:
    try:
        return parse_qs(query, max_num_fields=1000)
    except ValueError:
        raise Undecodable("page_url has more than 1000 parameters") from None


@lru_cache(maxsize=4096)
def _known_referrer(host: str, path: str) -> tuple[str, str, tuple[str, ...]] | None:
    """Look up a host, then the domains above it; the longest known one says what it is."""
    labels = host.removeprefix("www.").split(".")
    for start in range(len(labels) - 1):
        domain = ".".join(labels[start:])
        for place in (domain + unquote_plus(path).rstrip("/"), domain):
            if place in _referrers():
                return _referrers()[place]
    return None


@cache
def _referrers() -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """Return medium, name and search parameters by domain (or domain and path)."""
    # The package's own code needs a setuptools of long ago; its data is all that is wanted.
    path = Path(str(distribution("pyreferrer").locate_file("pyreferrer/data/referrers.json")))
    known = json.loads(path.read_text("utf-8"))
    return {
        domain.removeprefix("www."): (medium, name, tuple(told.get("parameters", ())))
        for medium in MEDIA
        for name, told in known[medium].items()
        for domain in told["domains"]
    }


@lru_cache(maxsize=4096)
def _device(agent: str) -> str:
    """Return the entity of YAUAA, as far as it is known: the device's class, the browser's name."""
    found = ua_parser.parse(agent)
    entity = {"deviceClass": _device_class(agent, found)}
    if found.user_agent is not None:
        entity["agentName"] = found.user_agent.family
    if found.os is not None:
        entity["operatingSystemName"] = found.os.family
    return json.dumps([entity])


def _device_class(agent: str, found: ua_parser.Result) -> str:
    """Return the device's class in YAUAA's words."""
    family = found.device.family if found.device else ""
    brand = (found.device.brand or "") if found.device else ""
    system = found.os.family if found.os else ""
    for device_class, pattern in CLASSES:
        if re.search(pattern, f"{agent} {family}", re.IGNORECASE):
            return device_class
    if system in ("iOS", "Windows Phone", "BlackBerry OS", "KaiOS"):
        return "Phone"
    if system == "Android" or "Android" in brand:
        # Phones say that they are mobile; Android's own advice to makers of browsers.
        return "Phone" if "Mobile" in agent else "Tablet"
    return "Desktop" if system else "Unknown"


CLASSES = (
    ("Robot", r"bot\b|crawl|spider|slurp|^curl|^wget|python-|python requests|okhttp|go-http"),
    ("TV", r"smart-?tv|\btv\b|web0s|tizen.* tv|bravia|\baft[a-z]|roku|crkey"),
    ("Game Console", r"playstation|xbox|nintendo"),
    ("Watch", r"watch"),
    ("Tablet", r"ipad|kindle|playbook|tablet pc"),
)
