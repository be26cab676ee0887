"""The tables that statements name: their columns, keys and defaults."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlglot import exp

from storage.postgresql.session import Refused
from tests.world.database.expressions import Scope, Unknown, Value, compiled
from tests.world.database.queries import scalar, table_name
from tests.world.database.versions import Row


class Table:
    """A table with a primary key."""

    def __init__(self, node: exp.Expression) -> None:
        self.name = table_name(node.this)
        self.defaults: dict[str, Value] = {}
        key: list[str] = []
        for one in node.expressions:
            if isinstance(one, exp.PrimaryKey):
                key = [column.name for column in one.expressions]
            if not isinstance(one, exp.ColumnDef):
                continue
            self.defaults[one.name] = lambda scope, row: None
            for constraint in one.args.get("constraints") or ():
                kind = constraint.args["kind"]
                if isinstance(kind, exp.PrimaryKeyColumnConstraint):
                    key = [one.name]
                elif isinstance(kind, exp.DefaultColumnConstraint):
                    self.defaults[one.name] = compiled(kind.this, scalar)
        if not key:
            raise Unknown(f"table {self.name} has no primary key")
        self._key = key

    def key_of(self, row: Any) -> Any:
        """Return the primary key of a row."""
        if len(self._key) == 1:
            return row[self._key[0]]
        return tuple([row[name] for name in self._key])

    def is_key(self, names: Sequence[str]) -> bool:
        """Return whether one of these columns is of the primary key."""
        return any(name in self._key for name in names)

    def check(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.defaults:
                raise Refused("42703", f'column "{name}" of "{self.name}" does not exist')

    def new(
        self, names: list[str] | None, values: Sequence[Value | None], scope: Scope
    ) -> dict[str, Any]:
        """Return a row of these values, and of defaults."""
        given = dict(zip(names or self.defaults, values, strict=bool(names)))
        self.check(given)
        return {
            name: (given.get(name) or default)(scope, {}) for name, default in self.defaults.items()
        }


class Schema:
    """All tables of one database. To create one is in force everywhere and at once."""

    def __init__(self) -> None:
        self._tables: dict[str, Table] = {}

    def create(self, node: exp.Expression) -> None:
        name = table_name(node.this.this)
        if name in self._tables:
            if node.args.get("exists"):
                return
            raise Refused("42P07", f'relation "{name}" already exists')
        self._tables[name] = Table(node.this)

    def drop(self, name: str) -> None:
        self._tables.pop(name, None)

    def table(self, name: str) -> Table:
        if name not in self._tables:
            raise Refused("42P01", f'relation "{name}" does not exist')
        return self._tables[name]

    def whole(self, name: str, row: Row | None) -> Row | None:
        """Return a row with all columns of its table, if that is known."""
        if row is None or name not in self._tables:
            return row
        table = self._tables[name]
        table.check(row)
        return {column: row.get(column) for column in table.defaults}
