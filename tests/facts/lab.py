"""What a fact needs: two servers, a few things that happen to them, and sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any, Protocol

from storage.postgresql.session import Refused, Reply, Row, Servers, Session, Statement

PATIENCE_S = 30.0


class Lab(Protocol):
    """A primary "one", and "two", its standby: streaming, hot, and synchronous."""

    servers: Servers

    async def freeze(self, server: str) -> None:
        """Stop all processes of a server (SIGSTOP)."""

    async def thaw(self, server: str) -> None:
        """Let them go on."""

    async def crash(self, server: str) -> None:
        """Kill all of them (SIGKILL), and start it again; return when it answers."""

    async def promote(self, server: str) -> None:
        """Make a standby a primary, and return when it takes writes."""

    async def demand(self, server: str, *standbys: str) -> None:
        """Have commits of this server wait for all of these standbys, known or not:
        synchronous_standby_names = 'n (…)', or '' if there are none. Return when that is in force.
        A fact that uses this ends with `demand("one", "two")`."""

    async def cancel_waits(self, server: str) -> None:
        """Cancel whatever waits for a standby, as an operator does (pg_cancel_backend)."""

    async def end_sessions(self, server: str) -> None:
        """End all its sessions, as an operator or a pooler does (pg_terminate_backend)."""

    async def unsynced(self, server: str, *statements: Statement) -> Callable[[], None]:
        """Send statements in a pipeline without its Sync, on a connection of its own, and return
        what closes that one's socket."""

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Return once the condition holds; fail where it never does."""


Fact = Callable[[Lab, str], Awaitable[None]]
"""Shows something with a table `(id bigint PRIMARY KEY, n bigint)` of this name, in which n = 1
where id is 1, and where it is 2."""


async def check(fact: Fact, lab: Lab) -> None:
    """Check one fact, with a table of its own, which both servers have."""
    await prepare(lab, fact.__name__)
    await asyncio.wait_for(fact(lab, fact.__name__), 2 * PATIENCE_S)


async def prepare(lab: Lab, table: str) -> None:
    """Make the table anew."""
    async with opened(lab, "one", "two") as (one, two):
        await do(one, f"DROP TABLE IF EXISTS {table}")
        await do(one, f"CREATE TABLE {table} (id bigint PRIMARY KEY, n bigint)")
        await do(one, f"INSERT INTO {table} (id, n) VALUES (1, 1), (2, 1)")
        await lab.until(lambda: shows(two, table, 1))


@asynccontextmanager
async def opened(lab: Lab, *servers: str) -> AsyncIterator[list[Session]]:
    """Open a session of each of these servers; abort them at the end."""
    with ExitStack() as stack:
        sessions: list[Session] = []
        for server in servers:
            session = await lab.servers.connect(server, PATIENCE_S)
            stack.callback(session.abort)
            sessions.append(session)
        yield sessions


async def do(session: Session, *sql: str) -> Reply:
    """Run statements without parameters in one round trip."""
    return await session.run(*map(Statement, sql), timeout_s=PATIENCE_S)


async def rows(session: Session, *sql: str) -> tuple[Row, ...]:
    """Return the rows of the last statement."""
    return (await do(session, *sql)).results[-1].rows


async def refused(session: Session, *sql: str) -> str:
    """Return the SQLSTATE with which a statement is refused."""
    try:
        reply = await do(session, *sql)
    except Refused as error:
        return error.sqlstate
    raise AssertionError(f"{sql} is not refused: {reply}")


async def n_of(session: Session, table: str, row: int = 1) -> Any:
    """Return the number that a session sees."""
    return (await rows(session, f"SELECT n FROM {table} WHERE id = {row}"))[0][0]


async def shows(session: Session, table: str, n: int) -> bool:
    """Return whether a session sees this number, or even the table."""
    try:
        found = await rows(session, f"SELECT n FROM {table} WHERE id = 1")
    except Refused:
        return False
    return found == ((n,),)


def begun(session: Session, *sql: str) -> asyncio.Task[Reply]:
    """Begin to run statements that are expected to wait."""
    return asyncio.get_running_loop().create_task(do(session, *sql))


async def waiting(lab: Lab, watcher: Session, number: int = 1) -> None:
    """Return once as many sessions wait for a lock."""
    sql = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    async def wait() -> bool:
        return len(await rows(watcher, sql)) == number

    await lab.until(wait)


async def confirming(lab: Lab, watcher: Session) -> None:
    """Return once a session waits for a standby's confirmation."""
    sql = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"

    async def confirm() -> bool:
        return len(await rows(watcher, sql)) > 0

    await lab.until(confirm)
