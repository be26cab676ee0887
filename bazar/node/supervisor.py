"""The supervisor: it starts the whole cluster as child processes, watches, restarts and stops them.

The supervisor opens the listening sockets, and its children inherit them: while a node restarts,
connections to it wait instead of being refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tornado.netutil import bind_sockets

from bazar import clock
from bazar.config import Config, NodeConfig
from bazar.errors import ConfigError
from bazar.http.handshakes import NewContext
from bazar.node.closed_port import refusing
from bazar.node.listening import (
    LISTEN_VARIABLE,
    listen,
    listen_for_clients,
    listen_for_metrics,
    secured,
)
from bazar.node.log_writer import Outlet
from bazar.node.parent import LED_VARIABLE, PARENT_VARIABLE
from bazar.node.probe import Probe
from bazar.node.starvation import starved_s
from bazar.node.workers import environment, private
from bazar.replication.file_arbiter import lock_exclusively

log = logging.getLogger(__name__)

BACKOFF_S = 0.2
BACKOFF_MAX_S = 5.0
STEADY_S = 10.0  # after living so long, a child's earlier failures are forgotten
START_S = 15.0  # for the first answer; doubled after each start that failed
START_MAX_S = 240.0
# Of a probe: a process that waits for a processor gets at most ten times as long.
LEAST_MISSED = 0.1
STOP_S = 15.0
PATIENCE_S = 0.5  # if a node is away for longer, its clients are refused at once
LOOK_S = 0.5  # how often cluster.json is checked while a node waits for a repair
LOOK_AGAIN = signal.SIGURG  # a supervisor of an older version ignores this signal
PROBES_PER_HANG = 3


@dataclass(slots=True)
class Child:
    """One process of a node: its sockets, the address where it alone answers, and how often in a
    row it has failed."""

    node: NodeConfig
    door: NodeConfig
    sockets: Sequence[socket.socket]
    environment: Mapping[str, str]
    process: asyncio.subprocess.Process | None = None
    failures: int = 0
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it has answered, or ended."""
    probe: Probe = field(init=False)

    def __post_init__(self) -> None:
        self.probe = Probe(self.door)

    def doors(self) -> Iterator[tuple[socket.socket, NewContext | None]]:
        """Yield its sockets, each with what those are encrypted with who speak TLS there; where
        that can't be read, those before it."""
        with contextlib.suppress(ConfigError):
            yield from secured(self.node, self.sockets)


def _children(node: NodeConfig) -> list[Child]:
    """Return the node's processes, not yet started. Raises ConfigError if a port is taken."""
    if node.processes == 1:
        return [Child(node, node, listen(node), {})]
    shared = [listen_for_clients(node) for _ in range(node.processes)]
    shared[0] += listen_for_metrics(node)  # it tells of all
    own = [bind_sockets(0, "127.0.0.1") for _ in range(node.processes)]
    ports = [sockets[0].getsockname()[1] for sockets in own]
    return [
        Child(node, private(node, n, port), [*together, *alone], environment(n, ports))
        for n, (together, alone, port) in enumerate(zip(shared, own, ports, strict=True), start=1)
    ]


