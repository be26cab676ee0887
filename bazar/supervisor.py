"""The whole cluster as child processes: started, restarted with backoff, stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from bazar import clock
from bazar.app import listen
from bazar.config import Config, NodeConfig

log = logging.getLogger(__name__)

BACKOFF_S = 0.2
BACKOFF_MAX_S = 5.0
STEADY_S = 10.0  # a child that lived so long starts again at once
STOP_S = 15.0
PARENT_VARIABLE = "BAZAR_SUPERVISOR"
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """In a child: be terminated when the supervisor is gone, however it went (Linux)."""
    parent = os.environ.get(PARENT_VARIABLE)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it went before we asked
        os.kill(os.getpid(), signal.SIGTERM)


@dataclass(slots=True)
class Child:
    """One node's process and how often it has failed in a row."""

    node: NodeConfig
    process: asyncio.subprocess.Process | None = None
    failures: int = 0


class Supervisor:
    """`command` plus `--role R --port N` starts a node; exit code `never_again` means that a
    restart can't help. Roles stop one after the other, in `stop_order`."""

    def __init__(
        self, config: Config, command: Sequence[str], never_again: int, stop_order: Sequence[str]
    ) -> None:
        self._config = config
        self._command = list(command)
        self._never_again = never_again
        self._stop_order = stop_order
        self._children = [Child(node) for node in config.nodes.values()]
        self._stopping = asyncio.Event()
        self._exit_code = 0

    async def run(self, shutdown: asyncio.Event) -> int:
        """Keep every node running until `shutdown`; the exit code. Raises ConfigError if a port
        is taken."""
        for child in self._children:
            for bound in listen(child.node):
                bound.close()
        print(self._table(), flush=True)
        keepers = [asyncio.create_task(self._keep(child)) for child in self._children]
        waits = [asyncio.create_task(event.wait()) for event in (shutdown, self._stopping)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        self._stopping.set()
        await self._stop_all()
        for task in (*keepers, *waits):
            task.cancel()
        await asyncio.gather(*keepers, *waits, return_exceptions=True)
        return self._exit_code

    def _table(self) -> str:
        rows = [(node.name, node.role, node.url) for node in self._config.nodes.values()]
        widths = [max(len(row[column]) for row in rows) for column in range(2)]
        lines = [f"  {name:<{widths[0]}}  {role:<{widths[1]}}  {url}" for name, role, url in rows]
        doors = self._config.group("frontend")
        shop = f"\nThe shop is open: {doors[0].url}/info/1" if doors else ""
        return "Bazar\n" + "\n".join(lines) + shop + "\n(Ctrl-C closes it.)"

    async def _keep(self, child: Child) -> None:
        """Start the node again whenever it ends."""
        node = child.node
        environment = {**os.environ, PARENT_VARIABLE: str(os.getpid())}
        while not self._stopping.is_set():
            started_at = clock.now()
            child.process = await asyncio.create_subprocess_exec(
                *self._command,
                *("--role", node.role, "--port", str(node.port)),
                env=environment,
                start_new_session=True,  # Ctrl-C reaches the supervisor, which stops it in order
            )
            code = await child.process.wait()
            if self._stopping.is_set():
                return
            if code == self._never_again:
                log.error("%s cannot start; the cluster stops", node.name)
                self._exit_code = code
                self._stopping.set()
                return
            child.failures = 0 if clock.now() - started_at > STEADY_S else child.failures + 1
            pause_s = min(BACKOFF_S * 2 ** max(child.failures - 1, 0), BACKOFF_MAX_S)
            log.warning("%s ended with %d; starts again in %.1f s", node.name, code, pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    async def _stop_all(self) -> None:
        for role in self._stop_order:
            group = [child for child in self._children if child.node.role == role]
            await asyncio.gather(*(self._stop(child) for child in group))

    async def _stop(self, child: Child) -> None:
        process = child.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            log.error("%s does not stop; it is killed", child.node.name)
            process.kill()
            await process.wait()
