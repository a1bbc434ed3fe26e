"""Origins whose pages may ask the scoring service: written as browsers write them."""

from __future__ import annotations

from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
SCHEMES = "it starts with neither https:// nor http://"


def problem(origin: str) -> str:
    """Return why no browser sends this as its origin, '' for one that may.

    An origin is a scheme, a host and a port that is not the scheme's own (RFC 6454, section 7).
    """
    if origin.lower() == "null":
        return "it is what a page without an origin sends: any file, any sandboxed frame"
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return "it is no address"
    if parts.scheme not in DEFAULT_PORTS or not origin.lower().startswith(f"{parts.scheme}://"):
        return SCHEMES
    if not parts.hostname or set(" *,;@") & set(parts.netloc):
        return "it names no single host"
    if origin.endswith("/") and parts.path == "/":
        return "it ends with a slash"
    if parts.path or parts.query or parts.fragment or "?" in origin or "#" in origin:
        return "it has a path"
    if port == DEFAULT_PORTS[parts.scheme]:
        return f"browsers leave out port {port}"
    return "it is not in lower case" if origin != origin.lower() else ""


def as_sent(origin: str) -> str:
    """Return what a browser would send, as far as that can be guessed."""
    parts = urlsplit(origin if "://" in origin else f"https://{origin}")
    host = parts.netloc.rpartition("@")[2].lower()
    for scheme, port in DEFAULT_PORTS.items():
        if parts.scheme == scheme:
            host = host.removesuffix(f":{port}")
    return f"{parts.scheme}://{host}"
