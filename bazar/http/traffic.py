"""How many requests came, and how long each took, by what they asked for."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from bazar.latency_histogram import LatencyHistogram

CUSTOMERS = "customers"
NODES = "nodes"
CALLS = "calls"

METHODS = frozenset((b"GET", b"HEAD", b"PUT", b"POST", b"DELETE", b"CALL", b"-"))
OTHER = b"other"


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """The requests that are counted together. There is one of each (`kind_of`), as it is looked for
    with every request."""

    name: str
    whose: str


@functools.cache
def kind_of(name: str, whose: str = NODES) -> Kind:
    """Return what the requests of a route are counted as. How long those of CUSTOMERS take matters
    to the shop; CALLS come as frames, and not by HTTP."""
    return Kind(name, whose)


ASTRAY = kind_of("-")
"""What no route has seen: there is none, or the port has refused it."""


class Traffic:
    """A histogram for each kind, method and status; so there is a bounded number of them."""

    def __init__(self) -> None:
        self.series: dict[tuple[Kind, bytes, int], LatencyHistogram] = {}

    def histogram(self, kind: Kind, method: bytes, status: int) -> LatencyHistogram:
        """Return where such a request is counted, whatever method its client has made up."""
        key = kind, method if method in METHODS else OTHER, status
        return self.series.setdefault(key, LatencyHistogram())

    def of(self, whose: str) -> Iterator[tuple[str, str, int, LatencyHistogram]]:
        """Yield name, method, status and histogram of each kind that is theirs."""
        for (kind, method, status), histogram in self.series.items():
            if kind.whose == whose:
                yield kind.name, method.decode(), status, histogram

    def of_customers(self) -> LatencyHistogram:
        """Return how long customers have waited."""
        whole = LatencyHistogram()
        for *_, histogram in self.of(CUSTOMERS):
            whole.merge(histogram.counts, histogram.sum_ms)
        return whole
