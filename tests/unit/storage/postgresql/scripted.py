"""Servers that answer as a test says: for what real ones do at a time of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from storage.postgresql.session import Broken, Refused, Reply, Result, Row, Statement

Answer = Callable[[str, Statement], Sequence[Row]]
"""The rows of a statement at a server. Raises Broken, or Refused."""


def _tag(statement: Statement) -> str:
    command = statement.sql.split()[0]
    return "UPDATE 1" if command == "UPDATE" else command


class ScriptedSession:
    def __init__(self, server: str, answer: Answer) -> None:
        self.server = server
        self.broken = False
        self.closed = False
        self.timeouts: list[float] = []
        self._answer = answer

    async def run(self, *statements: Statement, timeout_s: float) -> Reply:
        if self.broken:
            raise Broken("it is broken already")
        self.timeouts.append(timeout_s)
        await asyncio.sleep(0)
        try:
            rows = [tuple(self._answer(self.server, each)) for each in statements]
        except Broken:
            self.broken = True
            raise
        return Reply(tuple(map(Result, map(_tag, statements), rows)))

    def abort(self) -> None:
        self.broken = True

    async def close(self) -> None:
        self.closed = True


class ScriptedServers:
    """`opened` are all sessions there have been; those that are `gone` have none any more."""

    def __init__(self, names: Sequence[str], answer: Answer) -> None:
        self.names = names
        self.gone: set[str] = set()
        self.opened: list[ScriptedSession] = []
        self._answer = answer

    async def connect(self, server: str, timeout_s: float) -> ScriptedSession:
        if server in self.gone:
            raise Broken(f"{server} is gone")
        self.opened.append(ScriptedSession(server, self._answer))
        return self.opened[-1]


REFUSED = Refused("57P01", "not now")
