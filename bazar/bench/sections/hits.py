"""A cached read, beside what users would choose instead: the same book over 32 keep-alive
connections with a browser's headers, one server after the other, in rounds."""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace

from bazar.bench import nginx
from bazar.bench.bench import Bench
from bazar.bench.books import STARTING_BOOKS
from bazar.bench.cluster import MeasuredShop, free_ports
from bazar.bench.experiment import Experiment
from bazar.bench.http_client import BROWSER_HEADERS, HTTPClient
from bazar.bench.load import Result
from bazar.bench.report import Section, ms, number, ratio
from bazar.bench.sections.throughput import bound
from bazar.bench.workload import Workload, costs
from bazar.errors import Unavailable

TITLE = "a cached book over 32 connections with a browser's headers, servers in turn"
HEADER = ("server", "per second", "p50 ms", "p99 ms", "errors", "Bazar ÷ this")
ROUNDS = 5
PATH = "/info/4"
WORKLOAD = Workload("cached info", "frontend-1", (PATH,), 32)
EXPERIMENT = Experiment("hits", costs([WORKLOAD]), shop_books=STARTING_BOOKS)
START_S = 15.0
POLL_S = 0.05

BAZAR = "Bazar: leases on, logging on"
UNLEASED = "Bazar: lease not looked at"
NGINX = "nginx proxy_cache, one worker, logging on"
SILENT_NGINX = "nginx proxy_cache, one worker, no log"
HANDLER = "Tornado RequestHandler, from a dict, logging on"
BARE_HANDLER = "Tornado RequestHandler, from a dict, no log, uvloop"
CONSTANT = "a constant from an asyncio.Protocol, no log, uvloop"

BASELINES = {"handler": HANDLER, "bare": BARE_HANDLER, "constant": CONSTANT}
PROOFS = {
    # The header by which an answer says that it comes from a cache.
    **dict.fromkeys((BAZAR, UNLEASED), ("x-cache", "hit")),
    **dict.fromkeys((NGINX, SILENT_NGINX), ("x-cache-status", "HIT")),
}


def run(bench: Bench) -> Section:
    section = Section("hits", TITLE, HEADER)
    others = ("catalog-1", "catalog-2", "order-1", "order-2")
    with bench.shop("hits", shop_books=STARTING_BOOKS, front_ends=2, started=others) as shop:
        try:
            ports = _servers(bench, shop)
            if NGINX not in ports:
                section.notes.append("nginx is not installed: it is left out.")
            _same_bytes(ports)
            results: dict[str, list[Result]] = {name: [] for name in ports}
            order = list(ports.items())
            for turn in range(ROUNDS):
                # Each server follows another one in the next round; after the first all are warm.
                order = order[2:] + order[:2] if turn else order
                warm_s = 0.0 if turn else bench.warm_s
                for name, port in order:
                    load = WORKLOAD.load(bench, port)
                    load = replace(load, warm_s=warm_s, core=bench.cores.load)
                    what = f"hits: round {turn + 1} of {ROUNDS}, {name}"
                    results[name].append(bench.measure(what, load))
        finally:
            bench.children.stop("nginx", *BASELINES)
            shop.stop("frontend-1", "frontend-2")
    _show(section, results)
    section.notes.append(f"Medians of {ROUNDS} rounds; {bench.cores}.")
    return section


def _servers(bench: Bench, shop: MeasuredShop) -> dict[str, int]:
    """Start all of them on the server's core; return their ports."""
    core = bench.cores.server
    shop.start("frontend-1", core=core)
    shop.start("frontend-2", core=core, module="bazar.bench.unleased")
    ports = {BAZAR: shop.port("frontend-1"), UNLEASED: shop.port("frontend-2")}
    logging, silent, *others = free_ports(2 + len(BASELINES))
    program = nginx.installed()
    if program is not None:
        path = nginx.prepare(bench.directory / "nginx", ports[BAZAR], logging, silent)
        command = [program, "-c", str(path), "-p", str(path.parent)]
        bench.children.start("nginx", command, core=core)
        ports |= {NGINX: logging, SILENT_NGINX: silent}
    with HTTPClient(ports[BAZAR]) as caller:
        body = caller.insist("GET", PATH).body
    (bench.directory / "body").write_bytes(body)
    for (kind, name), port in zip(BASELINES.items(), others, strict=True):
        command = [
            sys.executable,
            "-m",
            "bazar.bench.baselines",
            kind,
            str(bench.directory / "body"),
        ]
        bench.children.start(kind, [*command, str(port)], core=core)
        ports[name] = port
    return ports


def _same_bytes(ports: dict[str, int]) -> None:
    """Have each server cache the answer, and check that all answer the same, and from their caches.
    Raises Unavailable."""
    bodies = set()
    deadline = time.monotonic() + START_S
    for name, port in ports.items():
        while True:
            try:
                with HTTPClient(port) as caller:
                    caller.insist("GET", PATH, headers=BROWSER_HEADERS)
                    answer = caller.insist("GET", PATH, headers=BROWSER_HEADERS)
                if name in PROOFS:
                    header, hit = PROOFS[name]
                    if answer.headers.get(header) != hit:
                        raise Unavailable(f"{PATH} is not cached: {answer.headers}")
                bodies.add(answer.body)
                break
            except Unavailable as error:
                if time.monotonic() > deadline:
                    raise Unavailable(f"{name} does not answer: {error}") from error
                time.sleep(POLL_S)
    if len(bodies) > 1:
        raise Unavailable(f"the servers answer differently: {bodies}")


def _show(section: Section, results: dict[str, list[Result]]) -> None:
    for name, rounds in results.items():
        per_s = statistics.median(result.per_s for result in rounds)
        # Take the ratio round by round: the machine's other load changes more slowly.
        pairs = zip(results[BAZAR], rounds, strict=True)
        times = statistics.median(bazar.per_s / result.per_s for bazar, result in pairs)
        middle = sorted(rounds, key=lambda result: result.per_s)[len(rounds) // 2]
        errors = sum(result.errors for result in rounds)
        p50, p99 = ms(middle.ms(0.5)), ms(middle.ms(0.99))
        section.rows.append(
            (name, bound(section, *rounds) + number(per_s), p50, p99, str(errors), ratio(times))
        )
        section.figures[name] = {
            **middle.figures(),
            "per_s": per_s,
            "errors": errors,
            "rounds": [round(result.per_s, 1) for result in rounds],
            "bazar_times": times,
        }
