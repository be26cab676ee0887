"""Row images: what entries leave of the rows that they touch.

An effect is `{"put": {table: [row, …]}, "delete": {table: [key, …]}}`, and applying it twice is
applying it once. Every engine writes the same images, so that they all end up with the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from bazar.replication.messages import Entry

Image = Mapping[str, Any]


class Images(NamedTuple):
    """What is left of one table's rows: those to write, and the keys of those to delete."""

    put: list[Image]
    delete: list[Any]


def last_images(entries: Iterable[Entry], keys: Mapping[str, str]) -> dict[str, Images]:
    """Return the last image of each row that `entries` touch, by table; `keys` names each table's
    primary key, a single column."""
    images: dict[str, dict[Any, Image | None]] = {}
    for entry in entries:
        for table, rows in entry.effects.get("put", {}).items():
            key = keys[table]
            images.setdefault(table, {}).update((row[key], row) for row in rows)
        for table, deleted in entry.effects.get("delete", {}).items():
            images.setdefault(table, {}).update(dict.fromkeys(deleted))
    return {
        table: Images(
            [row for row in by_key.values() if row is not None],
            [key for key, row in by_key.items() if row is None],
        )
        for table, by_key in images.items()
    }
