"""Asking over HTTP: short, without following anybody elsewhere."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import requests

from prospect_pipeline.errors import NoAnswer
from prospect_pipeline.redaction import shown_address

SECONDS = 5


@dataclass(frozen=True)
class Reply:
    """What was answered, and when by this machine's clock it was asked and had been answered."""

    status: int
    headers: Mapping[str, str]
    body: Any
    asked: float
    answered: float

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status < 400


def reach(url: str, method: str = "GET", **more: Any) -> Reply:
    """Ask an address; whatever it answers counts. Raises NoAnswer."""
    asked = time.time()
    try:
        reply = requests.request(method, url, timeout=SECONDS, allow_redirects=False, **more)
    except requests.RequestException as error:
        raise NoAnswer(f"{shown_address(url)} does not answer ({type(error).__name__})") from None
    answered = time.time()
    try:
        body = reply.json()
    except ValueError:
        body = None
    return Reply(reply.status_code, reply.headers, body, asked, answered)


def is_taken(url: str) -> bool:
    """Return whether something listens at an address, be it that it never answers."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), SECONDS).close()
    except OSError as error:
        return not isinstance(error, ConnectionRefusedError)
    return True


def proxy_of(url: str) -> str | None:
    """Return the proxy that the environment names for an address, as it may be shown.

    None where there is none, NO_PROXY excepts the address, or it is this machine's own.
    """
    parts, named = urlsplit(url), getproxies()
    proxy = named.get(parts.scheme) or named.get("all")
    if (
        not proxy
        or _is_loopback(parts.hostname or "")
        or proxy_bypass(parts.netloc.rpartition("@")[2])
    ):
        return None
    return shown_address(proxy if "://" in proxy else f"http://{proxy}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
