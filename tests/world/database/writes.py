"""INSERT, UPDATE and DELETE: in one table, row by row, as READ COMMITTED and REPEATABLE READ have
it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from typing import Any

from sqlglot import exp

from storage.postgresql.session import Refused, Result
from tests.world.database import locks
from tests.world.database.expressions import Scope, Unknown, Value, compiled, known, part
from tests.world.database.queries import (
    Found,
    Source,
    columns,
    condition,
    scalar,
    table_name,
)
from tests.world.database.schema import Table
from tests.world.database.transaction import Transaction
from tests.world.database.versions import Key, Row

Setter = Callable[[Scope, Row], dict[str, Any]]


class Write(ABC):
    """What the three have in common: a table, and RETURNING."""

    verb = ""

    def __init__(self, node: exp.Expression, table: exp.Expression) -> None:
        self.table = table_name(table)
        returned = part(node, "returning")
        self.names = [] if returned is None else [one.alias_or_name for one in returned.expressions]
        self._answer = None if returned is None else columns(returned.expressions)

    def run(self, transaction: Transaction, scope: Scope) -> Found:
        table = transaction.server.schema.table(self.table)
        transaction.may_write(self.verb.split()[0])
        written = yield from self.write(transaction, scope, table)
        answer, tag = self._answer, f"{self.verb} {len(written)}"
        return Result(tag, tuple([answer(scope, row) for row in written]) if answer else ())

    @abstractmethod
    def write(
        self, transaction: Transaction, scope: Scope, table: Table
    ) -> Generator[None, None, list[Row]]:
        """Write, and return the rows as RETURNING sees them."""


class Update(Write):
    verb = "UPDATE"

    def __init__(self, node: exp.Expression) -> None:
        known(node, "this", "expressions", "from", "where", "returning")
        super().__init__(node, node.this)
        self._source = Source(self.table, condition(node))
        self._set = setter(node.expressions)
        self._names = [one.this.name for one in node.expressions]
        self._joined = None  # a WITH query, of one row
        if part(node, "from") is not None:
            self._joined = table_name(part(node, "from").this)

    def write(
        self, transaction: Transaction, scope: Scope, table: Table
    ) -> Generator[None, None, list[Row]]:
        table.check(self._names)
        joined: dict[str, Any] = {}
        if self._joined is not None:
            rows = scope.named.get(self._joined)
            if rows is None or len(rows) > 1:
                raise Unknown("UPDATE … FROM something else than a WITH query of one row")
            if not rows:
                return []
            for name, value in rows[0].items():
                joined[name] = joined[f"{self._joined}.{name}"] = value
        written: list[Row] = []
        for key, seen in scope.view.rows(self.table):
            if not self._source.where(scope, {**joined, **seen}):
                continue
            strength = locks.NO_KEY_UPDATE
            if table.is_key(self._names) and self._moves(scope, table, key, {**joined, **seen}):
                strength = locks.UPDATE
            row = yield from transaction.lock_row(
                scope.view,
                (self.table, key),
                seen,
                strength,
                lambda row: self._source.where(scope, {**joined, **row}),
            )
            if row is None:
                continue
            new = {**row, **self._set(scope, {**joined, **row})}
            new_key = table.key_of(new)
            if new_key != key:
                transaction.write((self.table, key), None)
                if (yield from inserting(transaction, (self.table, new_key))) is not None:
                    raise _duplicate((self.table, new_key))
            transaction.write((self.table, new_key), new)
            written.append({**joined, **new} if joined else new)
        return written

    def _moves(self, scope: Scope, table: Table, key: Any, row: Row) -> bool:
        return bool(table.key_of({**row, **self._set(scope, row)}) != key)


class Delete(Write):
    verb = "DELETE"

    def __init__(self, node: exp.Expression) -> None:
        known(node, "this", "where", "returning")
        super().__init__(node, node.this)
        self._source = Source(self.table, condition(node))

    def write(
        self, transaction: Transaction, scope: Scope, table: Table
    ) -> Generator[None, None, list[Row]]:
        written = []
        for key, seen in self._source.rows(scope):
            at = (self.table, key)
            row = yield from transaction.lock_row(
                scope.view, at, seen, locks.UPDATE, lambda row: self._source.where(scope, row)
            )
            if row is not None:
                transaction.write(at, None)
                written.append(row)
        return written


class Insert(Write):
    verb = "INSERT 0"

    def __init__(self, node: exp.Expression) -> None:
        known(node, "this", "expression", "conflict", "returning")
        named = isinstance(node.this, exp.Schema)
        super().__init__(node, node.this.this if named else node.this)
        self._names = [one.name for one in node.this.expressions] if named else None
        values = node.args["expression"]
        if not isinstance(values, exp.Values):
            raise Unknown(f"INSERT without VALUES: {node.sql('postgres')}")
        self._rows = [
            [None if one.sql() == "DEFAULT" else compiled(one, scalar) for one in row.expressions]
            for row in values.expressions
        ]
        conflict = node.args.get("conflict") or exp.OnConflict()
        known(conflict, "action", "conflict_keys", "expressions", "where")
        self._action = part(conflict, "action").name if part(conflict, "action") else ""
        self._set = setter(conflict.expressions)
        self._where = condition(conflict)

    def write(
        self, transaction: Transaction, scope: Scope, table: Table
    ) -> Generator[None, None, list[Row]]:
        written: list[Row] = []
        for values in self._rows:
            new = table.new(self._names, values, scope)
            at = (self.table, table.key_of(new))
            there = yield from self._conflicting(transaction, scope, at)
            if there is not None:
                both = {**there, **{f"excluded.{name}": value for name, value in new.items()}}
                if self._action == "DO NOTHING" or not self._where(scope, both):
                    continue
                new = {**there, **self._set(scope, both)}
            transaction.write(at, new)
            written.append(new)
        return written

    def _conflicting(
        self, transaction: Transaction, scope: Scope, at: Key
    ) -> Generator[None, None, Row | None]:
        """Return the row that is there already, with its lock if it is to be changed."""
        while True:
            there = yield from inserting(transaction, at)
            if there is None:
                return None
            if not self._action:
                raise _duplicate(at)
            if transaction.repeatable and scope.view.get(*at) is not there:
                raise Refused("40001", "could not serialize access due to concurrent update")
            if self._action == "DO NOTHING":
                return there
            row = yield from transaction.lock_row(
                scope.view, at, there, locks.NO_KEY_UPDATE, lambda row: True
            )
            if row is not None:
                return row


def inserting(transaction: Transaction, at: Key) -> Generator[None, None, Row | None]:
    """Take the place of a row, or return the one that is there: as soon as it is known what other
    transactions that write it come to."""
    server = transaction.server
    while True:
        held, there = at in transaction.locked, transaction.newest(at)
        if there is None:
            yield from transaction.lock(at, locks.UPDATE)
            if transaction.newest(at) is None:
                return None
        elif at in transaction.changes or not server.locks.is_changing(at):
            return there
        else:
            yield from transaction.lock(at, locks.SHARE)  # excluded by whoever changes it
        if not held:
            server.locks.drop(transaction, at)


def _duplicate(at: Key) -> Refused:
    return Refused("23505", f"duplicate key value violates unique constraint: {at}")


def setter(nodes: list[exp.Expression]) -> Setter:
    """Compile what follows SET."""
    values: list[tuple[str, Value]] = []
    for node in nodes:
        if not isinstance(node, exp.EQ):
            raise Unknown(f"SET {node.sql('postgres')}")
        values.append((node.this.name, compiled(node.expression, scalar)))
    return lambda scope, row: {name: value(scope, row) for name, value in values}
