"""A whole shop in one file, of one moment: what `python -m bazar backup` writes.

The file is a row of gzip members, its *parts*, each of which is JSON, line by line: `zcat` shows
them. The first line of a part is its head; behind it come rows, as arrays of the values of
`COLUMNS`:

    {"bazar": "backup", "version": 3, "id", "made_at", "origin", "rows": 0, "before"}
    {"role": "catalog", "table": "books", "rows": 2, "before"}
    [1, "The Fog", null, 1, 1299, 3, null, null]
    [2, …]
    …
    {"groups": {"catalog": {"epoch", "number", "rows": {"books": 2, …}}, …}, "rows": 0, "before"}

`before` is the SHA-256 of all bytes of the file before the part, so that each part vouches for
those before it; gzip has a checksum of each, the last one included. Only a file that was written to
its end has the last part. Rows come in the order of their keys, texts by their bytes; tables in the
order of `COLUMNS`.

There is no token in it, no log, and nothing that can be made anew from the rows. One moment means:
the orders were looked at first, then the catalog. So the orders' cursor lies at or before the
catalog's last entry, and sales behind it get their orders from the ordinary projection (S2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bazar.errors import BazarError

VERSION = 3

Columns = Mapping[str, type]  # the values of each are of this type, or None in OPTIONAL

COLUMNS: Mapping[str, Mapping[str, Columns]] = {
    "catalog": {
        "topics": {"id": int, "name": str, "folded": str},
        "books": {
            **{"id": int, "title": str, "author": str, "catalog_id": int},
            **{"cost": int, "count": int, "isbn": str, "retired": int},
        },
        "sales": {
            **{"order_id": str, "key": str, "request": str},
            **{"sold_at": int, "seq": int, "lines": str},
        },
        "cancellations": {
            **{"order_id": str, "seq": int, "cancelled_at": int, "cancelled": str},
        },
        "earlier_cancellations": {
            **{"seq": int, "order_id": str, "cancelled_at": int, "cancelled": str},
        },
        "answers": {"key": str, "request": str, "answer": str, "at": int},
        "history": {"epoch": int, "id": str, "behind": int},
    },
    "order": {
        "orders": {
            **{"order_id": str, "seq": int, "sold_at": int, "lines": str},
            **{"changed": int, "cancelled": str, "cancelled_at": int},
        },
        "cursors": {"name": str, "seq": int, "id": str},
        "adoptions": {"upto": int, "behind": int},
        "history": {"epoch": int, "id": str, "behind": int},
    },
}
"""What a file of this version holds: by role and table its columns, the key first. Another column
is another version."""

ADDED: Mapping[int, Mapping[str, Mapping[str, Any]]] = {
    2: {
        "books": {"retired": None},
        "orders": {"changed": None, "cancelled": None, "cancelled_at": None},
    },
}
"""What a version added to tables of those before it: columns, with what they have in rows that came
without. A whole table that was added is empty in older files."""

OPTIONAL: Sequence[tuple[str, str]] = (
    *(("books", "author"), ("books", "isbn"), ("books", "retired"), ("cursors", "id")),
    *(("orders", "changed"), ("orders", "cancelled"), ("orders", "cancelled_at")),
)


class BadBackup(BazarError):
    """A file is no backup, not all of one, or not what was written."""
