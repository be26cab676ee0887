"""P5: nobody but the server decides what becomes of a COMMIT that waits for its standby."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import NamedTuple

import psycopg
import pytest

from storage.postgresql.connection import Connection
from storage.postgresql.session import Broken, Reply, Statement
from tests.patience import PATIENCE_S, until
from tests.postgresql.installations import Installation
from tests.postgresql.pooler import Pooler
from tests.postgresql.servers import Place, Server
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


class Frozen(NamedTuple):
    one: Server
    two: Server
    said: int

    def hears_of_a_cancel(self) -> bool:
        """Whether its primary was asked to cancel a wait since then."""
        return CANCELLED.encode() in self.one.log.read_bytes()[self.said :]


@pytest.fixture(scope="module")
def pair(postgresql_installation: Installation) -> Iterator[tuple[Server, Server]]:
    with Place(postgresql_installation) as place:
        one = place.primary("one")
        yield one, place.standby("two", one, synchronous=True)


@pytest.fixture
def frozen(pair: tuple[Server, Server]) -> Iterator[Frozen]:
    """The pair, its standby frozen, and an empty table at both."""
    one, two = pair
    one.ask("CREATE TABLE t (n int)")
    two.freeze()
    yield Frozen(one, two, one.log.stat().st_size)
    two.thaw()
    one.ask("DROP TABLE t")


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
    frozen: Frozen,
) -> None:
    one = frozen.one
    await given_up(one, one)
    frozen.two.thaw()
    await until(lambda: one.ask(ROWS) == [(len(ENDS),)], "all are committed")
    assert not frozen.hears_of_a_cancel()


async def test_p5_a_cancelled_wait_is_told_by_a_warning_alone(
    frozen: Frozen,
) -> None:
    one = frozen.one
    async with session(one) as writer:
        commit = asyncio.create_task(writer.run(*INSERT, timeout_s=PATIENCE_S))
        await confirming(one)
        one.ask("SELECT pg_cancel_backend(%s)", writer.pid)
        reply = await commit
        assert reply.results[-1].tag == "COMMIT"
        [warning] = reply.warnings
        assert warning == f"WARNING: {CANCELLED}"
        assert one.ask(ROWS) == [(1,)]
        assert frozen.hears_of_a_cancel()


async def test_p5_a_wait_whose_session_is_ended_tells_nothing(
    frozen: Frozen,
) -> None:
    one = frozen.one
    async with session(one) as writer:
        commit = asyncio.create_task(writer.run(*INSERT, timeout_s=PATIENCE_S))
        await confirming(one)
        one.ask("SELECT pg_terminate_backend(%s)", writer.pid)
        with pytest.raises(Broken):
            await commit
        await gone(one, writer.pid)
        assert one.ask(ROWS) == [(1,)]  # and it is committed, at the primary alone


async def test_psycopg_itself_cancels_what_its_caller_gives_up(
    frozen: Frozen,
) -> None:
    """So our sessions are none of its own: as long as this holds, they can't be."""
    one = frozen.one
    async with await psycopg.AsyncConnection.connect(one.conninfo) as connection:
        await connection.execute("INSERT INTO t VALUES (1)")
        commit = asyncio.create_task(connection.commit())
        await confirming(one)
        assert one.ask(ROWS) == [(0,)]
        commit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await commit
        assert one.ask(ROWS) == [(1,)]


async def test_p5_a_pooler_does_not_cancel_what_is_given_up_either(
    frozen: Frozen,
) -> None:
    one = frozen.one
    with Pooler(one, size=len(ENDS) + 1) as pooler:
        await given_up(one, pooler)
        frozen.two.thaw()
        await until(lambda: one.ask(ROWS) == [(len(ENDS),)], "all are committed")
    assert not frozen.hears_of_a_cancel()
