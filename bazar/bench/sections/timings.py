"""The reference's published table, row by row: one request after the other, on one connection.

The reference is a Django shop of five processes; its authors published what it took them on their
laptop, so the ratios compare machines too.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bazar.bench.bench import SMALL_SHOP, Bench
from bazar.bench.cluster import MeasuredShop
from bazar.bench.quantiles import FRACTIONS, quantile_ms
from bazar.bench.report import Section, ms, ratio

TITLE = "the reference's published table: one request after the other"
HEADER = ("request", "served by", "reference ms", "median ms", "p99 ms", "times faster")
WARM_CALLS = 30
LEAST_CALLS = 10  # of each replica, however slow
MOST_CALLS = 2000
BOUGHT = 100  # a book with plenty in stock
SEARCH = "/search?topic=undergraduate&limit=5"


@dataclass(frozen=True, slots=True)
class TimingRow:
    """Requests to one node. `replicas` has the reference's milliseconds for each replica that
    served, or one value for a request that needs no replica."""

    request: str
    how: str
    node: str
    method: str
    paths: tuple[str, ...]
    replicas: tuple[int, ...]
    body: bool = False


INFOS = tuple(f"/info/{book}" for book in range(1, SMALL_SHOP + 1))
SEARCHES = tuple(f"{SEARCH}&offset={offset}" for offset in range(21))  # more than the cache holds
BUY = (f"/purchase/{BOUGHT}",)

ROWS = (
    TimingRow("front end info", "not cached", "frontend-1", "GET", INFOS, (24, 17)),
    TimingRow("front end info", "cached", "frontend-1", "GET", ("/info/4",), (9,)),
    TimingRow("front end search", "not cached", "frontend-1", "GET", SEARCHES, (18, 19)),
    TimingRow("front end search", "cached", "frontend-1", "GET", (SEARCH,), (4,)),
    TimingRow("front end purchase", "", "frontend-1", "PUT", BUY, (27, 20)),
    TimingRow("order purchase", "replica 1", "order-1", "PUT", BUY, (30,)),
    TimingRow("order purchase", "replica 2", "order-2", "PUT", BUY, (24,)),
    TimingRow("catalog info", "replica 1", "catalog-1", "GET", INFOS, (6,)),
    TimingRow("catalog info", "replica 2", "catalog-2", "GET", INFOS, (10,)),
    TimingRow("catalog search", "replica 1", "catalog-1", "GET", SEARCHES, (8,)),
    TimingRow("catalog search", "replica 2", "catalog-2", "GET", SEARCHES, (12,)),
    TimingRow("catalog update", "replica 1", "catalog-1", "PUT", ("/update/6",), (33,), body=True),
    TimingRow("catalog update", "replica 2", "catalog-2", "PUT", ("/update/6",), (30,), body=True),
)


def run(bench: Bench) -> Section:
    section = Section("timings", TITLE, HEADER)
    with bench.shop("timings") as shop:
        for row in ROWS:
            bench.step(f"timings: {row.request}, {row.how or 'both replicas'}")
            by_replica = _measure(shop, row, bench.seconds)
            for place, reference_ms in enumerate(row.replicas):
                seconds = by_replica[place]
                served_by = row.how
                if len(row.replicas) > 1:
                    served_by = f"{row.how}{', ' * bool(row.how)}replica {place + 1}"
                median_ms = quantile_ms(seconds, 0.5)
                p99_ms = quantile_ms(seconds, 0.99)
                faster = reference_ms / median_ms
                section.rows.append(
                    (
                        *(row.request, served_by, str(reference_ms)),
                        *(ms(median_ms), ms(p99_ms), ratio(faster)),
                    )
                )
                section.figures[f"{row.request}, {served_by}"] = {
                    "reference_ms": reference_ms,
                    "median_ms": median_ms,
                    "p99_ms": p99_ms,
                    "times_faster": faster,
                    "calls": len(seconds),
                    "quantiles_ms": {str(f): quantile_ms(seconds, f) for f in FRACTIONS},
                }
    return section


def _measure(shop: MeasuredShop, row: TimingRow, limit_s: float) -> list[list[float]]:
    """Return the seconds of each request, by the replica that served it where several do."""
    found: list[list[float]] = [[] for _ in row.replicas]
    costs: Iterator[int] = itertools.count(1000)
    deadline = time.perf_counter() + limit_s
    with shop.caller(row.node) as caller:
        for number, path in enumerate(itertools.cycle(row.paths)):
            body = {"cost": next(costs)} if row.body else None
            answer = caller.insist(row.method, path, body)
            place = 0
            if len(row.replicas) > 1:
                place = int(answer.headers["x-replica"].rpartition("-")[2]) - 1
            if number >= WARM_CALLS:
                found[place].append(answer.seconds)
            enough = number > MOST_CALLS or time.perf_counter() > deadline
            if enough and min(map(len, found)) >= LEAST_CALLS:
                return found
    raise AssertionError("a cycle has no end")
