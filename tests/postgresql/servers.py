"""PostgreSQL servers of a test's own: found, made, made to fail, and gone afterwards.

    with Place(installation) as place:
        one = place.primary("one")
        two = place.standby("two", one, synchronous=True)
        two.freeze()

They listen on free ports of 127.0.0.1 alone and ask for a password, keep their files below one
temporary directory, and run as another user where we are root, whom PostgreSQL refuses. A *guard*
ends them and removes the files even if the test run is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg

from tests.cluster import ports
from tests.postgresql.directory import PASSWORD, Directory, programs, wait_for
from tests.postgresql.installations import WAIT_S, Installation

IPC_RMID = 0
LIBC = ctypes.CDLL(None)

# Our servers lose no power, so nothing is synced. They listen at no socket file, are small, and
# notice what happens to each other as soon as PostgreSQL can.
SETTINGS = {
    "listen_addresses": ports.HOST,
    "unix_socket_directories": "",
    "fsync": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "max_wal_senders": "8",
    "max_replication_slots": "8",
    "wal_keep_size": "256MB",
    "wal_retrieve_retry_interval": "100ms",
    "hot_standby_feedback": "on",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] ",
    "log_timezone": "UTC",
}


class Place(Directory):
    """A temporary directory with servers of one installation."""

    def __init__(self, installation: Installation) -> None:
        super().__init__()
        self._programs = programs(installation)
        self.bin = self._programs.bin
        self.password = PASSWORD
        self.servers: dict[str, Server] = {}

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End all servers, and remove their files."""
        try:
            for server in self.servers.values():
                server.close()
        finally:
            super().close()

    def primary(self, name: str, **settings: str) -> Server:
        """Start a new server."""
        server = Server(self, name, settings)
        self.run("cp", "-a", self._programs.template, server.data)
        server.start()
        return server

    def standby(
        self, name: str, primary: Server, synchronous: bool = False, **settings: str
    ) -> Server:
        """Start a streaming standby, and return once it streams; if it is to be synchronous then
        the primary waits for it from now on."""
        follow = f"{primary.conninfo} application_name={name}"
        server = Server(self, name, {"primary_conninfo": follow, **settings})
        self.run(
            *(self.bin / "pg_basebackup", "--checkpoint=fast", "--no-sync", "--wal-method=stream"),
            *("--pgdata", server.data, "--dbname", primary.conninfo),
        )
        server.follow()
        server.start()
        if synchronous:
            primary.configure(synchronous_standby_names=name)
        wanted = "sync" if synchronous else "async"
        wait_for(
            lambda: primary.ask(
                "SELECT 1 FROM pg_stat_replication WHERE application_name = %s"
                " AND state = 'streaming' AND sync_state = %s",
                *(name, wanted),
            ),
            f"{name} streams from {primary.name}",
        )
        return server


