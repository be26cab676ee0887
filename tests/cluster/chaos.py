"""A shop amid faults: real processes, files and signals, and customers who remember every answer.

    python -m tests.cluster.chaos --minutes 30 --seed 7

One shop runs after the other, each with settings of its own, below a supervisor or not. While
customers buy, change and read at every port, nodes are killed, paused and asked to leave, links are
cut and slow, terminals are closed, disks fill up and fail, descriptors run out, files are damaged,
deleted, and put back to an earlier moment, backups are made, and all is lost and restored from one.
Every half minute the customers rest, and these are checked: each book's history is linearizable, no
acknowledged sale is missing or there twice, each has one order, sold and left are what was stocked,
and all replicas hold the same digests and rows. Where files were put back, or restored, what was
acknowledged before that moment is there, and the shop has named what is lost.

The seed decides every choice, but not how long the machine takes, so a run can't be repeated
exactly. A violation ends it with exit code 1; the message says where the shop's files and the
history are kept.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bazar.cli.ending import ended
from tests.cluster.cluster import Cluster
from tests.cluster.customers import Customers
from tests.cluster.disks import small_disk
from tests.cluster.faults import FAULTS, Deck, cause, impossible
from tests.cluster.faults.exhaustion import FILES
from tests.cluster.faults.shop import Shop
from tests.cluster.files import Files
from tests.cluster.memory import Memory, Violation, write_history

STOCK = {1: 40, 2: 10**6, 3: 10**6, 4: 10**6, 5: 200, 6: 10**6, 7: 10**6}
SHOP_S = 150.0
CHECK_EVERY_S = 30.0
LIVE_S = 0.5
TINY = {"local": {"entries": 3}, "default": {"entries": 2}}
# The errors that a failing disk makes a node log before it gives up are expected.
EXPECTED = re.compile(
    r"sqlite3\.\w+: (disk I/O error|database or disk is full)|OSError: \[Errno 5\]"
)


@dataclass(slots=True)
class Report:
    """What has happened so far, over all shops."""

    seed: int
    began: float = field(default_factory=time.monotonic)
    faults: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    impossible: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    worst_gap_s: float = 0.0
    worst_gap_amid: str = "nothing"
    shops: int = 0
    noticed: int = 0
    violation: str | None = None

    def show(self) -> str:
        minutes = (time.monotonic() - self.began) / 60
        lines = [f"{minutes:.1f} minutes, seed {self.seed}, {self.shops} shops"]
        width = max(len(fault.name) for fault in FAULTS)
        for fault in FAULTS:
            words = f"{self.faults[fault.name]:6}"
            if self.skipped[fault.name]:
                words += f"  ({self.skipped[fault.name]} found no victim)"
            if fault.name in self.impossible:
                words += f"  skipped: {self.impossible[fault.name]}"
            lines.append(f"  {fault.name:{width}} {words}")
        total = sum(self.faults.values())
        lines.append(f"{total} faults, {total / max(minutes, 0.01):.1f} a minute; ")
        lines[-1] += f"{self.noticed} damaged files noticed by their nodes"
        lines += [f"  {name:{width}} {count:6}" for name, count in sorted(self.counts.items())]
        gap = f"worst gap in purchases: {self.worst_gap_s:.2f} s, amid {self.worst_gap_amid}"
        return "\n".join([*lines, gap, f"VIOLATION: {self.violation}" if self.violation else "ok"])


async def run(
    directory: Path,
    seed: int,
    minutes: float,
    live: Callable[[str], None] = lambda line: None,
    supervised: bool | None = None,
    only: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Report:
    """Run shops until the time is over or something is wrong. Their files are below `directory`;
    `settings` replace those that are drawn."""
    rng = random.Random(seed)
    report = Report(seed)
    report.impossible = impossible()
    for fault in FAULTS:
        if only and fault.name not in only:
            report.impossible[fault.name] = "not wanted"
    deadline = time.monotonic() + 60 * minutes
    try:
        for number in itertools.count(1):
            report.shops = number
            place = directory / f"shop-{number}"
            one = OneShop(place, rng, report, live, supervised, settings or {})
            await one.run(min(deadline, time.monotonic() + SHOP_S))
            shutil.rmtree(place)
            if time.monotonic() >= deadline:
                break
    except Violation as violation:
        report.violation = str(violation)
        write_history(directory / "history.txt", violation)
    return report


class OneShop:
    """One shop's life."""

    def __init__(
        self,
        place: Path,
        rng: random.Random,
        report: Report,
        live: Callable[[str], None],
        supervised: bool | None,
        settings: Mapping[str, Any],
    ) -> None:
        self.place = place
        self.report = report
        self.rng = random.Random(rng.random())
        drawn = self.rng.random() < 0.5
        self.supervised = drawn if supervised is None else supervised
        lease_s = self.rng.choice((0.5, 1.0))
        settings = {
            "replication": {
                "lease_s": lease_s,
                "ack_timeout_s": 0.3 * lease_s,
                "log_entries": self.rng.choice((100, 1000, 100_000)),
            },
            "caches": self.rng.choice((TINY, {})),
            "pool": {},
            "supervisor": {},
            **settings,
        }
        roles = {"frontend": 2, "catalog": self.rng.choice((2, 2, 3)), "order": 2}
        files = self.rng.choice((None, FILES))
        self.cluster = Cluster(place, roles, settings, files=files)
        self.memory = Memory(self.cluster, STOCK, Files(self.cluster))
        self.customers = Customers(self.cluster, f"{report.seed}-{report.shops}", self.memory)
        self.events: list[tuple[float, str]] = []
        self._live = live
        how = "supervised" if self.supervised else "each on its own"
        how += "" if files is None else f", with {files} descriptors"
        self._tell(f"shop {report.shops}: {roles['catalog']} catalogs, nodes {how}, {settings}")

    def _tell(self, event: str) -> None:
        self.events.append((time.monotonic(), event))
        with (self.place / "events.txt").open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%H:%M:%S')} {event}\n")
        self._show()

    def _show(self) -> None:
        passed = int(time.monotonic() - self.report.began)
        counts = self.memory.counts
        self._live(
            f"[{passed // 60}:{passed % 60:02}] {counts['purchases']} bought, "
            f"{counts['reads']} read, {counts['checks']} checks, "
            f"{sum(self.report.faults.values())} faults: {self.events[-1][1]}"
        )

    async def _live_line(self) -> None:
        while True:
            self._show()
            await asyncio.sleep(LIVE_S)

    async def run(self, deadline: float) -> None:
        """Run the shop until the deadline. Raises Violation."""
        with contextlib.ExitStack() as stack:
            disks = self._disks(stack)
            down = set(self.cluster.roles)
            shop = Shop(
                self.cluster, self.rng, self.supervised, disks, self.memory, self._tell, down
            )
            watch = [asyncio.create_task(shop.keep()), asyncio.create_task(self._live_line())]
            work = asyncio.create_task(self._live_through(shop, deadline))
            try:
                # An error of a customer or of `keep` ends the rest, too.
                while not work.done():
                    await asyncio.wait([work, *watch], timeout=LIVE_S)
                    for error in (self.customers.failure(), _failure(watch)):
                        if error is not None:
                            raise error
                work.result()
            finally:
                for task in (work, *watch):
                    task.cancel()
                await asyncio.gather(work, *watch, return_exceptions=True)
                await self.customers.leave()
                await self.cluster.close()
                self.report.counts += self.memory.counts
                self.report.noticed += shop.noticed
        self._check_logs()

    def _disks(self, stack: contextlib.ExitStack) -> dict[str, Path]:
        """Give one replica of each group a small disk of its own."""
        if "disk full" in self.report.impossible:
            return {}
        disks: dict[str, Path] = {}
        self.cluster.data_dir.mkdir()
        for role in ("catalog", "order"):
            name = self.rng.choice(self.cluster.group(role))
            disk = self.place / f"disk-of-{name}"
            if not stack.enter_context(small_disk(disk)):
                self.report.impossible["disk full"] = "mounting does not work here"
                return disks
            (self.cluster.data_dir / f"{name}.db").symlink_to(disk / f"{name}.db")
            disks[name] = disk
        return disks

    async def _live_through(self, shop: Shop, deadline: float) -> None:
        await shop.start()
        for book, count in STOCK.items():
            await self.cluster.update(book, count=count)
        self.memory.start()
        self.customers.start()
        possible = [fault for fault in FAULTS if fault.name not in self.report.impossible]
        deck = Deck(self.rng, possible)
        while time.monotonic() < deadline:
            came_at = time.monotonic()
            self.customers.come()
            next_check = min(time.monotonic() + CHECK_EVERY_S, deadline)
            await cause(shop, deck, next_check, self.report.faults, self.report.skipped)
            await shop.settle()
            await self.customers.rest()
            self._measure(came_at)
            self._tell("check")
            await self.memory.check()
            if found := shop.set_aside():
                raise Violation(f"{found} were set aside, but nobody had damaged them")
        await self._verify(shop)

    def _measure(self, came_at: float) -> None:
        """Measure the longest gap since the customers came, and name the faults in it or just
        before."""
        times = [came_at, *(at for at in self.memory.known_at if at >= came_at)]
        for before, after in itertools.pairwise(times):
            if after - before > self.report.worst_gap_s:
                self.report.worst_gap_s = after - before
                lease_s = self.cluster.lease_s
                amid = [what for at, what in self.events if before - lease_s <= at <= after]
                self.report.worst_gap_amid = "; ".join(amid) or "nothing"
        self.memory.known_at.clear()
        self.memory.read_at.clear()

    async def _verify(self, shop: Shop) -> None:
        """Check with the operator's own command."""
        code, said = await shop.command("verify")
        if code != 0:
            raise Violation(f"python -m bazar verify: {said}")

    def _check_logs(self) -> None:
        """Check that the nodes have logged nothing unexpected."""
        for path in sorted(self.place.glob("*.log")):
            text = path.read_text("utf-8", errors="replace")
            if "Too many open files" in text:
                raise Violation(f"{path.name}: too many open files")
            for block in text.split("Traceback (most recent call last):")[1:]:
                lines = block.splitlines()
                ends = (line for line in lines[1:] if not line.startswith((" ", "\t")))
                last = next(ends, "")
                if not EXPECTED.search(last):
                    raise Violation(f"{path.name}: Traceback{block[:3000]}")


