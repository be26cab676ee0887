"""Sessions of real servers, with something done between two of their round trips."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from storage.postgresql.session import Reply, Servers, Session, Statement

Before = Callable[[Sequence[Statement]], Awaitable[None]]


class WatchedSession:
    def __init__(self, session: Session, before: Before) -> None:
        self.server = session.server
        self._session = session
        self._before = before
        self.abort = session.abort
        self.close = session.close

    @property
    def broken(self) -> bool:
        return self._session.broken

    async def run(self, *statements: Statement, timeout_s: float) -> Reply:
        await self._before(statements)
        return await self._session.run(*statements, timeout_s=timeout_s)


class WatchedServers:
    """`before` is awaited before each round trip."""

    def __init__(self, servers: Servers, before: Before) -> None:
        self.names = servers.names
        self._servers = servers
        self._before = before

    async def connect(self, server: str, timeout_s: float) -> Session:
        return WatchedSession(await self._servers.connect(server, timeout_s), self._before)