class Server:
    """One server: its files, its port, its processes."""

    def __init__(self, place: Place, name: str, settings: dict[str, str]) -> None:
        assert name not in place.servers, name
        self.name = name
        self.place = place
        self.data = place.directory / name
        self.log = place.directory / f"{name}.log"
        self.settings = settings
        [self._held] = ports.hold(1)
        self.port = ports.number(self._held)
        self._process: subprocess.Popen[bytes] | None = None
        place.servers[name] = self

    @property
    def address(self) -> str:
        return f"{ports.HOST}:{self.port}"

    @property
    def conninfo(self) -> str:
        return self.database("postgres")

    def database(self, name: str) -> str:
        """How to connect to one of its databases, as superuser."""
        return (
            f"host={ports.HOST} port={self.port} user=postgres dbname={name}"
            f" password={self.place.password}"
        )

    def ask(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        """Return the rows of one statement in a transaction of its own."""
        with psycopg.connect(self.conninfo, autocommit=True, connect_timeout=10) as connection:
            cursor = connection.execute(sql, params or None)
            return cursor.fetchall() if cursor.description else []

    def configure(self, **settings: str) -> None:
        """Change settings that need no restart, and return once they are in force."""
        self.settings.update(settings)
        self._write_settings()
        os.kill(self.pid, signal.SIGHUP)
        in_force = " AND ".join("current_setting(%s) = %s" for _ in settings)
        pairs = [text for pair in settings.items() for text in pair]
        wait_for(lambda: self.ask(f"SELECT {in_force}", *pairs) == [(True,)], f"{settings}")
        self.ask("CHECKPOINT")  # so its process, which lets commits wait, has read them too

    def _write_settings(self) -> None:
        settings = {**SETTINGS, "port": str(self.port), **self.settings}
        lines = (f"{name} = '{value}'\n" for name, value in settings.items())
        path = self.data / "postgresql.conf"
        path.write_text("".join(lines), "utf-8")
        self.place.give(path)

    def follow(self) -> None:
        """Be a standby from the next start on."""
        path = self.data / "standby.signal"
        path.touch()
        self.place.give(path)

    # --- processes -------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    def processes(self) -> list[int]:
        """Return its process ids, the postmaster's first: all others are its children."""
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        except FileNotFoundError:  # it has ended by itself
            return []
        return [self.pid, *map(int, children)]

    def start(self) -> None:
        """Start it, and return once it answers."""
        assert self._process is None, f"{self.name} runs already"
        self._write_settings()
        with self.log.open("ab") as log:
            self._process = self.place.spawn(self.place.bin / "postgres", "-D", self.data, log=log)
        wait_for(self._answers, f"{self.name} answers")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            self._process = None
            raise AssertionError(f"{self.name} does not start: {self.log.read_text()}")
        try:
            self.ask("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Stop it in order, and break off its sessions."""
        self._end(signal.SIGINT)

    def restart(self) -> None:
        """Stop it in order if it runs, and start it."""
        if self._process is not None:
            self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop all of its processes where they are: its connections stay open, and say nothing."""
        os.kill(self.pid, signal.SIGSTOP)  # the postmaster first: it makes no more
        wait_for(lambda: state(self.pid) == "T", f"{self.name} is stopped")
        self._signal(self.processes(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._signal(reversed(self.processes()), signal.SIGCONT)

    def kill(self) -> None:
        """Kill all of its processes, as when its machine dies: but the connections are closed."""
        self.freeze()
        self._signal(reversed(self.processes()), signal.SIGKILL)
        self._reap()

    def kill_postmaster(self) -> None:
        """Kill only the postmaster: the others notice, and end by themselves."""
        children = self.processes()[1:]
        self._signal([self.pid], signal.SIGKILL)
        self._reap()
        wait_for(
            lambda: not any(state(child) not in (None, "Z") for child in children),
            f"{self.name}'s processes have ended",
        )

    def promote(self) -> None:
        """Make a standby a primary, and return once it is one."""
        assert self.ask("SELECT pg_promote(true, %s)", int(WAIT_S)) == [(True,)]

    def close(self) -> None:
        """End it at once if it runs, and give its port back."""
        try:
            if self._process is not None:
                self.thaw()
                self._end(signal.SIGQUIT)
        finally:
            self._held.close()

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        try:
            self._process.send_signal(number)
            self._process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} does not stop") from None
        self._process = None

    def _reap(self) -> None:
        """Forget a killed postmaster, and remove the shared memory that it has left."""
        assert self._process is not None
        self._process.wait(WAIT_S)
        self._process = None
        lines = (self.data / "postmaster.pid").read_text().splitlines()
        if len(lines) > 6 and len(lines[6].split()) == 2:  # its key and id
            LIBC.shmctl(int(lines[6].split()[1]), IPC_RMID, None)

    @staticmethod
    def _signal(processes: Iterable[int], number: signal.Signals) -> None:
        for process in processes:
            try:
                os.kill(process, number)
            except ProcessLookupError:
                continue


def state(process: int) -> str | None:
    """Return a process's state as /proc has it: T for one that is stopped, Z for one that is dead;
    None if there is none."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None
