"""What can happen to the processes and files of a shop. Every choice comes from one seed.

Only processes that the shop has started are touched, by their ids; disks are small ones of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.cluster import Cluster, until
from tests.cluster.customers import Violation
from tests.cluster.disks import fill, injecting

BACK_S = 120.0  # until a node must be ready again
KEEPER_S = 0.05
MAY_LEAVE = {0, 3, -signal.SIGKILL, -signal.SIGTERM}  # by hand-over, giving up, and as it was told


@dataclass(slots=True)
class Shop:
    """A cluster and those who keep its nodes running."""

    cluster: Cluster
    rng: random.Random
    supervised: bool
    disks: dict[str, Path]
    tell: Callable[[str], None]
    held: set[str]  # nodes that are to stay down
    busy: set[str] = field(default_factory=set)  # nodes that something happens to
    damaged: set[str] = field(default_factory=set)  # nodes whose files were damaged
    noticed: int = 0

    # --- nodes -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start all nodes: with a supervisor, or let `keep` do it."""
        if self.supervised:
            await self.cluster.start_supervised(wait=False)
        self.held.clear()
        await self.back(*self.cluster.roles)

    async def keep(self) -> None:
        """Start again what ends by itself, as a supervisor would."""
        while not self.supervised:
            for name in self.cluster.roles:
                if name not in self.held and self.cluster.pid(name) is None:
                    self._start_again(name)
            await asyncio.sleep(KEEPER_S)

    def _start_again(self, name: str) -> None:
        code = self.cluster.exit_code(name)
        if code is not None and code not in MAY_LEAVE:
            raise Violation(f"{name} ended with {code}: {self.cluster.log(name)[-800:]}")
        role, port = self.cluster.roles[name], str(self.cluster.ports[name])
        self.cluster.launch(name, "--role", role, "--port", port)

    async def back(self, *names: str) -> None:
        """Wait until these nodes are ready again."""
        for name in names:
            try:
                await until(lambda: self._ready(name), f"{name} is ready", BACK_S)  # noqa: B023
            except AssertionError as error:
                if isinstance(error, Violation):
                    raise
                status = await self.cluster.status(name)
                raise Violation(f"{error}; it says {status}") from error

    async def _ready(self, name: str) -> bool:
        supervisor = self.cluster.exit_code("cluster") if self.supervised else None
        if supervisor is not None:
            log = self.cluster.log("cluster")[-1500:]
            raise Violation(f"the supervisor ended with {supervisor}: {log}")
        try:
            async with self.cluster.client(name) as client:
                return (await client.get("/readyz", timeout_s=1.0)).status == 200
        except OSError:
            return False

    async def settle(self) -> None:
        """Everything is up, and every replica is in its set."""
        await self.back(*self.cluster.roles)
        for role in ("catalog", "order"):

            def whole() -> bool:
                return self.members(role) == set(self.cluster.group(role))  # noqa: B023

            try:
                await until(whole, f"every {role} replica is in the set", BACK_S)
            except AssertionError as error:
                raise Violation(f"{error}: {self.members(role)}") from error

    def members(self, role: str) -> set[str]:
        """Who is recorded as in sync."""
        plain = json.loads((self.cluster.data_dir / f"{role}.members").read_bytes())
        return {member["node"] for member in plain["members"]}

    def primary(self, role: str) -> str | None:
        """Whose process holds the lock."""
        inode = str((self.cluster.data_dir / f"{role}.lock").stat().st_ino)
        running = {pid: name for name, pid in self.cluster.running().items()}
        for line in Path("/proc/locks").read_text("ascii").splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode:
                return running.get(int(words[4]))
        return None

    # --- victims ---------------------------------------------------------------------------------

    def victim(self, among: Iterable[str] | None = None) -> str | None:
        """A node that nothing happens to yet; primaries as often as all the others."""
        running = self.cluster.running()
        free = {n for n in among or self.cluster.roles if n in running and n not in self.busy}
        leading = {self.primary(role) for role in ("catalog", "order")} & free
        chosen = leading if leading and self.rng.random() < 0.5 else free
        return self.rng.choice(sorted(filter(None, chosen))) if chosen else None

    @contextlib.contextmanager
    def _occupied(self, *names: str) -> Iterator[None]:
        self.busy.update(names)
        try:
            yield
        finally:
            self.busy.difference_update(names)
            self.held.difference_update(names)

    def _signal(self, pid: int, number: int) -> bool:
        """Whether there was still such a process of ours."""
        if pid not in self.cluster.all_processes():
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False

    async def _lasts(self, low: float, high: float) -> None:
        """A fault's own duration."""
        await asyncio.sleep(self.rng.uniform(low, high))

    # --- processes -------------------------------------------------------------------------------

    async def kill(self) -> str | None:
        name = self.victim()
        if name is None:
            return None
        with self._occupied(name):
            self.tell(f"kill -9 {name}")
            self.held.add(name)
            await self._end([name], signal.SIGKILL)
            await self._lasts(0, 2 * self.cluster.lease_s)
            self.held.discard(name)
            await self.back(name)
        return name

    async def terminate(self) -> str | None:
        name = self.victim()
        if name is None:
            return None
        with self._occupied(name):
            self.tell(f"SIGTERM {name}")
            await self._end([name], signal.SIGTERM)
            await self.back(name)
        return name

    async def _end(self, names: Iterable[str], number: int) -> None:
        """Signal these nodes' processes, all at once, and wait for their ends."""
        running = self.cluster.running()
        pids = [running[name] for name in names if name in running]
        for pid in [pid for pid in pids if self._signal(pid, number)]:
            await self.cluster.ended(pid)

    async def pause_briefly(self) -> str | None:
        return await self._pause(0.1, 0.9)

    async def pause_long(self) -> str | None:
        return await self._pause(1.1, 4.0)

    async def _pause(self, low: float, high: float) -> str | None:
        """For so many leases."""
        name = self.victim()
        pid = None if name is None else self.cluster.running().get(name)
        if name is None or pid is None:
            return None
        with self._occupied(name):
            self.tell(f"SIGSTOP {name}")
            try:
                self._signal(pid, signal.SIGSTOP)
                await self._lasts(low * self.cluster.lease_s, high * self.cluster.lease_s)
            finally:
                self._signal(pid, signal.SIGCONT)
            await self.back(name)
        return name

    async def kill_group(self) -> str | None:
        role = self.rng.choice(("catalog", "order", "frontend"))
        names = self.cluster.group(role)
        with self._occupied(*names):
            self.tell(f"kill -9 {' '.join(names)}")
            self.held.update(names)
            await self._end(names, signal.SIGKILL)
            await self._lasts(0, self.cluster.lease_s)
            self.rng.shuffle(names)
            for name in names:
                self.held.discard(name)
                await self._lasts(0, self.cluster.lease_s)
            await self.back(*names)
        return role

    async def kill_all(self) -> str | None:
        with self._occupied(*self.cluster.roles):
            self.tell("kill -9 of everything")
            await self._all_gone()
            await self.start()
        return "all"

    async def _all_gone(self) -> None:
        self.held.update(self.cluster.roles)
        pids = list(self.cluster.all_processes())
        nodes = set(self.cluster.running().values())
        # A supervisor that goes first would have its nodes leave in order, and one that goes last
        # would start them again.
        for number, those in (
            (signal.SIGSTOP, [pid for pid in pids if pid not in nodes]),
            (signal.SIGKILL, nodes),
            (signal.SIGKILL, [pid for pid in pids if pid not in nodes]),
        ):
            for pid in those:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        for pid in pids:
            await self.cluster.ended(pid)

    # --- disks -----------------------------------------------------------------------------------

    async def fill_disk(self) -> str | None:
        names = [name for name in sorted(self.disks) if name not in self.busy]
        if not names:
            return None
        name = self.rng.choice(names)
        with self._occupied(name):
            self.tell(f"the disk of {name} is full")
            ballast = self.disks[name] / "ballast"
            try:
                fill(ballast)
                await self._lasts(1, 4)
            finally:
                ballast.unlink(missing_ok=True)
            await self.back(name)
        return name

    async def fsync_fails(self) -> str | None:
        return await self._strace("error=EIO", "fsync fails at", 0.5, 2.0)

    async def fsync_is_slow(self) -> str | None:
        delay_us = self.rng.randrange(20_000, 900_000)
        words = f"fsync takes {delay_us / 1e6:.2f} s at"
        return await self._strace(f"delay_enter={delay_us}", words, 2.0, 5.0)

    async def _strace(self, what: str, words: str, low: float, high: float) -> str | None:
        replicas = [*self.cluster.group("catalog"), *self.cluster.group("order")]
        name = self.victim(replicas)
        pid = None if name is None else self.cluster.running().get(name)
        if name is None or pid is None:
            return None
        with self._occupied(name):
            self.tell(f"{words} {name}")
            async with injecting(pid, f"fsync,fdatasync:{what}"):
                await self._lasts(low, high)
            await self.back(name)
        return name

    # --- files -----------------------------------------------------------------------------------

    async def lose_wal_tail(self) -> str | None:
        return await self._damage("-wal", "lost its tail", self._truncate)

    async def flip_in_wal(self) -> str | None:
        return await self._damage("-wal", "has a flipped byte", self._flip)

    async def flip_in_file(self) -> str | None:
        return await self._damage("", "has a flipped byte", self._flip)

    async def flip_in_row(self) -> str | None:
        return await self._damage("", "has a flipped letter", self._flip_letter)

    async def _damage(self, suffix: str, words: str, act: Callable[[Path], bool]) -> str | None:
        """One replica's file is damaged while it is down, alone or with all others; another one of
        its set is whole, or there would be nothing to repair it from."""
        role = self.rng.choice(("catalog", "order"))
        name = self.rng.choice(self.cluster.group(role))
        down = self.rng.choice(("alone", "group", "all"))
        if self.supervised:
            down = "all"  # a supervisor starts a node again at once
        names = {"alone": [name], "group": self.cluster.group(role)}.get(down)
        path = (self.cluster.data_dir / f"{name}.db").resolve()
        path = path.with_name(path.name + suffix)
        with self._occupied(*self.cluster.roles):
            await self.settle()
            with contextlib.suppress(AssertionError):
                await until(lambda: path.exists() and path.stat().st_size, "it is written to", 5.0)
            if names is None:
                await self._all_gone()
            else:
                self.held.update(names)
                await self._end(names, signal.SIGKILL)
            done = self.members(role) != {name} and path.exists() and act(path)
            if done:
                self.damaged.add(name)
                self.tell(f"{path.name} {words}; {down} was down")
            else:
                size = path.stat().st_size if path.exists() else 0
                self.tell(f"{path.name} stays: {size} bytes, in sync {self.members(role)}")
            if names is None:
                await self.start()
            else:
                self.held.difference_update(names)
                await self.back(*names)
            await self.settle()
            self._collect(name)
        return name if done else None

    def _collect(self, name: str) -> None:
        """Throw away what a node has set aside, and count that it did."""
        where = (self.cluster.data_dir / f"{name}.db").resolve().parent
        found = sorted(where.glob(f"{name}.db.damaged-*"))
        self.noticed += bool(found)
        for path in found:
            path.unlink()

    def set_aside(self) -> list[str]:
        """What was set aside though nothing was done to it."""
        places = [self.cluster.data_dir, *self.disks.values()]
        return sorted(path.name for place in places for path in place.glob("*.damaged-*"))

    def _truncate(self, path: Path) -> bool:
        size = path.stat().st_size
        if not size:
            return False
        os.truncate(path, self.rng.randrange(size))
        return True

    def _flip(self, path: Path) -> bool:
        size = path.stat().st_size
        return bool(size) and self._change(path, self.rng.randrange(size))

    def _flip_letter(self, path: Path) -> bool:
        """One that SQLite itself does not miss: inside the text of a row."""
        content = path.read_bytes()
        places = [
            place
            for word in (b"edition", b"Systems", b'"unit_cost"')
            for place in _places(content, word)
        ]
        return bool(places) and self._change(path, self.rng.choice(places))

    def _change(self, path: Path, place: int) -> bool:
        with path.open("r+b") as file:
            file.seek(place)
            [old] = file.read(1)
            file.seek(place)
            file.write(bytes([old ^ 1 << self.rng.randrange(8)]))
        return True


