"""What users ask of a shop, for measurements of throughput and of processor time alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bazar.bench import processor
from bazar.bench.bench import Bench
from bazar.bench.cluster import MeasuredShop
from bazar.bench.experiment import Measure, Measurement, Quantity
from bazar.bench.load import Load
from bazar.errors import Unavailable

MICROSECONDS = "µs"
ANSWERS = Quantity("answers", "a second")


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests to one node, taken in turn, over so many connections."""

    what: str
    node: str
    paths: Sequence[str]
    connections: int
    method: str = "GET"
    collect: str = ""

    def __str__(self) -> str:
        return f"{self.what}, {self.connections} connection{'s' * (self.connections > 1)}"

    def load(self, bench: Bench, port: int) -> Load:
        return Load(
            port,
            self.paths,
            self.connections,
            bench.seconds,
            bench.warm_s,
            method=self.method,
            collect=self.collect,
        )

    def cost(self, bench: Bench, shop: MeasuredShop) -> Measurement:
        """Return what a request costs each node in processor time. A process's clock can't leave
        out a warm-up, so here the warm-up is a load of its own. Raises Unavailable if nothing is
        answered."""
        load = replace(self.load(bench, shop.port(self.node)), warm_s=0.0)
        bench.generator.run(replace(load, seconds=bench.warm_s))
        before = shop.processor_times()
        result = bench.measure(str(self), load)
        spent_s = processor.spent_s(before, shop.processor_times())
        if not result.answers:
            raise Unavailable(f"{self}: nothing was answered")
        per_request = {node: one / result.answers * 1e6 for node, one in spent_s.items()}
        reading = Measurement.of_nodes(MICROSECONDS, per_request)
        return Measurement(
            {**reading.values, ANSWERS: result.per_s}, result.errors, result.load_bound
        )


def costs(workloads: Iterable[Workload]) -> dict[str, Measure]:
    """Return the rows of an experiment."""
    return {str(workload): workload.cost for workload in workloads}