def _failure(tasks: Sequence[asyncio.Task[None]]) -> BaseException | None:
    for task in tasks:
        if task.done() and not task.cancelled():
            return task.exception()
    return None


async def _until_signal(work: asyncio.Task[Report]) -> Report:
    """Let SIGTERM end the run as Ctrl-C does: everything is cleaned up."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    return await work


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.chaos", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="default: 3")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    names = [fault.name for fault in FAULTS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="FAULT", help=f"of {names}")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--supervised", action="store_true", default=None, dest="supervised")
    which.add_argument("--unsupervised", action="store_false", dest="supervised")
    flags = parser.parse_args(arguments)

    def live(line: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\x1b[K{line[:width]}", end="", file=sys.stderr, flush=True)

    directory = Path(tempfile.mkdtemp(prefix="bazar-chaos-"))
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        # Below nohup the nodes would ignore SIGHUP, too, and closing their terminals would have no
        # effect.
        signal.signal(signal.SIGHUP, lambda *_: None)

    async def whole() -> Report:
        work = run(directory, flags.seed, flags.minutes, live, flags.supervised, flags.only)
        return await _until_signal(asyncio.create_task(work))

    report = asyncio.run(whole())
    print(file=sys.stderr)
    print(report.show())
    if report.violation is None:
        shutil.rmtree(directory)
        return 0
    print(f"The shop's files, and the history in history.txt, are in {directory}")
    return 1


if __name__ == "__main__":
    sys.exit(ended(main))
