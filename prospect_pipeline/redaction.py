"""What may be shown of an address or a message: never a user, a password or a token.

Where it is not clear what is a secret, too much is hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pydantic import SecretStr

from prospect_pipeline.errors import SettingsError
from prospect_pipeline.settings import (
    AutomationSettings,
    RegistrySettings,
    ServingSettings,
    SignalsSettings,
    SnowflakeSettings,
)

SETTINGS = (
    AutomationSettings,
    RegistrySettings,
    ServingSettings,
    SignalsSettings,
    SnowflakeSettings,
)
HIDDEN = "***"
LEAST = 4
"""Characters of a known secret: a shorter one would hide parts of words."""

SECRETIVE = (
    r"[\w.-]*(?:passw|passphrase|pwd|secret|token|credential|api[-_]?key|access[-_]?key|private[-_]?key"
    r"|signature|odbc_connect)[\w.-]*"
)
"""Names of what is a secret."""

IN_ADDRESS = re.compile(r"(\w[\w+.-]*://)\S*@")
TEXT = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
ASSIGNED = re.compile(rf"(?i)({SECRETIVE}=)(?:{TEXT}|[^\s&;]+)")
QUOTED = re.compile(rf"(?i)([\"']{SECRETIVE}[\"']\s*:\s*){TEXT}")
HEADER = re.compile(
    r"(?i)(authorization[\"']?\s*[:=]\s*[\"']?(?:\w+\s+)?|\bbearer\s+(?=\S{16}))\S+"
)


def shown_address(address: str) -> str:
    """Return an address without user, password, query and fragment; a path as it is."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    place, query = re.match(r"([^?#]*)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
    if "@" in query:  # of a query, or of a password with a question mark in it
        return f"{scheme}://{HIDDEN}"
    return f"{scheme}://{place.rpartition('@')[2].rstrip('/')}"


def without_secrets(words: str, known: Iterable[tuple[str, str]] | None = None) -> str:
    """Return a message without what an address or an assignment gives away.

    What the settings keep secret is hidden wherever it stands; ``known`` is `known_secrets` as it
    was read before, for who has many messages.
    """
    for secret, shown in known_secrets() if known is None else known:
        words = words.replace(secret, shown)
    words = IN_ADDRESS.sub(r"\1", words)
    for pattern in (ASSIGNED, QUOTED, HEADER):
        words = pattern.sub(rf"\1{HIDDEN}", words)
    return words


def known_secrets() -> Iterator[tuple[str, str]]:
    """Yield what the settings keep secret, and what may be shown of it."""
    for settings in SETTINGS:
        try:
            values = vars(settings.load()).values()
        except SettingsError:  # they cannot be used either
            continue
        for value in values:
            if isinstance(value, SecretStr) and len(value.get_secret_value()) >= LEAST:
                yield value.get_secret_value(), HIDDEN
            elif isinstance(value, str) and "://" in value:
                yield value.rstrip("/"), shown_address(value)  # a path may follow
