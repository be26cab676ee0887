"""One session of the server that takes writes."""

from __future__ import annotations

from bazar.errors import Unavailable
from storage.postgresql.session import Broken, Refused, Reply, Servers, Session, Statement
from storage.postgresql.transaction import ROLLBACK

CONNECT_S = 2.0
RUN_S = 5.0

IN_RECOVERY = Statement("SELECT pg_is_in_recovery()")


class Link:
    """A session of the writable server among several, opened anew once it is broken. `number`
    counts the sessions (P3)."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._session: Session | None = None
        self._first = 0  # the server to ask first: the one that took writes
        self.number = 0

    @property
    def server(self) -> str | None:
        """Return the server that is connected."""
        return None if self._session is None or self._session.broken else self._session.server

    async def session(self) -> Session:
        """Return the session. Raises Unavailable, with what each server has said, where none takes
        writes."""
        if self._session is not None and not self._session.broken:
            return self._session
        names, trouble = self._servers.names, []
        for turn in range(len(names)):
            server = names[(self._first + turn) % len(names)]
            try:
                session = await self._servers.connect(server, CONNECT_S)
            except Broken as error:
                trouble.append(f"{server}: {error}")
                continue
            try:
                reply = await session.run(IN_RECOVERY, timeout_s=CONNECT_S)
            except (Broken, Refused) as error:
                session.abort()
                trouble.append(f"{server}: {error}")
                continue
            [(in_recovery,)] = reply.results[0].rows
            if not in_recovery:
                self._first = (self._first + turn) % len(names)
                self._session = session
                self.number += 1
                return session
            trouble.append(f"{server}: is a standby")
            await session.close()
        raise Unavailable(f"no database server takes writes: {'; '.join(trouble)}")

    async def run(self, *statements: Statement, timeout_s: float = RUN_S) -> Reply:
        """Run statements in the session. Raises Unavailable where there is none, Broken or
        Refused; a transaction that was open is over then."""
        session = await self.session()
        try:
            return await session.run(*statements, timeout_s=timeout_s)
        except Refused:
            await self.roll_back()
            raise

    async def roll_back(self) -> None:
        """Undo an open transaction; where that can't be told, with its session."""
        session = self._session
        if session is None or session.broken:
            return
        try:
            await session.run(ROLLBACK, timeout_s=RUN_S)
        except (Broken, Refused):
            session.abort()

    def disconnect(self) -> None:
        """Give up the session, and what is under way, at once."""
        if self._session is not None:
            self._session.abort()
            self._session = None

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None and not session.broken:
            await session.close()
