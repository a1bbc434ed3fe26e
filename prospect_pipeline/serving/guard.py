"""Who may ask, and how often: an API key, and a limit for each client."""

from __future__ import annotations

import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

from pydantic import SecretStr

MOST_CLIENTS = 100_000
LONGEST_ADDRESS = 45
MINUTE = 60.0
ROUNDING = 1e-6


class ApiKeys:
    """The keys that are accepted, separated by commas, so that one can be replaced by another."""

    def __init__(self, keys: SecretStr | None) -> None:
        given = keys.get_secret_value().split(",") if keys else []
        self._keys = [key.strip().encode() for key in given]

    def accept(self, authorization: bytes | None, own: bytes | None) -> bool:
        """Whether ``Authorization: Bearer KEY`` or ``X-API-Key: KEY`` names one, or none is set.

        Every key is compared, each in a time that says nothing of where they differ.
        """
        if not self._keys:
            return True
        given = [own or b""]
        if authorization is not None and authorization[:7].lower() == b"bearer ":
            given.append(authorization[7:].strip())
        return sum(hmac.compare_digest(one, key) for one in given for key in self._keys) > 0


class RateLimit:
    """So many requests a minute for each client, and as many at once; 0 is no limit.

    The generic cell rate algorithm (ITU-T I.371): a client's whole state is the moment at which it
    would have used up what it asked for at an even pace. The clients that were seen last are known.
    """

    def __init__(self, a_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.a_minute = a_minute
        self._clock = clock
        self._even: OrderedDict[str, float] = OrderedDict()

    def wait(self, client: str, requests: int = 1) -> float:
        """Return 0 and count the requests, or how many seconds later they would be let through.

        More than the limit are never let through.
        """
        if not self.a_minute:
            return 0.0
        who, now = _network(client), self._clock()
        even = max(self._even.get(who, now), now) + requests * MINUTE / self.a_minute
        over = even - now - MINUTE
        if over > ROUNDING:
            return over
        self._even[who] = even
        self._even.move_to_end(who)
        if len(self._even) > MOST_CLIENTS:
            self._even.popitem(last=False)
        return 0.0


def _network(client: str) -> str:
    """Return what is one client: an address, or the /64 of IPv6 that a household has.

    A proxy may say anything; of what is no address the beginning is one client.
    """
    if ":" not in client:
        return client[:LONGEST_ADDRESS]
    try:
        address = ipaddress.IPv6Address(client)
    except ValueError:
        return client[:LONGEST_ADDRESS]
    if address.ipv4_mapped:  # as a socket for both kinds of addresses shows the older one
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), 64), strict=False))
