"""Requests a second, over more and more connections that each wait for their answer."""

from __future__ import annotations

from bazar.bench.bench import Bench
from bazar.bench.experiment import Experiment
from bazar.bench.load import Result
from bazar.bench.report import Section, ms, number
from bazar.bench.sections.timings import INFOS, SEARCHES
from bazar.bench.workload import Workload, costs

TITLE = "more and more connections, each waiting for its answer"
HEADER = ("request", "connections", "per second", "p50 ms", "p99 ms", "errors")
CONNECTIONS = (1, 8, 32, 128)
BOUND = "≥: the load generator used up a core, the shop could have done more."

WORKLOADS = [
    Workload(what, node, paths, connections)
    for what, node, paths in (
        ("cached info", "frontend-1", ("/info/4",)),
        ("cached page", "frontend-1", ("/books/4",)),
        ("missed info", "frontend-1", INFOS),
        ("catalog info", "catalog-1", INFOS),
        ("missed search", "frontend-1", SEARCHES),
    )
    for connections in CONNECTIONS
]
EXPERIMENT = Experiment("throughput", costs(WORKLOADS))


def bound(section: Section, *results: Result) -> str:
    """Return the sign before a figure that the load generator may have limited."""
    if not any(result.load_bound for result in results):
        return ""
    if BOUND not in section.notes:
        section.notes.append(BOUND)
    return "≥"


def row(section: Section, workload: Workload, result: Result) -> tuple[str, ...]:
    figures = (ms(result.ms(0.5)), ms(result.ms(0.99)), str(result.errors))
    asked = (workload.what, str(workload.connections))
    return (*asked, bound(section, result) + number(result.per_s), *figures)


def run(bench: Bench) -> Section:
    section = Section("throughput", TITLE, HEADER)
    with bench.shop("throughput") as shop:
        for workload in WORKLOADS:
            load = workload.load(bench, shop.port(workload.node))
            result = bench.measure(f"throughput: {workload}", load)
            section.rows.append(row(section, workload, result))
            by_connections = section.figures.setdefault(workload.what, {})
            by_connections[str(workload.connections)] = result.figures()
    return section
