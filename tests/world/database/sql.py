"""From the text of a statement to what it does. Each text is parsed once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp

from storage.postgresql.session import Refused, Result, Row
from tests.world.database import locks
from tests.world.database.expressions import Scope, Unknown, part
from tests.world.database.queries import Found, Select, table_name
from tests.world.database.transaction import Transaction
from tests.world.database.versions import Changes, View
from tests.world.database.writes import Delete, Insert, Update

BEGIN = re.compile(
    r"(?:BEGIN|START TRANSACTION)(?: WORK| TRANSACTION)?"
    r"(?: ISOLATION LEVEL (?P<level>READ COMMITTED|REPEATABLE READ))?,?"
    r"(?: (?P<access>READ ONLY|READ WRITE))?",
    re.I,
)
SET = re.compile(
    r"SET (?:(?P<local>LOCAL) |SESSION )?(?P<name>\w+)(?: TO |\s*=\s*)(?P<value>.+)", re.I
)
ENDS = {"COMMIT": True, "END": True, "ROLLBACK": False, "ABORT": False}
Body = Select | Update | Insert | Delete
BODIES: Mapping[type, Callable[[Any], Body]] = {
    exp.Select: Select,
    exp.Update: Update,
    exp.Insert: Insert,
    exp.Delete: Delete,
}


@dataclass(frozen=True, slots=True)
class Begin:
    repeatable: bool
    read_only: bool


@dataclass(frozen=True, slots=True)
class End:
    """COMMIT, or ROLLBACK."""

    commits: bool


@dataclass(frozen=True, slots=True)
class Set:
    name: str
    value: str
    is_local: bool


@dataclass(frozen=True, slots=True)
class Written:
    """What a registered statement writes."""

    tag: str
    changes: Changes
    rows: tuple[Row, ...] = ()


Function = Callable[[View, tuple[Any, ...]], Sequence[Row] | Written]
"""Answers a statement from what it sees and its parameters, without changing any row: called again
with what is newest if its locks took a wait."""
Plan = Callable[[Transaction, tuple[Any, ...]], Found]
Command = Begin | End | Set | Plan


@lru_cache(4096)
def parsed(sql: str) -> Command:
    """Return what a statement does. Raises Unknown."""
    text = " ".join(sql.split()).rstrip("; ")
    if text.upper() in ENDS:
        return End(ENDS[text.upper()])
    if begin := BEGIN.fullmatch(text):
        level, access = begin["level"] or "", begin["access"] or ""
        return Begin(level.upper() == "REPEATABLE READ", access.upper() == "READ ONLY")
    if setting := SET.fullmatch(text):
        value = setting["value"].strip("'").lower()
        return Set(setting["name"].lower(), value, setting["local"] is not None)
    try:
        node = sqlglot.parse_one(text, dialect="postgres")
    except sqlglot.ParseError as error:
        raise Unknown(f"{sql}: {error}") from error
    if type(node) in BODIES:
        return _planned(node)
    if isinstance(node, exp.Create) and node.args["kind"] in ("TABLE", "SCHEMA"):
        return _creating(node)
    if isinstance(node, exp.Drop) and node.args["kind"] == "TABLE":
        return _dropping(node)
    raise Unknown(sql)


def _planned(node: Any) -> Plan:
    """Return what a statement does whose text says it all. Its WITH queries go first; none of them
    sees what another one writes, and neither does the rest."""
    queries = part(node, "with")
    named = [] if queries is None else [(one.alias, _body(one.this)) for one in queries.expressions]
    main = _body(node)
    if any("*" in query.names for _, query in named):
        raise Unknown(f"* in a WITH query: {node.sql('postgres')}")

    def run(transaction: Transaction, params: tuple[Any, ...]) -> Found:
        server = transaction.server
        scope = Scope(transaction.view(), params, server.in_recovery, server.views)
        for name, query in named:
            result = yield from query.run(transaction, scope)
            scope.named[name] = [dict(zip(query.names, row, strict=True)) for row in result.rows]
        return (yield from main.run(transaction, scope))

    return run


def _body(node: Any) -> Body:
    node.args.pop("with_", None)
    node.args.pop("with", None)
    return BODIES[type(node)](node)


def _creating(node: exp.Create) -> Plan:
    def create(transaction: Transaction, params: tuple[Any, ...]) -> Found:
        yield from ()
        transaction.may_write("CREATE")
        if node.args["kind"] == "TABLE":
            transaction.server.schema.create(node)
        return Result(f"CREATE {node.args['kind']}")

    return create


def _dropping(node: exp.Drop) -> Plan:
    names = [table_name(one) for one in node.args["tables"]]

    def drop(transaction: Transaction, params: tuple[Any, ...]) -> Found:
        transaction.may_write("DROP TABLE")
        for name in names:
            for key, _ in transaction.view().rows(name):
                yield from transaction.lock((name, key), locks.UPDATE)
                transaction.write((name, key), None)
            transaction.server.schema.drop(name)
        return Result("DROP TABLE")

    return drop


def registered(function: Function) -> Plan:
    """Return what a statement does that a function answers."""

    def run(transaction: Transaction, params: tuple[Any, ...]) -> Found:
        while True:
            view, waited = transaction.view(), False
            found = function(view, params)
            if not isinstance(found, Written):
                return Result(f"SELECT {len(found)}", tuple(found))
            transaction.may_write(found.tag.split()[0])
            for at, row in found.changes.items():
                newest = transaction.newest(at)
                is_new = row is None or newest is None
                if transaction.repeatable and newest is not view.get(*at):
                    raise Refused("40001", "could not serialize access due to concurrent update")
                strength = locks.UPDATE if is_new else locks.NO_KEY_UPDATE
                waited |= yield from transaction.lock(at, strength)
            if not waited:
                break
        for at, row in found.changes.items():
            transaction.write(at, row)
        return Result(found.tag, found.rows)

    return run
