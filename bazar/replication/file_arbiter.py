"""The arbiter of a group whose replicas share one machine: a kernel lock, and a file.

The kernel drops a `flock` the moment its holder dies, however it dies, and never before, so
it is a perfect failure detector and two replicas are enough.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import logging
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

from bazar import durable, modes
from bazar.errors import Busy, ConfigError, FatalError, NeedsRepair, Unavailable
from bazar.replication.messages import ArbiterId, Member, Membership

log = logging.getLogger(__name__)

LOCKS = Path("/proc/locks")  # Linux
MOUNTS = Path("/proc/self/mounts")  # Linux
BOOT = Path("/proc/sys/kernel/random/boot_id")  # Linux
DIGEST_BYTES = 16
BUSY_S = 0.005  # another group's record, or an old primary's, takes about as long

# flock on these is emulated, or not seen by other hosts: two nodes could both hold it.
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "afs"}


class FileArbiter:
    """`flock` on `<group>.lock`, beside `<group>.members` (replaced atomically, fsynced)."""

    def __init__(self, data_dir: Path, group: str) -> None:
        self._directory = data_dir
        self._lock_path = data_dir / f"{group}.lock"
        self._members_path = data_dir / f"{group}.members"
        self._lock_fd: int | None = None
        self._locked = False
        self._known: bytes | None = None  # the membership's file as last read or written here
        self._epoch = 0  # that was recorded here last

    @property
    def id(self) -> ArbiterId:
        try:
            where = self._directory.stat()
        except OSError as error:
            raise FatalError(f"{self._directory}: {error.strerror or error}") from error
        machine, host = this_machine()
        text = f"{machine} {where.st_dev} {where.st_ino}"
        digest = hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest()
        return ArbiterId(digest, f"{self._directory.resolve()} on {host}")

    def read(self) -> Membership | None:
        content = self._known = self._read()
        return None if content is None else self._parsed(content)

    def look(self) -> Membership | None:
        content = self._read()
        return None if content is None else self._parsed(content)

    def _parsed(self, content: bytes) -> Membership:
        try:
            return parse_membership(content)
        except (ValueError, KeyError, TypeError) as error:
            raise NeedsRepair(
                f"{self._members_path}: cannot be read: {error}. To make it anew, stop the shop,"
                f" move it away, and: python -m bazar rebuild {self._members_path.stem}"
            ) from error

    def _read(self) -> bytes | None:
        try:
            return self._members_path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FatalError(f"{self._members_path}: cannot be read: {error}") from error

    def try_acquire(self) -> bool:
        if self._lock_fd is None:  # else it was opened for an earlier try
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._lock_fd = os.open(self._lock_path, flags, modes.FILE)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        # The file may have been deleted and made anew since it was opened: then another process
        # can hold a lock on the new one.
        if not self._is_ours(self._lock_fd):
            self.release()
            return False
        self._locked = True
        return True

    def lock_owner(self) -> int | None:
        return locked_by(self._lock_path)

    def release(self) -> None:
        self._locked = False
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    async def record(self, membership: Membership) -> None:
        while True:
            if await asyncio.to_thread(self._exchange, membership):
                return
            await asyncio.sleep(BUSY_S)

    def _exchange(self, membership: Membership) -> bool:
        """Replace the file, if it is still the one that is known here, or was deleted or put back
        since. Return False while another process is about to. Raises FatalError."""
        with self._alone() as alone:
            if not alone:
                return False
            found = self._read()
            put_back = self._epoch == membership.epoch and self._is_older(found)
            if found is not None and not put_back:
                recorded = self._parsed(found)
                if recorded.epoch > membership.epoch:
                    raise FatalError(
                        f"epoch {recorded.epoch} has begun: this primary's {membership.epoch} is"
                        " over"
                    )
                if self._known != found:
                    raise FatalError(f"{self._members_path}: has been replaced by somebody else")
            self._write(membership)
            return True

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Yield True while this process alone may replace the file, and is primary; False if
        another is at it. Between a look and a write this process may be stopped, its lock's file
        deleted and another epoch recorded: so both happen under a lock that can't be deleted below
        its holder, the directory's. Raises FatalError."""
        try:
            directory = os.open(self._members_path.parent, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise FatalError(f"{self._members_path.parent}: {error.strerror or error}") from error
        try:
            try:
                fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            self._check_lock()
            yield True
        finally:
            os.close(directory)

    def _write(self, membership: Membership) -> None:
        text = json.dumps(
            {
                "epoch": membership.epoch,
                "members": [{"node": m.node, "store": m.store} for m in sorted(membership.members)],
                "lease_s": membership.lease_s,
                "clean": membership.clean,
            },
            indent=1,
        )
        content = text.encode()
        durable.atomic_write(self._members_path, content)
        self._known, self._epoch = content, membership.epoch

    def check(self, epoch: int) -> None:
        self._check_lock()
        if self._epoch == epoch:
            found = self._read()
            if found == self._known:
                return  # as almost always: it needs no parsing
            if self._is_older(found):
                self._restore()
                return
        recorded = self.read()
        if recorded is None or recorded.epoch != epoch:
            raise FatalError(f"{self._members_path}: no longer says epoch {epoch}: {recorded}")

    def _is_older(self, found: bytes | None) -> bool:
        """Whether this is not the record of a later primary: then the file was deleted, damaged, or
        put back."""
        if found is None:
            return True
        try:
            return parse_membership(found).epoch <= self._epoch
        except (ValueError, KeyError, TypeError):
            return True

    def _restore(self) -> None:
        """Make the file anew that was deleted or replaced, as it was recorded here last (T0)."""
        try:
            with self._alone() as alone:
                if not alone:
                    return  # it is being recorded right now
                found, known = self._read(), self._known
                if known is not None and found != known and self._is_older(found):
                    durable.atomic_write(self._members_path, known)
                    log.warning(
                        "%s: was %s; it is made anew",
                        self._members_path,
                        "deleted" if found is None else "replaced by another",
                    )
        except OSError as error:
            raise FatalError(
                f"{self._members_path}: is not what was recorded, and cannot be made anew: {error}"
            ) from error

    def _check_lock(self) -> None:
        if not self._locked or self._lock_fd is None or not self._is_ours(self._lock_fd):
            raise FatalError(f"{self._lock_path}: is not the file this primary has locked")

    def _is_ours(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self._lock_path.stat())
        except FileNotFoundError:
            return False


def this_machine() -> tuple[str, str]:
    """Return what tells this machine, as it runs, from its clones; and its name."""
    host = socket.gethostname()
    try:
        return BOOT.read_text("ascii").strip(), host
    except OSError:
        return host, host


def parse_membership(content: bytes) -> Membership:
    """Read what `FileArbiter.record` has written. Raises ValueError, KeyError or TypeError."""
    plain = json.loads(content)
    members = frozenset(Member(m["node"], m["store"]) for m in plain["members"])
    return Membership(plain["epoch"], members, plain["lease_s"], plain["clean"])


def lock_exclusively(path: Path) -> int:
    """Lock `path` for the life of this process; return the descriptor to keep. Raises Busy if
    another process holds it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, modes.FILE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        noted = os.read(fd, 20).decode(errors="replace").strip() or "another"
        other = locked_by(path) or noted
        os.close(fd)
        raise Busy(f"{path}: {path.stem} runs already (process {other})") from None
    os.ftruncate(fd, 0)
    os.write(fd, f"{os.getpid()}\n".encode())
    return fd


def locked_by(path: Path) -> int | None:
    """Return the process that has locked this file, by the kernel's list of locks; None if none
    has, or there is no such list."""
    try:
        inode, held = path.stat().st_ino, LOCKS.read_bytes().decode("ascii", "replace")
    except OSError:
        return None
    found = re.search(rf"FLOCK +ADVISORY +WRITE (\d+) \S+:{inode} ", held)
    return int(found[1]) or None if found is not None else None  # 0: of another container


def lock_owner(path: Path) -> int:
    """Return the process that holds this lock, and has written its number into the file. The number
    may be another process's by now, so the kernel's list of locks must agree. Raises Unavailable if
    no process holds it."""
    try:
        pid = int(path.read_text("ascii"))
    except (OSError, ValueError):
        raise Unavailable(f"{path.stem} does not run") from None
    if LOCKS.exists() and locked_by(path) != pid:
        raise Unavailable(f"{path.stem} does not run")
    return pid


def refuse_network_file_system(data_dir: Path) -> None:
    """Refuse a `data_dir` on a file system where a lock proves nothing. Raises ConfigError."""
    if not MOUNTS.exists():
        return
    where = str(data_dir.resolve())
    best = ("", "")
    for line in MOUNTS.read_text().splitlines():
        _, point, kind, *_ = line.split(" ")
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, kind)
    if best[1] in NETWORK_FILE_SYSTEMS:
        raise ConfigError(f"{data_dir}: lies on {best[1]} ({best[0]}), where file locks don't hold")
