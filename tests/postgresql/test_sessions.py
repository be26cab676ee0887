"""A session runs what it is told, says what the server says, and breaks when it must."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.postgresql.connection import MOST, Connection
from storage.postgresql.servers import PostgreSQLServers
from storage.postgresql.session import Broken, Refused, Statement
from tests.patience import PATIENCE_S, until
from tests.postgresql.servers import Server
from tests.postgresql.sessions import (
    BEGIN,
    COMMIT,
    ROLLBACK,
    gone,
    let_deadlines_pass,
    run,
    runs,
    servers,
    session,
)

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
INTEGERS = st.integers(-(2**63), 2**63 - 1)


async def test_a_round_trip_says_tags_rows_and_warnings(postgresql_server: Server) -> None:
    async with session(postgresql_server) as one:
        reply = await run(
            one,
            BEGIN,
            "CREATE TEMPORARY TABLE t (n bigint, word text) ON COMMIT DROP",
            Statement("INSERT INTO t VALUES ($1, $2), ($3, NULL)", (1, "Bücher", 2)),
            "SELECT n, word, n = 1, ARRAY[n] FROM t ORDER BY n",
            "UPDATE t SET n = 5 WHERE n = 7",
            "DO $$ BEGIN RAISE WARNING 'hear hear'; END $$",
            COMMIT,
        )
        tags = [result.tag for result in reply.results]
        assert tags == [
            *("BEGIN", "CREATE TABLE", "INSERT 0 2", "SELECT 2", "UPDATE 0", "DO", "COMMIT")
        ]
        assert reply.results[3].rows == ((1, "Bücher", True, [1]), (2, None, False, [2]))
        assert reply.warnings == ("WARNING: hear hear",)
        assert (await run(one, "SELECT 1")).warnings == ()


async def test_a_refusal_has_its_sqlstate_and_the_rest_is_not_run(
    postgresql_server: Server,
) -> None:
    async with session(postgresql_server) as one:
        await run(one, "CREATE TEMPORARY TABLE t (n bigint)")
        with pytest.raises(Refused, match="division by zero") as refused:
            await run(one, BEGIN, "SELECT 1 / 0", "INSERT INTO t VALUES (1)", COMMIT)
        assert refused.value.sqlstate == "22012"
        with pytest.raises(Refused) as refused:
            await run(one, "SELECT 1")
        assert refused.value.sqlstate == "25P02"
        assert (await run(one, ROLLBACK)).results[0].tag == "ROLLBACK"
        assert (await run(one, "SELECT count(*) FROM t")).results[0].rows == ((0,),)
        assert not one.broken


async def test_p5_commit_of_what_was_refused_has_the_tag_rollback(
    postgresql_server: Server,
) -> None:
    async with session(postgresql_server) as one:
        with pytest.raises(Refused):
            await run(one, BEGIN, "SELECT 1 / 0")
        assert (await run(one, COMMIT)).results[0].tag == "ROLLBACK"


async def test_several_statements_begin_a_transaction(postgresql_server: Server) -> None:
    async with session(postgresql_server) as one:
        with pytest.raises(ValueError, match="none begins with 'SELECT 1'"):
            await run(one, "SELECT 1", "SELECT 2")
        await run(one, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        reply = await run(one, "SHOW transaction_isolation", "SHOW transaction_read_only", COMMIT)
        assert [result.rows for result in reply.results] == [
            *((("repeatable read",),), (("on",),), ())
        ]


@settings(max_examples=30)
@given(st.lists(TEXTS | st.none()), st.lists(INTEGERS | st.none()), TEXTS, INTEGERS)
def test_what_is_sent_comes_back(
    postgresql_server: Server,
    texts: list[str | None],
    integers: list[int | None],
    text: str,
    integer: int,
) -> None:
    params = (texts, integers, text, integer, True, [False, None, True], None)

    async def there_and_back() -> None:
        async with session(postgresql_server) as one:
            types = "$1::text[], $2::bigint[], $3::text, $4::bigint, $5::bool, $6::bool[], $7::text"
            reply = await run(one, Statement(f"SELECT {types}", params))
            assert reply.results[0].rows == (params,)

    asyncio.run(there_and_back())


@pytest.mark.parametrize(
    ("params", "error"),
    [
        (("", "a\0b"), r"\$2 has a NUL"),
        ((["a", "\0"],), r"\$1 has a NUL"),
        (("\ud800",), r"\$1 has half a surrogate pair"),
        ((1.5,), r"\$1 is a float"),
        (([b""],), r"\$1 has a bytes in its list"),
        (([[1]],), r"\$1 has a list in its list"),
    ],
)
async def test_a_parameter_that_cannot_be_kept_is_named_and_nothing_is_run(
    postgresql_server: Server, params: tuple[Any, ...], error: str
) -> None:
    async with session(postgresql_server) as one:
        with pytest.raises((ValueError, TypeError), match=error):
            await run(one, BEGIN, Statement("SELECT $1", params))
        assert not one.broken
        assert (await run(one, COMMIT)).warnings == (
            "WARNING: there is no transaction in progress",
        )


async def test_much_goes_both_ways_at_once(postgresql_server: Server) -> None:
    """More than the sockets hold, both ways: each side has to read while it writes."""
    large = "x" * 5_000_000
    async with session(postgresql_server) as one:
        selects = [Statement("SELECT $1::text", (large,))] * 6
        reply = await run(one, BEGIN, *selects, COMMIT)
        assert [result.rows for result in reply.results[1:-1]] == [((large,),)] * 6


PREPARED = "SELECT statement, generic_plans + custom_plans FROM pg_prepared_statements ORDER BY 1"


def prepared(sql: str, *params: Any) -> Statement:
    return Statement(sql, params, prepared=True)


async def test_what_is_prepared_is_so_once(postgresql_server: Server) -> None:
    add = "SELECT $1::bigint + 1"
    async with session(postgresql_server) as one:
        reply = await run(one, BEGIN, prepared(add, 1), "SELECT 0", prepared(add, 2), COMMIT)
        assert [each.rows for each in reply.results] == [(), ((2,),), ((0,),), ((3,),), ()]
        assert (await run(one, prepared(add, 3))).results[0].rows == ((4,),)
        assert (await run(one, PREPARED)).results[0].rows == ((add, 3),)


async def test_what_is_refused_is_prepared_if_it_came_to_that(postgresql_server: Server) -> None:
    first, wrong, last = "SELECT 1", "SELECT no_such", "SELECT 3"
    async with session(postgresql_server) as one:
        for _ in range(2):
            with pytest.raises(Refused, match="no_such"):
                await run(one, BEGIN, *map(prepared, (first, wrong, last)), COMMIT)
            await run(one, ROLLBACK)
        assert (await run(one, PREPARED)).results[0].rows == ((first, 2),)
        reply = await run(one, BEGIN, *map(prepared, (first, last)), COMMIT)
        assert [each.rows for each in reply.results] == [(), ((1,),), ((3,),), ()]


async def test_what_is_prepared_may_change_its_columns(postgresql_server: Server) -> None:
    """A migration is made while sessions are open: at the worst each refuses once."""
    select = prepared("SELECT n FROM t")
    async with session(postgresql_server) as one:
        await run(
            one, BEGIN, "CREATE TEMPORARY TABLE t (n bigint)", "INSERT INTO t VALUES (1)", COMMIT
        )
        assert (await run(one, select)).results[0].rows == ((1,),)
        await run(one, "ALTER TABLE t ADD COLUMN m bigint")
        assert (await run(one, select)).results[0].rows == ((1,),)
        await run(one, "ALTER TABLE t ALTER COLUMN n TYPE text")
        with pytest.raises(Refused) as refused:
            await run(one, select)
        assert refused.value.sqlstate == "0A000"
        assert (await run(one, select)).results[0].rows == (("1",),)
        await run(one, "DEALLOCATE ALL")
        with pytest.raises(Refused) as refused:
            await run(one, select)
        assert refused.value.sqlstate == "26000"
        assert (await run(one, select)).results[0].rows == (("1",),)


async def test_no_more_is_prepared_than_a_session_may_keep(postgresql_server: Server) -> None:
    async with session(postgresql_server) as one:
        for first in range(0, MOST + 200, 200):
            selects = [prepared(f"SELECT {n}") for n in range(first, first + 200)]
            reply = await run(one, BEGIN, *selects, COMMIT)
            assert [n for each in reply.results for (n,) in each.rows] == [
                *range(first, first + 200)
            ]
        [[kept]] = (await run(one, "SELECT count(*) FROM pg_prepared_statements")).results[0].rows
        assert kept == MOST


async def test_one_thing_at_a_time(postgresql_server: Server) -> None:
    async with session(postgresql_server) as one:
        first = asyncio.create_task(run(one, "SELECT pg_sleep(1000)"))
        await runs(postgresql_server, one.pid, "SELECT pg_sleep")
        with pytest.raises(RuntimeError, match="one thing at a time"):
            await run(one, "SELECT 1")
        one.abort()
        with pytest.raises(Broken, match="given up"):
            await first


async def test_a_session_that_the_server_ends_is_broken_by_itself(
    postgresql_server: Server,
) -> None:
    async with session(postgresql_server) as one:
        postgresql_server.ask("SELECT pg_terminate_backend(%s)", one.pid)
        await until(lambda: one.broken, "it is broken")
        with pytest.raises(Broken, match=f"{one.server}: .*administrator command .57P01"):
            await run(one, "SELECT 1")


@pytest.mark.parametrize("size", [1, 10_000_000])
async def test_so_is_one_whose_end_is_not_noticed_before_it_is_used(
    postgresql_server: Server, size: int
) -> None:
    async with session(postgresql_server) as one:
        postgresql_server.ask("SELECT pg_terminate_backend(%s, 60000)", one.pid)
        assert not one.broken
        with pytest.raises(Broken, match=f"{one.server}: "):
            await run(one, BEGIN, Statement("SELECT $1::text", ("x" * size,)), COMMIT)
        assert one.broken


async def test_what_runs_when_the_server_ends_the_session_is_in_doubt(
    postgresql_server: Server,
) -> None:
    async with session(postgresql_server) as one:
        running = asyncio.create_task(run(one, BEGIN, "SELECT pg_sleep(1000)", COMMIT))
        await runs(postgresql_server, one.pid, "SELECT pg_sleep")
        postgresql_server.ask("SELECT pg_terminate_backend(%s)", one.pid)
        with pytest.raises(Broken, match="57P01"):
            await running
        assert one.broken


async def test_a_server_that_is_killed_breaks_its_sessions(
    postgresql_pair: tuple[Server, Server],
) -> None:
    one, two = postgresql_pair
    async with session(one) as idle, session(one) as busy, session(two) as other:
        running = asyncio.create_task(run(busy, BEGIN, "SELECT pg_sleep(1000)", COMMIT))
        await runs(one, busy.pid, "SELECT pg_sleep")
        os.kill(other.pid, signal.SIGKILL)  # a server ends all sessions when one has crashed
        await until(lambda: other.broken, "the standby's session is broken")
        one.kill()
        with pytest.raises(Broken, match=r"closed the connection|reset by peer"):
            await running
        await until(lambda: idle.broken, "the idle one is broken")
        with pytest.raises(Broken, match="refused"):
            await servers(one).connect(one.address, PATIENCE_S)


@pytest.mark.parametrize("end", ["deadline", "cancelled", "aborted", "closed"])
async def test_what_is_given_up_is_broken_and_not_cancelled(
    postgresql_server: Server, end: str
) -> None:
    async with session(postgresql_server) as one:
        running = asyncio.create_task(run(one, "SELECT pg_sleep(1000)"))
        await runs(postgresql_server, one.pid, "SELECT pg_sleep")
        if end == "deadline":
            let_deadlines_pass()
        elif end == "cancelled":
            running.cancel()
        elif end == "aborted":
            one.abort()
        elif end == "closed":
            await one.close()
        with pytest.raises((Broken, asyncio.CancelledError)):
            await running
        assert one.broken
        with pytest.raises(Broken):
            await run(one, "SELECT 1")
        state = "SELECT state FROM pg_stat_activity WHERE pid = %s"
        assert postgresql_server.ask(state, one.pid) == [("active",)]  # it sleeps on
        postgresql_server.ask("SELECT pg_terminate_backend(%s)", one.pid)


async def test_an_answer_that_comes_with_the_deadline_is_an_answer(
    postgresql_server: Server,
) -> None:
    async with session(postgresql_server) as one:
        running = asyncio.create_task(run(one, "SELECT 1"))
        await asyncio.sleep(0)  # it is sent
        assert select.select([one._socket], [], [], PATIENCE_S)[0]
        let_deadlines_pass()
        assert (await running).results[0].rows == ((1,),)
        assert not one.broken


async def test_closing_ends_the_servers_process_and_its_transaction(
    postgresql_server: Server,
) -> None:
    async with session(postgresql_server) as one, session(postgresql_server) as two:
        for each, end in ((one, one.close), (two, two.abort)):
            await run(each, BEGIN)
            ended = end()
            if ended is not None:
                await ended
            assert each.broken
            await gone(postgresql_server, each.pid)


async def test_what_the_socket_does_not_take_at_once_is_sent_when_it_does(
    postgresql_server: Server,
) -> None:
    """And then nobody looks after it any more."""
    async with session(postgresql_server) as one:
        large = "x" * (8 << 20)
        reply = await run(one, Statement("SELECT length($1)", (large,)))
        assert reply.results[0].rows == ((len(large),),)
        assert not asyncio.get_running_loop().remove_writer(one._socket)


async def test_the_first_reason_of_an_end_is_the_one_that_is_told(
    postgresql_server: Server,
) -> None:
    async with session(postgresql_server) as one:
        one.abort()
        await one.close()
        with pytest.raises(Broken, match="given up"):
            await run(one, "SELECT 1")


async def test_a_session_that_can_not_be_settled_is_ended(
    postgresql_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []

    async def refuse(self: object, session: Connection, timeout_s: float) -> None:
        pids.append(session.pid)
        raise Refused("28000", "no settings")

    monkeypatch.setattr(PostgreSQLServers, "_settle", refuse)
    with pytest.raises(Broken, match="no settings"):
        await servers(postgresql_server).connect(postgresql_server.address, PATIENCE_S)
    [pid] = pids
    await gone(postgresql_server, pid)


async def test_what_is_no_answer_ends_the_session(postgresql_server: Server) -> None:
    async with session(postgresql_server) as one:
        with pytest.raises(Broken, match="COPY"):
            await run(one, "COPY (SELECT 1) TO STDOUT")
        assert one.broken
