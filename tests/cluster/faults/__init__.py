"""The faults that may happen to the processes, links and files of a shop. Every choice comes from
one seed."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tests.cluster.faults import (
    backups,
    damage,
    deletion,
    disks,
    exhaustion,
    links,
    processes,
    restores,
)
from tests.cluster.faults.shop import Shop

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault. `act` causes it and returns on which node, or None if it was not possible now. A
    fault that happens `alone` waits until all others are over."""

    name: str
    act: Callable[[Shop], Awaitable[str | None]]
    alone: bool = False


FAULTS = (
    Fault("kill -9", processes.kill),
    Fault("pause, shorter than a lease", processes.pause_briefly),
    Fault("pause, longer than a lease", processes.pause_long),
    Fault("SIGTERM", processes.terminate),
    Fault("SIGHUP", processes.hang_up),
    Fault("kill -9 of a group", processes.kill_group, alone=True),
    Fault("kill -9 of everything", processes.kill_all, alone=True),
    Fault("terminal closed", processes.close_terminal, alone=True),
    Fault("link cut", links.cut),
    Fault("link slow", links.slow),
    Fault("disk full", disks.fill_disk),
    Fault("fsync fails", disks.fsync_fails),
    Fault("fsync is slow", disks.fsync_is_slow),
    Fault("idle connections", exhaustion.hold_idle),
    Fault("reader of a log goes", exhaustion.lose_reader, alone=True),
    Fault("reader of a log stalls", exhaustion.stall_reader, alone=True),
    Fault("WAL loses its tail", damage.lose_wal_tail, alone=True),
    Fault("byte flipped in a WAL", damage.flip_in_wal, alone=True),
    Fault("byte flipped in a file", damage.flip_in_file, alone=True),
    Fault("letter flipped in a row", damage.flip_in_row, alone=True),
    Fault("database deleted", deletion.delete_database, alone=True),
    Fault("membership deleted", deletion.delete_membership, alone=True),
    Fault("lock deleted", deletion.delete_lock, alone=True),
    Fault("backup", backups.save),
    Fault("all deleted, and restored", backups.lose_and_restore, alone=True),
    Fault("files copied", restores.keep, alone=True),
    Fault("node put back", restores.put_back_node, alone=True),
    Fault("catalog put back", restores.put_back_catalog, alone=True),
    Fault("orders put back", restores.put_back_orders, alone=True),
    Fault("both put back", restores.put_back_both, alone=True),
)


def impossible() -> dict[str, str]:
    """Return the faults that can't be made on this machine, and why."""
    why: dict[str, str] = {}
    if os.geteuid() != 0:
        why["disk full"] = "only root may mount"
    if shutil.which("strace") is None:
        why["fsync fails"] = why["fsync is slow"] = "strace is not installed"
    return why


class Deck(Generic[T]):
    """Every fault as often as every other, in an order that the seed decides."""

    def __init__(self, rng: random.Random, faults: Iterable[T]) -> None:
        self._rng = rng
        self._faults = list(faults)
        self._left: list[T] = []

    def draw(self) -> T:
        if not self._left:
            self._left = list(self._faults)
            self._rng.shuffle(self._left)
        return self._left.pop()


async def cause(
    shop: Shop, deck: Deck[Fault], deadline: float, done: Counter[str], skipped: Counter[str]
) -> None:
    """Cause one fault after the other, up to two at once, until `deadline`; await the last."""
    running: set[asyncio.Task[None]] = set()

    async def one(fault: Fault) -> None:
        victim = await fault.act(shop)
        (skipped if victim is None else done)[fault.name] += 1

    async def at_most(count: int) -> None:
        while len(running) > count:
            ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            running.difference_update(ended)
            for task in ended:
                task.result()

    try:
        while time.monotonic() < deadline:
            fault = deck.draw()
            await at_most(0 if fault.alone else 1)
            task = asyncio.create_task(one(fault))
            running.add(task)
            if fault.alone:
                await at_most(0)
            await asyncio.sleep(shop.rng.uniform(0, 1.0))
        await at_most(0)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
