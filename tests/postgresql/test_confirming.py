"""P5: nobody but the server decides what becomes of a COMMIT that waits for its standby."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
import pytest

from storage.postgresql.connection import Connection
from storage.postgresql.session import Broken, Reply, Statement
from tests.patience import PATIENCE_S, until
from tests.postgresql.pooler import Pooler
from tests.postgresql.servers import Server
from tests.postgresql.sessions import BEGIN, COMMIT, confirming, gone, let_deadlines_pass, session

ROWS = "SELECT count(*) FROM t"
CANCELLED = "canceling wait for synchronous replication due to user request"
INSERT = (
    BEGIN,
    Statement("SET LOCAL synchronous_commit = on"),
    Statement("SET LOCAL client_min_messages = warning"),
    Statement("INSERT INTO t VALUES (1)"),
    COMMIT,
)
Ends = dict[str, Callable[[Connection, "asyncio.Task[Reply]"], object]]
ENDS: Ends = {
    "its deadline passes": lambda one, commit: let_deadlines_pass(),
    "its caller is cancelled": lambda one, commit: commit.cancel(),
    "it is aborted": lambda one, commit: one.abort(),
}


def frozen(pair: tuple[Server, Server]) -> tuple[Server, Server]:
    """The pair, its standby frozen, and a table at both."""
    one, two = pair
    one.ask("CREATE TABLE t (n int)")
    two.freeze()
    return one, two


async def given_up(one: Server, through: Server | Pooler) -> None:
    """Give up COMMITs that wait, in every way, and see them go on waiting."""
    for number, (end, act) in enumerate(ENDS.items(), 1):
        async with session(through) as writer:
            commit = asyncio.create_task(writer.run(*INSERT, timeout_s=PATIENCE_S))
            await confirming(one, number)
            act(writer, commit)
            with pytest.raises((Broken, asyncio.CancelledError)):
                await commit
            assert writer.broken, end
        await confirming(one, number)
        assert one.ask(ROWS) == [(0,)], end


async def test_p5_what_is_given_up_goes_on_waiting_for_its_standby(
    postgresql_pair: tuple[Server, Server],
) -> None:
    one, two = frozen(postgresql_pair)
    await given_up(one, one)
    two.thaw()
    await until(lambda: one.ask(ROWS) == [(len(ENDS),)], "all are committed")
    assert CANCELLED not in one.log.read_text()


async def test_p5_a_cancelled_wait_is_told_by_a_warning_alone(
    postgresql_pair: tuple[Server, Server],
) -> None:
    one, two = frozen(postgresql_pair)
    async with session(one) as writer:
        commit = asyncio.create_task(writer.run(*INSERT, timeout_s=PATIENCE_S))
        await confirming(one)
        one.ask("SELECT pg_cancel_backend(%s)", writer.pid)
        reply = await commit
        assert reply.results[-1].tag == "COMMIT"
        [warning] = reply.warnings
        assert warning == f"WARNING: {CANCELLED}"
        assert one.ask(ROWS) == [(1,)]
        assert CANCELLED in one.log.read_text()
    two.thaw()


async def test_p5_a_wait_whose_session_is_ended_tells_nothing(
    postgresql_pair: tuple[Server, Server],
) -> None:
    one, two = frozen(postgresql_pair)
    async with session(one) as writer:
        commit = asyncio.create_task(writer.run(*INSERT, timeout_s=PATIENCE_S))
        await confirming(one)
        one.ask("SELECT pg_terminate_backend(%s)", writer.pid)
        with pytest.raises(Broken):
            await commit
        await gone(one, writer.pid)
        assert one.ask(ROWS) == [(1,)]  # and it is committed, at the primary alone
    two.thaw()


async def test_psycopg_itself_cancels_what_its_caller_gives_up(
    postgresql_pair: tuple[Server, Server],
) -> None:
    """So our sessions are none of its own: as long as this holds, they can't be."""
    one, two = frozen(postgresql_pair)
    async with await psycopg.AsyncConnection.connect(one.conninfo) as connection:
        await connection.execute("INSERT INTO t VALUES (1)")
        commit = asyncio.create_task(connection.commit())
        await confirming(one)
        assert one.ask(ROWS) == [(0,)]
        commit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await commit
        assert one.ask(ROWS) == [(1,)]
    two.thaw()


async def test_p5_a_pooler_does_not_cancel_what_is_given_up_either(
    postgresql_pair: tuple[Server, Server],
) -> None:
    one, two = frozen(postgresql_pair)
    with Pooler(one, size=len(ENDS) + 1) as pooler:
        await given_up(one, pooler)
        two.thaw()
        await until(lambda: one.ask(ROWS) == [(len(ENDS),)], "all are committed")
    assert CANCELLED not in one.log.read_text()
