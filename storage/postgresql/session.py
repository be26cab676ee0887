"""What this engine asks of a PostgreSQL server: a session, and statements in it.

Everything below here is a driver (`connection.py`) or a simulated server; everything above it is
ours. A statement that a server refuses aborts its transaction, and the session can go on after a
ROLLBACK. A session that is *broken* tells nothing: what was under way may have happened or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement, with `$1`, `$2`, … for its parameters: texts, integers, booleans, None, or
    lists of one of them. Each has the type that the statement needs in its place: `$1::bigint[]`
    says so where that is not plain.

    What is `prepared` is planned once a session, for any parameters, where sessions are the
    server's own: for what runs often, and has one plan that is good for all of them."""

    sql: str
    params: tuple[Any, ...] = ()
    prepared: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What one statement came to: its command tag (`UPDATE 1`, `COMMIT`), and its rows."""

    tag: str
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What the statements of one round trip came to. `warnings` are all that the server has said
    beside, of any severity: a cancelled wait for a standby says so here, and nowhere else (P5)."""

    results: tuple[Result, ...]
    warnings: tuple[str, ...] = ()


class Refused(Exception):
    """The server refuses a statement: nothing of its transaction can be committed any more."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(f"{message} ({sqlstate})")
        self.sqlstate = sqlstate


class Broken(Exception):
    """The connection is gone, or is given up: what was under way is in doubt (P5)."""


class Session(Protocol):
    """One connection to one server. One `run` at a time."""

    server: str

    @property
    def broken(self) -> bool:
        """Whether nothing can be run here any more."""

    async def run(self, *statements: Statement, timeout_s: float) -> Reply:
        """Run the statements in one round trip, in order. The first is BEGIN unless there is only
        one, or a transaction is open. Raises Refused with what the first failing one is refused
        for; the rest is not run. Raises Broken where the answer has not come in time, or never
        will: the session is broken then, its socket shut down, and *no cancel is sent*. If the
        caller is cancelled the session breaks in the same way."""

    def abort(self) -> None:
        """Shut the socket down at once; what is under way raises Broken."""

    async def close(self) -> None:
        """End the session in order, within a second; abort it otherwise."""


class Servers(Protocol):
    """The servers of one database: each is opened by itself, and asked who it is."""

    names: Sequence[str]

    async def connect(self, server: str, timeout_s: float) -> Session:
        """Return a session of this server, outside any transaction. Raises Broken with the reason
        where there is none to be had in time."""
