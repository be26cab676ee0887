"""A shop that things happen to: which of its nodes run, who starts them again, what they left.

Only processes that the shop has started are touched, by their ids.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cluster.cluster import Cluster, until
from tests.cluster.commands import command
from tests.cluster.memory import Memory, Violation

if TYPE_CHECKING:
    from tests.cluster.faults.restores import Backup

BACK_S = 120.0  # until a node must be ready again
KEEPER_S = 0.05
SUPERVISOR = "cluster"  # as its log is named
IN_ORDER = {0, 3}  # by hand-over, and giving up
MAY_LEAVE = {*IN_ORDER, -signal.SIGKILL, -signal.SIGTERM}  # the latter as it was told


@dataclass(slots=True)
class Shop:
    """A cluster and those who keep its nodes running."""

    cluster: Cluster
    rng: random.Random
    supervised: bool
    disks: dict[str, Path]
    memory: Memory
    tell: Callable[[str], None]
    held: set[str]  # nodes that are to stay down
    busy: set[str] = field(default_factory=set)  # nodes that something happens to
    backups: list[Backup] = field(default_factory=list)
    lines: dict[str, list[Backup]] = field(default_factory=dict)  # by group: of its history
    stderr: dict[str, int] = field(default_factory=dict)  # where logs are written to, if elsewhere
    noticed: int = 0

    # --- nodes -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start all nodes: with a supervisor, or let `keep` do it."""
        if self.supervised:
            self.cluster.launch(SUPERVISOR, stderr=self.stderr.get(SUPERVISOR))
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
        self.launch(name, name)

    def launch(self, name: str, log: str) -> None:
        role, port = self.cluster.roles[name], str(self.cluster.ports[name])
        self.cluster.launch(log, "--role", role, "--port", port, stderr=self.stderr.get(name))

    async def back(self, *names: str) -> None:
        """Wait until these nodes are ready again."""
        for name in names:
            try:
                await until(lambda: self.is_ready(name), f"{name} is ready", BACK_S)  # noqa: B023
            except AssertionError as error:
                if isinstance(error, Violation):
                    raise
                status = await self.cluster.status(name)
                raise Violation(f"{error}; it says {status}") from error

    async def is_ready(self, name: str) -> bool:
        """Raises Violation if nobody would start it."""
        supervisor = self.cluster.exit_code(SUPERVISOR) if self.supervised else None
        if supervisor is not None:
            log = self.cluster.log(SUPERVISOR)[-1500:]
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

            await self.wait(whole, f"every {role} replica is in the set")

    async def wait(self, condition: Callable[[], Any | Awaitable[Any]], what: str) -> Any:
        """The first true value. Raises Violation where there is none for too long."""
        try:
            return await until(condition, what, BACK_S)
        except AssertionError as error:
            raise error if isinstance(error, Violation) else Violation(str(error)) from error

    def members(self, role: str) -> set[str]:
        """Who is recorded as in sync; nobody where nothing is."""
        try:
            plain = json.loads((self.cluster.data_dir / f"{role}.members").read_bytes())
        except FileNotFoundError:
            return set()
        return {member["node"] for member in plain["members"]}

    def primary(self, role: str) -> str | None:
        """Whose process holds the lock."""
        try:
            inode = str((self.cluster.data_dir / f"{role}.lock").stat().st_ino)
        except FileNotFoundError:
            return None
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
    def occupied(self, *names: str) -> Iterator[None]:
        self.busy.update(names)
        try:
            yield
        finally:
            self.busy.difference_update(names)
            self.held.difference_update(names)

    async def lasts(self, low: float, high: float) -> None:
        """A fault's own duration."""
        await asyncio.sleep(self.rng.uniform(low, high))

    # --- ends ------------------------------------------------------------------------------------

    def signal(self, pid: int, number: int) -> bool:
        """Whether there was still such a process of ours."""
        if pid not in self.cluster.all_processes():
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False

    async def end(self, names: Iterable[str], number: int) -> None:
        """Signal these nodes' processes, all at once, and wait for their ends."""
        running = self.cluster.running()
        pids = [running[name] for name in names if name in running]
        for pid in [pid for pid in pids if self.signal(pid, number)]:
            await self.cluster.ended(pid)

    @contextlib.asynccontextmanager
    async def down(self, names: Collection[str], number: int) -> AsyncIterator[None]:
        """End these nodes, or with all of them the whole cluster, and let nobody start them before
        the block ends; then wait until they are ready again."""
        if set(names) == set(self.cluster.roles):
            await self.end_all(number)
            yield
            await self.start()
            return
        self.held.update(names)
        supervisor = self.cluster.pid(SUPERVISOR) if self.supervised else None
        if supervisor is not None:
            self.signal(supervisor, signal.SIGSTOP)
        try:
            await self.end(names, number)
            yield
        finally:
            if supervisor is not None:
                self.signal(supervisor, signal.SIGCONT)
            self.held.difference_update(names)
        await self.back(*names)

    async def end_all(self, number: int) -> None:
        """End every process, by kill -9 or as one leaves that is told to. Raises Violation if it
        does not do that in order."""
        self.held.update(self.cluster.roles)
        pids = list(self.cluster.all_processes())
        nodes = set(self.cluster.running().values())
        others = [pid for pid in pids if pid not in nodes]
        if number == signal.SIGKILL:
            # A supervisor that goes first would have its nodes leave in order, and one that goes
            # last would start them again.
            steps = [(signal.SIGSTOP, others), (number, nodes), (number, others)]
        else:
            steps = [(number, others or nodes)]
        for step, those in steps:
            for pid in those:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, step)
        for pid in pids:
            await self.cluster.ended(pid)
        if number != signal.SIGKILL:
            for name in [SUPERVISOR] if self.supervised else self.cluster.roles:
                code = self.cluster.exit_code(name)
                if code not in IN_ORDER:
                    log = self.cluster.log(name)[-800:]
                    raise Violation(
                        f"{name} was sent signal {number}, and ended with {code}: {log}"
                    )

    async def command(self, *words: str) -> tuple[int, str]:
        """`python -m bazar WORDS`: its exit code, and what it says."""
        done = await command(self.cluster, *words)
        return done.returncode, done.stdout + done.stderr

    # --- files -----------------------------------------------------------------------------------

    def files(self, name: str) -> list[Path]:
        """A replica's database and what belongs to it, where they really are."""
        database = self.database(name)
        found = database.parent.glob(f"{database.name}*")
        return sorted(path for path in found if ".damaged-" not in path.name)

    def database(self, name: str) -> Path:
        return (self.cluster.data_dir / f"{name}.db").resolve()

    def collect(self, name: str) -> None:
        """Throw away what a node has set aside, and count that it did."""
        found = sorted(self.database(name).parent.glob(f"{name}.db.damaged-*"))
        self.noticed += bool(found)
        for path in found:
            path.unlink()

    def set_aside(self) -> list[str]:
        """What was set aside though nothing was done to it."""
        places = [self.cluster.data_dir, *self.disks.values()]
        return sorted(path.name for place in places for path in place.glob("*.damaged-*"))
