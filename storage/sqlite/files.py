"""The files that one database is made of: what they are called, and whether they are still there.

A file that is deleted stays with those who have it open, and takes every write and fsync without an
error; it is gone when the last of them ends. So what is acknowledged from it is nowhere (R8).
"""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path

from bazar.durable import sync_path
from bazar.errors import Fatal
from storage.sqlite.errors import translated_os_errors


def beside(database: Path, suffix: str) -> Path:
    """A file that belongs to it: where it really is, as SQLite has it for its WAL."""
    real = database.resolve()
    return real.with_name(real.name + suffix)


def is_new(path: Path) -> bool:
    """Whether SQLite will find nothing there."""
    return not path.exists() or path.stat().st_size == 0


class OpenFiles:
    """The database and its WAL (with what its readers share) as they are named now."""

    def __init__(self, database: Path) -> None:
        others = (beside(database, suffix) for suffix in ("-wal", "-shm"))
        self._files = {path: _identity(path) for path in (database, *others)}

    def check(self) -> None:
        """Raises Fatal unless each is the same file."""
        for path, known in self._files.items():
            if _identity(path) != known:
                raise Fatal(f"{path}: has been replaced while it was open")


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise Fatal(
            f"{path}: is not there any more, though it is open: {error.strerror or error}"
        ) from error
    return status.st_dev, status.st_ino


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
    with translated_os_errors(real):
        for suffixes in (("-wal", "-shm", ""), ("-reached",)):
            for suffix in suffixes:
                with contextlib.suppress(FileNotFoundError):
                    file = real.with_name(real.name + suffix)
                    sync_path(file)
                    file.rename(aside.with_name(aside.name + suffix))
            sync_path(real.parent)
    return aside
