"""Where Signals is: the real one, a sandbox by address, or the local one of the data directory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pydantic import SecretStr

from prospect_pipeline.errors import SignalsUnavailable
from prospect_pipeline.settings import DataSettings, SignalsSettings

if TYPE_CHECKING:
    from snowplow_signals import Signals, SignalsSandbox

ADDRESS_FILE = "sandbox.json"
"""Written by the local Signals in its data directory while it runs: its url, token and pid."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")

CLOCK_HEADER = "X-Signals-Clock"
"""The local Signals says here as of which moment it computed its values."""


@dataclass(frozen=True)
class Credentials:
    """What the real Signals' token is fetched with."""

    api_key: SecretStr
    api_key_id: SecretStr
    org_id: str


@dataclass(frozen=True)
class Connection:
    """An address, with either a fixed token or the credentials for one; neither ever shows."""

    kind: Literal["signals", "sandbox", "local"]
    url: str
    token: SecretStr | None = None
    credentials: Credentials | None = None

    def sdk(self) -> Signals | SignalsSandbox:
        """Return the official SDK's client."""
        from snowplow_signals import Signals, SignalsSandbox  # slow, and serving needs none of it

        if self.credentials is not None:
            return Signals(
                api_url=self.url,
                api_key=self.credentials.api_key.get_secret_value(),
                api_key_id=self.credentials.api_key_id.get_secret_value(),
                org_id=self.credentials.org_id,
            )
        assert self.token is not None
        return SignalsSandbox(api_url=self.url, sandbox_token=self.token.get_secret_value())


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for an address, None where there is none.

    ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``, as curl, requests and the SDK read them; this
    machine is reached without one.
    """
    address = urlsplit(url)
    host = address.hostname or ""
    if host in LOOPBACK or proxy_bypass(host):
        return None
    return getproxies().get(address.scheme)


def connection(settings: SignalsSettings, data: DataSettings) -> Connection:
    """Return where Signals is; raises SignalsUnavailable where the local one does not run."""
    if settings.api_url and settings.api_key and settings.api_key_id and settings.org_id:
        credentials = Credentials(settings.api_key, settings.api_key_id, settings.org_id)
        return Connection("signals", settings.api_url.rstrip("/"), credentials=credentials)
    if settings.sandbox_url and settings.sandbox_token:
        return Connection("sandbox", settings.sandbox_url.rstrip("/"), settings.sandbox_token)
    return _local(data)


def _local(data: DataSettings) -> Connection:
    path = data.root / ADDRESS_FILE
    try:
        address = json.loads(path.read_text())
        return Connection("local", str(address["url"]), SecretStr(address["token"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise SignalsUnavailable(
            f"No local Signals runs for {data.root}. Start one with `prospect sandbox` (or the "
            "whole system with `prospect run`), or set SP_API_URL or SP_SANDBOX_URL."
        ) from None
