"""Reads of rows and mark in one snapshot, of whichever server shows enough (L6)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bazar.errors import Unavailable
from bazar.replication.messages import Mark
from bazar.replication.shared.shown import Shown
from storage.postgresql.session import Broken, Refused, Row, Servers, Session, Statement

CONNECT_S = 1.0
READ_S = 1.0  # then another server is asked: this one may hang
MOST_SESSIONS = 4

BEGIN = Statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
COMMIT = Statement("COMMIT")


class ReadSessions:
    """A few sessions for reading, of each server that is asked. A server that fails, or shows too
    little, is passed over for the next one, and one that fails is asked last from then on."""

    def __init__(self, servers: Servers, schema: str) -> None:
        self._servers = servers
        self._mark = Statement(f"SELECT epoch_id, number FROM {schema}.mark", prepared=True)
        self._idle: dict[str, list[Session]] = {server: [] for server in servers.names}
        self._free = asyncio.Semaphore(MOST_SESSIONS)
        self._first = 0

    async def look(
        self, looks: int, statements: Sequence[Statement]
    ) -> tuple[Mark, list[Sequence[Row]]]:
        """Return the mark, and each statement's rows, of one moment of one server. Raises
        Unavailable where no server answers."""
        names, trouble = self._servers.names, []
        async with self._free:
            first = self._first + looks
            for turn in range(first, first + len(names)):
                server = names[turn % len(names)]
                try:
                    return await self._read(server, statements)
                except (Broken, Refused) as error:
                    trouble.append(f"{server}: {error}")
                    self._drop_idle(server)  # what has broken one may have broken all
                    if server == names[self._first % len(names)]:
                        self._first += 1  # once, however many have failed there
        raise Unavailable(f"no database server answers: {'; '.join(trouble)}")

    async def _read(
        self, server: str, statements: Sequence[Statement]
    ) -> tuple[Mark, list[Sequence[Row]]]:
        session = await self._session(server)
        try:
            reply = await session.run(BEGIN, self._mark, *statements, COMMIT, timeout_s=READ_S)
        except BaseException:
            session.abort()
            raise
        self._idle[server].append(session)
        _, mark, *found, _ = reply.results
        [(epoch_id, number)] = mark.rows
        return Mark(number, epoch_id), [result.rows for result in found]

    async def _session(self, server: str) -> Session:
        idle = self._idle[server]
        while idle:
            session = idle.pop()
            if not session.broken:
                return session
            session.abort()
        return await self._servers.connect(server, CONNECT_S)

    def _drop_idle(self, server: str) -> None:
        idle, self._idle[server] = self._idle[server], []
        for session in idle:
            session.abort()

    async def close(self) -> None:
        """End all sessions that are not in use."""
        for idle in self._idle.values():
            while idle:
                await idle.pop().close()


class LinearizableSnapshots:
    """The `Snapshots` of one node, of which it may show each."""

    def __init__(self, shown: Shown, sessions: ReadSessions) -> None:
        self._shown = shown
        self._sessions = sessions

    async def read(
        self, tags: frozenset[str] | None, *statements: Statement
    ) -> Sequence[Sequence[Row]]:
        """Return the rows of each statement, all of one moment that this node may show about `tags`
        (None: about anything). Raises Unavailable."""
        return await self._shown.read(tags, lambda looks: self._sessions.look(looks, statements))
