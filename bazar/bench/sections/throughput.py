"""Requests a second, with more and more connections that each wait for their answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bazar.bench.bench import Bench
from bazar.bench.load import Load, Result
from bazar.bench.report import Section, ms, number
from bazar.bench.sections.timings import INFOS, SEARCHES

TITLE = "more and more connections, each waiting for its answer"
HEADER = ("request", "connections", "per second", "p50 ms", "p99 ms", "errors")
CONNECTIONS = (1, 8, 32, 128)
BOUND = "≥: the load generator used up a core, the shop could have done more."

KINDS: Mapping[str, tuple[str, Sequence[str]]] = {
    "cached info": ("frontend-1", ("/info/4",)),
    "cached page": ("frontend-1", ("/books/4",)),
    "missed info": ("frontend-1", INFOS),
    "catalog info": ("catalog-1", INFOS),
    "missed search": ("frontend-1", SEARCHES),
}


def bound(section: Section, *results: Result) -> str:
    """What stands before a figure if the load generator, and not the shop, may have set it."""
    if not any(result.load_bound for result in results):
        return ""
    if BOUND not in section.notes:
        section.notes.append(BOUND)
    return "≥"


def row(section: Section, what: str, connections: int, result: Result) -> tuple[str, ...]:
    figures = (ms(result.ms(0.5)), ms(result.ms(0.99)), str(result.errors))
    return (what, str(connections), bound(section, result) + number(result.per_s), *figures)


def run(bench: Bench) -> Section:
    section = Section("throughput", TITLE, HEADER)
    with bench.shop("throughput") as shop:
        for what, (node, paths) in KINDS.items():
            for connections in CONNECTIONS:
                load = Load(shop.port(node), paths, connections, bench.seconds, bench.warm_s)
                result = bench.measure(f"throughput: {what}, {connections} connections", load)
                section.rows.append(row(section, what, connections, result))
                section.figures.setdefault(what, {})[str(connections)] = result.figures()
    return section
