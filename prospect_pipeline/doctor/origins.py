"""Origins that are written well, and that no browser sends: a page of theirs would be refused."""

from __future__ import annotations

from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


def problem(origin: str) -> str:
    """Return why no browser sends this as its origin, '' for one that may.

    The settings have seen to it that it has a scheme and a host, and nothing behind. Browsers write
    both in lower case, and leave out the scheme's own port (RFC 6454, section 6).
    """
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return "its port is none"
    if origin != origin.lower():
        return "it is not in lower case"
    if port == DEFAULT_PORTS[parts.scheme]:
        return f"browsers leave out port {port}"
    return ""


def as_sent(origin: str) -> str:
    """Return the same as a browser sends it."""
    scheme, _, host = origin.lower().partition("://")
    return f"{scheme}://{host.removesuffix(f':{DEFAULT_PORTS[scheme]}')}"
