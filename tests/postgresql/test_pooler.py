"""Sessions behind a pooler, where each transaction may have another session of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from storage.postgresql.session import Broken, Statement
from tests.patience import PATIENCE_S
from tests.postgresql.pooler import Pooler
from tests.postgresql.servers import Server
from tests.postgresql.sessions import BEGIN, COMMIT, open_files, run, servers, session

SELECT = Statement("SELECT $1::bigint, $2::text[]", (7, ["a", "b"]), prepared=True)
WAITS = "SELECT current_setting('tcp_keepalives_idle')"


@pytest.fixture
def pooler(postgresql_server: Server) -> Iterator[Pooler]:
    """A pooler with one session."""
    with Pooler(postgresql_server, size=1) as found:
        yield found


async def test_transactions_of_two_sessions_take_turns_at_one(pooler: Pooler) -> None:
    async with session(pooler) as one, session(pooler) as two:
        for _ in range(3):
            for each in (one, two):
                reply = await run(each, BEGIN, SELECT, COMMIT)
                assert reply.results[1].rows == ((7, ["a", "b"]),)
        await run(one, BEGIN, SELECT)
        other = asyncio.create_task(run(two, BEGIN, SELECT, COMMIT))
        assert (await run(one, SELECT, COMMIT)).results[1].tag == "COMMIT"
        assert (await other).results[2].tag == "COMMIT"


async def test_a_transaction_of_a_session_that_is_gone_ends(
    pooler: Pooler, postgresql_server: Server
) -> None:
    async with session(pooler) as one, session(pooler) as two:
        await run(one, BEGIN, SELECT)
        one.abort()
        await run(two, BEGIN, SELECT, COMMIT)


async def test_nothing_is_set_for_whoever_comes_next(pooler: Pooler) -> None:
    async with session(pooler):
        pass
    async with session(pooler) as one:
        [[idle]] = (await run(one, WAITS)).results[0].rows
        assert idle != "3"


async def test_a_timeout_of_its_sessions_is_refused(postgresql_server: Server) -> None:
    postgresql_server.ask("ALTER ROLE postgres SET statement_timeout = '5s'")
    try:
        with Pooler(postgresql_server, size=1) as pooler:
            before = open_files()
            with pytest.raises(Broken, match=r"have statement_timeout = 5s: .* for the role"):
                await servers(pooler).connect(pooler.address, PATIENCE_S)
            assert open_files() == before  # it is tried again and again
    finally:
        postgresql_server.ask("ALTER ROLE postgres RESET statement_timeout")
    with Pooler(postgresql_server, size=1) as pooler:
        async with session(pooler) as one:
            await run(one, "SELECT 1")
