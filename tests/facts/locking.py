"""Facts about row locks: who waits for whom."""

from __future__ import annotations

import asyncio

from storage.postgresql.session import Refused, Statement
from tests.facts.lab import Fact, Lab, begun, do, n_of, opened, refused, rows, waiting

EXCLUDED = {
    "KEY SHARE": ("UPDATE",),
    "SHARE": ("NO KEY UPDATE", "UPDATE"),
    "NO KEY UPDATE": ("SHARE", "NO KEY UPDATE", "UPDATE"),
    "UPDATE": ("KEY SHARE", "SHARE", "NO KEY UPDATE", "UPDATE"),
}


async def strengths_exclude_each_other(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one") as (one, other):
        for held, excluded in EXCLUDED.items():
            await do(one, "BEGIN", f"SELECT n FROM {table} FOR {held}")
            for strength in EXCLUDED:
                sql = f"SELECT n FROM {table} FOR {strength} NOWAIT"
                if strength in excluded:
                    assert await refused(other, sql) == "55P03"
                else:
                    assert len(await rows(other, sql)) == 2
            await do(one, "ROLLBACK")


async def no_lock_is_weakened(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one") as (one, other):
        await do(one, "BEGIN", f"SELECT n FROM {table} FOR UPDATE")
        await do(one, f"SELECT n FROM {table} FOR KEY SHARE")
        assert await refused(other, f"SELECT n FROM {table} FOR KEY SHARE NOWAIT") == "55P03"


async def for_key_share_does_not_fence(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one") as (batch, successor):
        await do(batch, "BEGIN", f"SELECT n FROM {table} WHERE id = 1 FOR KEY SHARE")
        reply = await do(successor, "BEGIN", f"UPDATE {table} SET n = 2 WHERE id = 1", "COMMIT")
        assert [result.tag for result in reply.results] == ["BEGIN", "UPDATE 1", "COMMIT"]
        assert await n_of(batch, table) == 2


async def for_no_key_update_fences(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one") as (batch, successor, watcher):
        locked = f"SELECT n FROM {table} WHERE id = 1 FOR NO KEY UPDATE"
        assert (await do(batch, "BEGIN", locked)).results[1].rows == ((1,),)
        update = begun(successor, f"UPDATE {table} SET n = 2 WHERE id = 1")
        await waiting(lab, watcher)
        assert await n_of(watcher, table) == 1
        await do(batch, "COMMIT")
        assert (await update).results[0].tag == "UPDATE 1"


async def key_share_passes_an_update(lab: Lab, table: str) -> None:
    """It neither waits for one that leaves the key as it is, nor sees it."""
    async with opened(lab, "one", "one") as (one, other):
        await do(one, "BEGIN", f"UPDATE {table} SET n = 2 WHERE id = 1")
        assert await rows(other, f"SELECT n FROM {table} WHERE id = 1 FOR KEY SHARE") == ((1,),)


async def key_share_waits_for_a_delete(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one") as (one, other, watcher):
        await do(one, "BEGIN", f"DELETE FROM {table} WHERE id = 1")
        share = begun(other, f"SELECT n FROM {table} WHERE id = 1 FOR KEY SHARE")
        await waiting(lab, watcher)
        await do(one, "COMMIT")
        assert (await share).results[0].rows == ()


async def for_share_lets_newcomers_overtake(lab: Lab, table: str) -> None:
    """A take-over may wait for ever while batches come and go."""
    async with opened(lab, "one", "one", "one", "one") as (batch, other, successor, watcher):
        locked = f"SELECT n FROM {table} WHERE id = 1 FOR SHARE"
        await do(batch, "BEGIN", locked)
        update = begun(successor, f"UPDATE {table} SET n = 2 WHERE id = 1")
        await waiting(lab, watcher)
        await do(other, "BEGIN", locked)
        await do(batch, "COMMIT")
        await do(batch, "BEGIN", locked)
        await do(other, "COMMIT")
        await waiting(lab, watcher)
        await do(batch, "COMMIT")
        assert (await update).results[0].tag == "UPDATE 1"


async def who_waits_first_is_served_first(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one", "one") as (batch, successor, late, watcher):
        locked = f"SELECT n FROM {table} WHERE id = 1 FOR NO KEY UPDATE"
        await do(batch, "BEGIN", locked)
        update = begun(successor, "BEGIN", f"UPDATE {table} SET n = 2 WHERE id = 1")
        await waiting(lab, watcher)
        newcomer = begun(late, "BEGIN", locked)
        await waiting(lab, watcher, 2)
        await do(batch, "COMMIT")
        assert (await update).results[1].tag == "UPDATE 1"
        await waiting(lab, watcher)
        await do(successor, "COMMIT")
        assert (await newcomer).results[1].rows == ((2,),)


async def share_locks_are_shared(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one") as (one, other, watcher):
        for strength in ("FOR SHARE", "FOR KEY SHARE"):
            for session in (one, other):
                await do(session, "BEGIN", f"SELECT n FROM {table} {strength}", "COMMIT")
        await do(one, "BEGIN", f"SELECT n FROM {table} WHERE id = 1 FOR SHARE")
        await do(other, "BEGIN", f"SELECT n FROM {table} WHERE id = 1 FOR SHARE")
        # Each may become stronger only where nobody else shares.
        update = begun(one, f"UPDATE {table} SET n = 2 WHERE id = 1")
        await waiting(lab, watcher)
        await do(other, "ROLLBACK")
        assert (await update).results[0].tag == "UPDATE 1"


async def a_rollback_ends_the_wait(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one") as (one, other, watcher):
        await do(one, "BEGIN", f"UPDATE {table} SET n = 2 WHERE id = 1")
        update = begun(other, f"UPDATE {table} SET n = n + 10 WHERE id = 1 RETURNING n")
        await waiting(lab, watcher)
        await do(one, "ROLLBACK")
        assert (await update).results[0].rows == ((11,),)


async def so_does_the_end_of_the_connection(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one") as (one, other, watcher):
        await do(one, "BEGIN", f"UPDATE {table} SET n = 2 WHERE id = 1")
        update = begun(other, f"UPDATE {table} SET n = n + 10 WHERE id = 1 RETURNING n")
        await waiting(lab, watcher)
        one.abort()
        assert (await update).results[0].rows == ((11,),)


async def so_does_an_error(lab: Lab, table: str) -> None:
    """At once: not with the ROLLBACK that follows."""
    async with opened(lab, "one", "one", "one") as (one, other, watcher):
        await do(one, "BEGIN", f"UPDATE {table} SET n = 2 WHERE id = 1")
        update = begun(other, f"UPDATE {table} SET n = n + 10 WHERE id = 1 RETURNING n")
        await waiting(lab, watcher)
        assert await refused(one, f"INSERT INTO {table} (id, n) VALUES (2, 1)") == "23505"
        assert (await update).results[0].rows == ((11,),)


async def nobody_need_wait(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one") as (one, other):
        await do(one, "BEGIN", f"SELECT n FROM {table} WHERE id = 1 FOR SHARE")
        assert await refused(other, f"SELECT n FROM {table} FOR UPDATE NOWAIT") == "55P03"
        found = await rows(other, f"SELECT id FROM {table} FOR UPDATE SKIP LOCKED")
        assert found == ((2,),)
        assert len(await rows(other, f"SELECT id FROM {table} FOR SHARE NOWAIT")) == 2


async def two_that_share_and_write_deadlock(lab: Lab, table: str) -> None:
    """A batch must lock at once as strongly as it will write."""
    async with opened(lab, "one", "one", "one") as (one, other, watcher):
        for session in (one, other):
            await do(session, "BEGIN", f"SELECT n FROM {table} WHERE id = 1 FOR SHARE")
        update = f"UPDATE {table} SET n = n + 1 WHERE id = 1"
        first = begun(one, update)
        await waiting(lab, watcher)
        outcomes = await asyncio.gather(first, begun(other, update), return_exceptions=True)
        [failed] = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
        assert failed.sqlstate == "40P01"


async def a_deadlock_ends_one_of_the_two(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one") as (one, other, watcher):
        await do(one, "BEGIN", f"UPDATE {table} SET n = 2 WHERE id = 1")
        await do(other, "BEGIN", f"UPDATE {table} SET n = 2 WHERE id = 2")
        crossing = begun(one, f"UPDATE {table} SET n = 3 WHERE id = 2")
        await waiting(lab, watcher)
        tasks = crossing, begun(other, f"UPDATE {table} SET n = 3 WHERE id = 1")
        first, second = await asyncio.gather(*tasks, return_exceptions=True)
        failed, done = (first, second) if isinstance(first, Refused) else (second, first)
        assert isinstance(failed, Refused) and failed.sqlstate == "40P01"
        assert not isinstance(done, BaseException) and done.results[0].tag == "UPDATE 1"


async def inserts_of_one_key_wait(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one") as (one, other, watcher):
        insert = f"INSERT INTO {table} (id, n) VALUES (3, 7)"
        update = "ON CONFLICT (id) DO UPDATE SET n = excluded.n + 1 RETURNING n"
        await do(one, "BEGIN", insert)
        upsert = begun(other, f"{insert} {update}")
        await waiting(lab, watcher)
        await do(one, "COMMIT")
        assert (await upsert).results[0].rows == ((8,),)
        assert await refused(one, insert) == "23505"
        nothing = await do(one, f"{insert} ON CONFLICT DO NOTHING")
        assert nothing.results[0].tag == "INSERT 0 0"


async def so_do_inserts_of_one_that_is_being_changed(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one") as (one, other, watcher):
        for conflict in ("", "ON CONFLICT DO NOTHING"):
            for change, end, n in (
                (f"DELETE FROM {table} WHERE id = 1", "ROLLBACK", 1),
                (f"DELETE FROM {table} WHERE id = 1", "COMMIT", 7),
                (f"UPDATE {table} SET n = 5 WHERE id = 1", "ROLLBACK", 7),
                (f"UPDATE {table} SET n = 1 WHERE id = 1", "COMMIT", 1),
            ):
                await do(one, "BEGIN", change)
                sql = f"INSERT INTO {table} (id, n) VALUES (1, 7) {conflict}"
                insert = begun(other, sql)
                await waiting(lab, watcher)
                await do(one, end)
                await asyncio.gather(insert, return_exceptions=True)
                assert await n_of(watcher, table) == n


async def an_upsert_inserts_what_went_away_meanwhile(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one", "one") as (one, other, watcher):
        await do(one, "BEGIN", f"SELECT n FROM {table} WHERE id = 1 FOR UPDATE")
        upsert = begun(
            other,
            f"INSERT INTO {table} (id, n) VALUES (1, 7)"
            f" ON CONFLICT (id) DO UPDATE SET n = {table}.n + 1 RETURNING n",
        )
        await waiting(lab, watcher)
        await do(one, f"DELETE FROM {table} WHERE id = 1", "COMMIT")
        assert (await upsert).results[0].rows == ((7,),)


async def but_not_of_one_that_is_only_locked(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one") as (one, other):
        await do(one, "BEGIN", f"SELECT n FROM {table} WHERE id = 1 FOR UPDATE")
        insert = f"INSERT INTO {table} (id, n) VALUES (1, 7)"
        assert await refused(other, insert) == "23505"
        nothing = await do(other, "BEGIN", f"{insert} ON CONFLICT DO NOTHING")
        assert nothing.results[1].tag == "INSERT 0 0"
        await do(one, "COMMIT")
        await do(one, f"SELECT n FROM {table} FOR UPDATE NOWAIT")


async def a_pipeline_without_sync_holds_its_locks(lab: Lab, table: str) -> None:
    """idle_in_transaction_session_timeout counts only from a Sync."""
    async with opened(lab, "one", "one", "one", "one") as (idle, one, other, watcher):

        def locked(timeout_ms: int, row: int) -> tuple[str, str, str]:
            limit = f"SET LOCAL idle_in_transaction_session_timeout = {timeout_ms}"
            return "BEGIN", limit, f"UPDATE {table} SET n = 2 WHERE id = {row}"

        cut = await lab.unsynced("one", *map(Statement, locked(100, 1)))

        async def held() -> bool:
            sql = f"SELECT n FROM {table} WHERE id = 1 FOR UPDATE SKIP LOCKED"
            return await rows(watcher, sql) == ()

        await lab.until(held)
        await do(idle, *locked(500, 2))
        update = begun(one, f"UPDATE {table} SET n = n + 10 WHERE id = 1 RETURNING n")
        other_update = begun(other, f"UPDATE {table} SET n = n + 10 WHERE id = 2 RETURNING n")
        assert (await other_update).results[0].rows == ((11,),)
        assert not update.done()
        cut()
        assert (await update).results[0].rows == ((11,),)


LOCKING: tuple[Fact, ...] = (
    strengths_exclude_each_other,
    no_lock_is_weakened,
    for_key_share_does_not_fence,
    for_no_key_update_fences,
    key_share_passes_an_update,
    key_share_waits_for_a_delete,
    for_share_lets_newcomers_overtake,
    who_waits_first_is_served_first,
    share_locks_are_shared,
    a_rollback_ends_the_wait,
    so_does_the_end_of_the_connection,
    so_does_an_error,
    nobody_need_wait,
    two_that_share_and_write_deadlock,
    a_deadlock_ends_one_of_the_two,
    inserts_of_one_key_wait,
    so_do_inserts_of_one_that_is_being_changed,
    an_upsert_inserts_what_went_away_meanwhile,
    but_not_of_one_that_is_only_locked,
    a_pipeline_without_sync_holds_its_locks,
)
