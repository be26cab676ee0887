"""A machine: namespaces in which services run, are started again, and end or stand still all at
once."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.cluster import until
from tests.cluster.machines.network import Cut, Network, address
from tests.postgresql.servers import state

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
KEEPER_S = 0.1
# The first process of a machine: it reaps what loses its parent. The namespaces end with it, and it
# ends with us.
INIT = ("sh", "-c", "sleep infinity & wait")
UNSHARE = ("unshare", "--net", "--pid", "--ipc", "--mount-proc", "--fork", "--kill-child")


@dataclass(frozen=True, slots=True)
class Service:
    """What a machine starts when it boots, and again whenever it ends. `codes` are those that it
    may end with by itself; None: any."""

    name: str
    command: Sequence[str]
    user: str = "root"
    environment: Mapping[str, str] = field(default_factory=dict)
    codes: frozenset[int] | None = None


class Machine:
    """One machine, which is off at first. Its files stay when it is killed."""

    def __init__(
        self,
        number: int,
        directory: Path,
        network: Network,
        services: Sequence[Service],
        tell: Callable[[str], None],
    ) -> None:
        self.number = number
        self.name = f"machine-{number}"
        self.address = address(number)
        self.directory = directory
        self.services = {service.name: service for service in services}
        self.paused = False
        self._network = network
        self._tell = tell
        self._holder: subprocess.Popen[bytes] | None = None
        self._init = 0
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def runs(self) -> bool:
        return self._holder is not None

    # --- its life --------------------------------------------------------------------------------

    async def boot(self) -> None:
        """Switch it on, and start all services."""
        assert not self.runs, f"{self.name} runs already"
        self._holder = holder = _spawn([*UNSHARE, *INIT], subprocess.DEVNULL)
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children")
        found = await until(lambda: children.read_text().split(), f"{self.name} has an init")
        self._init = int(found[0])
        ours = _space(os.getpid(), "net")
        await until(lambda: _space(self._init, "net") != ours, f"{self.name} has a network")
        self._network.plug(self.number, self._init)
        for service in self.services.values():
            self._start(service)

    async def kill(self, *, unplug: bool = False) -> None:
        """Kill all of its processes at once. If it is to be unplugged before, its connections are
        not closed, as where a machine loses its power."""
        assert self._holder is not None, f"{self.name} is off"
        if unplug:
            self._network.unplug(self.number)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._init, signal.SIGKILL)
        self._wake_proxies()
        holder, self._holder = self._holder, None
        await until(lambda: holder.poll() is not None, f"{self.name} is off")
        self._network.remove(self.number)
        for proxy in self._running.values():
            await until(lambda: proxy.poll() is not None, f"{proxy.args!r} ends")  # noqa: B023
        self._running.clear()
        self.paused = False

    async def pause(self) -> None:
        """Stop all of its processes where they are."""
        self.paused = True

        def all_stopped() -> bool:
            moving = [pid for pid in self.processes() if state(pid) not in ("T", "Z", None)]
            _signal(moving, signal.SIGSTOP)
            return not moving

        await until(all_stopped, f"{self.name} stands still")

    def resume(self) -> None:
        """Let all of its processes go on."""
        self.paused = False
        _signal(self.processes(), signal.SIGCONT)
        self._wake_proxies()

    def _wake_proxies(self) -> None:
        """Let `nsenter` go on: it stops where its child does."""
        running = [proxy.pid for proxy in self._running.values() if proxy.poll() is None]
        _signal(running, signal.SIGCONT)

    async def close(self) -> None:
        """Switch it off, in whatever state it is."""
        if self.runs:
            await self.kill()

    # --- its network -----------------------------------------------------------------------------

    def cut(self, cut: Cut) -> None:
        self._network.cut(self._init, cut)

    def heal(self) -> None:
        self._network.heal(self._init)

    # --- its processes ---------------------------------------------------------------------------

    def processes(self, program: str = "") -> list[int]:
        """Return the ids of its processes, or of those whose program has this name."""
        space, found = _space(self._init, "pid"), []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                ours = _space(int(path.name), "pid") == space
                if ours and (path / "comm").read_text().strip().startswith(program):
                    found.append(int(path.name))
        return found

    def signal(self, program: str, number: int) -> None:
        """Signal all of its processes of this program."""
        _signal(self.processes(program), number)
        if number == signal.SIGCONT:
            self._wake_proxies()

    def _start(self, service: Service) -> None:
        as_user = ["setpriv", "--reuid", service.user, "--regid", service.user, "--init-groups"]
        log = self.directory / f"{service.name}.log"
        with log.open("ab") as output:
            self._running[service.name] = _spawn(
                [
                    *("nsenter", "--target", str(self._init)),
                    *("--net", "--pid", "--ipc", "--mount", f"--wd={self.directory}"),
                    *(as_user if service.user != "root" else ()),
                    *service.command,
                ],
                output.fileno(),
                service.environment,
            )

    async def keep(self) -> None:
        """Start again what ends, as a supervisor would. Raises AssertionError for what ends with a
        code that is not its own."""
        while True:
            for name, process in list(self._running.items()):
                code = process.poll()
                if code is None or not self.runs or self.paused:
                    continue
                service = self.services[name]
                if service.codes is not None and code not in service.codes:
                    raise AssertionError(f"{name} ended with {code}: {self.log(name)[-1500:]}")
                self._tell(f"{name} ended with {code}, and is started again")
                self._start(service)
            await asyncio.sleep(KEEPER_S)

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text("utf-8", errors="replace")


def _spawn(
    command: Sequence[str], output: int, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process that ends when we do, however that is."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
        preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
    )


def _space(pid: int, kind: str) -> str:
    return str(Path(f"/proc/{pid}/ns/{kind}").readlink())


def _signal(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
