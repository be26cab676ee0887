"""Noticing that a file does not hold what was written to it, which SQLite itself often does not.

A flipped letter inside a row passes every check of SQLite; a WAL with a damaged frame is only a
shorter WAL, and leaves an older state without an error. So a replica keeps two things beside its
rows: a checksum over all of them, and, outside of the database, how far its log has reached.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bazar import modes
from bazar.durable import sync_path
from bazar.errors import Fatal
from bazar.replication.messages import Mark

CHECKSUM = "rows"
"""Under which name the checksum is kept. Programs from before the table `history` sum over fewer
tables, and look at `checksum`: they are to refuse a newer file, and not to take it for damaged."""

DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
FAILING = {
    *(sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM),
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED),
}


class Damaged(Fatal):
    """A file does not hold what was written to it: it is of no more use to its node."""


@contextlib.contextmanager
def told_apart(path: Path) -> Iterator[None]:
    """An error of SQLite becomes Damaged, or Fatal where the machine fails and may recover. What is
    neither is raised as it is."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in DAMAGE or "decode" in str(error):  # text that is no UTF-8 has no code of its own
            raise Damaged(f"{path}: {error}") from error
        if code in FAILING:
            raise Fatal(f"{path}: {error}") from error
        raise


@contextlib.contextmanager
def _failing(path: Path) -> Iterator[None]:
    """What the machine refuses becomes Fatal, with its place."""
    try:
        yield
    except OSError as error:
        raise Fatal(f"{path}: {error.strerror or error}") from error


# --- the checksum over the state -----------------------------------------------------------------


def checksum(table: str, rows: Iterable[Iterable[Any]]) -> int:
    """The XOR of a hash of each row: the order does not matter, and a row that changes changes it
    by its hashes before and after (incremental hashing: Bellare & Micciancio, 1997)."""
    total = 0
    for row in rows:
        text = repr((table, *row))
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        total ^= int.from_bytes(digest, "big")
    return total


def seal(total: int, store_id: str, mark: Mark) -> str:
    """What is kept in the file: it holds for this store at this mark only."""
    return f"{total ^ checksum('meta', [(store_id, mark.seq, mark.digest)]):016x}"


# --- how far the log has reached -----------------------------------------------------------------


class Reached:
    """The number of the last entry that the log holds durably, in a file of its own.

    It never names an entry that the log does not hold durably, so a log that ends before it has
    lost its tail, acknowledged entries too. A higher number is noted after the log was synced, and
    is not synced itself: the note may lag behind. A lower one is noted before the log is cut back,
    and is synced at once: else a power cut could bring the higher one back.
    """

    def __init__(self, database: Path) -> None:
        self._path = beside(database, "-reached")
        self._seq = self.read(database)
        with _failing(self._path):
            is_new = not self._path.exists()
            self._fd: int | None = os.open(self._path, os.O_WRONLY | os.O_CREAT, modes.FILE)
            if is_new:
                sync_path(self._path.parent)

    def note(self, seq: int) -> None:
        """Raises Fatal while the disk fails."""
        if self._fd is None:
            return
        with _failing(self._path):
            os.pwrite(self._fd, _line(seq), 0)
            if seq < self._seq:
                os.fdatasync(self._fd)
        self._seq = seq

    def sync(self) -> None:
        """Note the same number again, synced. Raises Fatal while the disk fails."""
        if self._fd is not None:
            with _failing(self._path):
                os.pwrite(self._fd, _line(self._seq), 0)
                os.fdatasync(self._fd)

    def close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    @staticmethod
    def is_kept(database: Path) -> bool:
        """Whether a node has had this database open, where it is."""
        return beside(database, "-reached").exists()

    @staticmethod
    def read(database: Path) -> int:
        """What was noted for this database; 0 if nothing readable was."""
        try:
            content = beside(database, "-reached").read_bytes()
            seq = int(content[:20])
        except (FileNotFoundError, ValueError):
            return 0
        return seq if content == _line(seq) else 0


def _line(seq: int) -> bytes:
    digits = f"{seq:020}".encode()
    return digits + b" " + hashlib.blake2b(digits, digest_size=4).hexdigest().encode() + b"\n"


def beside(database: Path, suffix: str) -> Path:
    """A file that belongs to it: where it really is, as SQLite has it for its WAL."""
    real = database.resolve()
    return real.with_name(real.name + suffix)


# --- putting a file away -------------------------------------------------------------------------


def set_aside(database: Path) -> Path:
    """Move the database away, durably, with all that belongs to it; the name that it has now.
    Raises Fatal while the disk fails."""
    real = database.resolve()
    aside = next(
        path
        for number in itertools.count(1)
        if not (path := real.with_name(f"{real.name}.damaged-{number}")).exists()
    )
    # What tells that it is damaged goes last, once the rest is away for good: should this be cut
    # short, it is still found so.
    with _failing(real):
        for suffixes in (("-wal", "-shm", ""), ("-reached",)):
            for suffix in suffixes:
                with contextlib.suppress(FileNotFoundError):
                    file = real.with_name(real.name + suffix)
                    sync_path(file)
                    file.rename(aside.with_name(aside.name + suffix))
            sync_path(real.parent)
    return aside
