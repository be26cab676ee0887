"""A shop whose every change to its files is recorded, under a load that remembers its answers.

async with Stage(directory, shim) as stage:
    await stage.shop.start_supervised()
    ...
    recording = await stage.cut()
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.cluster.cluster import SHORT_LEASES, Cluster, until
from tests.cluster.load import Bought, Load
from tests.cluster.power.disk import Disk, Lying, State, Sync, look
from tests.cluster.power.recording import Event, read_logs, recorded

BOOKS = (4, 5, 6)  # the books that are bought, each by one buyer
FIRST_STOCK = {4: 7, 5: 10, 6: 10}
STOCK = 1_000_000
DOOR = "frontend-1"
PATIENCE_S = 60.0  # until a node is ready: its speed does not matter here
SETTINGS = {"replication": SHORT_LEASES}

Window = tuple[int, int]


@dataclass(slots=True)
class Recording:
    """One shop's life up to the cut of its power, and what it had promised when."""

    root: Path
    settings: Mapping[str, Any]
    lying: Sequence[Lying]  # before it began
    events: Sequence[Event]
    bought: Sequence[Bought]
    stocked_at: int  # from then on BOOKS had STOCK copies
    trusted_at: int  # from then on clients may have read the token
    token: str
    windows: Sequence[Window]  # in which to cut
    hurt: str = ""  # the node whose file was damaged before

    def disk(self, without: Sync | None = None) -> Disk:
        """Return the disk as it was before everything."""
        disk = Disk(without)
        disk.adopt(self.lying)
        return disk

    def check(self) -> None:
        """Raise Unfaithful unless the recording leads to the files as they are."""
        disk = self.disk()
        for event in self.events:
            disk.feed(event)
        disk.check(self.root)

    def acknowledged(self, cut: int) -> list[Bought]:
        return [one for one in self.bought if one.acked_at * 1e9 <= cut]

    def in_flight(self, cut: int) -> list[Bought]:
        return [one for one in self.bought if one.sent_at * 1e9 <= cut < one.acked_at * 1e9]


class Stage:
    """One shop in `directory`. `files` are there at the beginning; `bought` was acknowledged
    before."""

    def __init__(
        self,
        directory: Path,
        shim: Path,
        settings: Mapping[str, Any],
        files: State | None = None,
        bought: Sequence[Bought] = (),
        hurt: str = "",
    ) -> None:
        self.root = directory
        self.settings = settings
        self._logs = directory.with_name(directory.name + "-recorded")
        environment = recorded(shim, directory, self._logs)
        self.shop = Cluster(directory, settings=settings, environment=environment)
        self.windows: list[Window] = []
        write_state(directory, files or {})
        self._lying = look(directory)
        self._bought = list(bought)
        self._hurt = hurt
        # What was promised before is binding from the beginning.
        self._token = (files or {}).get("data/token", b"").decode().strip()
        self._trusted_at = 0 if self._token else sys.maxsize
        self._stocked_at = 0 if bought else sys.maxsize

    async def __aenter__(self) -> Stage:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.shop.__aexit__(kind, error, trace)

    def log(self, pid: int) -> Path:
        """Return the path of a process's recording."""
        return self._logs / f"{pid}.log"

    async def open(self) -> None:
        """Wait until every node is ready, and stock the books."""
        answering = [asyncio.create_task(self._trusting(name)) for name in self.shop.roles]
        await asyncio.wait(answering, return_when=asyncio.FIRST_COMPLETED)
        if not self._token:
            self._trusted_at, self._token = time.monotonic_ns(), self.shop.token
        await asyncio.gather(*answering)
        await self.shop.ready(deadline_s=PATIENCE_S)
        if not self._bought:
            for book in BOOKS:
                await self.shop.update(book, count=STOCK)
            self._stocked_at = time.monotonic_ns()

    async def _trusting(self, name: str) -> None:
        """Wait until a node serves."""

        async def answers() -> bool:
            try:
                return (await self.shop.get(name, "/healthz")).status == 200
            except OSError:
                return False

        await until(answers, f"{name} answers", PATIENCE_S)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Load]:
        """Run one buyer for each of BOOKS, until the block ends and every outcome is known."""
        async with Load(self.shop) as load:
            for book in BOOKS:
                load.buy(DOOR, book, buyers=1)
            await load.flowing(0)
            yield load
        assert not load.sold_out, "the shelves were full"
        self._bought += load.bought

    @asynccontextmanager
    async def window(self) -> AsyncIterator[None]:
        """Cut the power during this block, too."""
        began = time.monotonic_ns()
        yield
        self.windows.append((began, time.monotonic_ns()))

    async def cut(self) -> Recording:
        """Kill all processes at once: a supervisor that sees its nodes die, and a node that sees
        its supervisor die, would react to it."""
        nodes = self.shop.running()
        everything = self.shop.all_processes()
        for pid in everything.keys() - set(nodes.values()):
            os.kill(pid, signal.SIGSTOP)
        for pid in nodes.values():
            os.kill(pid, signal.SIGKILL)
        for pid in nodes.values():
            await self.shop.ended(pid)
        await self.shop.kill_all()
        recording = Recording(
            self.root,
            self.settings,
            self._lying,
            read_logs(self._logs, self.root),
            sorted(self._bought, key=lambda one: one.acked_at),
            self._stocked_at,
            self._trusted_at,
            self._token,
            self.windows,
            self._hurt,
        )
        recording.check()
        return recording


def write_state(root: Path, state: State) -> None:
    """Make these files, and no others, the shop's."""
    data = root / "data"
    for path in data.glob("*"):
        path.unlink()
    for name, content in state.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o600)
