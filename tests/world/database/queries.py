"""SELECT: from one table, or none."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, NamedTuple

from sqlglot import exp

from storage.postgresql.session import Refused, Result
from tests.world.database import locks
from tests.world.database.expressions import Scope, Unknown, Value, compiled, known, part
from tests.world.database.transaction import Transaction
from tests.world.database.versions import Row

Found = Generator[None, None, Result]
"""What a statement comes to, with what its locks make it wait for."""

STRENGTHS = {
    (False, True): locks.KEY_SHARE,
    (False, False): locks.SHARE,
    (True, True): locks.NO_KEY_UPDATE,
    (True, False): locks.UPDATE,
}


class Source(NamedTuple):
    """The rows that a statement looks at: key and row."""

    table: str
    where: Callable[[Scope, Row], bool]

    def rows(self, scope: Scope) -> list[tuple[Any, Row]]:
        where = self.where
        return [found for found in self._all(scope) if where(scope, found[1])]

    def _all(self, scope: Scope) -> Iterable[tuple[Any, Row]]:
        if not self.table:
            return [((), {})]
        if self.table in scope.named:
            return enumerate(scope.named[self.table])
        if self.table in scope.views:
            return enumerate(scope.views[self.table]())
        return scope.view.rows(self.table)


def table_name(node: exp.Expression) -> str:
    """Return `schema.table`, or `table`."""
    known(node, "this", "db", "alias")
    return f"{part(node, 'db').name}.{node.name}" if part(node, "db") else node.name


def condition(node: exp.Expression) -> Callable[[Scope, Row], bool]:
    """Return what checks the WHERE of a clause."""
    if part(node, "where") is None:
        return lambda scope, row: True
    value = compiled(part(node, "where").this, scalar)
    return lambda scope, row: value(scope, row) is True


def columns(nodes: Iterable[exp.Expression]) -> Callable[[Scope, Row], tuple[Any, ...]]:
    """Return what makes the row that is answered."""
    values: list[Value] = []
    for node in nodes:
        if isinstance(node, exp.Star):
            return lambda scope, row: tuple(row.values())
        values.append(compiled(node.this if isinstance(node, exp.Alias) else node, scalar))
    return lambda scope, row: tuple([value(scope, row) for value in values])


def scalar(node: exp.Expression) -> Value:
    """Compile a sub-select: the one value of its first row, as of the statement's beginning."""
    select = Select(node)
    if select.strength is not None:
        raise Unknown(f"a lock in a sub-select: {node.sql('postgres')}")

    def first(scope: Scope, row: Row) -> Any:
        found = select.chosen(scope)
        return select.answer(scope, found[0][1])[0] if found else None

    return first


class Select:
    """A compiled SELECT."""

    def __init__(self, node: exp.Expression) -> None:
        known(node, "expressions", "from", "where", "order", "limit", "locks")
        source = part(node, "from")
        self.source = Source("" if source is None else table_name(source.this), condition(node))
        self.answer = columns(node.expressions)
        self.names = [one.alias_or_name for one in node.expressions]
        order = node.args.get("order")
        self._orders = [] if order is None else [_order(one) for one in order.expressions]
        limit = node.args.get("limit")
        self._limit = None if limit is None else compiled(limit.expression, scalar)
        self.strength: int | None = None
        self._wait: bool | None = None
        for lock in node.args.get("locks") or ():
            self.strength = STRENGTHS[bool(lock.args.get("update")), bool(lock.args.get("key"))]
            self._wait = lock.args.get("wait")  # True: NOWAIT, False: SKIP LOCKED

    def chosen(self, scope: Scope) -> list[tuple[Any, Row]]:
        """Return keys and rows, in order."""
        found = self.source.rows(scope)
        for order in reversed(self._orders):
            order(scope, found)
        return found if self._limit is None else found[: self._limit(scope, {})]

    def _locked(self, transaction: Transaction, scope: Scope) -> Generator[None, None, list[Row]]:
        """Return the rows, in their newest versions, with their locks."""
        if self.strength is None:
            return [row for _, row in self.chosen(scope)]
        transaction.may_write("SELECT FOR UPDATE or SHARE")
        found = []
        for key, row in self.chosen(scope):
            at = (self.source.table, key)
            if self._wait is not None and not transaction.server.locks.take(
                transaction, at, self.strength
            ):
                if self._wait:
                    raise Refused("55P03", "could not obtain lock on row")
                continue
            newest = yield from transaction.lock_row(
                scope.view, at, row, self.strength, lambda row: self.source.where(scope, row)
            )
            if newest is not None:
                found.append(newest)
        return found

    def run(self, transaction: Transaction, scope: Scope) -> Found:
        table = self.source.table
        if table and table not in scope.named and table not in scope.views:
            transaction.server.schema.table(table)
        found = yield from self._locked(transaction, scope)
        answer = self.answer
        return Result(f"SELECT {len(found)}", tuple([answer(scope, row) for row in found]))


def _order(node: exp.Expression) -> Callable[[Scope, list[tuple[Any, Row]]], None]:
    """Return what sorts by one column; NULL counts as the largest."""
    value, down = compiled(node.this, scalar), bool(node.args.get("desc"))

    def sort(scope: Scope, found: list[tuple[Any, Row]]) -> None:
        def rank(one: tuple[Any, Row]) -> tuple[bool, Any]:
            it = value(scope, one[1])
            return (True, 0) if it is None else (False, it)

        found.sort(key=rank, reverse=down)

    return sort
