"""What tests of sessions do again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from storage.postgresql.connection import Connection
from storage.postgresql.servers import PostgreSQLServers
from storage.postgresql.session import Reply, Session, Statement
from tests.patience import PATIENCE_S, until
from tests.postgresql.pooler import Pooler
from tests.postgresql.servers import Server

BEGIN, COMMIT, ROLLBACK = Statement("BEGIN"), Statement("COMMIT"), Statement("ROLLBACK")


@asynccontextmanager
async def session(server: Server | Pooler) -> AsyncIterator[Connection]:
    found = await servers(server).connect(server.address, PATIENCE_S)
    try:
        yield found
    finally:
        await found.close()


def servers(server: Server | Pooler) -> PostgreSQLServers:
    dsn = f"user=postgres dbname=postgres password={server.place.password}"
    return PostgreSQLServers([server.address], dsn)


async def run(connection: Session, *statements: str | Statement) -> Reply:
    made = (Statement(each) if isinstance(each, str) else each for each in statements)
    return await connection.run(*made, timeout_s=PATIENCE_S)


async def runs(server: Server, pid: int, what: str) -> None:
    """Return once the server's process runs this."""
    sql = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state = 'active' AND query LIKE %s"
    await until(lambda: server.ask(sql, pid, f"{what}%"), f"{what} is run")


async def gone(server: Server, pid: int) -> None:
    """Return once the server's process has ended."""
    sql = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
    await until(lambda: not server.ask(sql, pid), f"{pid} has ended")


async def confirming(server: Server, number: int = 1) -> None:
    """Return once as many sessions wait for a standby's confirmation."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    await until(lambda: server.ask(sql) == [(number,)], f"{number} wait for a standby")


def open_files() -> list[str]:
    """The numbers of the files and sockets that this process has open."""
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def let_deadlines_pass() -> None:
    """Have all that was to be done within PATIENCE_S be late, at once."""
    loop = asyncio.get_running_loop()
    clock = loop.time
    loop.time = lambda: clock() + PATIENCE_S  # type: ignore[method-assign]
