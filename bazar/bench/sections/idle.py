"""The processor time of a shop that nobody uses, with its supervisor: leases, probes, and every
other timer."""

from __future__ import annotations

import time

from bazar.bench import processor
from bazar.bench.bench import Bench
from bazar.bench.cluster import MeasuredShop
from bazar.bench.experiment import Experiment, Measurement
from bazar.bench.report import Section, ms

TITLE = "the processor time of a shop at rest"
HEADER = ("node", "% of a core")
UNIT = "% of a core"


def rest(bench: Bench, shop: MeasuredShop) -> Measurement:
    bench.step("at rest")
    shop.stop()
    shop.open()
    for name in shop.nodes:
        shop.wait_ready(name)
    time.sleep(bench.warm_s)
    began, before = time.monotonic(), shop.processor_times()
    time.sleep(bench.seconds)
    spent_s = processor.spent_s(before, shop.processor_times())
    passed_s = time.monotonic() - began
    return Measurement.of_nodes(UNIT, {node: 100 * one / passed_s for node, one in spent_s.items()})


EXPERIMENT = Experiment("idle", {"at rest": rest})


def run(bench: Bench) -> Section:
    section = Section("idle", TITLE, HEADER)
    if not processor.READABLE:
        section.notes.append(processor.MISSING)
        return section
    with EXPERIMENT.shop(bench, "idle") as shop:
        for (who, _), percent in rest(bench, shop).values.items():
            section.rows.append((who, ms(percent)))
            section.figures[who] = {"percent": percent}
    return section
