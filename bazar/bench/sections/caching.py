"""The gain of a larger cache, when readers want some books more than others (Zipf's law)."""

from __future__ import annotations

import random

from bazar.bench import popularity
from bazar.bench.bench import Bench
from bazar.bench.children import rss_mib
from bazar.bench.load import Load
from bazar.bench.report import Section, ms, number
from bazar.bench.sections import throughput

BOOKS = 100_000
ZIPF_S = 1.0
ENTRIES = (10, 100, 1000, 10_000, 100_000)
CONNECTIONS = 8
TITLE = f"readers of {BOOKS:,} books by Zipf's law (s = {ZIPF_S}), {CONNECTIONS} connections"
HEADER = (
    *("cache entries", "hit ratio", "LRU in theory"),
    *("per second", "p50 ms", "p99 ms", "errors", "front end MiB"),
)
DRAWN = 100_000
SEED, SEED_BEFORE = 1, 2
FILL_CONNECTIONS = 64
FILL_S = 180.0
FILLS = 3
LAPSED = "A lease was lost while a cache was filled, which empties it: it was not full. Too busy?"


def run(bench: Bench) -> Section:
    section = Section("caching", TITLE, HEADER)
    likely = popularity.zipf(BOOKS, ZIPF_S)
    by_rank = list(range(1, BOOKS + 1))
    random.Random(SEED).shuffle(by_rank)  # a popular book may have any id
    wanted = [f"/info/{by_rank[rank]}" for rank in popularity.draw(likely, DRAWN, SEED)]
    # Begin as after earlier readers: real ones would need hours to fill a large cache.
    before = [*range(BOOKS - 1, -1, -1), *popularity.draw(likely, DRAWN, SEED_BEFORE)]
    with bench.shop("caching", shop_books=BOOKS) as shop:
        port = shop.port("frontend-1")
        for entries in ENTRIES:
            bench.step(f"caching: fills {entries:,} entries")
            shop.restart("frontend-1", entries=entries)
            left = [f"/info/{by_rank[rank]}" for rank in popularity.lru_content(before, entries)]
            if not fill(bench, port, left) and LAPSED not in section.notes:
                section.notes.append(LAPSED)
            load = Load(
                port,
                wanted,
                CONNECTIONS,
                bench.seconds,
                bench.warm_s,
                headers={},
                counts_hits=True,
            )
            result = bench.measure(f"caching: {entries:,} entries", load)
            ratio = result.hits / max(result.done, 1)
            theory = popularity.lru_hit_ratio(likely, entries)
            memory_mib = rss_mib(shop.pid("frontend-1"))
            section.rows.append(
                (
                    *(number(entries), f"{ratio:.3f}", f"{theory:.3f}"),
                    throughput.bound(section, result) + number(result.per_s),
                    *(ms(result.ms(0.5)), ms(result.ms(0.99)), str(result.errors)),
                    number(memory_mib),
                )
            )
            section.figures[str(entries)] = {
                **result.figures(),
                "hit_ratio": ratio,
                "expected_hit_ratio": theory,
                "front_end_mib": memory_mib,
            }
    return section


def fill(bench: Bench, port: int, paths: list[str]) -> bool:
    """Have the node cache these, in this order; return whether it did."""
    load = Load(port, paths, FILL_CONNECTIONS, FILL_S, warm_s=0.0, headers={}, count=len(paths))
    return any(bench.generator.run(load).hits == len(paths) for _ in range(FILLS))
