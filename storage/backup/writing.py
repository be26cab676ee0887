"""A backup while it is written: the `Target` of a copy (`storage/moving.py`)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import orjson

from bazar import modes
from bazar.durable import sync_path
from bazar.errors import BadRequest, Conflict, FatalError
from storage.backup import COLUMNS, VERSION
from storage.backup.parts import BYTES, PartWriter, read_parts
from storage.images import Image
from storage.moving import Note, Standing

Table = tuple[str, str]  # of a role
# What disks say that know no second name of a file, exFAT among them.
WITHOUT_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}


class NewBackup:
    """A file that has its name only once all of it is on the disk."""

    def __init__(self, path: Path, made_at: str) -> None:
        """`made_at` is when, as ISO 8601 has it."""
        self.name = str(path)
        self._path = path
        if not path.name or path.is_dir():
            raise BadRequest(f"{path}: is a directory, and a backup is a file")
        self._temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
        self._made_at = made_at
        self._file: BinaryIO | None = None
        self._counts = {role: dict.fromkeys(tables, 0) for role, tables in COLUMNS.items()}
        self._begins: dict[Table, int] = {}
        self._table: Table | None = None  # of the rows that are to be written
        self._lines: list[bytes] = []
        self._size = 0

    @property
    def notes(self) -> Mapping[str, Note | None]:
        return dict.fromkeys(COLUMNS)

    async def hold(self) -> None:
        """Begin the file. Raises Conflict where there is one of its name."""
        if self._path.exists() or self._path.is_symlink():
            raise Conflict(f"{self._path}: exists already, and a backup is written over nothing")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with self._disk():
            self._file = os.fdopen(os.open(self._temporary, flags, modes.FILE), "w+b")
        self._parts = PartWriter(self._file)

    async def close(self) -> None:
        """Delete what has not become a whole file."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # what could not be written still can't
                self._file.close()
            self._temporary.unlink(missing_ok=True)

    async def expect(self, roles: Collection[str], note: Note) -> None:
        head = {"bazar": "backup", "version": VERSION, "id": note.id}
        with self._disk():
            self._parts.write({**head, "made_at": self._made_at, "origin": note.other})

    async def put(self, role: str, table: str, rows: Sequence[Image]) -> None:
        if self._table != (role, table):
            self._flush()
            self._table = role, table
        columns = COLUMNS[role][table]
        for row in rows:
            line = orjson.dumps([row[name] for name in columns])
            self._lines.append(line)
            self._size += len(line)
            if self._size >= BYTES:
                self._flush()
        await asyncio.sleep(0)  # so that Ctrl-C is heard, and the file deleted

    async def settle(self, role: str, standing: Standing) -> None:
        self._flush()

    def _flush(self) -> None:
        """Write the rows that have gathered as a part."""
        if self._table is None or not self._lines:
            return
        role, table = self._table
        self._begins.setdefault(self._table, self._parts.at)
        self._counts[role][table] += len(self._lines)
        with self._disk():
            self._parts.write({"role": role, "table": table}, self._lines)
        self._lines, self._size = [], 0

    async def rows(self, role: str, table: str) -> AsyncIterator[Sequence[Image]]:
        assert self._file is not None
        if (role, table) not in self._begins:
            return
        with self._disk():
            for part in read_parts(self._file, self._begins[role, table]):
                if (part.head["role"], part.head["table"]) != (role, table):
                    return
                yield part.rows(list(COLUMNS[role][table]))
                await asyncio.sleep(0)  # as in `put`

    async def finish(self, standings: Mapping[str, Standing], note: Note) -> None:
        assert self._file is not None
        groups = {
            role: {**standing._asdict(), "rows": self._counts[role]}
            for role, standing in standings.items()
        }
        with self._disk():
            self._file.seek(0, os.SEEK_END)
            self._parts.write({"groups": groups})
            self._file.flush()
            os.fsync(self._file.fileno())
            self._name()
            try:
                sync_path(self._path.parent)
            except OSError:
                self._path.unlink(missing_ok=True)
                raise

    def _name(self) -> None:
        """Give the file its name. Where there is one of that name by now, that stays."""
        try:
            os.link(self._temporary, self._path)
        except OSError as error:
            if error.errno not in WITHOUT_LINKS:
                raise
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(self._path, flags, modes.FILE))  # to have the name for itself
            self._temporary.rename(self._path)

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        """Raise an OSError as FatalError, which says what becomes of the file."""
        try:
            yield
        except OSError as error:
            why = f"cannot be written: {error.strerror or error}"
            raise FatalError(f"{self._path}: {why}. Nothing is left of it") from error
