"""Facts about rows that have changed since a statement, or its transaction, began."""

from __future__ import annotations

from storage.postgresql.session import Refused
from tests.facts.lab import Fact, Lab, begun, do, n_of, opened, refused, rows, waiting

REPEATABLE = "BEGIN ISOLATION LEVEL REPEATABLE READ"


async def returning_is_of_the_newest_version(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one") as (batch, successor, watcher):
        await do(batch, "BEGIN", f"UPDATE {table} SET n = 5 WHERE id = 1")
        update = begun(successor, f"UPDATE {table} SET n = n + 1 WHERE id = 1 RETURNING n")
        await waiting(lab, watcher)
        await do(batch, "COMMIT")
        assert (await update).results[0].rows == ((6,),)


async def a_select_for_update_is_too(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one") as (batch, successor, watcher):
        await do(batch, "BEGIN", f"UPDATE {table} SET n = 5 WHERE id = 1")
        locked = begun(successor, f"SELECT n FROM {table} WHERE id = 1 FOR UPDATE")
        await waiting(lab, watcher)
        await do(batch, "COMMIT")
        assert (await locked).results[0].rows == ((5,),)


async def a_sub_select_is_of_the_old_one(lab: Lab, table: str) -> None:
    """It belongs to the moment when the statement began to wait."""
    async with opened(lab, "one", "one", "one") as (batch, successor, watcher):
        await do(batch, "BEGIN", f"UPDATE {table} SET n = 5")
        update = begun(
            successor,
            f"UPDATE {table} SET n = 9 WHERE id = 1"
            f" RETURNING n, (SELECT other.n FROM {table} AS other WHERE other.id = 2)",
        )
        await waiting(lab, watcher)
        await do(batch, "COMMIT")
        assert (await update).results[0].rows == ((9, 1),)


async def so_is_one_in_set(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one") as (batch, successor, watcher):
        await do(batch, "BEGIN", f"UPDATE {table} SET n = 5")
        update = begun(
            successor,
            f"UPDATE {table} SET n = (SELECT other.n FROM {table} AS other WHERE other.id = 2)"
            " WHERE id = 1 RETURNING n",
        )
        await waiting(lab, watcher)
        await do(batch, "COMMIT")
        assert (await update).results[0].rows == ((1,),)


async def a_with_query_that_locks_is_of_the_newest(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one") as (batch, successor, watcher):
        await do(batch, "BEGIN", f"UPDATE {table} SET n = 5")
        update = begun(
            successor,
            f"WITH locked AS (SELECT n FROM {table} WHERE id = 2 FOR UPDATE)"
            f" UPDATE {table} SET n = 9 WHERE id = 1 RETURNING n, (SELECT n FROM locked)",
        )
        await waiting(lab, watcher)
        await do(batch, "COMMIT")
        assert (await update).results[0].rows == ((9, 5),)


async def but_nothing_beside_it(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one") as (batch, successor, watcher):
        await do(batch, "BEGIN", f"UPDATE {table} SET n = 5")
        update = begun(
            successor,
            f"WITH locked AS (SELECT n FROM {table} WHERE id = 2 FOR UPDATE) UPDATE {table}"
            f" SET n = (SELECT other.n FROM {table} AS other WHERE other.id = 2) FROM locked"
            f" WHERE id = 1 RETURNING {table}.n, locked.n",
        )
        await waiting(lab, watcher)
        await do(batch, "COMMIT")
        assert (await update).results[0].rows == ((1, 5),)


async def nor_beside_an_update(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one") as (batch, successor, watcher):
        for lock, n in (("", 1), (" FOR UPDATE", 5)):
            await do(batch, "BEGIN", f"UPDATE {table} SET n = 5")
            update = begun(
                successor,
                f"WITH taken AS (UPDATE {table} SET n = 9 WHERE id = 1 RETURNING n)"
                f" SELECT n FROM {table} WHERE id = 2{lock}",
            )
            await waiting(lab, watcher)
            await do(batch, "COMMIT")
            assert (await update).results[0].rows == ((n,),)
            await do(batch, f"UPDATE {table} SET n = 1")


async def the_condition_is_checked_again(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one") as (one, other, watcher):
        await do(one, "BEGIN", f"UPDATE {table} SET n = 2 WHERE id = 1")
        update = begun(other, f"UPDATE {table} SET n = 3 WHERE id = 1 AND n = 1")
        await waiting(lab, watcher)
        await do(one, "COMMIT")
        assert (await update).results[0].tag == "UPDATE 0"
        assert await n_of(watcher, table) == 2


async def what_does_not_match_any_more_stays_locked(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one", "one") as (one, other, third, watcher):
        await do(one, "BEGIN", f"UPDATE {table} SET n = 2 WHERE id = 1")
        update = begun(other, "BEGIN", f"UPDATE {table} SET n = 3 WHERE id = 1 AND n = 1")
        await waiting(lab, watcher)
        await do(one, "COMMIT")
        assert (await update).results[1].tag == "UPDATE 0"
        late = begun(third, f"UPDATE {table} SET n = 4 WHERE id = 1")
        await waiting(lab, watcher)
        await do(other, "COMMIT")
        assert (await late).results[0].tag == "UPDATE 1"


async def repeatable_read_refuses_what_has_changed(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one") as (one, other):
        for statement in (
            f"UPDATE {table} SET n = 3 WHERE id = 1",
            f"DELETE FROM {table} WHERE id = 1",
            f"SELECT n FROM {table} WHERE id = 1 FOR UPDATE",
            f"SELECT n FROM {table} WHERE id = 1 FOR SHARE",
        ):
            await do(one, REPEATABLE, f"SELECT n FROM {table}")
            await do(other, f"UPDATE {table} SET n = n + 1 WHERE id = 1")
            assert await refused(one, statement) == "40001"
            await do(one, "ROLLBACK")


async def at_once_even_if_it_is_locked(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one") as (one, other):
        await do(one, REPEATABLE, f"SELECT n FROM {table}")
        await do(other, f"UPDATE {table} SET n = 4 WHERE id = 1")
        await do(other, "BEGIN", f"UPDATE {table} SET n = 5 WHERE id = 1")
        assert await refused(one, f"UPDATE {table} SET n = 3 WHERE id = 1") == "40001"


async def but_key_share_takes_it_as_it_was(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one") as (one, other):
        await do(one, REPEATABLE, f"SELECT n FROM {table}")
        await do(other, f"UPDATE {table} SET n = 2 WHERE id = 1")
        assert await rows(one, f"SELECT n FROM {table} WHERE id = 1 FOR KEY SHARE") == ((1,),)


async def inserts_refuse_what_they_do_not_see(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one") as (one, other):
        insert = f"INSERT INTO {table} (id, n) VALUES (3, 7)"
        await do(other, insert)
        for conflict, sqlstate in {
            "": "23505",
            "ON CONFLICT DO NOTHING": "40001",
            "ON CONFLICT (id) DO UPDATE SET n = excluded.n": "40001",
        }.items():
            await do(other, f"DELETE FROM {table} WHERE id = 3")
            await do(one, REPEATABLE, f"SELECT n FROM {table}")
            await do(other, insert)
            assert await refused(one, f"{insert} {conflict}") == sqlstate
            await do(one, "ROLLBACK")


async def after_a_wait_too(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one") as (one, other, watcher):
        await do(other, "BEGIN", f"UPDATE {table} SET n = 2 WHERE id = 1")
        await do(one, REPEATABLE, f"SELECT n FROM {table}")
        update = begun(one, f"UPDATE {table} SET n = 3 WHERE id = 1 RETURNING n")
        await waiting(lab, watcher)
        await do(other, "COMMIT")
        try:
            await update
        except Refused as error:
            assert error.sqlstate == "40001"
        else:
            raise AssertionError("it is not refused")


async def not_what_was_only_locked(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one") as (one, other):
        await do(one, REPEATABLE, f"SELECT n FROM {table}")
        await do(other, "BEGIN", f"SELECT n FROM {table} FOR UPDATE", "COMMIT")
        reply = await do(one, f"UPDATE {table} SET n = 3 WHERE id = 1 RETURNING n", "COMMIT")
        assert reply.results[0].rows == ((3,),) and reply.results[1].tag == "COMMIT"


OVERTAKEN: tuple[Fact, ...] = (
    returning_is_of_the_newest_version,
    a_select_for_update_is_too,
    a_sub_select_is_of_the_old_one,
    so_is_one_in_set,
    a_with_query_that_locks_is_of_the_newest,
    but_nothing_beside_it,
    nor_beside_an_update,
    the_condition_is_checked_again,
    what_does_not_match_any_more_stays_locked,
    repeatable_read_refuses_what_has_changed,
    at_once_even_if_it_is_locked,
    but_key_share_takes_it_as_it_was,
    inserts_refuse_what_they_do_not_see,
    after_a_wait_too,
    not_what_was_only_locked,
)
