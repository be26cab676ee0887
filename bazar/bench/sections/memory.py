"""The memory of each node, at rest and after work, and of a front end that caches much."""

from __future__ import annotations

from bazar.bench.bench import Bench
from bazar.bench.children import rss_mib
from bazar.bench.load import Load
from bazar.bench.report import Section, number
from bazar.bench.sections import caching
from bazar.bench.sections.timings import INFOS

TITLE = "resident memory (RSS)"
HEADER = ("node", "at rest MiB", "after load MiB")
CONNECTIONS = 32
CACHED = 100_000


def run(bench: Bench) -> Section:
    section = Section("memory", TITLE, HEADER)
    with bench.shop("memory") as shop:
        rest = {name: rss_mib(shop.pid(name)) for name in shop.nodes}
        port = shop.port("frontend-1")
        reads = Load(port, INFOS, CONNECTIONS, bench.seconds, bench.warm_s)
        bench.measure("memory: reads", reads)
        buys = [f"/purchase/{book}" for book in range(100, 200)]
        purchases = Load(port, buys, CONNECTIONS, bench.seconds, bench.warm_s, method="PUT")
        bench.measure("memory: purchases", purchases)
        for name, at_rest in rest.items():
            worked = rss_mib(shop.pid(name))
            section.rows.append((name, number(at_rest), number(worked)))
            section.figures[name] = {"at_rest_mib": at_rest, "after_load_mib": worked}
    with bench.shop("cached", shop_books=CACHED) as shop:
        bench.step(f"memory: caches {CACHED:,} books")
        shop.restart("frontend-1", entries=CACHED)
        at_rest = rss_mib(shop.pid("frontend-1"))
        paths = [f"/info/{book}" for book in range(1, CACHED + 1)]
        if not caching.fill(bench, shop.port("frontend-1"), paths):
            section.notes.append(caching.LAPSED)
        cached = rss_mib(shop.pid("frontend-1"))
    name = f"frontend-1, {CACHED:,} entries"
    section.rows.append((name, number(at_rest), number(cached)))
    section.figures[name] = {"at_rest_mib": at_rest, "after_load_mib": cached}
    return section
