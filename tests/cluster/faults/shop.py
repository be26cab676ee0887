"""A shop to which faults happen: which of its nodes run, what starts them again, what they left.

Only processes that the shop has started are signalled, by their ids.
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
    from tests.cluster.faults.backups import Saved
    from tests.cluster.faults.restores import Backup

BACK_S = 120.0  # until a node must be ready again
KEEPER_S = 0.05
SUPERVISOR = "cluster"  # as its log is named
IN_ORDER = {0, 3}  # after a hand-over, and after giving up
MAY_LEAVE = {*IN_ORDER, -signal.SIGKILL, -signal.SIGTERM}  # the latter two as it was told


@dataclass(slots=True)
class Shop:
    """A cluster, and what keeps its nodes running."""

    cluster: Cluster
    rng: random.Random
    supervised: bool
    disks: dict[str, Path]
    memory: Memory
    tell: Callable[[str], None]
    held: set[str]  # nodes that must stay down
    busy: set[str] = field(default_factory=set)  # nodes on which a fault is under way
    backups: list[Backup] = field(default_factory=list)  # copies of files
    saved: list[Saved] = field(default_factory=list)  # what `python -m bazar backup` has written
    # By group: backups of its present history.
    lines: dict[str, list[Backup]] = field(default_factory=dict)
    stderr: dict[str, int] = field(default_factory=dict)  # where logs are written, if elsewhere
    noticed: int = 0

    # --- nodes -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start all nodes with a supervisor, or let `keep` start them."""
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
        """Return whether a node is ready. Raises Violation if nothing would start it."""
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
        """Wait until every node is ready, and every replica is in sync."""
        await self.back(*self.cluster.roles)
        for role in ("catalog", "order"):

            def whole() -> bool:
                return self.members(role) == set(self.cluster.group(role))  # noqa: B023

            await self.wait(whole, f"every {role} replica is in the set")

    async def wait(self, condition: Callable[[], Any | Awaitable[Any]], what: str) -> Any:
        """Return the first true value. Raises Violation if there is none for too long."""
        try:
            return await until(condition, what, BACK_S)
        except AssertionError as error:
            raise error if isinstance(error, Violation) else Violation(str(error)) from error

    def members(self, role: str) -> set[str]:
        """Return the nodes that are recorded as in sync; none if there is no record."""
        try:
            plain = json.loads((self.cluster.data_dir / f"{role}.members").read_bytes())
        except FileNotFoundError:
            return set()
        return {member["node"] for member in plain["members"]}

    def primary(self, role: str) -> str | None:
        """Return the node whose process holds the lock."""
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
        """Choose a node without a fault under way; primaries as often as all others together."""
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
        """Wait for a fault's own duration."""
        await asyncio.sleep(self.rng.uniform(low, high))

    # --- ends ------------------------------------------------------------------------------------

    def signal(self, pid: int, number: int) -> bool:
        """Send a signal; return whether there still was such a process of ours."""
        if pid not in self.cluster.all_processes():
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False

    async def end(self, names: Iterable[str], number: int) -> None:
        """Signal the processes of these nodes, all at once, and wait for their ends."""
        running = self.cluster.running()
        pids = [running[name] for name in names if name in running]
        for pid in [pid for pid in pids if self.signal(pid, number)]:
            await self.cluster.ended(pid)

    @contextlib.asynccontextmanager
    async def down(self, names: Collection[str], number: int) -> AsyncIterator[None]:
        """End these nodes, or with all of them the whole cluster, and let nothing start them before
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
        """End every process, by kill -9 or by a signal to leave. Raises Violation if one that was
        told to leave does not end in order."""
        self.held.update(self.cluster.roles)
        pids = list(self.cluster.all_processes())
        nodes = set(self.cluster.running().values())
        others = [pid for pid in pids if pid not in nodes]
        if number == signal.SIGKILL:
            # A supervisor that ends first would have its nodes leave in order, and one that ends
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
        """Run `python -m bazar WORDS`; return its exit code, and what it prints."""
        done = await command(self.cluster, *words)
        return done.returncode, done.stdout + done.stderr

    # --- files -----------------------------------------------------------------------------------

    def files(self, name: str) -> list[Path]:
        """Return a replica's database and the files that belong to it, where they really are."""
        database = self.database(name)
        found = database.parent.glob(f"{database.name}*")
        return sorted(path for path in found if ".damaged-" not in path.name)

    def database(self, name: str) -> Path:
        return (self.cluster.data_dir / f"{name}.db").resolve()

    def collect(self, name: str) -> None:
        """Delete what a node has set aside, and count it."""
        found = sorted(self.database(name).parent.glob(f"{name}.db.damaged-*"))
        self.noticed += bool(found)
        for path in found:
            path.unlink()

    def set_aside(self) -> list[str]:
        """Return the files that were set aside without a fault."""
        places = [self.cluster.data_dir, *self.disks.values()]
        return sorted(path.name for place in places for path in place.glob("*.damaged-*"))
