"""Whether a read costs the same in a large shop: a book, and the first page of searches by topic
and by words (a word that one book has, one that some have, one that all have, and one letter), in
the order of fit, of price, and of price with only what is in stock; sent directly to a catalog
replica. The shops run at the same time and are asked in turn, one request each."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from math import inf

from bazar.bench import books
from bazar.bench.bench import Bench
from bazar.bench.experiment import Experiment
from bazar.bench.quantiles import quantile_ms
from bazar.bench.report import Section, ms, ratio
from bazar.bench.workload import Workload, costs

TITLE = "one catalog replica, one request after the other, small and large shops in turn"
HEADER = ("read", "books", "topics", "median ms", "p99 ms", "of the smallest")
BOOKS = (7, 10_000)
LARGE = 1_000_000
WORDS = {
    "rarest word": "pioneer",
    "middling word": "37",  # an author's number; no starting book has it
    "commonest word": "the",
    "one letter": "t",
}
LISTS = {"by fit": "", "by price": "&sort=price", "by price, in stock": "&sort=price&in_stock=true"}
SEARCHES = {  # limit 5: in every shop the page is equally long
    "by topic": "/search?topic=undergraduate&limit=5",
    **{
        f"{word}, {how}": f"/search?q={q}&limit=5{asked}"
        for word, q in WORDS.items()
        for how, asked in LISTS.items()
    },
}
NODE = "catalog-1"
WARM_CALLS = 20
SEED = 1
DRAWN = 10_000


def sizes(large: bool) -> Sequence[int]:
    return (*BOOKS, LARGE) if large else BOOKS


def workloads(size: int) -> dict[str, Workload]:
    """Return what a shop of this size is asked: any of its books, and the same searches."""
    rng = random.Random(SEED)
    infos = [f"/info/{rng.randint(1, size)}" for _ in range(DRAWN)]
    return {
        what: Workload(f"{what}, {size:,} books", NODE, paths, 1)
        for what, paths in (("info", infos), *((w, [path]) for w, path in SEARCHES.items()))
    }


def experiment(size: int) -> Experiment:
    return Experiment(f"sizes-{size}", costs(workloads(size).values()), size, roles=("catalog",))


def run(bench: Bench) -> Section:
    section = Section("sizes", TITLE, HEADER)
    measured = sizes(bench.large)
    if not bench.large:
        section.notes.append(f"A shop of {LARGE:,} books is measured with --large.")
    asked = {size: workloads(size) for size in measured}
    found: dict[tuple[int, str], list[float]] = {
        (size, what): [] for size in measured for what in asked[size]
    }
    with ExitStack() as stack:
        shops = {
            size: stack.enter_context(experiment(size).shop(bench, f"sizes-{size}"))
            for size in measured
        }
        # Connect only now: a node closes connections that are idle while another shop is filled.
        callers = {size: stack.enter_context(shop.caller(NODE)) for size, shop in shops.items()}
        bench.step("sizes: asks in turn")
        deadline = inf
        for call in itertools.count():
            if call == WARM_CALLS:
                deadline = time.monotonic() + bench.seconds * len(measured)
            elif time.monotonic() >= deadline:
                break
            for size, caller in callers.items():
                for what, workload in asked[size].items():
                    path = workload.paths[call % len(workload.paths)]
                    seconds = caller.insist(workload.method, path).seconds
                    if call >= WARM_CALLS:
                        found[size, what].append(seconds)
    figures: dict[int, dict[str, object]] = {
        size: {"topics": books.topics(size), "calls": len(found[size, "info"])} for size in measured
    }
    for what in asked[measured[0]]:
        for size in measured:
            took = found[size, what]
            median_ms, p99_ms = quantile_ms(took, 0.5), quantile_ms(took, 0.99)
            times = median_ms / quantile_ms(found[measured[0], what], 0.5)
            sizes_of = (f"{size:,}", f"{books.topics(size):,}")
            section.rows.append([what, *sizes_of, ms(median_ms), ms(p99_ms), ratio(times)])
            figures[size][what] = {
                "median_ms": median_ms,
                "p99_ms": p99_ms,
                "times_smallest": times,
            }
    section.figures |= {str(size): figures[size] for size in measured}
    return section
