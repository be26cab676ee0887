"""Facts about standbys: what they show, refuse, and keep when they are promoted."""

from __future__ import annotations

from tests.facts.lab import Fact, Lab, begun, confirming, do, n_of, opened, refused, rows, shows

ON = "SET LOCAL synchronous_commit = on"


async def a_standby_says_so(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "two") as (one, two):
        sql = f"SELECT pg_is_in_recovery(), n FROM {table} WHERE id = 1"
        assert await rows(one, sql) == ((False, 1),)
        assert await rows(two, sql) == ((True, 1),)


async def it_refuses_writes(lab: Lab, table: str) -> None:
    async with opened(lab, "two") as (two,):
        for statement in (
            f"UPDATE {table} SET n = 2",
            f"DELETE FROM {table}",
            f"INSERT INTO {table} (id, n) VALUES (3, 3)",
            f"SELECT n FROM {table} FOR KEY SHARE",
        ):
            assert await refused(two, statement) == "25006"
        read = f"SELECT n FROM {table} WHERE id = 1"
        reply = await do(two, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", read, "COMMIT")
        assert reply.results[1].rows == ((1,),)


async def it_follows(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "two") as (one, two):
        await do(one, f"UPDATE {table} SET n = 2 WHERE id = 1")
        await lab.until(lambda: shows(two, table, 2))


async def it_shows_a_commit_before_its_primary(lab: Lab, table: str) -> None:
    """As long as the primary waits for a confirmation: here, for one that never comes."""
    async with opened(lab, "one", "one", "two") as (one, watcher, two):
        await lab.demand("one", "two", "nobody")
        try:
            commit = begun(one, "BEGIN", ON, f"UPDATE {table} SET n = 2 WHERE id = 1", "COMMIT")
            await lab.until(lambda: shows(two, table, 2))
            assert await n_of(watcher, table) == 1
            assert not commit.done()
        finally:
            await lab.demand("one", "two")
        assert (await commit).results[-1].tag == "COMMIT"


async def remote_apply_is_told_once_it_is_shown(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "two") as (one, two):
        for n in range(2, 12):
            setting = "SET LOCAL synchronous_commit = remote_apply"
            await do(one, "BEGIN", setting, f"UPDATE {table} SET n = {n} WHERE id = 1", "COMMIT")
            assert await n_of(two, table) == n


async def a_promoted_standby_has_what_nobody_was_told(lab: Lab, table: str) -> None:
    """And the deposed primary goes on answering what was before."""
    async with opened(lab, "one", "one", "two") as (one, watcher, two):
        await lab.demand("one", "two", "nobody")
        commit = begun(one, "BEGIN", ON, f"UPDATE {table} SET n = 2 WHERE id = 1", "COMMIT")
        await lab.until(lambda: shows(two, table, 2))
        await lab.promote("two")
        update = f"UPDATE {table} SET n = n + 1 WHERE id = 1 RETURNING pg_is_in_recovery(), n"
        assert await rows(two, update) == ((False, 3),)  # on a session from before
        await confirming(lab, watcher)
        assert await n_of(watcher, table) == 1
        assert not commit.done()
        commit.cancel()


async def what_began_at_a_standby_stays_read_only(lab: Lab, table: str) -> None:
    async with opened(lab, "two") as (two,):
        await do(two, "BEGIN", f"SELECT n FROM {table}")
        await lab.promote("two")
        assert await rows(two, "SELECT pg_is_in_recovery()") == ((False,),)
        assert await refused(two, f"UPDATE {table} SET n = 2") == "25006"


STANDING_BY: tuple[Fact, ...] = (
    a_standby_says_so,
    it_refuses_writes,
    it_follows,
    it_shows_a_commit_before_its_primary,
    remote_apply_is_told_once_it_is_shown,
)
SPOILING: tuple[Fact, ...] = (
    a_promoted_standby_has_what_nobody_was_told,
    what_began_at_a_standby_stays_read_only,
)
