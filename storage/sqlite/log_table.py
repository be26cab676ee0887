"""The log as a table, with the committed mark in `meta`: entries as rows, pages, compaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

import orjson

from bazar.replication.effects import LogPage
from bazar.replication.messages import GENESIS, Entry, Mark
from storage.checksum import CHECKSUM
from storage.sqlite.database import Database

PAGE_ENTRIES = 500
PAGE_BYTES = 1 << 20
SLICE_ENTRIES = 10_000  # that are deleted at once

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta VALUES
    ('committed_seq', 0), ('committed_digest', ''), ('store_id', lower(hex(randomblob(8))));
CREATE TABLE log (
    seq INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, keys TEXT NOT NULL, effects TEXT NOT NULL,
    digest TEXT NOT NULL)
"""

_SUMS = "SUM(length(effects)) OVER (ORDER BY seq)"
_PAGE = (
    f"SELECT * FROM (SELECT *, {_SUMS} AS bytes FROM"
    " (SELECT * FROM log WHERE seq > ? ORDER BY seq LIMIT ?))"
    " WHERE bytes <= ? OR seq = ? ORDER BY seq"
)
_BASE = (
    "SELECT (SELECT COALESCE(MAX(seq), 0) FROM log) AS newest,"
    " (SELECT digest FROM log WHERE seq = ?"
    " UNION ALL SELECT d.value FROM meta d JOIN meta s ON d.name = 'committed_digest' AND"
    " s.name = 'committed_seq' AND s.value = ? LIMIT 1) AS digest"
)


def entry_of(row: sqlite3.Row) -> Entry:
    """Return the entry in a row of `log`. Raises ValueError where it is not one."""
    tags = tuple(orjson.loads(row["keys"]))
    return Entry(row["seq"], row["epoch"], tags, orjson.loads(row["effects"]), row["digest"])


def append(writer: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """Add `entries` to the log, in the open transaction."""
    writer.executemany(
        "INSERT INTO log (seq, epoch, keys, effects, digest) VALUES (?, ?, ?, ?, ?)",
        [(e.seq, e.epoch, _json(e.tags), _json(e.effects), e.digest) for e in entries],
    )


def cut(writer: sqlite3.Connection, after_seq: int) -> None:
    """Delete the entries after `after_seq`, in the open transaction."""
    writer.execute("DELETE FROM log WHERE seq > ?", (after_seq,))


def compact(writer: sqlite3.Connection, upto: int) -> None:
    """Delete entries up to `upto`, in the open transaction: at most a slice, as a log that was kept
    for a replica may have many."""
    writer.execute(
        "DELETE FROM log WHERE seq <= min(?, (SELECT min(seq) FROM log) + ?)",
        (upto, SLICE_ENTRIES),
    )


def set_committed(writer: sqlite3.Connection, mark: Mark, sealed: str) -> None:
    """Make `mark` the committed one, with the checksum of the rows at it, in the open
    transaction."""
    writer.executemany(
        "UPDATE meta SET value = ? WHERE name = ?",
        [(mark.seq, "committed_seq"), (mark.digest, "committed_digest")],
    )
    writer.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (CHECKSUM, sealed))


async def read_page(database: Database, after_seq: int, *, begun: bool) -> LogPage:
    """Return the entries after `after_seq`, up to PAGE_ENTRIES or PAGE_BYTES, but at least one if
    there is any. `begun` says whether anything was committed before."""
    limits = (after_seq, PAGE_ENTRIES, PAGE_BYTES, after_seq + 1)
    entries = tuple(entry_of(row) for row in await database.read(_PAGE, limits))
    [found] = await database.read(_BASE, (after_seq, after_seq))
    base = None if found["digest"] is None else Mark(after_seq, found["digest"])
    if after_seq == 0 and (entries or not begun):
        base = GENESIS  # else all of it has been compacted, or came as a snapshot
    if entries and entries[0].seq != after_seq + 1:
        return LogPage(None, (), end=False)  # compacted
    last_seq = entries[-1].seq if entries else after_seq
    return LogPage(base, entries, end=last_seq >= found["newest"])


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
