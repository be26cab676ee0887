"""Facts about what one moment a read is of."""

from __future__ import annotations

from storage.postgresql.session import Statement
from tests.facts.lab import PATIENCE_S, Fact, Lab, do, n_of, opened, rows

REPEATABLE = "BEGIN ISOLATION LEVEL REPEATABLE READ"


async def two_statements_are_of_two_moments(lab: Lab, table: str) -> None:
    """Old rows, and the number that came after them."""
    async with opened(lab, "one", "one") as (reader, writer):
        await do(reader, "BEGIN")
        assert await n_of(reader, table, 1) == 1
        await do(writer, f"UPDATE {table} SET n = 2")
        assert await n_of(reader, table, 2) == 2


async def in_repeatable_read_of_one(lab: Lab, table: str) -> None:
    """Of that of the first statement, not of BEGIN."""
    async with opened(lab, "one", "one") as (reader, writer):
        await do(reader, f"{REPEATABLE} READ ONLY")
        await do(writer, f"UPDATE {table} SET n = 2")
        assert await n_of(reader, table, 1) == 2
        await do(writer, f"UPDATE {table} SET n = 3", f"DELETE FROM {table} WHERE id = 2")
        assert await n_of(reader, table, 1) == 2
        assert await n_of(reader, table, 2) == 2
        await do(reader, "COMMIT")
        assert await rows(reader, f"SELECT id, n FROM {table}") == ((1, 3),)


async def a_setting_takes_no_snapshot(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one") as (reader, writer):
        await do(reader, REPEATABLE, "SET LOCAL synchronous_commit = on")
        await do(writer, f"UPDATE {table} SET n = 2")
        assert await n_of(reader, table, 1) == 2


async def its_own_writes_are_seen(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one") as (one, other):
        for begin in ("BEGIN", REPEATABLE):
            await do(one, begin, f"UPDATE {table} SET n = 2 WHERE id = 1")
            await do(one, f"INSERT INTO {table} (id, n) VALUES (3, 3)")
            await do(one, f"DELETE FROM {table} WHERE id = 2")
            found = await rows(one, f"SELECT id, n FROM {table} ORDER BY id")
            assert found == ((1, 2), (3, 3))
            found = await rows(other, f"SELECT id, n FROM {table} ORDER BY id")
            assert found == ((1, 1), (2, 1))
            await do(one, "ROLLBACK")


async def a_statement_sees_nothing_of_its_own(lab: Lab, table: str) -> None:
    async with opened(lab, "one") as (one,):
        other = f"(SELECT other.n FROM {table} AS other WHERE other.id = 1)"
        await do(one, "BEGIN", f"UPDATE {table} SET n = 3 WHERE id = 2")
        for n in (6, 11):
            assert await rows(one, f"UPDATE {table} SET n = {other} + 5 RETURNING n") == ((n,),) * 2


async def rows_are_chosen_and_ordered(lab: Lab, table: str) -> None:
    async with opened(lab, "one") as (one,):
        more = f"INSERT INTO {table} (id, n) VALUES (3, 5), (4, NULL)"
        assert (await do(one, more)).results[0].tag == "INSERT 0 2"
        for condition, ids in {
            "n = 1": (1, 2),
            "n < 5": (1, 2),
            "n <= 5 AND id > 1": (2, 3),
            "n >= 5 OR id = 2": (2, 3),
            "NOT n = 1": (3,),
            "n <> 1": (3,),
            "n IS NULL": (4,),
            "n IS NOT NULL AND NOT id = 2": (1, 3),
            "id IN (2, 4, 7)": (2, 4),
            "NOT id IN (2, NULL)": (),
        }.items():
            found = await rows(one, f"SELECT id FROM {table} WHERE {condition} ORDER BY id")
            assert found == tuple((id_,) for id_ in ids), condition
        found = await rows(one, f"SELECT id FROM {table} ORDER BY n DESC, id")
        assert found == ((4,), (3,), (1,), (2,))
        newest = f"SELECT id, 'x', n + 1 FROM {table} WHERE n > 0 ORDER BY n DESC, id LIMIT 2"
        assert await rows(one, newest) == ((3, "x", 6), (1, "x", 2))
        sql = f"SELECT id FROM {table} WHERE id = ANY($1) AND n = $2 ORDER BY id DESC"
        reply = await one.run(Statement(sql, ([1, 2, 3], 1)), timeout_s=PATIENCE_S)
        assert reply.results[0].rows == ((2,), (1,)) and reply.results[0].tag == "SELECT 2"


async def writes_tell_how_many(lab: Lab, table: str) -> None:
    async with opened(lab, "one") as (one,):
        for sql, tag in {
            f"UPDATE {table} SET n = 4": "UPDATE 2",
            f"UPDATE {table} SET n = 5 WHERE id = 9": "UPDATE 0",
            f"INSERT INTO {table} (id) VALUES (3)": "INSERT 0 1",
            f"INSERT INTO {table} VALUES (3, 1) ON CONFLICT DO NOTHING": "INSERT 0 0",
            f"INSERT INTO {table} VALUES (3, 2) ON CONFLICT (id) DO UPDATE SET n = excluded.n"
            f" WHERE {table}.n = 7": "INSERT 0 0",
            f"DELETE FROM {table} WHERE n IS NULL": "DELETE 1",
            f"SELECT n FROM {table} FOR UPDATE": "SELECT 2",
        }.items():
            assert (await do(one, sql)).results[0].tag == tag, sql


READING: tuple[Fact, ...] = (
    two_statements_are_of_two_moments,
    in_repeatable_read_of_one,
    a_setting_takes_no_snapshot,
    its_own_writes_are_seen,
    a_statement_sees_nothing_of_its_own,
    rows_are_chosen_and_ordered,
    writes_tell_how_many,
)
