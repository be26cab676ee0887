"""How long `run.py` takes to start a shop, until a visitor has a first page, and until each node is
ready to answer; without data, and with the data of a shop that was stopped."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from bazar.bench import processor
from bazar.bench.bench import Bench
from bazar.bench.books import STARTING_BOOKS
from bazar.bench.cluster import READY_S, SUPERVISOR, MeasuredShop
from bazar.bench.experiment import Experiment, Measurement, Quantity
from bazar.bench.report import Section, ms
from bazar.errors import Unavailable

TITLE = "from `run.py` to the first page, and until each node is ready"
HEADER = ("start", "of", "ready after s", "processor s")
ROUNDS = 3
POLL_S = 0.05
FIRST = "first page"
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
    """Start the shop. Raises Unavailable if a node is not ready in time, or the supervisor ends."""
    began = time.monotonic()
    shop.open()
    page = next(name for name, node in shop.nodes.items() if node["role"] == "frontend")

    def until(asked: tuple[str, str]) -> float:
        while not shop.answers(*asked):
            shop.pid(SUPERVISOR)
            if time.monotonic() > began + READY_S:
                raise Unavailable(f"{asked[0]} is not ready after {READY_S:.0f} s")
            time.sleep(POLL_S)
        return time.monotonic() - began

    asked = {FIRST: (page, "/topics"), **{name: (name, "/readyz") for name in shop.nodes}}
    # All at once: a connection to a node that starts waits for it.
    with ThreadPoolExecutor(len(asked)) as pool:
        answered = zip(asked, pool.map(until, asked.values()), strict=True)
        values = {Quantity(who, READY): seconds for who, seconds in answered}
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
            for who in (FIRST, SUPERVISOR, *shop.nodes):
                ready_s = _median(one[row].values.get(Quantity(who, READY)) for one in readings)
                used_s = _median(one[row].values.get(Quantity(who, PROCESSOR)) for one in readings)
                section.rows.append((row, who, ms(ready_s), ms(used_s)))
                figures = {"ready_s": ready_s, "processor_s": used_s}
                section.figures.setdefault(row, {})[who] = figures
    return section


def _median(found: Iterable[float | None]) -> float | None:
    """Return the median, or None if a value can't be read."""
    known = [one for one in found if one is not None]
    return statistics.median(known) if known else None
