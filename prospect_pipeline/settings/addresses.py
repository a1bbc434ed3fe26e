"""Addresses of what is reached over HTTP: they say so, or no client would take them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, SecretStr

BEGINS = re.compile(r"https?://[^\s/]", re.IGNORECASE)


def web_address(address: str) -> str:
    """Return an address of http or https; raises ValueError, without who may log in, for others."""
    if not BEGINS.match(address):
        place = re.split(r"[?#]", address.rpartition("@")[2])[0]
        place = re.sub(r"^(\w+:|https?)?/+", "", place) or "HOST"
        raise ValueError(
            f"'{place}' has neither http:// nor https:// before it. Write http://{place}, or the "
            "same with https://"
        )
    return address


def _secret_web_address(secret: SecretStr) -> SecretStr:
    if not BEGINS.match(secret.get_secret_value()):
        raise ValueError("it is no address that starts with https:// or http://")
    return secret


WebAddress = Annotated[str, AfterValidator(web_address)]
SecretWebAddress = Annotated[SecretStr, AfterValidator(_secret_web_address)]
