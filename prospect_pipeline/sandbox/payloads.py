"""What trackers send: a request's body or query string, taken apart into payloads.

A payload is one event, as parameters of Snowplow's tracker protocol v2. Source: "Example tracker
HTTP request headers" in Snowplow's documentation.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

Payload = dict[str, str]

ENVELOPE = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"
_ENVELOPES = re.compile(r"iglu:com\.snowplowanalytics\.snowplow/payload_data/jsonschema/1-0-\d+")
MOST_PARAMETERS = 500


class Undecodable(Exception):
    """Something that is no event, for the reason given."""


def of_body(body: bytes) -> Iterator[Payload | Undecodable]:
    """Yield the payloads of a POST request's body, and a reason for each that is none.

    Raises Undecodable where the body as a whole is no ``payload_data``.
    """
    data = parse_json(body.decode("utf-8", "replace"), "the body")
    if not isinstance(data, dict) or not _ENVELOPES.fullmatch(str(data.get("schema"))):
        found = data.get("schema") if isinstance(data, dict) else type(data).__name__
        raise Undecodable(f"the body is no {ENVELOPE}, but {str(found)[:200]}")
    events = data.get("data")
    if not isinstance(events, list) or not events:
        raise Undecodable("the body's data is no list of at least one event")
    for event in events:
        try:
            yield _payload(event)
        except Undecodable as reason:
            yield reason


def of_query(query: str) -> Payload:
    """Return the payload of a GET request; raises Undecodable."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError as error:
        raise Undecodable(f"the query string cannot be read: {error}") from None
    return {name: _whole(value) for name, value in pairs}


def parse_json(text: str, what: str) -> Any:
    """Return decoded JSON; raises Undecodable, also where it is nested too deeply."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise Undecodable(f"{what} is no JSON: {reason}") from None


def decode_base64(text: str, what: str) -> str:
    """Return text that was encoded as base64 (URL-safe or not, padded or not)."""
    plain = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        decoded = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        return decoded.decode()
    except (binascii.Error, ValueError) as error:
        raise Undecodable(f"{what} is no base64 of text: {error}") from None


def _payload(event: Any) -> Payload:
    if not isinstance(event, dict):
        raise Undecodable(f"an event is no object but {type(event).__name__}")
    if len(event) > MOST_PARAMETERS:
        raise Undecodable(f"an event has more than {MOST_PARAMETERS} parameters")
    return {_whole(name): _text(name, value) for name, value in event.items() if value is not None}


def _text(name: str, value: Any) -> str:
    """Return a parameter as text: the protocol has no others, but some senders have numbers."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, list | dict):
        raise Undecodable(f"parameter '{_whole(name)[:100]}' is no text")
    return _whole(value) if isinstance(value, str) else json.dumps(value)


def _whole(text: str) -> str:
    """Return text without halves of surrogate pairs, which no file could hold."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")
