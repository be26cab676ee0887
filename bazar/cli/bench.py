"""Measure a shop of its own on this machine, or this checkout against another one.

The nodes of a cluster.json run on free ports in a temporary directory, over PostgreSQL with a new
database that is dropped at the end. A shop that runs on this machine is not touched, but it shares
the processor.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from bazar.bench import against, plots, processor, report, wrk
from bazar.bench.bench import Bench
from bazar.bench.checkout import Checkout
from bazar.bench.children import ROOT, Children, Cores
from bazar.bench.experiment import Experiment
from bazar.bench.load import Generator
from bazar.bench.report import Section
from bazar.bench.sections import (
    caching,
    hits,
    idle,
    memory,
    purchases,
    sizes,
    start,
    throughput,
    timings,
)
from bazar.cli import measured
from bazar.cli.ending import INTERRUPTED
from bazar.cluster_file import load
from bazar.errors import BadRequest
from handlers import ROLES

SECTIONS: dict[str, Callable[[Bench], Section]] = {
    "timings": timings.run,
    "throughput": throughput.run,
    "purchases": purchases.run,
    "hits": hits.run,
    "caching": caching.run,
    "memory": memory.run,
    "sizes": sizes.run,
    "idle": idle.run,
    "start": start.run,
}
COMPARED: dict[str, Callable[[bool], Sequence[Experiment]]] = {
    "throughput": lambda large: [throughput.EXPERIMENT],
    "purchases": lambda large: [purchases.EXPERIMENT],
    "hits": lambda large: [hits.EXPERIMENT],
    "sizes": lambda large: [sizes.experiment(size) for size in sizes.sizes(large)],
    "idle": lambda large: [idle.EXPERIMENT],
    "start": lambda large: [start.EXPERIMENT],
}
OF_FILES = ("start",)  # which deletes what a shop has
LONGEST_S = 600.0
ROUNDS, MOST_ROUNDS = 5, 100


def add_flags(parser: argparse.ArgumentParser) -> None:
    known = ", ".join(SECTIONS)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{known} (default: all)")
    parser.add_argument("--seconds", type=float, default=3.0, help="each measurement (default: 3)")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="DIR|FILE",
        help="compare with another checkout, or this one with another cluster.json, in turn:"
        " processor time of each node per request",
    )
    parser.add_argument("--rounds", type=int, help=f"of --against (default: {ROUNDS})")
    parser.add_argument("--large", action="store_true", help="sizes: a shop of 1,000,000 books too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="draw curves (needs matplotlib)")
    parser.add_argument(
        "--client", choices=("wrk", "own"), help="what makes the load (default: wrk if installed)"
    )
    parser.add_argument(
        "--config", type=Path, default=ROOT / "cluster.json", help="whose nodes and settings"
    )


def run(flags: argparse.Namespace) -> int:
    """Measure and print. Return 1 if purchases did not add up, 130 if it was interrupted."""
    for name in flags.sections:
        if name not in SECTIONS:
            raise BadRequest(f"{name}: is none of {', '.join(SECTIONS)}")
        if flags.against is not None and name not in COMPARED:
            raise BadRequest(f"{name}: --against is for {', '.join(COMPARED)}")
    if not 0 < flags.seconds <= LONGEST_S:
        raise BadRequest(f"--seconds {flags.seconds}: must be above 0, up to {LONGEST_S:.0f}")
    over_files = load(flags.config, ROLES).engine.kind == "sqlite"  # or what nodes would refuse
    if flags.against is not None and flags.against.is_file():
        over_files &= load(flags.against, ROLES).engine.kind == "sqlite"
    if not over_files:
        for name in flags.sections:
            if name in OF_FILES:
                raise BadRequest(f"{name}: is for shops over files")
        flags.sections = flags.sections or [name for name in SECTIONS if name not in OF_FILES]
    if flags.plot is not None:
        plots.check()
    program = None if flags.client == "own" else wrk.installed()
    if flags.client == "wrk" and program is None:
        raise BadRequest("--client wrk: is not installed")
    this = Checkout(ROOT, flags.config)
    before = {one: signal.signal(one, _interrupt) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        return _run(flags, Generator(program), this, _other(flags, this))
    except KeyboardInterrupt:
        print("interrupted; everything that ran is stopped", file=sys.stderr)
        return INTERRUPTED
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _other(flags: argparse.Namespace, this: Checkout) -> Checkout | None:
    """Return the checkout to compare with, or None. Raises BadRequest if it can't be compared."""
    if flags.against is None:
        if flags.rounds is not None:
            raise BadRequest("--rounds: goes with --against")
        return None
    if flags.rounds is not None and not 1 <= flags.rounds <= MOST_ROUNDS:
        raise BadRequest(f"--rounds {flags.rounds}: must be 1 to {MOST_ROUNDS}")
    if flags.plot is not None:
        raise BadRequest("--plot: goes without --against")
    if not processor.READABLE:
        raise BadRequest(f"--against: {processor.MISSING}")
    path = flags.against
    other = Checkout(ROOT, path) if path.is_file() else Checkout.at(path)
    for checkout in (this, other):
        checkout.check()
    return other


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _run(
    flags: argparse.Namespace, generator: Generator, this: Checkout, other: Checkout | None
) -> int:
    plain = {"machine": report.machine(), "load": str(generator), "seconds": flags.seconds}
    print(f"{report.describe(plain['machine'])}\nLoad: {generator}.", flush=True)
    known = SECTIONS
    if other is not None:
        rounds = flags.rounds or ROUNDS
        plain |= {"this": str(this), "other": str(other), "rounds": rounds}
        where = other.root if other.root != this.root else other.model
        print(f"This: {this}; the other: {other}, in {where}.", flush=True)
        known = {
            name: partial(against.run, name, experiments(flags.large), other, rounds)
            for name, experiments in COMPARED.items()
        }
    names = [name for name in known if name in flags.sections or not flags.sections]
    found: dict[str, Any] = {}
    failed = False
    with _bench(flags, generator, this, len(names)) as (bench, bar):
        for name in names:
            section = known[name](bench)
            bar.write(f"\n{section}", file=sys.stdout)
            sys.stdout.flush()
            found[name] = section.figures
            failed |= section.failed
            bar.update()
    if flags.json is not None:
        flags.json.write_text(json.dumps({**plain, "sections": found}, indent=1), "utf-8")
    if flags.plot is not None:
        made = plots.draw(found, flags.plot)
        print(f"\n{len(made)} plots in {flags.plot}")
    return 1 if failed else 0


@contextlib.contextmanager
def _bench(
    flags: argparse.Namespace, generator: Generator, checkout: Checkout, sections: int
) -> Iterator[tuple[Bench, Any]]:
    with (
        tempfile.TemporaryDirectory(prefix="bazar-bench-") as directory,
        tqdm(total=sections, unit="section", disable=None, leave=False) as bar,
        Children(Path(directory)) as children,
    ):
        bench = Bench(
            directory=Path(directory),
            children=children,
            checkout=checkout,
            generator=generator,
            cores=Cores.of_this_machine(),
            seconds=flags.seconds,
            large=flags.large,
            place=measured.place,
            sold=measured.sold,
            step=bar.set_postfix_str,
        )
        yield bench, bar
