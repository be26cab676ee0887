"""Durable purchases a second, and whether all of them add up afterwards."""

from __future__ import annotations

from bazar.bench import audit
from bazar.bench.bench import Bench
from bazar.bench.experiment import Experiment
from bazar.bench.report import Section, number
from bazar.bench.sections import throughput
from bazar.bench.workload import Workload, costs

TITLE = "purchases, each fsynced at every replica of both services before it is acknowledged"
PLENTY = range(100, 200)
SCARCE, COPIES = 200, 50  # a book that sells out: later buyers get a 409
SOLD_OUT = 409
PATHS = [f"/purchase/{book}" for book in (*PLENTY, SCARCE)]
WORKLOADS = [
    Workload("purchase", "frontend-1", PATHS, connections, method="PUT", collect="order_id")
    for connections in throughput.CONNECTIONS
]
EXPERIMENT = Experiment("purchases", costs(WORKLOADS))


def run(bench: Bench) -> Section:
    section = Section("purchases", TITLE, throughput.HEADER)
    acknowledged: list[str] = []
    unknown = 0
    with bench.shop("purchases") as shop:
        shop.update(SCARCE, count=COPIES)
        before = shop.counts([*PLENTY, SCARCE])
        for workload in WORKLOADS:
            load = workload.load(bench, shop.port(workload.node))
            result = bench.measure(f"purchases: {workload}", load)
            sold_out = result.statuses.get(SOLD_OUT, 0)
            acknowledged += result.collected
            unknown += result.unknown
            row = throughput.row(section, workload, result)
            errors = result.errors - sold_out
            section.rows.append((*row[:-1], str(errors)))
            figures = {**result.figures(), "errors": errors, "sold_out": sold_out}
            by_connections = section.figures.setdefault(workload.what, {})
            by_connections[str(workload.connections)] = figures
        bench.step("purchases: checks every replica")
        found = list(audit.faults(bench.sold(shop.path), acknowledged, unknown, before))
        left = shop.counts([SCARCE])[SCARCE]
    section.figures["checked"] = {
        "acknowledged": len(acknowledged),
        "unknown": unknown,
        "faults": found,
        "scarce": {"stock": COPIES, "left": left},
    }
    section.failed = bool(found)
    if found:
        section.notes += ["What was sold does NOT add up:", *(f"  {fault}" for fault in found)]
    else:
        section.notes.append(
            f"Checked: {number(len(acknowledged))} purchases acknowledged ({unknown} unknown), each"
            f" sold and ordered once at every replica; stock adds up; of {COPIES} copies of a"
            f" scarce book {COPIES - left} were sold."
        )
    return section
