"""One session of the server that takes writes."""

from __future__ import annotations

from collections.abc import Sequence

from bazar.errors import Unavailable
from storage.postgresql.session import (
    Broken,
    Refused,
    Reply,
    Result,
    Servers,
    Session,
    Statement,
)
from storage.postgresql.transaction import COMMIT, ROLLBACK, beginning, check_committed

CONNECT_S = 2.0
RUN_S = 5.0
LOCK_S = RUN_S / 2  # for a lock of another: then there is time to say so

IN_RECOVERY = Statement("SELECT pg_is_in_recovery()")


class Link:
    """A session of the writable server among several, opened anew once it is broken. `number`
    counts the sessions (P3). A transaction is bound to the session in which it has begun: in
    another one its COMMIT would be reported as done."""

    def __init__(self, servers: Servers, silence_s: float, beside: Link | None = None) -> None:
        """Connect to the server of `beside`, where that is connected: others may take writes, too,
        and have been deposed. A transaction ends once we have said nothing for `silence_s`."""
        self._servers = servers
        self._beside = beside
        self._beginning = beginning(silence_s, LOCK_S)
        self._session: Session | None = None
        self._open: Session | None = None  # in which a transaction has begun
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
        leader = None if self._beside is None else self._beside.server
        for turn in range(len(names)):
            server = names[(self._first + turn) % len(names)]
            if leader not in (None, server):
                continue
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
        """Run one statement. Raises Unavailable where no server takes writes, Broken or Refused."""
        return await self._run(await self.session(), statements, timeout_s)

    async def begin(self, *statements: Statement, timeout_s: float = RUN_S) -> Sequence[Result]:
        """Begin a transaction with these statements, and return what they came to. Raises the
        same."""
        session = await self.session()
        self._open = session
        reply = await self._run(session, (*self._beginning, *statements), timeout_s)
        return reply.results[len(self._beginning) :]

    async def go_on(self, *statements: Statement, timeout_s: float = RUN_S) -> Reply:
        """Run statements in the transaction that has begun. Raises Broken where its session is
        gone, or Refused: then it is over."""
        session = self._open
        if session is None or session.broken:
            raise Broken("the session of this transaction is gone")
        if statements[-1] in (COMMIT, ROLLBACK):
            self._open = None
        return await self._run(session, statements, timeout_s)

    async def whole(self, *statements: Statement, timeout_s: float = RUN_S) -> Sequence[Result]:
        """Run a transaction in one round trip. Raises as `begin` does; Broken unless its COMMIT is
        confirmed (P5)."""
        session = await self.session()
        whole = (*self._beginning, *statements, COMMIT)
        reply = await self._run(session, whole, timeout_s)
        check_committed(reply)
        return reply.results[len(self._beginning) : -1]

    async def _run(
        self, session: Session, statements: Sequence[Statement], timeout_s: float
    ) -> Reply:
        try:
            return await session.run(*statements, timeout_s=timeout_s)
        except Refused:
            await self._undo(session)
            raise
        except Broken:
            # It may be a server that has been deposed, and waits for a standby for ever.
            self._first += 1
            raise

    async def _undo(self, session: Session) -> None:
        self._open = None
        try:
            await session.run(ROLLBACK, timeout_s=RUN_S)
        except (Broken, Refused):
            session.abort()

    async def roll_back(self) -> None:
        """Undo the transaction that is open, if there is one."""
        session = self._open
        if session is not None and not session.broken:
            await self._undo(session)

    def disconnect(self) -> None:
        """Give up the session, and what is under way, at once."""
        if self._session is not None:
            self._session.abort()

    async def close(self) -> None:
        """End the session in order."""
        session, self._session, self._open = self._session, None, None
        if session is not None and not session.broken:
            await session.close()
