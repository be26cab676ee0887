"""Whether a read costs the same in a large shop: a book, and the first page of a search, straight
at a catalog replica. The shops run at the same time and are asked in turn, one request each."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack

from bazar.bench import books
from bazar.bench.bench import Bench
from bazar.bench.latency import quantile_ms
from bazar.bench.report import Section, ms, ratio

TITLE = "one catalog replica, one request after the other, small and large shops in turn"
HEADER = (
    *("books", "topics", "info median ms", "p99 ms", "of the smallest"),
    *("search median ms", "p99 ms", "of the smallest"),
)
BOOKS = (7, 10_000)
LARGE = 1_000_000
SEARCH = "/search?topic=undergraduate&limit=5"  # as many as the smallest shop has
WARM_CALLS = 100
SEED = 1


def run(bench: Bench) -> Section:
    section = Section("sizes", TITLE, HEADER)
    sizes = [*BOOKS, LARGE] if bench.large else list(BOOKS)
    if not bench.large:
        section.notes.append(f"A shop of {LARGE:,} books is measured with --large.")
    rng = random.Random(SEED)
    infos: dict[int, list[float]] = {size: [] for size in sizes}
    searches: dict[int, list[float]] = {size: [] for size in sizes}
    with ExitStack() as stack:
        shops = {
            size: stack.enter_context(
                bench.shop(f"sizes-{size}", shop_books=size, roles=("catalog",))
            )
            for size in sizes
        }
        # Only now: a node closes connections that say nothing while another shop is filled.
        callers = {
            size: stack.enter_context(shop.caller("catalog-1")) for size, shop in shops.items()
        }
        bench.step("sizes: asks in turn")
        deadline = time.monotonic() + bench.seconds * len(sizes)
        calls = 0
        while time.monotonic() < deadline or calls <= WARM_CALLS:
            for size, caller in callers.items():
                info = caller.insist("GET", f"/info/{rng.randint(1, size)}").seconds
                search = caller.insist("GET", SEARCH).seconds
                if calls >= WARM_CALLS:
                    infos[size].append(info)
                    searches[size].append(search)
            calls += 1
    for size in sizes:
        row = [f"{size:,}", f"{books.topics(size):,}"]
        figures: dict[str, object] = {"topics": books.topics(size), "calls": len(infos[size])}
        for what, found in (("info", infos), ("search", searches)):
            median_ms, p99_ms = quantile_ms(found[size], 0.5), quantile_ms(found[size], 0.99)
            times = median_ms / quantile_ms(found[sizes[0]], 0.5)
            row += [ms(median_ms), ms(p99_ms), ratio(times)]
            figures[what] = {"median_ms": median_ms, "p99_ms": p99_ms, "times_smallest": times}
        section.rows.append(row)
        section.figures[str(size)] = figures
    return section
