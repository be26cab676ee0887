"""How long a shop takes to start, all nodes at once as `run.py` starts them, until each is ready to
answer; without data, and with the data of a shop that was stopped."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Iterable

from bazar.bench import processor
from bazar.bench.bench import Bench
from bazar.bench.books import STARTING_BOOKS
from bazar.bench.cluster import READY_S, MeasuredShop
from bazar.bench.experiment import Experiment, Measurement, Quantity
from bazar.bench.report import Section, ms
from bazar.errors import Unavailable

TITLE = "from the start to the first answer, all nodes at once"
HEADER = ("start", "node", "ready after s", "processor s")
ROUNDS = 3
POLL_S = 0.01
READY, PROCESSOR = "s", "processor s"


def anew(bench: Bench, shop: MeasuredShop) -> Measurement:
    bench.step("a first start")
    shop.stop()
    shutil.rmtree(shop.data_dir)
    return _start(shop)


def again(bench: Bench, shop: MeasuredShop) -> Measurement:
    bench.step("another start")
    shop.stop()
    return _start(shop)


def _start(shop: MeasuredShop) -> Measurement:
    """Start the shop. Raises Unavailable if a node is not ready in time, or has ended."""
    began = time.monotonic()
    for name in shop.nodes:
        shop.launch(name)
    ready_s: dict[str, float] = {}
    while len(ready_s) < len(shop.nodes):
        for name in shop.nodes:
            if name not in ready_s and shop.is_ready(name):
                ready_s[name] = time.monotonic() - began
        if time.monotonic() > began + READY_S:
            raise Unavailable(f"{shop.nodes.keys() - ready_s} are not ready after {READY_S:.0f} s")
        time.sleep(POLL_S)
    values = {Quantity(name, READY): ready_s[name] for name in shop.nodes}
    if processor.READABLE:
        spent_s = processor.spent_s({}, shop.processor_times())
        values |= Measurement.of_nodes(PROCESSOR, spent_s).values
    return Measurement(values)


EXPERIMENT = Experiment(
    "start", {"with no data": anew, "with data": again}, shop_books=STARTING_BOOKS
)


def run(bench: Bench) -> Section:
    section = Section("start", TITLE, HEADER, notes=[f"Medians of {ROUNDS} starts."])
    with EXPERIMENT.shop(bench, "start") as shop:
        readings = [
            {row: measure(bench, shop) for row, measure in EXPERIMENT.rows.items()}
            for _ in range(ROUNDS)
        ]
        for row in EXPERIMENT.rows:
            for node in shop.nodes:
                ready_s = _median(one[row].values.get(Quantity(node, READY)) for one in readings)
                used_s = _median(one[row].values.get(Quantity(node, PROCESSOR)) for one in readings)
                section.rows.append((row, node, ms(ready_s), ms(used_s)))
                figures = {"ready_s": ready_s, "processor_s": used_s}
                section.figures.setdefault(row, {})[node] = figures
    return section


def _median(found: Iterable[float | None]) -> float | None:
    """Return the median, or None if a value can't be read."""
    known = [one for one in found if one is not None]
    return statistics.median(known) if known else None
