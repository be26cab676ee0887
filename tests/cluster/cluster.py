"""The real cluster as real processes, on free ports and with files of its own.

    async with Cluster(directory) as shop:
        await shop.start()                  # node by node; or start_supervised()
        answer = await shop.get("frontend-1", "/info/1")
        await shop.kill("catalog-1")        # -9

Leaving the `async with` kills every process that still runs, and fails if a log has a traceback.
"""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import json
import os
import re
import resource
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from storage.reconciliation import SOLD
from tests.certificates import caller
from tests.cluster import ports
from tests.cluster.client import TIMEOUT_S, Answer, HTTPClient

ROOT = Path(__file__).resolve().parents[2]
# What Python says of a signal that came in the very moment from which on it is to be ignored.
IGNORED = re.compile(r"Traceback .*\n(?: .*\n)*OSError: Signal \d+ ignored due to race condition\n")
ROLES = {"frontend": 1, "catalog": 2, "order": 2}
TABLES = {
    "catalog": ("topics", "books", *SOLD, "answers", "history"),
    "order": ("orders", "cursors", "adoptions", "history"),
}
SHORT_LEASES = {"lease_s": 0.5, "ack_timeout_s": 0.2}  # where a lease must end
LONG_LEASES = {"lease_s": 30.0, "ack_timeout_s": 10.0}  # where no lease must end
# The speed of the machine must not show: calls have plenty of time, and no node counts as hanging.
PATIENT = {
    "pool": {
        **{"read_attempt_s": 10.0, "read_deadline_s": 60.0},
        **{"write_attempt_s": 10.0, "write_deadline_s": 60.0},
    },
    "supervisor": {"hang_s": 600},
}
READY_S = 60.0
STOP_S = 60.0
POLL_S = 0.01
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)

Row = tuple[Any, ...]


async def until(
    condition: Callable[[], Any | Awaitable[Any]], what: str, deadline_s: float = READY_S
) -> Any:
    """Return the first true value of `condition`, which is called repeatedly. Raises AssertionError
    if there is none in time."""
    deadline = time.monotonic() + deadline_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        await asyncio.sleep(POLL_S)