class Supervisor:
    """The parent of all nodes of this machine. `command` plus `--role R --port N --nodes NAME`
    starts one; exit code `never_again` means that a restart can't help. The roles that are `first`
    start before the others, and all stop in `stop_order`, one after the other. `reload` reads the
    configuration anew, of whose nodes `here` says which are ours; `opened` returns what to print
    once all serve."""

    def __init__(
        self,
        config: Config,
        command: Sequence[str],
        *,
        never_again: int,
        first: Collection[str],
        stop_order: Sequence[str],
        reload: Callable[[], Config],
        here: Callable[[Config], Sequence[NodeConfig]],
        opened: Callable[[], Awaitable[str]],
        say: Outlet,
    ) -> None:
        self._config = config
        self._command = list(command)
        self._never_again = never_again
        self._first = first
        self._stop_order = stop_order
        self._reload = reload
        self._here = here
        self._opened = opened
        self._say = say
        self._looks = 0  # how often LOOK_AGAIN came
        self._stuck: set[str] = set()  # the processes that no restart can help
        self._children: dict[str, list[Child]] = {}  # by node
        self._keepers: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._exit_code = 0
        self._open = False  # whether some node has answered
        self._led: set[str] = set()  # the roles whose groups have had a primary

    async def run(self, shutdown: asyncio.Event) -> int:
        """Keep every node running until `shutdown`; return the exit code. Raises ConfigError if a
        port is taken, or if another supervisor runs this cluster."""
        alone = lock_exclusively(self._config.data_dir / "supervisor.pid")
        for node in self._here(self._config):
            self._children[node.name] = _children(node)
        self._say.write(self._table())
        self._spawn(self._begin_all())
        self._spawn(self._announce())
        waits = [asyncio.create_task(event.wait()) for event in (shutdown, self._stopping)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        self._stopping.set()
        for role in self._stop_order:
            group = [child for child in self._processes() if child.node.role == role]
            await asyncio.gather(*(self._stop(child) for child in group))
        for task in (*self._keepers, *waits):
            task.cancel()
        await asyncio.gather(*self._keepers, *waits, return_exceptions=True)
        for child in self._processes():
            child.probe.close()
            for one in child.sockets:
                one.close()
        os.close(alone)
        self._say.write("The shop is closed.\n")
        self._say.flush()
        return self._exit_code

    def look_again(self) -> None:
        """Start the nodes that are new in `cluster.json`, and those that wait for a repair. The
        other nodes learn of the new ones when they restart."""
        self._looks += 1
        try:
            config = self._reload()
            for node in self._here(config):
                if node.name not in self._children:
                    self._children[node.name] = _children(node)
                    self._begin(node.name)
                    log.info("starts %s, which is new in cluster.json", node.name)
        except ConfigError as error:
            log.error("cluster.json is not read again: %s", error)

    def _processes(self) -> list[Child]:
        return [child for children in self._children.values() for child in children]

    async def _begin_all(self) -> None:
        """Start the nodes, those of the roles that come `first` before the others. At a time start
        one more than there are processors, as none computes all the time: if more did, the first
        would answer as late as the last."""
        room = asyncio.Semaphore((os.cpu_count() or 1) + 1)
        roles = {name: children[0].node.role for name, children in self._children.items()}
        for name in sorted(roles, key=lambda name: roles[name] not in self._first):
            await room.acquire()
            self._begin(name)
            self._spawn(self._leave_room(self._children[name], room))

    async def _leave_room(self, started: Sequence[Child], room: asyncio.Semaphore) -> None:
        """Let another node start once these have answered, or ended, or take too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                await asyncio.gather(*(child.tried.wait() for child in started))
        room.release()

    def _begin(self, name: str) -> None:
        for child in self._children[name]:
            self._spawn(self._keep(child))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._keepers.add(task)
        task.add_done_callback(self._keepers.discard)

    async def _announce(self) -> None:
        lines = await self._opened()
        self._led = {node.role for node in self._config.nodes.values()}
        self._say.write(f"{lines}\n")

    def _table(self) -> str:
        rows = [
            (
                node.name,
                node.role,
                node.url + ("" if node.name in self._children else "  (elsewhere)"),
            )
            for node in self._config.nodes.values()
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(2)]
        lines = [f"  {name:<{widths[0]}}  {role:<{widths[1]}}  {url}" for name, role, url in rows]
        return "Bazar\n" + "\n".join(lines) + "\n(Ctrl-C closes it.)\n"

    async def _keep(self, child: Child) -> None:
        """Start the process again whenever it ends."""
        name = child.door.name
        while not self._stopping.is_set():
            started_at, known = clock.now(), self._known()
            try:
                first, child.process = child.process is None, await self._start(child)
                if first:
                    self._spawn(self._watch(child))
                code = await child.process.wait()
            except OSError as error:
                log.error("%s cannot be started: %s", name, error)
                code = -1
            child.tried.set()
            if self._stopping.is_set():
                return
            if code == self._never_again:
                await self._put_right(child, known)
                continue
            if code == 0:
                log.info("%s restarts", name)
                continue
            child.failures = 0 if clock.now() - started_at > STEADY_S else child.failures + 1
            pause_s = min(BACKOFF_S * 2 ** min(max(child.failures - 1, 0), 20), BACKOFF_MAX_S)
            log.warning("%s ended with %d; starts again in %.1f s", name, code, pause_s)
            async with contextlib.AsyncExitStack() as stack:
                if pause_s > PATIENCE_S:
                    why = f"{name} has failed, and is started again within {pause_s:.1f} s"
                    await stack.enter_async_context(refusing(child.doors(), why))
                await self._stops_within(pause_s)

    async def _put_right(self, child: Child, known: object) -> None:
        """Wait until something changes compared with `known`, as seen before the process started.
        Stop a cluster that is starting and whose every process is in this state."""
        name = child.door.name
        if self._known() != known:
            return
        self._stuck.add(name)
        if not self._open and len(self._stuck) == len(self._processes()):
            log.error("no node can start; the cluster stops")
            self._exit_code = self._never_again
            self._stopping.set()
            return
        log.error(
            "%s starts again when what it says is put right: with a change of %s, or by"
            " `python -m bazar join`",
            *(name, self._config.path),
        )
        async with refusing(child.doors(), f"{name} waits for its operator: see the log"):
            while self._known() == known and not self._stopping.is_set():
                await self._stops_within(LOOK_S)
        self._stuck.discard(name)

    def _known(self) -> tuple[int, int, int]:
        """Return a value that changes with cluster.json, and with every LOOK_AGAIN."""
        try:
            status = (self._config.path or Path()).stat()
        except OSError:
            return self._looks, 0, 0
        return self._looks, status.st_ino, status.st_mtime_ns

    async def _stops_within(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _start(self, child: Child) -> asyncio.subprocess.Process:
        numbers = [one.fileno() for one in child.sockets]
        environment = {
            **os.environ,
            PARENT_VARIABLE: str(os.getpid()),
            LISTEN_VARIABLE: ",".join(map(str, numbers)),
            **child.environment,
            **({LED_VARIABLE: "1"} if child.node.role in self._led else {}),
        }
        return await asyncio.create_subprocess_exec(
            *self._command,
            *("--role", child.node.role, "--port", str(child.node.port)),
            *("--nodes", child.node.name),
            env=environment,
            pass_fds=numbers,
            start_new_session=True,  # Ctrl-C reaches the supervisor, which stops the child in order
        )

    async def _watch(self, child: Child) -> None:
        """Kill the node's process if it runs but answers nothing for `hang_s`.

        Probes are counted, not seconds, so that a sleep of the whole machine does not count. A
        probe counts less for a process that mostly waited for a processor: killed, it would need
        the processor to start, too. A machine so busy that no process starts in time would only get
        busier by restarts.
        """
        probe_s = self._config.supervisor.hang_s / PROBES_PER_HANG
        watched, missed, heard = child.process, 0.0, False
        start_s = START_S
        while not self._stopping.is_set():
            if child.process is not watched:
                watched, missed, heard = child.process, 0.0, False
            allowed = PROBES_PER_HANG if heard else int(start_s / probe_s)
            pid = 0 if watched is None else watched.pid
            starved, began = starved_s(pid), clock.now()
            if await self._answers(child, probe_s):
                missed = 0.0
                # If the process has ended, the supervisor has answered in its place.
                if watched is not None and watched.returncode is None:
                    heard, start_s = True, START_S
            elif watched is not None and watched.returncode is None:
                waited = max(starved_s(pid) - starved, 0.0) / (clock.now() - began)
                missed += max(1.0 - waited, LEAST_MISSED)
                if missed >= allowed and child.process is watched:
                    log.error("%s answers nothing; it is killed", child.door.name)
                    with contextlib.suppress(ProcessLookupError):
                        watched.kill()
                    missed = 0.0
                    if not heard:
                        start_s = min(2 * start_s, START_MAX_S)

    async def _answers(self, child: Child, probe_s: float) -> bool:
        """Return whether a probe is answered, after `probe_s` in any case."""
        began, process = clock.now(), child.process
        answered = await child.probe.answered(probe_s)
        if answered and process is not None and process.returncode is None:
            self._open = True  # else the supervisor refused it in its place
            child.tried.set()
        # At the same moments for all nodes: what sleeps is woken once, and not once for each.
        await asyncio.sleep(max(began - began % probe_s + probe_s - clock.now(), 0))
        return answered

    async def _stop(self, child: Child) -> None:
        process = child.process
        if process is None or process.returncode is not None:
            return
        child.probe.close()
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            log.error("%s does not stop; it is killed", child.door.name)
            process.kill()
            await process.wait()
