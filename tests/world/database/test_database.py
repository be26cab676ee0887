"""Registered statements, and what is an error of the test."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from storage.postgresql.session import Refused, Statement
from tests.facts.lab import PATIENCE_S, begun, do, opened, refused, rows, waiting
from tests.world.database import Unknown, View, Written
from tests.world.database.lab import SimulatedLab, show
from tests.world.database.test_faults import staged

SELL = "UPDATE books AS b SET count = b.count - s.n FROM unnest($1, $2) AS s (id, n) …"
BOOKS = "SELECT id, count FROM books JOIN … ORDER BY id"


def stocked(lab: SimulatedLab) -> None:
    """Have books that are sold and listed by functions."""

    def sell(view: View, params: tuple[Any, ...]) -> Written:
        changes = {}
        for book, quantity in zip(*params, strict=True):
            row = view.get("books", book)
            if row is not None and row["count"] >= quantity:
                changes["books", book] = {**row, "count": row["count"] - quantity}
        return Written(f"UPDATE {len(changes)}", changes, tuple((key,) for _, key in changes))

    def listed(view: View, params: tuple[Any, ...]) -> list[tuple[int, int]]:
        return sorted((key, row["count"]) for key, row in view.rows("books"))

    lab.database.load({("books", book): {"count": 5} for book in (1, 2)})
    lab.database.register(SELL, sell)
    lab.database.register(BOOKS, listed)


def sold(*quantities: int) -> Statement:
    return Statement(SELL, (list(range(1, len(quantities) + 1)), list(quantities)))


async def registered(lab: SimulatedLab) -> None:
    stocked(lab)
    async with opened(lab, "one", "one", "one") as (one, other, watcher):
        begin = Statement("BEGIN")
        reply = await one.run(begin, sold(2, 1), timeout_s=PATIENCE_S)
        assert reply.results[1].tag == "UPDATE 2" and reply.results[1].rows == ((1,), (2,))
        assert await rows(one, BOOKS) == ((1, 3), (2, 4))
        assert await rows(watcher, BOOKS) == ((1, 5), (2, 5))
        late = asyncio.get_running_loop().create_task(other.run(sold(4), timeout_s=PATIENCE_S))
        await waiting(lab, watcher)
        await do(one, "COMMIT")
        assert (await late).results[0].tag == "UPDATE 0"  # there are only three now
        assert await rows(watcher, BOOKS) == ((1, 3), (2, 4))


async def registered_and_refused(lab: SimulatedLab) -> None:
    stocked(lab)
    async with opened(lab, "one", "one", "two") as (one, other, two):
        await do(one, "BEGIN ISOLATION LEVEL REPEATABLE READ", BOOKS)
        await other.run(sold(1), timeout_s=PATIENCE_S)
        for session, sqlstate in ((one, "40001"), (two, "25006")):
            with pytest.raises(Refused) as refusal:
                await session.run(sold(1), timeout_s=PATIENCE_S)
            assert refusal.value.sqlstate == sqlstate


def test_a_function_writes_as_a_statement_does() -> None:
    for seed in range(5):
        show(seed, lambda lab: staged(lab, registered))
        show(seed, lambda lab: staged(lab, registered_and_refused))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT n FROM t JOIN u ON true",
        "SELECT count(*) FROM t",
        "SELECT n FROM t GROUP BY n",
        "SELECT DISTINCT n FROM t",
        "SELECT n FROM t OFFSET 1",
        "SELECT n FROM t, u",
        "UPDATE t SET n = 1 FROM u",
        "UPDATE t SET n = (SELECT n FROM t FOR UPDATE)",
        "INSERT INTO t SELECT * FROM t",
        "DELETE FROM t USING u",
        "WITH u AS (TABLE t) SELECT n FROM u",
        "TRUNCATE t",
        "SAVEPOINT s",
        "BEGIN ISOLATION LEVEL SERIALIZABLE",
        "CREATE INDEX i ON t (n)",
        "CREATE TABLE u (n bigint)",
        "SET LOCAL work_memory",
        "SELEKT 1",
    ],
)
def test_what_is_not_understood_is_an_error_of_the_test(sql: str) -> None:
    """Even where the code under test handles all exceptions."""

    async def play(lab: SimulatedLab) -> None:
        async with opened(lab, "one") as (one,):
            with suppress(Exception):
                await do(one, sql)

    with pytest.raises(Unknown):
        show(0, lambda lab: staged(lab, play))


def test_what_the_server_would_refuse_is_refused() -> None:
    async def play(lab: SimulatedLab) -> None:
        async with opened(lab, "one") as (one,):
            for sql, sqlstate in {
                "SELECT n FROM u": "42P01",
                "UPDATE u SET n = 1": "42P01",
                "SELECT m FROM t": "42703",
                "UPDATE t SET m = 1": "42703",
                "INSERT INTO t (id, m) VALUES (3, 3)": "42703",
                "CREATE TABLE t (id bigint PRIMARY KEY)": "42P07",
                "SELECT n FROM t FOR UPDATE NOWAIT": "",
            }.items():
                if sqlstate:
                    assert await refused(one, sql) == sqlstate, sql
                else:
                    await do(one, sql)

    show(0, lambda lab: staged(lab, play))


def test_rows_are_loaded_whole() -> None:
    async def play(lab: SimulatedLab) -> None:
        lab.database.load({("t", 3): {"n": None, "id": 3}, ("t", 4): {"id": 4}, ("t", 1): None})
        async with opened(lab, "one", "three") as sessions:
            for session in sessions:
                found = await rows(session, "SELECT * FROM t WHERE id <> 2 ORDER BY id DESC")
                assert found == ((4, None), (3, None))

    show(0, lambda lab: staged(lab, play))


def test_sessions_refuse_what_would_commit_unfenced() -> None:
    async def play(lab: SimulatedLab) -> None:
        session = await lab.database.reached_by(lab.process).connect("one", PATIENCE_S)
        with pytest.raises(ValueError, match="none begins"):
            await do(session, "SELECT n FROM t", "COMMIT")
        await do(session, "BEGIN", "SELECT n FROM t")
        running = begun(session, "SELECT n FROM t", "COMMIT")
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one thing at a time"):
            await do(session, "ROLLBACK")
        await running

    show(0, lambda lab: staged(lab, play))