class Cluster:
    """One cluster in `directory`: its cluster.json, data, logs and processes.

    `roles` says how many nodes each role has; they are named `frontend-1`, `catalog-2`, ….
    `settings` are put into cluster.json (`replication`, `caches`, `pool`), over short leases and
    PATIENT, and `options` into each node's part. `environment` is added to ours for its processes,
    and `files` is how many files each of them may have open. `program` is what runs them, from the
    next start on.
    """

    def __init__(
        self,
        directory: Path,
        roles: Mapping[str, int] = ROLES,
        settings: Mapping[str, Any] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        environment: Mapping[str, str] | None = None,
        files: int | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.data_dir = directory / "data"
        self.config_path = directory / "cluster.json"
        self.roles = {
            f"{role}-{number}": role for role in roles for number in range(1, roles[role] + 1)
        }
        self._held = ports.hold(len(self.roles))
        self.ports = dict(zip(self.roles, map(ports.number, self._held), strict=True))
        self.settings = {"replication": SHORT_LEASES, **PATIENT, **(settings or {})}
        self.options = options or {}
        self.environment = environment or {}
        self.files = files
        self.program = ROOT / "run.py"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}  # by the log's name
        tls = self.settings.get("tls")
        self.context = None if tls is None else caller(tls)
        self.write_config()

    def write_config(self) -> None:
        nodes = {
            name: {"role": role, "port": self.ports[name], **self.options.get(name, {})}
            for name, role in self.roles.items()
        }
        plain = {"data_dir": "data", **self.settings, "nodes": nodes}
        self.config_path.write_text(json.dumps(plain, indent=1), "utf-8")

    def place(self, name: str, role: str) -> None:
        """Write a node into cluster.json that is new, or gets another port."""
        [held] = ports.hold(1)
        self._held.append(held)
        self.roles[name], self.ports[name] = role, ports.number(held)
        self.write_config()

    def remove(self, name: str) -> None:
        """Take a node out of cluster.json."""
        del self.roles[name], self.ports[name]
        self.write_config()

    async def __aenter__(self) -> Cluster:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
        if error is not None:
            print(f"--- logs of {self.directory}")
            for path in sorted(self.directory.glob("*.log")):
                lines = path.read_text("utf-8", errors="replace").splitlines()
                print(f"--- {path.name}", *lines[-60:], sep="\n")
            return
        for path in self.directory.glob("*.log"):
            text = IGNORED.sub("", path.read_text("utf-8", errors="replace"))
            assert "Traceback" not in text, text[max(text.index("Traceback") - 500, 0) :][:4000]

    def group(self, role: str) -> list[str]:
        """Return the names of a role's nodes."""
        return [name for name, its in self.roles.items() if its == role]

    @property
    def lease_s(self) -> float:
        lease_s: float = self.settings["replication"].get("lease_s", 1.0)
        return lease_s

    @property
    def token(self) -> str:
        tokens = (self.data_dir / "token").read_text("ascii").split()
        if not tokens:
            raise FileNotFoundError("the token is being made")
        return tokens[0]

    # --- processes -------------------------------------------------------------------------------

    def launch(
        self, name: str, *arguments: str, stderr: int | None = None
    ) -> subprocess.Popen[bytes]:
        """Start `run.py --config … ARGUMENTS`, with its output appended to `<name>.log`, or its log
        written to `stderr`."""
        command = [sys.executable, str(self.program), "--config", str(self.config_path)]
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, *arguments],
                stdout=log,
                stderr=log if stderr is None else stderr,
                stdin=subprocess.DEVNULL,
                cwd=self.directory,
                env={**os.environ, **self.environment},
                start_new_session=True,
                preexec_fn=self._before_exec,
            )
        self._processes[name] = process
        return process

    def _before_exec(self) -> None:
        """Prepare a child before it becomes run.py: it ends with the test run in any case."""
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if self.files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.files, self.files))

    async def start(self, *names: str, wait: bool = True) -> None:
        """Start these nodes (default: all), one process each, and wait until they are ready."""
        for name in names or self.roles:
            assert self.pid(name) is None, f"{name} runs already"
            self.launch(name, "--role", self.roles[name], "--port", str(self.ports[name]))
        if wait:
            await self.ready(*names)

    async def start_supervised(self, *arguments: str, wait: bool = True) -> subprocess.Popen[bytes]:
        """Start all nodes below one supervisor, and wait until they are ready."""
        supervisor = self.launch("cluster", *arguments)
        if wait:
            await self.ready()
        return supervisor

    def running(self) -> dict[str, int]:
        """Return the process ids of all nodes that run, supervised or not."""
        by_port = {str(port): name for name, port in self.ports.items()}
        found: dict[str, int] = {}
        for pid, arguments in self.all_processes().items():
            if "--port" in arguments:
                name = by_port.get(arguments[arguments.index("--port") + 1])
                if name is not None:
                    found[name] = pid
        return found

    def all_processes(self) -> dict[int, list[str]]:
        """Return every process of this cluster that has not ended, with its command line."""
        for process in self._processes.values():
            process.poll()
        found: dict[int, list[str]] = {}
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                arguments = path.read_bytes().decode(errors="replace").split("\0")
                if str(self.config_path) in arguments and _state(int(path.parent.name)) != "Z":
                    found[int(path.parent.name)] = arguments
        return found

    def pid(self, name: str) -> int | None:
        """Return the process id of a node; None if it does not run."""
        process = self._processes.get(name)
        if process is not None:
            return process.pid if process.poll() is None else None
        return self.running().get(name)

    def exit_code(self, name: str) -> int | None:
        """Return the exit code of the process last started under this name; None if it has not
        ended."""
        process = self._processes.get(name)
        return None if process is None else process.poll()

    def signal(self, name: str, number: int) -> int:
        """Send a signal to a node; return its process id."""
        pid = self.pid(name)
        assert pid is not None, f"{name} does not run"
        os.kill(pid, number)
        return pid

    async def ended(self, pid: int, deadline_s: float = STOP_S) -> None:
        """Wait until a process has ended."""
        await until(lambda: not self._alive(pid), f"process {pid} ends", deadline_s)

    def _alive(self, pid: int) -> bool:
        for process in self._processes.values():
            if process.pid == pid:
                return process.poll() is None
        return _state(pid) not in ("", "Z")

    async def kill(self, *names: str) -> None:
        """Kill all of these at once (kill -9), and wait for their ends."""
        for pid in [self.signal(name, signal.SIGKILL) for name in names]:
            await self.ended(pid)

    async def terminate(self, name: str) -> int | None:
        """Send SIGTERM, and wait for the end; return the exit code of a process that we started."""
        await self.ended(self.signal(name, signal.SIGTERM))
        process = self._processes.get(name)
        return None if process is None else process.returncode

    async def terminate_all(self) -> dict[str, int | None]:
        """Send SIGTERM to each process that we started, all at once; return the exit codes."""
        running = {n: p for n, p in self._processes.items() if p.poll() is None}
        for process in running.values():
            process.terminate()
        for process in running.values():
            await self.ended(process.pid)
        return {name: process.returncode for name, process in running.items()}

    async def pause(self, name: str) -> None:
        """Send SIGSTOP; return when the node is stopped."""
        pid = self.signal(name, signal.SIGSTOP)
        await until(lambda: _state(pid) == "T", f"{name} stops")

    def resume(self, name: str) -> None:
        """Send SIGCONT."""
        self.signal(name, signal.SIGCONT)

    async def restart(self, name: str) -> None:
        """Send SIGTERM, start the node again, and wait until it is ready."""
        await self.terminate(name)
        await self.start(name)

    async def close(self) -> None:
        """End everything of this cluster, and free its ports."""
        await self.kill_all()
        for one in self._held:
            one.close()

    async def kill_all(self) -> None:
        """Kill every process of this cluster, supervisors first."""
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()

        def gone() -> bool:
            left = self.all_processes()
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left

        await until(gone, "no process is left")

    # --- asking ----------------------------------------------------------------------------------

    def client(self, name: str, *, with_token: bool = False) -> HTTPClient:
        """Return a connection to a node, for any number of requests."""
        token = self.token if with_token else None
        return HTTPClient(self.ports[name], token, self.context)

    async def get(self, name: str, path: str, *, with_token: bool = False) -> Answer:
        async with self.client(name, with_token=with_token) as client:
            return await client.get(path)

    async def put(
        self,
        name: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        with_token: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> Answer:
        async with self.client(name, with_token=with_token) as client:
            return await client.put(path, body, key=key, timeout_s=timeout_s)

    async def post(self, name: str, path: str, body: Any) -> Answer:
        """Post with the cluster token."""
        async with self.client(name, with_token=True) as client:
            return await client.post(path, body)

    async def update(self, book: int, through: str = "catalog-1", **fields: Any) -> dict[str, Any]:
        """Change a book; repeat it until it is done."""
        path, key = f"/catalog/update/{book}", secrets.token_hex(8)

        async def done() -> Answer | None:
            answer = await self.put(through, path, fields, key=key, with_token=True)
            assert answer.status in (200, 503, 504), answer
            return answer if answer.status == 200 else None

        answer: Answer = await until(done, f"book {book} is updated")
        changed: dict[str, Any] = answer.json
        return changed

    async def is_ready(self, name: str) -> bool:
        """Return whether a node is ready. Raises AssertionError if the process that we started for
        it has ended."""
        process = self._processes.get(name)
        code = None if process is None else process.poll()
        assert code is None, f"{name} ended with {code}: {self.log(name)[-1000:]}"
        try:
            async with self.client(name) as client:
                return (await client.get("/readyz", timeout_s=1.0)).status == 200
        except OSError:
            return False

    async def ready(self, *names: str, deadline_s: float = READY_S) -> None:
        """Wait until these nodes (default: all) say that they are ready."""
        for name in names or self.roles:
            await until(partial(self.is_ready, name), f"{name} is ready", deadline_s)

    async def status(self, name: str) -> dict[str, Any] | None:
        """Return a node's status; None if it does not answer."""
        try:
            async with self.client(name, with_token=True) as client:
                answer = await client.get("/status", timeout_s=2.0)
        except OSError:
            return None
        shown: dict[str, Any] = answer.json
        return shown

    async def primary(self, role: str) -> str:
        """Wait until one node of the group is primary; return its name."""

        async def found() -> str | None:
            statuses = [await self.status(name) for name in self.group(role)]
            leading = [status for status in statuses if status and "members" in status]
            newest = max(leading, key=lambda status: int(status["epoch"]), default=None)
            return None if newest is None else str(newest["node"])

        name: str = await until(found, f"{role} has a primary")
        return name

    async def follower(self, role: str) -> str:
        """Wait for a primary; return a node of the group that is not primary."""
        primary = await self.primary(role)
        return next(name for name in self.group(role) if name != primary)

    # --- files -----------------------------------------------------------------------------------

    def log(self, name: str) -> str:
        """Return everything that a process (`cluster`: the supervised ones) has written."""
        return (self.directory / f"{name}.log").read_text("utf-8", errors="replace")

    def query(self, name: str, sql: str, *values: Any) -> list[Row]:
        """Return rows of a node's own file, which is opened for reading only."""
        uri = f"{(self.data_dir / f'{name}.db').as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=5.0)) as connection:
            return list(connection.execute(sql, values))

    def rows(self, name: str, table: str) -> list[Row]:
        """Return a whole table of a node, in the order of its primary key."""
        return self.query(name, f"SELECT * FROM {table} ORDER BY 1")

    def state(self, name: str) -> dict[str, list[Row]]:
        """Return all that a node has committed: its tables and the log's mark (seq, digest)."""
        tables = {table: self.rows(name, table) for table in TABLES[self.roles[name]]}
        mark = "SELECT * FROM meta WHERE name LIKE 'committed%' ORDER BY 1"
        return {**tables, "meta": self.query(name, mark)}

    async def same_rows(self, role: str) -> dict[str, list[Row]]:
        """Wait until all files of the group hold the same rows (a follower commits a moment after
        the client's answer); return them."""
        names = self.group(role)

        def same() -> dict[str, list[Row]] | None:
            first, *others = (self.state(name) for name in names)
            return first if all(other == first for other in others) else None

        state: dict[str, list[Row]] = await until(same, f"the files of {names} are equal")
        return state


def _state(pid: int) -> str:
    """Return R, S, D, T, Z, …; "" if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return stat.rpartition(")")[2].split()[0]