def _places(content: bytes, word: bytes) -> list[int]:
    starts = itertools.accumulate(
        itertools.repeat(word), lambda at, w: content.find(w, at + 1), initial=-1
    )
    next(starts)
    return list(itertools.takewhile(lambda at: at >= 0, starts))


@dataclass(frozen=True, slots=True)
class Fault:
    """`act` does it and returns to whom, or None if it could not be done now. One that happens
    `alone` waits until everything else is over."""

    name: str
    act: Callable[[Shop], Awaitable[str | None]]
    alone: bool = False


FAULTS = (
    Fault("kill -9", Shop.kill),
    Fault("pause, shorter than a lease", Shop.pause_briefly),
    Fault("pause, longer than a lease", Shop.pause_long),
    Fault("SIGTERM", Shop.terminate),
    Fault("disk full", Shop.fill_disk),
    Fault("fsync fails", Shop.fsync_fails),
    Fault("fsync is slow", Shop.fsync_is_slow),
    Fault("kill -9 of a group", Shop.kill_group, alone=True),
    Fault("kill -9 of everything", Shop.kill_all, alone=True),
    Fault("WAL loses its tail", Shop.lose_wal_tail, alone=True),
    Fault("byte flipped in a WAL", Shop.flip_in_wal, alone=True),
    Fault("byte flipped in a file", Shop.flip_in_file, alone=True),
    Fault("letter flipped in a row", Shop.flip_in_row, alone=True),
)


def impossible() -> dict[str, str]:
    """The faults that can't be made on this machine, and why."""
    why: dict[str, str] = {}
    if os.geteuid() != 0:
        why["disk full"] = "only root may mount"
    if shutil.which("strace") is None:
        why["fsync fails"] = why["fsync is slow"] = "strace is not installed"
    return why


class Deck:
    """Every fault as often as every other, in an order that the seed decides."""

    def __init__(self, rng: random.Random, faults: Iterable[Fault]) -> None:
        self._rng = rng
        self._faults = list(faults)
        self._left: list[Fault] = []

    def draw(self) -> Fault:
        if not self._left:
            self._left = list(self._faults)
            self._rng.shuffle(self._left)
        return self._left.pop()


async def cause(
    shop: Shop, deck: Deck, deadline: float, done: Counter[str], skipped: Counter[str]
) -> None:
    """One fault after the other, up to two at once, until `deadline`; then wait for the last."""
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
