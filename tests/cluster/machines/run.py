"""One run: a shop on three machines, to which every fault happens again and again."""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.cluster.customers import Customers
from tests.cluster.faults import Deck
from tests.cluster.machines.faults import FAULTS, LEADERS, Fault
from tests.cluster.machines.report import CALM, WITH, WITHOUT, Report, longest
from tests.cluster.machines.rows import Rows
from tests.cluster.machines.shop import COUNT, Shop
from tests.cluster.memory import Memory, Violation, write_history

STOCK = {1: 40, 2: 10**6, 3: 10**6, 4: 10**6, 5: 200, 6: 10**6, 7: 10**6}
CALM_S = 2.0
FLOW = 10  # purchases, and reads, before a fault and after it
LIVE_S = 0.5


class Run:
    """The life of one shop."""

    def __init__(
        self,
        directory: Path,
        seed: int,
        report: Report,
        only: Sequence[str] | None,
        live: Callable[[str], None],
    ) -> None:
        directory.mkdir()
        directory.chmod(0o755)  # PostgreSQL's user enters it
        self._directory = directory
        self._rng = random.Random(seed)
        self._report = report
        self._live = live
        self._began = time.monotonic()
        self._last = ""
        self._shop = Shop(directory, self._rng, self._tell)
        self._memory = Memory(self._shop, STOCK, Rows(COUNT))
        self._customers = Customers(self._shop, str(seed), self._memory)
        faults = [fault for fault in FAULTS if not only or fault.name in only]
        self._deck = Deck(self._rng, faults)
        self._victims = {fault.name: Deck(self._rng, fault.leaders) for fault in faults}
        self._tell(f"seed {seed}")

    def _tell(self, event: str) -> None:
        with (self._directory / "events.txt").open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%H:%M:%S')} {event}\n")
        self._last = event
        self._show()

    def _show(self) -> None:
        passed, counts = int(time.monotonic() - self._began), self._memory.counts
        self._live(
            f"[{passed // 60}:{passed % 60:02}] {counts['purchases']} bought, "
            f"{counts['reads']} read, {counts['checks']} checks: {self._last}"
        )

    async def live(self, minutes: float) -> None:
        """Live for so long from when the shop is open. Raises Violation."""
        watch = [asyncio.create_task(self._shop.keep()), asyncio.create_task(self._live_line())]
        try:
            await self._shop.boot()
            work = asyncio.create_task(self._live_through(minutes))
            watch.append(work)
            # An error of a customer or of `keep` ends the rest, too.
            while not work.done():
                await asyncio.wait(watch, timeout=LIVE_S, return_when=asyncio.FIRST_COMPLETED)
                if (error := self._customers.failure()) is not None:
                    raise error
                for task in watch:
                    if task.done():
                        task.result()
        finally:
            for task in watch:
                task.cancel()
            await asyncio.gather(*watch, return_exceptions=True)
            await self._customers.leave()
            await self._shop.close()
            self._report.counts += self._memory.counts
            self._report.minutes += (time.monotonic() - self._began) / 60
        self._check_logs()

    async def _live_line(self) -> None:
        while True:
            self._show()
            await asyncio.sleep(LIVE_S)

    async def _live_through(self, minutes: float) -> None:
        await self._shop.settle()
        for book, count in STOCK.items():
            await self._shop.update(book, count=count)
        self._memory.start()
        self._customers.start()
        deadline = time.monotonic() + 60 * minutes
        while time.monotonic() < deadline:
            fault = self._deck.draw()
            await self._amid(fault, self._victims[fault.name].draw())

    async def _amid(self, fault: Fault, leader: str) -> None:
        """Cause one fault while customers are there, and check all they were told."""
        memory, customers, report = self._memory, self._customers, self._report
        customers.come()
        await self._flows(time.monotonic())
        calm_at = time.monotonic()
        await asyncio.sleep(CALM_S)
        leading = {what: await self._shop.leader(what) for what in LEADERS}
        victim = leading[leader]
        self._tell(f"{fault.name}: machine {victim}; these lead: {leading}")
        begun_at = time.monotonic()
        report.of(CALM).add(*self._gaps(calm_at, begun_at))
        chosen = await fault.act(self._shop, victim)
        ended_at = time.monotonic()
        self._tell(f"{fault.name} is over: {chosen}")
        await self._flows(ended_at)
        await self._shop.settle()
        settled_at = time.monotonic()
        await self._flows(settled_at)
        for part in ("", WITH if victim == leading["database"] else WITHOUT):
            gaps = self._gaps(begun_at, settled_at)
            report.of(fault.name, part).add(*gaps, settled_at - ended_at)
        await customers.rest()
        self._tell("check")
        memory.known_at.clear()
        memory.read_at.clear()
        await memory.check()

    def _gaps(self, begin: float, end: float) -> tuple[float, float]:
        """Return the longest gaps in purchases and in reads."""
        memory = self._memory
        return longest(memory.known_at, begin, end), longest(memory.read_at, begin, end)

    async def _flows(self, since: float) -> None:
        """Wait until purchases and reads have been answered again. Raises Violation."""

        def flows() -> bool:
            return all(
                sum(time >= since for time in times[-FLOW:]) == FLOW
                for times in (self._memory.known_at, self._memory.read_at)
            )

        await self._shop.wait(flows, "purchases and reads flow")

    def _check_logs(self) -> None:
        """Check that no node has logged a traceback."""
        for name, text in self._shop.logs().items():
            _, found, trace = text.partition("Traceback (most recent call last):")
            if found:
                raise Violation(f"{name}: {found}{trace[:3000]}")


async def run_all(
    directory: Path,
    seeds: Sequence[int],
    minutes: float,
    only: Sequence[str] | None,
    live: Callable[[str], None],
) -> Report:
    """Make one run after the other, up to the first violation. Their files are below `directory`,
    and stay there after a violation."""
    report = Report(seeds)
    for seed in seeds:
        try:
            await Run(directory / f"seed-{seed}", seed, report, only, live).live(minutes)
        except AssertionError as error:
            report.violation = f"seed {seed}: {error}"
            if isinstance(error, Violation):
                write_history(directory / "history.txt", error)
            break
        shutil.rmtree(directory / f"seed-{seed}")
    return report
