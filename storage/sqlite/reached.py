"""How far the log has reached, in a file of its own: a shorter WAL does not show what it lost."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from bazar import modes
from bazar.durable import sync_path
from storage.sqlite.errors import translated_os_errors
from storage.sqlite.files import beside


class Reached:
    """The number of the last entry that the log holds durably, in a file of its own.

    It never names an entry that the log does not hold durably, so a log that ends before it has
    lost its tail, with acknowledged entries. A higher number is noted after the log is synced, and
    is not synced itself: the note may lag behind. A lower one is noted before the log is cut back,
    and is synced at once: else a power cut could bring the higher one back.
    """

    def __init__(self, database: Path) -> None:
        self._path = beside(database, "-reached")
        self._seq = self.read(database)
        with translated_os_errors(self._path):
            is_new = not self._path.exists()
            self._fd: int | None = os.open(self._path, os.O_WRONLY | os.O_CREAT, modes.FILE)
            if is_new:
                sync_path(self._path.parent)

    def note(self, seq: int) -> None:
        """Note that the log ends at `seq`. Raises FatalError while the disk fails."""
        if self._fd is None:
            return
        with translated_os_errors(self._path):
            os.pwrite(self._fd, _line(seq), 0)
            if seq < self._seq:
                os.fdatasync(self._fd)
        self._seq = seq

    def sync(self) -> None:
        """Write the same number again, synced. Raises FatalError while the disk fails."""
        if self._fd is not None:
            with translated_os_errors(self._path):
                os.pwrite(self._fd, _line(self._seq), 0)
                os.fdatasync(self._fd)

    def close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    @staticmethod
    def is_kept(database: Path) -> bool:
        """Return whether a node has had this database open, where it is."""
        return beside(database, "-reached").exists()

    @staticmethod
    def read(database: Path) -> int:
        """Return what was noted for this database; 0 if nothing readable was."""
        try:
            content = beside(database, "-reached").read_bytes()
            seq = int(content[:20])
        except (FileNotFoundError, ValueError):
            return 0
        return seq if content == _line(seq) else 0


def _line(seq: int) -> bytes:
    digits = f"{seq:020}".encode()
    return digits + b" " + hashlib.blake2b(digits, digest_size=4).hexdigest().encode() + b"\n"
