"""Durable purchases a second, and whether all of them add up afterwards."""

from __future__ import annotations

from bazar.bench import audit
from bazar.bench.bench import Bench
from bazar.bench.load import Load
from bazar.bench.report import Section, number
from bazar.bench.sections import throughput

TITLE = "purchases, each fsynced at every replica of both services before it is acknowledged"
PLENTY = range(100, 200)
SCARCE, COPIES = 200, 50  # a book that sells out: buyers of the rest are told 409
SOLD_OUT = 409


def run(bench: Bench) -> Section:
    section = Section("purchases", TITLE, throughput.HEADER)
    paths = [f"/purchase/{book}" for book in (*PLENTY, SCARCE)]
    acknowledged: list[str] = []
    unknown = 0
    with bench.shop("purchases") as shop:
        shop.update(SCARCE, count=COPIES)
        before = shop.counts([*PLENTY, SCARCE])
        for connections in throughput.CONNECTIONS:
            load = Load(
                shop.port("frontend-1"),
                paths,
                connections,
                bench.seconds,
                bench.warm_s,
                method="PUT",
                collect="order_id",
            )
            result = bench.measure(f"purchases: {connections} connections", load)
            sold_out = result.statuses.get(SOLD_OUT, 0)
            acknowledged += result.collected
            unknown += result.unknown
            row = throughput.row(section, "purchase", connections, result)
            errors = result.errors - sold_out
            section.rows.append((*row[:-1], str(errors)))
            figures = {**result.figures(), "errors": errors, "sold_out": sold_out}
            section.figures.setdefault("purchase", {})[str(connections)] = figures
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
