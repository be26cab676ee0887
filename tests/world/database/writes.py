"""INSERT, UPDATE and DELETE: in one table, row by row, as READ COMMITTED and REPEATABLE READ have
it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from sqlglot import exp

from storage.postgresql.session import Refused, Result
from tests.world.database import locks
from tests.world.database.expressions import Scope, Unknown, Value, compiled, known, part
from tests.world.database.queries import (
    Found,
    Select,
    Source,
    columns,
    condition,
    scalar,
    scope_of,
    table_name,
)
from tests.world.database.schema import Table
from tests.world.database.transaction import Transaction
from tests.world.database.versions import Row

Setter = Callable[[Scope, Row], dict[str, Any]]


class Write:
    """What the three have in common: a table, RETURNING, WITH."""

    verb = ""

    def __init__(self, node: exp.Expression, table: exp.Expression) -> None:
        self.table = table_name(table)
        self._returning = None
        if part(node, "returning") is not None:
            self._returning = columns(part(node, "returning").expressions)
        self._with: list[tuple[str, Select]] = []
        if part(node, "with") is not None:
            self._with = [(one.alias, Select(one.this)) for one in part(node, "with").expressions]

    def plan(self, transaction: Transaction, params: tuple[Any, ...]) -> Found:
        table = transaction.server.schema.table(self.table)
        transaction.may_write(self.verb.split()[0])
        scope = scope_of(transaction, params)
        for name, select in self._with:
            rows = yield from select.locked(transaction, scope)
            scope.named[name] = [
                dict(zip(select.names, select.answer(scope, row), strict=True)) for row in rows
            ]
        written = yield from self.write(transaction, scope, table)
        tag = f"{self.verb} {len(written)}"
        if self._returning is None:
            return Result(tag)
        return Result(tag, tuple([self._returning(scope, row) for row in written]))

    def write(
        self, transaction: Transaction, scope: Scope, table: Table
    ) -> Generator[None, None, list[Row]]:
        raise NotImplementedError


class Update(Write):
    verb = "UPDATE"

    def __init__(self, node: exp.Expression) -> None:
        known(node, "this", "expressions", "from", "where", "returning", "with")
        super().__init__(node, node.this)
        self._source = Source(self.table, condition(node))
        self._set = setter(node.expressions)
        self._names = [one.this.name for one in node.expressions]
        self._joined = None  # a WITH query, of one row
        if part(node, "from") is not None:
            self._joined = table_name(part(node, "from").this)
            if self._joined not in dict(self._with):
                raise Unknown(f"FROM something else than WITH: {node.sql('postgres')}")

    def write(
        self, transaction: Transaction, scope: Scope, table: Table
    ) -> Generator[None, None, list[Row]]:
        table.check(self._names)
        joined: Row = {}
        if self._joined is not None:
            if len(scope.named[self._joined]) != 1:
                raise Unknown("UPDATE … FROM a WITH query that has not one row")
            joined = scope.named[self._joined][0]
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
                yield from inserting(transaction, table, new_key)
            transaction.write((self.table, new_key), new)
            written.append({**joined, **new} if joined else new)
        return written

    def _moves(self, scope: Scope, table: Table, key: Any, row: Row) -> bool:
        return bool(table.key_of({**row, **self._set(scope, row)}) != key)


class Delete(Write):
    verb = "DELETE"

    def __init__(self, node: exp.Expression) -> None:
        known(node, "this", "where", "returning", "with")
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
        known(node, "this", "expression", "conflict", "returning", "with")
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
        self._action, self._set, self._where = "", None, condition(exp.Select())
        conflict = node.args.get("conflict")
        if conflict is not None:
            known(conflict, "action", "conflict_keys", "expressions", "where")
            self._action = conflict.args["action"].name
            self._set = setter(conflict.expressions)
            self._where = condition(conflict)

    def write(
        self, transaction: Transaction, scope: Scope, table: Table
    ) -> Generator[None, None, list[Row]]:
        written: list[Row] = []
        for values in self._rows:
            new = table.new(self._names, values, scope)
            key = table.key_of(new)
            at = (self.table, key)
            if not self._action:
                yield from inserting(transaction, table, key)
            else:
                while transaction.newest(at) is None:
                    waited = yield from transaction.lock(at, locks.UPDATE)
                    if not waited:
                        break
                there = transaction.newest(at)
                if there is not None:
                    row = yield from self._conflict(transaction, scope, at, there, new)
                    if row is None:
                        continue
                    new = row
            transaction.write(at, new)
            written.append(new)
        return written

    def _conflict(
        self,
        transaction: Transaction,
        scope: Scope,
        at: tuple[str, Any],
        there: Row,
        new: Mapping[str, Any],
    ) -> Generator[None, None, dict[str, Any] | None]:
        """Return the row that takes the place of the one that is there, if one does."""
        if transaction.repeatable and scope.view.get(*at) is not there:
            raise Refused("40001", "could not serialize access due to concurrent update")
        if self._action == "DO NOTHING" or self._set is None:
            return None
        row = yield from transaction.lock_row(
            scope.view, at, there, locks.NO_KEY_UPDATE, lambda row: True
        )
        if row is None:
            raise Unknown("a row went away below ON CONFLICT DO UPDATE")
        both = {**row, **{f"excluded.{name}": value for name, value in new.items()}}
        return {**row, **self._set(scope, both)} if self._where(scope, both) else None


def inserting(transaction: Transaction, table: Table, key: Any) -> Generator[None, None, None]:
    """Take the place of a key, as soon as it is known whether another transaction does."""
    at = (table.name, key)
    if transaction.newest(at) is None:
        yield from transaction.lock(at, locks.UPDATE)
    elif at not in transaction.changes:
        yield from transaction.lock(at, locks.KEY_SHARE)  # it may be about to be deleted
    if transaction.newest(at) is not None:
        raise Refused("23505", f"duplicate key value violates unique constraint: {at}")
    yield from transaction.lock(at, locks.UPDATE)


def setter(nodes: list[exp.Expression]) -> Setter:
    """Compile what follows SET."""
    values: list[tuple[str, Value]] = []
    for node in nodes:
        if not isinstance(node, exp.EQ):
            raise Unknown(f"SET {node.sql('postgres')}")
        values.append((node.this.name, compiled(node.expression, scalar)))
    return lambda scope, row: {name: value(scope, row) for name, value in values}
