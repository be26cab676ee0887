"""A backup that is read: the `Origin` of a copy (`storage/moving.py`)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from bazar.errors import NotFound
from storage.backup import ADDED, COLUMNS, VERSION, BadBackup
from storage.backup.parts import Part, read_parts
from storage.images import Image
from storage.moving import Standing

TABLES = [(role, table) for role, tables in COLUMNS.items() for table in tables]


class Backup:
    """A file that is known to be whole, and what was written, once it is held."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.id = ""
        self.made_at = ""
        self.origin = ""
        self.standings: dict[str, Standing] = {}
        self.counts = {role: dict.fromkeys(tables, 0) for role, tables in COLUMNS.items()}
        self._path = path
        self._version = VERSION
        self._begins: dict[tuple[str, str], int] = {}

    async def hold(self) -> None:
        """Check all parts, up to the last one. Raises NotFound, BadBackup."""
        with self._open() as file:
            parts = read_parts(file)
            self._begin(next(parts, None))
            for part in parts:
                if "groups" in part.head:
                    self._end(part)
                    for more in parts:
                        raise BadBackup(f"something follows its end, at byte {more.at}")
                    return
                self._note(part)
            raise BadBackup("cut off: its end is missing, with all that was to come before it")

    def _begin(self, part: Part | None) -> None:
        match part and part.head:
            case {"bazar": "backup", "version": int(version)} if version > VERSION:
                raise BadBackup(
                    f"is of format {version}, and this program knows {VERSION}: use a newer one"
                )
            case {
                "version": int(version),
                "id": str(name),
                "made_at": str(made_at),
                "origin": str(origin),
            } if version >= 1:
                self._version = version
                self.id, self.made_at, self.origin = name, made_at, origin
            case _:
                raise BadBackup("is no backup of a shop")

    def _note(self, part: Part) -> None:
        """Note where the rows of a part are."""
        last = TABLES.index(next(reversed(self._begins), TABLES[0]))
        at = next((one for one in TABLES[last:] if one == _table_of(part)), None)
        if at is None:
            raise BadBackup(f"at byte {part.at}: has rows that do not belong there")
        self._begins.setdefault(at, part.at)
        self.counts[at[0]][at[1]] += part.head["rows"]

    def _end(self, part: Part) -> None:
        """Compare what the last part says with what was there."""
        said = part.head["groups"]
        try:
            self.standings = {
                role: Standing(said[role]["epoch"], said[role]["number"]) for role in COLUMNS
            }
            none = {role: dict.fromkeys(tables, 0) for role, tables in COLUMNS.items()}
            same = self.counts == {role: {**none[role], **said[role]["rows"]} for role in COLUMNS}
        except (LookupError, TypeError):
            same = False
        if not same:
            raise BadBackup(f"at byte {part.at}: its end does not fit to its rows")

    async def standing(self, role: str) -> Standing:
        return self.standings[role]

    async def rows(self, role: str, table: str) -> AsyncIterator[Sequence[Image]]:
        for rows in self.read(role, table):
            yield rows

    def read(self, role: str, table: str) -> Iterator[list[dict[str, Any]]]:
        """Yield all rows of a table, in chunks."""
        if (role, table) not in self._begins:
            return
        lacking = {
            name: value
            for version in range(self._version + 1, VERSION + 1)
            for name, value in ADDED.get(version, {}).get(table, {}).items()
        }
        columns = [name for name in COLUMNS[role][table] if name not in lacking]
        with self._open() as file:
            for part in read_parts(file, self._begins[role, table]):
                if _table_of(part) != (role, table):
                    return
                try:
                    rows = [{**row, **lacking} for row in part.rows(columns)]
                except (ValueError, TypeError) as error:
                    raise BadBackup(f"at byte {part.at}: {table}: {error}") from error
                yield rows

    async def close(self) -> None:
        """Do nothing: the file is open only while it is read."""

    @contextlib.contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        """Open the file; name it in what is raised."""
        try:
            with self._path.open("rb") as file:
                yield file
        except OSError as error:
            raise NotFound(f"{self._path}: cannot be read: {error.strerror or error}") from error
        except BadBackup as error:
            raise BadBackup(f"{self._path}: {error}") from error


def _table_of(part: Part) -> tuple[object, object]:
    return part.head.get("role"), part.head.get("table")
