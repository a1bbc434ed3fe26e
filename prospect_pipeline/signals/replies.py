"""What Signals answers when attributes are read: columns, a value for each identifier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
from pydantic_core import from_json

from prospect_pipeline.errors import SignalsUnavailable
from prospect_pipeline.settings import parse_moment
from prospect_pipeline.signals.connection import CLOCK_HEADER

MOST_BYTES = 2**16
"""Of the answer about one visitor; beyond it something is wrong, and decoding would hold up others.

Signals keeps lists of at most a hundred elements: a common answer has about a thousand bytes, and
one whose every list is full of session ids some ten thousand.
"""

MOST_BYTES_ALTOGETHER = 2**21
OTHERS = "Signals answered of other identifiers than it was asked for."


@dataclass(frozen=True, slots=True)
class OnlineValues:
    """One identifier's raw attribute values, and their moment where Signals says it."""

    attributes: dict[str, Any]
    moment: datetime | None


async def decode(
    reply: aiohttp.ClientResponse, key: str, identifiers: Sequence[str]
) -> list[OnlineValues]:
    """Return the values of each identifier, in their order.

    Raises SignalsUnavailable, or ValueError where it is no JSON, for an answer that cannot be used.
    """
    most = min(MOST_BYTES * len(identifiers), MOST_BYTES_ALTOGETHER)
    columns = from_json(await whole_body(reply, most))
    if not isinstance(columns, dict):
        raise SignalsUnavailable("Signals answered with something that is not a set of columns.")
    moment = _moment(reply.headers.get(CLOCK_HEADER))
    if len(identifiers) == 1:
        return [OnlineValues(_first(columns, key, identifiers[0]), moment)]
    return [OnlineValues(row, moment) for row in _rows(columns, key, identifiers)]


async def whole_body(reply: aiohttp.ClientResponse, most: int) -> bytes:
    """Return an answer's body; raises SignalsUnavailable for one of more bytes than ``most``."""
    read = bytearray()
    said = reply.content_length or 0
    async for part in reply.content.iter_any():
        read += part
        if max(len(read), said) > most:
            reply.close()
            raise SignalsUnavailable(f"Signals answered with more than {most:,} bytes.")
    return bytes(read)


def _first(columns: dict[str, Any], key: str, identifier: str) -> dict[str, Any]:
    """Return the first of each column, as the SDK does for one identifier."""
    row = {
        name: (_finite(values[0]) if values else None)
        for name, values in columns.items()
        if isinstance(values, list)
    }
    if row.get(key, identifier) != identifier:
        raise SignalsUnavailable(OTHERS)
    return row


def _rows(columns: dict[str, Any], key: str, identifiers: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row for each identifier: by the key's column, in whatever order it has them."""
    lists = {name: values for name, values in columns.items() if isinstance(values, list)}
    answered = lists.get(key, [])
    places = {each: place for place, each in enumerate(answered) if isinstance(each, str)}
    if len(answered) != len(identifiers) or places.keys() != set(identifiers):
        raise SignalsUnavailable(OTHERS)
    if any(len(values) != len(answered) for values in lists.values()):
        raise SignalsUnavailable("Signals answered with columns of different lengths.")
    return [
        {name: _finite(values[places[identifier]]) for name, values in lists.items()}
        for identifier in identifiers
    ]


def _finite(value: Any) -> Any:
    """Return a value with null for what is no finite number: JSON knows no such number."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    if type(value) is list:
        return [_finite(each) for each in value]
    if type(value) is dict:
        return {name: _finite(each) for name, each in value.items()}
    return value


def _moment(header: str | None) -> datetime | None:
    try:
        return None if header is None else parse_moment(header)
    except ValueError:
        raise SignalsUnavailable(f"Signals answered with a {CLOCK_HEADER} that is none.") from None
