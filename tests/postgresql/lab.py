"""The lab of the facts, with real servers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from psycopg import pq

from storage.postgresql.connection import Connection
from storage.postgresql.parameters import encode
from storage.postgresql.servers import PostgreSQLServers
from storage.postgresql.session import Servers, Statement
from tests.patience import PATIENCE_S, POLL_S
from tests.postgresql.servers import Server

CANCEL = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


class FactsServers:
    """Servers by the names that facts have for them. Some facts show what becomes of a pipeline
    that begins no transaction: so the sessions, which refuse to send one, don't look."""

    def __init__(self, servers: dict[str, Server]) -> None:
        self.names: Sequence[str] = tuple(servers)
        self._addresses = {name: server.address for name, server in servers.items()}
        [password] = {server.place.password for server in servers.values()}
        dsn = f"user=postgres dbname=postgres password={password}"
        self._servers = PostgreSQLServers([*self._addresses.values()], dsn)

    async def connect(self, server: str, timeout_s: float) -> Connection:
        session = await self._servers.connect(self._addresses[server], timeout_s)
        session._check_begin = lambda statements: None  # type: ignore[method-assign]
        return session


class RealLab:
    """A pair of servers."""

    def __init__(self, one: Server, two: Server) -> None:
        self._servers = {"one": one, "two": two}
        self.servers: Servers = FactsServers(self._servers)

    async def freeze(self, server: str) -> None:
        self._servers[server].freeze()

    async def thaw(self, server: str) -> None:
        self._servers[server].thaw()

    async def crash(self, server: str) -> None:
        self._servers[server].kill()
        self._servers[server].start()

    async def promote(self, server: str) -> None:
        self._servers[server].promote()

    async def demand(self, server: str, *standbys: str) -> None:
        """Name the one that streams last: its place shows when its sender has read the list."""
        names = standbys[::-1]
        demanded = f"{len(names)} ({', '.join(names)})" if names else ""
        self._servers[server].configure(synchronous_standby_names=demanded)
        sql = "SELECT application_name, sync_priority FROM pg_stat_replication"

        async def in_force() -> bool:
            return all(
                place == (names.index(name) + 1 if name in names else 0)
                for name, place in self._servers[server].ask(sql)
            )

        await self.until(in_force)

    async def cancel_waits(self, server: str) -> None:
        assert self._servers[server].ask(CANCEL)

    async def end_sessions(self, server: str) -> None:
        assert self._servers[server].ask(TERMINATE)

    async def unsynced(self, server: str, *statements: Statement) -> Callable[[], None]:
        connection = pq.PGconn.connect(self._servers[server].conninfo.encode())
        connection.enter_pipeline_mode()
        for statement in statements:
            connection.send_query_params(statement.sql.encode(), encode(statement.params))
        assert connection.flush() == 0
        return connection.finish

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not await condition():  # noqa: ASYNC110 - any condition
                await asyncio.sleep(POLL_S)
