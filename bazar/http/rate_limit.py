"""How often one client may ask: the generic cell rate algorithm (ITU-T I.371), which is a leaky
bucket kept as one moment for each client."""

from __future__ import annotations

import functools
from ipaddress import IPv6Address, ip_address, ip_network

from lru import LRU

from bazar.errors import TooManyRequests

MOST_CLIENTS = 65_536
LONGEST_S = 1e6  # between two requests
PREFIX = 64  # of an IPv6 address: who has one has all that begin so


class RateLimit:
    """Each client may ask `per_s` times a second, and `burst` times at once after a rest. Of the
    clients that asked last `most` are known; any other is as one that has rested."""

    def __init__(self, per_s: float, burst: int, what: str, most: int = MOST_CLIENTS) -> None:
        self._interval_s = min(1 / per_s, LONGEST_S)
        self._tolerance_s = (burst - 1) * self._interval_s
        self._what = what
        # Until when each has used what it may.
        self._used_until: LRU[str, float] = LRU(most)

    @classmethod
    def of(cls, per_s: float, burst: int, what: str) -> RateLimit | None:
        """Return None where there is no limit."""
        return cls(per_s, burst, what) if per_s else None

    def takes(self, client: str, now: float) -> bool:
        """Return whether this client may ask now; then it has."""
        key = _network(client)
        used_until = max(self._used_until.get(key, now), now)
        if used_until - now > self._tolerance_s:
            return False
        self._used_until[key] = used_until + self._interval_s
        return True

    def check(self, client: str, now: float) -> None:
        """Raises TooManyRequests where this client has to wait."""
        if not self.takes(client, now):
            wait_s = self._used_until[_network(client)] - now - self._tolerance_s
            raise TooManyRequests(f"too many {self._what} from {client}", wait_s=wait_s)


@functools.lru_cache(4096)
def _network(client: str) -> str:
    """Return what counts as one client: an address, or what an IPv6 address begins with."""
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if not isinstance(address, IPv6Address):
        return client
    mapped = address.ipv4_mapped
    return str(mapped or ip_network((address, PREFIX), strict=False).network_address)
