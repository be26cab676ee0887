"""The tables that hold the state: row images as a handful of statements, however many there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from bazar.replication.messages import Entry
from storage.images import Images, last_images
from storage.postgresql.session import Statement

Columns = Mapping[str, str]  # the type of each, by its name


class StateTables:
    """Names the statements that write into the tables of one schema."""

    def __init__(
        self, schema: str, keys: Mapping[str, str], columns: Mapping[str, Columns]
    ) -> None:
        """`keys` names each table's primary key, a single column."""
        self._keys = keys
        self.puts = {
            table: upsert(f"{schema}.{table}", key, columns[table]) for table, key in keys.items()
        }
        """The statement that writes rows of each table."""
        self.deletes = {
            table: f"DELETE FROM {schema}.{table} WHERE {key} = ANY($1::{columns[table][key]}[])"
            for table, key in keys.items()
        }
        """The statement that deletes rows of each table by their keys."""

    def last_images(self, entries: Iterable[Entry]) -> dict[str, Images]:
        """Return the last image of each row that `entries` touch, by table."""
        return last_images(entries, self._keys)

    def writes(self, images: Mapping[str, Images]) -> list[Statement]:
        """Return what writes these images, each table's in one statement or two."""
        statements = []
        for table, (put, delete) in images.items():
            if put:
                statements.append(Statement(self.puts[table], (as_json(put),)))
            if delete:
                statements.append(Statement(self.deletes[table], (delete,)))
        return statements


def upsert(table: str, key: str, columns: Columns) -> str:
    """Return a statement that writes the rows of a JSON array in place of those with the same keys.
    A text of JSON costs this program less than an array for each column."""
    names = ", ".join(columns)
    types = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    sets = ", ".join(f"{name} = excluded.{name}" for name in columns if name != key)
    return (
        f"INSERT INTO {table} ({names}) SELECT {names} FROM json_to_recordset($1::json)"
        f" AS new ({types}) ON CONFLICT ({key}) DO UPDATE SET {sets}"
    )


def as_json(rows: list[Any]) -> str:
    """Return rows as the parameter that `upsert` takes."""
    return orjson.dumps(rows).decode()
