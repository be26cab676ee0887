"""Child processes: started, pinned to a core where that is possible, and always stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bazar.errors import Unavailable
from bazar.node.parent import PARENT_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
STOP_S = 5.0
POLL_S = 0.02
LOG_SHOWN = 2000


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the measured server, and that of its load generator; None: any core."""

    server: int | None = None
    load: int | None = None

    @classmethod
    def of_this_machine(cls) -> Cores:
        """Return one core each, if the system lets us choose and has two."""
        if not hasattr(os, "sched_getaffinity"):
            return cls()
        allowed = sorted(os.sched_getaffinity(0))
        return cls(allowed[0], allowed[-1]) if len(allowed) > 1 else cls()

    def __str__(self) -> str:
        if self.server is None:
            return "not pinned to cores"
        return f"server on core {self.server}, load on core {self.load}"


@contextlib.contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Pin children that are started meanwhile, with all their threads, to this core."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM until this is done: a process that was just started must be
    known to the code that stops it. For the main thread."""
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            raise KeyboardInterrupt


class Children:
    """Processes by name, each with a log in `directory`. Leaving the `with` stops all of them, by
    their process ids."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        core: int | None = None,
        environment: Mapping[str, str] | None = None,
        directory: Path = ROOT,
    ) -> int:
        """Start a process in `directory`, and return its process id. If it is one of Bazar's nodes,
        it also ends when this process is killed."""
        path = self.directory / f"{name}.log"
        with path.open("ab") as log, uninterrupted(), pinned(core):
            self._running[name] = process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
                env={**os.environ, PARENT_VARIABLE: str(os.getpid()), **(environment or {})},
                start_new_session=True,  # Ctrl-C reaches only us, and we stop it
            )
        return process.pid

    def pid(self, name: str) -> int:
        """Return the process id. Raises Unavailable if the process has ended."""
        process = self._running[name]
        code = process.poll()
        if code is not None:
            log = (self.directory / f"{name}.log").read_text("utf-8", errors="replace")
            raise Unavailable(f"{name} ended with {code}:\n{log[-LOG_SHOWN:]}")
        return process.pid

    def stop(self, *names: str) -> None:
        """Send SIGTERM to these (default: all), and SIGKILL to those that do not end in time."""
        known = [name for name in names or self._running if name in self._running]
        ending = [self._running[name] for name in known]
        try:
            for process in ending:
                process.terminate()
            deadline = time.monotonic() + STOP_S
            while any(process.poll() is None for process in ending):
                if time.monotonic() > deadline:
                    break
                time.sleep(POLL_S)
        finally:  # also after a second Ctrl-C
            with uninterrupted():
                for process in ending:
                    if process.poll() is None:
                        process.kill()
                    process.wait()
                for name in known:
                    del self._running[name]


def rss_mib(pid: int) -> float:
    """Return how much memory of a process is in RAM, in MiB."""
    if sys.platform == "linux":
        for line in Path(f"/proc/{pid}/status").read_text("ascii", errors="replace").split("\n"):
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    shown = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True, timeout=10
    )
    return int(shown.stdout) / 1024
