"""Errors of SQLite and of the system as ours: a damaged file apart from a machine that fails."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from bazar.errors import FatalError

DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
FAILING = {
    *(sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM),
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED),
}


class Damaged(FatalError):
    """A file does not hold what was written to it: its node can't use it any more."""


@contextlib.contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Raise an error of SQLite as Damaged, or as FatalError where the machine fails and may
    recover. Others are raised as they are."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in DAMAGE or "decode" in str(error):  # text that is no UTF-8 has no code of its own
            raise Damaged(f"{path}: {error}") from error
        if code in FAILING:
            raise FatalError(f"{path}: {error}") from error
        raise


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise as Damaged what reading a replica's file leads to when it does not hold what it
    should."""
    try:
        yield
    except (sqlite3.Error, LookupError, ValueError, TypeError) as error:
        raise Damaged(f"{path}: {error}") from error


@contextlib.contextmanager
def translated_os_errors(path: Path) -> Iterator[None]:
    """Raise an OSError as FatalError, with the path."""
    try:
        yield
    except OSError as error:
        raise FatalError(f"{path}: {error.strerror or error}") from error
