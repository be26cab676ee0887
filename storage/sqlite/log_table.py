"""The table of the log, and that of its mark: entries as rows."""

from __future__ import annotations

import sqlite3
from typing import Any

import orjson

from bazar.replication.messages import Entry

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta VALUES
    ('committed_seq', 0), ('committed_digest', ''), ('store_id', lower(hex(randomblob(8))));
CREATE TABLE log (
    seq INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, keys TEXT NOT NULL, effects TEXT NOT NULL,
    digest TEXT NOT NULL)
"""


def entry_of(row: sqlite3.Row) -> Entry:
    """The entry in a row of `log`. Raises ValueError where it is not one."""
    keys = tuple(orjson.loads(row["keys"]))
    return Entry(row["seq"], row["epoch"], keys, orjson.loads(row["effects"]), row["digest"])


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
