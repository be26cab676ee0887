"""The tables that hold the whole state, and the checksum over their rows, which each write keeps.

Rows are written as images (`storage/images.py`), at the primary and at a follower by the same code.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import aiosqlite
import orjson

from bazar.replication.messages import Entry
from storage.checksum import checksum
from storage.images import Image, last_images

CHUNK_ROWS = 1000
CHUNK_BYTES = 1 << 20
FETCH_ROWS = 50


class StateTables:
    """Writes rows into the open transaction, and keeps the checksum over all rows in step."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        """`keys` names each table's primary key, a single column."""
        self._keys = keys
        self.checksum = 0
        """That over the rows as the open transaction leaves them."""
        self._committed_checksum = 0

    def load(self, checksum: int) -> None:
        """Begin with the checksum of the committed rows."""
        self._committed_checksum = checksum

    def begin(self) -> None:
        """Begin a transaction: its checksum begins as that of the committed rows."""
        self.checksum = self._committed_checksum

    def commit(self) -> None:
        """Take the checksum of the transaction for that of the committed rows."""
        self._committed_checksum = self.checksum

    def sum_all(self, writer: sqlite3.Connection) -> None:
        """Make the checksum from all rows: the file has none, or one of an older schema."""
        for table in self._keys:
            self.checksum ^= checksum(table, writer.execute(f"SELECT * FROM {table}"))

    def clear(self, writer: sqlite3.Connection) -> None:
        """Delete all rows."""
        for table in self._keys:
            writer.execute(f"DELETE FROM {table}")
        self.checksum = 0

    def apply(self, writer: sqlite3.Connection, entries: Iterable[Entry]) -> None:
        """Write the last image of each row that `entries` touch."""
        for table, images in last_images(entries, self._keys).items():
            self.put(writer, table, images.put)
            self._delete(writer, table, images.delete)

    def put(self, writer: sqlite3.Connection, table: str, rows: Sequence[Image]) -> None:
        """Write `rows`, one for each key, in place of those with the same keys."""
        if not rows:
            return
        key = self._keys[table]
        keys = [row[key] for row in rows]
        before = {row[key]: row for row in self._rows(writer, table, keys)}
        # The image of a row may be older than a column: that is NULL.
        columns = list(dict.fromkeys(name for row in rows for name in row))
        news: list[list[Any]] = []
        changes: dict[tuple[str, ...], list[list[Any]]] = {}
        for row in rows:
            was = before.get(row[key])
            if was is None:
                news.append([row.get(name) for name in columns])
                continue
            # Each index of a column that is set is written, whether that changes or not.
            changed = tuple(name for name in columns if row.get(name) != was[name])
            if changed:
                changes.setdefault(changed, []).append(
                    [*(row.get(name) for name in changed), row[key]]
                )
        for changed, those in changes.items():
            sets = ", ".join(f"{name} = ?" for name in changed)
            writer.executemany(f"UPDATE {table} SET {sets} WHERE {key} = ?", those)
        places = ", ".join("?" * len(columns))
        writer.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", news)
        # Sum the rows as the file returns them, not as they came: a check reads the former.
        now = self._rows(writer, table, keys)
        self.checksum ^= checksum(table, before.values()) ^ checksum(table, now)

    def _delete(self, writer: sqlite3.Connection, table: str, keys: Sequence[Any]) -> None:
        if keys:
            self.checksum ^= checksum(table, self._rows(writer, table, keys))
            writer.executemany(
                f"DELETE FROM {table} WHERE {self._keys[table]} = ?", [(key,) for key in keys]
            )

    def _rows(self, writer: sqlite3.Connection, table: str, keys: Sequence[Any]) -> sqlite3.Cursor:
        """Return the rows that exist, of those with these keys."""
        of_keys = f"{self._keys[table]} IN (SELECT value FROM json_each(?))"
        return writer.execute(
            f"SELECT * FROM {table} WHERE {of_keys}", (orjson.dumps(keys).decode(),)
        )

    async def chunks(
        self, reader: aiosqlite.Connection
    ) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
        """Yield all rows by table, ordered by key, in chunks of CHUNK_ROWS or about CHUNK_BYTES of
        text. They are read in the caller's transaction."""
        for table, key in self._keys.items():
            cursor = await reader.execute(f"SELECT * FROM {table} ORDER BY {key}")
            chunk: list[dict[str, Any]] = []
            size = 0
            while rows := await cursor.fetchmany(FETCH_ROWS):
                for row in rows:
                    chunk.append(dict(row))
                    size += sum(len(value) for value in row if isinstance(value, str))
                    if len(chunk) >= CHUNK_ROWS or size >= CHUNK_BYTES:
                        yield table, chunk
                        chunk, size = [], 0
            if chunk:
                yield table, chunk
