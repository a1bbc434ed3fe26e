"""Asking over HTTP: short, without following anybody elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
