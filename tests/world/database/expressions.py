"""The values and conditions of SQL, compiled to functions of a scope and a row.

What is not understood is an error of the test, not of the server.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from storage.postgresql.session import Refused
from tests.world.database.versions import Row, View


class Unknown(AssertionError):
    """SQL that the simulated database does not understand."""


@dataclass(slots=True)
class Scope:
    """What the values in one statement are computed from, beside a row."""

    view: View
    params: tuple[Any, ...]
    in_recovery: bool = False
    views: Mapping[str, Callable[[], Iterable[Row]]] = field(default_factory=dict)
    """The server's views of itself."""
    named: dict[str, list[Row]] = field(default_factory=dict)
    """The rows of its WITH queries."""


Value = Callable[[Scope, Row], Any]
Scalar = Callable[[exp.Expression], Value]
"""How a sub-select is compiled."""

COMPARISONS: Mapping[type[exp.Expression], Callable[[Any, Any], Any]] = {
    exp.EQ: operator.eq,
    exp.NEQ: operator.ne,
    exp.LT: operator.lt,
    exp.LTE: operator.le,
    exp.GT: operator.gt,
    exp.GTE: operator.ge,
    exp.Add: operator.add,
    exp.Sub: operator.sub,
    exp.Mul: operator.mul,
    exp.DPipe: operator.add,
}


def known(node: exp.Expression, *names: str) -> None:
    """Raise Unknown where a clause says more than is understood."""
    for name, value in node.args.items():
        said = value not in (None, False, [], "") and name.rstrip("_") not in names
        if said:
            raise Unknown(f"{name!r} in: {node.sql('postgres')}")


def part(node: exp.Expression, name: str) -> Any:
    """Return a part of a clause, by its name in any version of sqlglot."""
    return node.args.get(name) or node.args.get(name + "_")


def compiled(node: exp.Expression, scalar: Scalar) -> Value:
    """Return the function that computes an expression."""

    def sub(name: str = "this") -> Value:
        return compiled(node.args[name], scalar)

    if isinstance(node, exp.Column):
        return _column(node.name, f"{node.table}.{node.name}")
    if isinstance(node, exp.Parameter):
        at = int(node.name) - 1
        return lambda scope, row: scope.params[at]
    if isinstance(node, exp.Literal | exp.Boolean | exp.Null):
        return _constant(node)
    if isinstance(node, exp.Paren | exp.Cast):
        return sub()
    if isinstance(node, exp.Subquery):
        return scalar(node.this)
    if isinstance(node, exp.And | exp.Or):
        return _joined(sub(), sub("expression"), isinstance(node, exp.Or))
    if isinstance(node, exp.EQ | exp.In) and _is_list(node):
        return _one_of(sub(), *_options(node, scalar))
    if type(node) in COMPARISONS:
        return _compared(COMPARISONS[type(node)], sub(), sub("expression"))
    if isinstance(node, exp.Not):
        return _negated(sub())
    if isinstance(node, exp.Neg):
        value = sub()
        return lambda scope, row: -value(scope, row)
    if isinstance(node, exp.Is):
        return _identical(sub(), sub("expression"), bool(node.args.get("negate")))
    if isinstance(node, exp.Anonymous) and node.name == "pg_is_in_recovery":
        return lambda scope, row: scope.in_recovery
    raise Unknown(f"{type(node).__name__}: {node.sql('postgres')}")


def _column(name: str, qualified: str) -> Value:
    """Read a column; of another row beside the table's own by its qualified name."""

    def read(scope: Scope, row: Row) -> Any:
        if qualified in row:
            return row[qualified]
        if name not in row:
            raise Refused("42703", f'column "{name}" does not exist')
        return row[name]

    return read


def _constant(node: exp.Expression) -> Value:
    value: Any = None
    if isinstance(node, exp.Boolean):
        value = bool(node.this)
    elif isinstance(node, exp.Literal):
        value = node.this if node.is_string else int(node.this)
    return lambda scope, row: value


def _joined(left: Value, right: Value, decisive: bool) -> Value:
    """Return AND or OR: one operand that is `decisive` decides; NULL is what is not known."""

    def join(scope: Scope, row: Row) -> Any:
        one = left(scope, row)
        if one is decisive:
            return decisive
        other = right(scope, row)
        if other is decisive:
            return decisive
        return None if one is None or other is None else not decisive

    return join


def _compared(compare: Callable[[Any, Any], Any], left: Value, right: Value) -> Value:
    def both(scope: Scope, row: Row) -> Any:
        one, other = left(scope, row), right(scope, row)
        return None if one is None or other is None else compare(one, other)

    return both


def _negated(value: Value) -> Value:
    def negate(scope: Scope, row: Row) -> bool | None:
        found = value(scope, row)
        return None if found is None else not found

    return negate


def _identical(left: Value, right: Value, negate: bool) -> Value:
    return lambda scope, row: (left(scope, row) is right(scope, row)) is not negate


def _is_list(node: exp.Expression) -> bool:
    return isinstance(node, exp.In) or isinstance(node.args["expression"], exp.Any)


def _options(node: exp.Expression, scalar: Scalar) -> tuple[Value, ...]:
    """Return what computes the list: of IN (…), or of = ANY (…)."""
    if isinstance(node, exp.In):
        known(node, "this", "expressions")
        values = [compiled(option, scalar) for option in node.expressions]
        return (lambda scope, row: [value(scope, row) for value in values],)
    return (compiled(node.args["expression"].this, scalar),)


def _one_of(value: Value, options: Value) -> Value:
    def look(scope: Scope, row: Row) -> bool | None:
        found, listed = value(scope, row), options(scope, row)
        if found is None or listed is None:
            return None
        return True if found in listed else None if None in listed else False

    return look
