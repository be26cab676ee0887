"""A load, its result, and its generator: `wrk`, or processes of our own client."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bazar.bench import wrk
from bazar.bench.children import ROOT, pinned, uninterrupted
from bazar.bench.http_client import BROWSER_HEADERS, request_bytes
from bazar.bench.load_client import DRAIN_S
from bazar.bench.quantiles import FRACTIONS
from bazar.errors import Unavailable
from bazar.latency_histogram import FINE, LatencyHistogram, Quantiles

SPARE_S = 20.0
BUSY = 0.9  # of a core: above it the load generator is the limit
MOST_PROCESSES = 4


@dataclass(frozen=True, slots=True)
class Load:
    """Requests taken in turn, over connections that each wait for their answer."""

    port: int
    paths: Sequence[str]
    connections: int
    seconds: float
    warm_s: float = 0.5
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=lambda: BROWSER_HEADERS)
    count: int | None = None
    collect: str = ""
    """The field to keep of each answer's JSON."""
    core: int | None = None
    counts_hits: bool = False

    @property
    def needs_our_client(self) -> bool:
        wrk_can = self.method == "GET" and self.count is None
        return not wrk_can or bool(self.collect) or self.counts_hits


@dataclass(frozen=True, slots=True)
class Result:
    """The result of the measured seconds. Only our client reports `unknown`, `hits` and
    `collected`; it counts `unknown` and `collected` over all that it sent."""

    done: int
    seconds: float
    answers: int
    """All answers of any status, also those of our client's warm-up, and late ones."""
    errors: int
    """Answers other than 200, and connections that broke."""
    quantiles_ms: Quantiles
    load_cpu: float
    """The share of its core that the busiest of the load's processes took."""
    statuses: Mapping[int, int] = field(default_factory=dict)
    unknown: int = 0
    hits: int = 0
    collected: Sequence[Any] = ()

    @property
    def per_s(self) -> float:
        return self.done / self.seconds

    @property
    def load_bound(self) -> bool:
        """Whether the server could have done more."""
        return self.load_cpu >= BUSY

    def ms(self, fraction: float) -> float | None:
        return self.quantiles_ms.get(fraction)

    def figures(self) -> dict[str, Any]:
        return {
            "per_s": round(self.per_s, 1),
            "done": self.done,
            "seconds": round(self.seconds, 3),
            "errors": self.errors,
            "p50_ms": self.ms(0.5),
            "p99_ms": self.ms(0.99),
            "load_cpu": round(self.load_cpu, 3),
            "quantiles_ms": {str(fraction): ms for fraction, ms in self.quantiles_ms.items()},
        }


class Generator:
    """The load generator. `program` is wrk's path, None for our client."""

    def __init__(self, program: str | None) -> None:
        self.program = program

    def __str__(self) -> str:
        ours = "our own client (plain sockets, processes of its own)"
        return f"wrk; where answers are read, {ours}" if self.program else ours

    def run(self, load: Load) -> Result:
        """Make this load. Raises Unavailable if that fails, or does not end."""
        try:
            with pinned(load.core):
                if self.program is None or load.needs_our_client:
                    return _by_our_client(load)
                if load.warm_s:
                    _by_wrk(self.program, replace(load, seconds=load.warm_s))
                return _by_wrk(self.program, load)
        except subprocess.SubprocessError as error:
            raise Unavailable(f"the load generator: {error}") from error


def _by_wrk(program: str, load: Load) -> Result:
    before = _children_cpu_s()
    told = wrk.run(program, load.port, load.paths, load.headers, load.connections, load.seconds)
    seconds = told["us"] / 1e6
    return Result(
        done=told["requests"] - told["refused"],
        seconds=seconds,
        answers=told["requests"],
        errors=told["refused"] + told["errors"],
        quantiles_ms={float(f): us / 1000 for f, us in told["latency_us"].items()},
        load_cpu=(_children_cpu_s() - before) / seconds,
    )


def _by_our_client(load: Load) -> Result:
    """Run our client in as many processes as cores are spare, unless one core is prescribed."""
    cores = 1 if load.core is not None else (os.cpu_count() or 1) - 1
    processes = max(min(cores, load.connections, MOST_PROCESSES), 1)
    if load.count is not None or load.collect:
        processes = 1  # one process keeps the count and the list
    plain = {
        "port": load.port,
        "seconds": load.seconds,
        "warm_s": load.warm_s,
        "requests": [
            request_bytes(load.method, path, load.headers).decode("latin-1") for path in load.paths
        ],
        "count": load.count,
        "collect": load.collect,
    }
    running: list[subprocess.Popen[bytes]] = []
    limit_s = load.warm_s + load.seconds + DRAIN_S + SPARE_S
    told = []
    try:
        with uninterrupted():
            running += [
                subprocess.Popen(
                    [sys.executable, "-m", "bazar.bench.load_client"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    cwd=ROOT,
                )
                for _ in range(processes)
            ]
        for number, process in enumerate(running):
            share = load.connections // processes + (number < load.connections % processes)
            first = number * len(load.paths) // processes
            assert process.stdin is not None
            process.stdin.write(
                json.dumps({**plain, "connections": share, "first": first}).encode()
            )
            process.stdin.close()
            process.stdin = None  # `communicate` must not close it again
        for process in running:
            output, _ = process.communicate(timeout=limit_s)
            if process.returncode != 0:
                raise Unavailable(f"our client ended with {process.returncode}")
            told.append(json.loads(output))
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
            process.wait()
    return _merged(told)


def _merged(told: Sequence[Mapping[str, Any]]) -> Result:
    histogram, statuses = LatencyHistogram(FINE), Counter[int]()
    for one in told:
        histogram.merge(one["latency"])
        statuses.update({int(status): count for status, count in one["statuses"].items()})
    refused = sum(count for status, count in statuses.items() if status != 200)
    return Result(
        done=histogram.total,
        seconds=max(one["seconds"] for one in told),
        answers=sum(one["answers"] for one in told),
        errors=refused + sum(one["errors"] for one in told),
        quantiles_ms=histogram.quantiles(FRACTIONS),
        load_cpu=max(one["cpu"] for one in told),
        statuses=statuses,
        unknown=sum(one["unknown"] for one in told),
        hits=sum(one["hits"] for one in told),
        collected=[field for one in told for field in one["collected"]],
    )


def _children_cpu_s() -> float:
    """Return the processor time of children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
