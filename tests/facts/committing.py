"""Facts about COMMIT: what is told, to whom, and when."""

from __future__ import annotations

import asyncio

from storage.postgresql.session import Broken, Refused
from tests.facts.lab import (
    Fact,
    Lab,
    begun,
    confirming,
    do,
    n_of,
    opened,
    refused,
    rows,
    shows,
    waiting,
)

ON = "SET LOCAL synchronous_commit = on"


async def a_commit_waits_for_the_standby(lab: Lab, table: str) -> None:
    """Until then others neither see it nor get its locks."""
    async with opened(lab, "one", "one", "one") as (one, other, watcher):
        await lab.freeze("two")
        try:
            commit = begun(one, "BEGIN", ON, f"UPDATE {table} SET n = 2 WHERE id = 1", "COMMIT")
            await confirming(lab, watcher)
            assert await n_of(watcher, table) == 1
            update = begun(other, f"UPDATE {table} SET n = n + 10 WHERE id = 1 RETURNING n")
            await waiting(lab, watcher)
            assert not commit.done()
        finally:
            await lab.thaw("two")
        reply = await commit
        assert reply.results[-1].tag == "COMMIT" and reply.warnings == ()
        assert (await update).results[0].rows == ((12,),)


async def a_local_commit_does_not(lab: Lab, table: str) -> None:
    async with opened(lab, "one") as (one,):
        await lab.freeze("two")
        try:
            for level in ("local", "off"):
                setting = f"SET LOCAL synchronous_commit = {level}"
                reply = await do(one, "BEGIN", setting, f"UPDATE {table} SET n = n + 1", "COMMIT")
                assert reply.results[-1].tag == "COMMIT"
            assert await n_of(one, table) == 3
        finally:
            await lab.thaw("two")


async def nor_does_one_that_wrote_nothing(lab: Lab, table: str) -> None:
    async with opened(lab, "one") as (one,):
        await lab.freeze("two")
        try:
            for condition in ("id = 9", "id = 1 AND n = 9"):
                update = f"UPDATE {table} SET n = 2 WHERE {condition}"
                reply = await do(one, "BEGIN", ON, update, "COMMIT")
                assert [result.tag for result in reply.results[2:]] == ["UPDATE 0", "COMMIT"]
        finally:
            await lab.thaw("two")


async def but_one_that_only_locked_does(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one") as (one, watcher):
        for strength in ("KEY SHARE", "NO KEY UPDATE"):
            await lab.freeze("two")
            try:
                lock = f"SELECT n FROM {table} WHERE id = 1 FOR {strength}"
                commit = begun(one, "BEGIN", ON, lock, "COMMIT")
                await confirming(lab, watcher)
                assert not commit.done()
            finally:
                await lab.thaw("two")
            assert (await commit).results[-1].tag == "COMMIT"


async def a_statement_alone_waits_too(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one") as (one, watcher):
        await lab.freeze("two")
        try:
            update = begun(one, f"UPDATE {table} SET n = 2 WHERE id = 1")
            await confirming(lab, watcher)
            assert not update.done()
        finally:
            await lab.thaw("two")
        assert (await update).results[0].tag == "UPDATE 1"


async def a_cancelled_wait_is_a_success_with_a_warning(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one") as (one, watcher):
        await lab.freeze("two")
        try:
            warn = "SET LOCAL client_min_messages = warning"
            update = f"UPDATE {table} SET n = 2 WHERE id = 1"
            commit = begun(one, "BEGIN", ON, warn, update, "COMMIT")
            await confirming(lab, watcher)
            await lab.cancel_waits("one")
            reply = await commit
            assert reply.results[-1].tag == "COMMIT" and len(reply.warnings) == 1
            assert await n_of(watcher, table) == 2
        finally:
            await lab.thaw("two")


async def or_without_one(lab: Lab, table: str) -> None:
    """Whoever has set client_min_messages higher hears nothing at all."""
    async with opened(lab, "one", "one") as (one, watcher):
        await lab.freeze("two")
        try:
            quiet = "SET LOCAL client_min_messages = error"
            update = f"UPDATE {table} SET n = 2 WHERE id = 1"
            commit = begun(one, "BEGIN", ON, quiet, update, "COMMIT")
            await confirming(lab, watcher)
            await lab.cancel_waits("one")
            reply = await commit
            assert reply.results[-1].tag == "COMMIT" and reply.warnings == ()
        finally:
            await lab.thaw("two")


async def emptied_names_end_the_wait_without_a_word(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one") as (one, watcher):
        await lab.freeze("two")
        try:
            commit = begun(one, "BEGIN", ON, f"UPDATE {table} SET n = 2 WHERE id = 1", "COMMIT")
            await confirming(lab, watcher)
            await lab.demand("one")
            reply = await commit
            assert reply.results[-1].tag == "COMMIT" and reply.warnings == ()
        finally:
            await lab.thaw("two")
            await lab.demand("one", "two")


async def a_commit_goes_on_without_its_client(lab: Lab, table: str) -> None:
    async with opened(lab, "one", "one") as (one, watcher):
        await lab.freeze("two")
        try:
            commit = begun(one, "BEGIN", ON, f"UPDATE {table} SET n = 2 WHERE id = 1", "COMMIT")
            await confirming(lab, watcher)
            one.abort()
            assert one.broken
            await confirming(lab, watcher)
            assert await n_of(watcher, table) == 1
        finally:
            await lab.thaw("two")
        await lab.until(lambda: shows(watcher, table, 2))
        error = (await asyncio.gather(commit, return_exceptions=True))[0]
        assert isinstance(error, Broken)


async def a_session_that_is_ended_is_rolled_back(lab: Lab, table: str) -> None:
    """Its client reads that it is broken, and what comes over another one is no part of it."""
    async with opened(lab, "one") as (one,):
        await do(one, "BEGIN", f"UPDATE {table} SET n = 2 WHERE id = 1")
        await lab.end_sessions("one")
        try:
            await do(one, "COMMIT")
        except Broken:
            assert one.broken
        else:
            raise AssertionError("it goes on")
    async with opened(lab, "one") as (other,):
        reply = await do(other, "COMMIT")
        assert reply.results[-1].tag == "COMMIT" and len(reply.warnings) == 1
        assert await n_of(other, table) == 1


async def a_crash_commits_what_waits(lab: Lab, table: str) -> None:
    """Its client is not told, and no standby need have it: so two histories may begin here."""
    async with opened(lab, "one", "one") as (one, watcher):
        await lab.freeze("two")
        try:
            commit = begun(one, "BEGIN", ON, f"UPDATE {table} SET n = 2 WHERE id = 1", "COMMIT")
            await confirming(lab, watcher)
            await lab.crash("one")
            error = (await asyncio.gather(commit, return_exceptions=True))[0]
            assert isinstance(error, Broken)
            async with opened(lab, "one") as (again,):
                assert await n_of(again, table) == 2
        finally:
            await lab.thaw("two")


async def an_aborted_transaction_is_rolled_back_by_commit(lab: Lab, table: str) -> None:
    async with opened(lab, "one") as (one,):
        await do(one, "BEGIN", f"UPDATE {table} SET n = 2 WHERE id = 1")
        assert await refused(one, f"INSERT INTO {table} (id, n) VALUES (1, 1)") == "23505"
        reply = await do(one, "COMMIT")
        assert reply.results[0].tag == "ROLLBACK" and reply.warnings == ()
        assert await n_of(one, table) == 1


async def it_refuses_all_else(lab: Lab, table: str) -> None:
    async with opened(lab, "one") as (one,):
        await do(one, "BEGIN")
        assert await refused(one, f"INSERT INTO {table} (id, n) VALUES (1, 1)") == "23505"
        for statement in (f"SELECT n FROM {table}", ON, "BEGIN", f"DELETE FROM {table}"):
            assert await refused(one, statement) == "25P02"
        assert (await do(one, "ROLLBACK")).results[0].tag == "ROLLBACK"
        assert await n_of(one, table) == 1


async def what_follows_a_refused_statement_is_not_run(lab: Lab, table: str) -> None:
    """Not even the COMMIT of its pipeline: the transaction stays open, and aborted."""
    async with opened(lab, "one", "one") as (one, watcher):
        wrong = f"INSERT INTO {table} (id, n) VALUES (1, 1)"
        update = f"UPDATE {table} SET n = 2 WHERE id = 1"
        assert await refused(one, "BEGIN", update, wrong, update, "COMMIT") == "23505"
        assert await refused(one, f"SELECT n FROM {table}") == "25P02"
        await do(one, "ROLLBACK")
        assert await n_of(watcher, table) == 1


async def a_pipeline_without_begin_is_one_transaction(lab: Lab, table: str) -> None:
    """It is committed at its Sync."""
    async with opened(lab, "one", "one") as (one, watcher):
        update = f"UPDATE {table} SET n = n + 1 WHERE id = 1"
        wrong = f"INSERT INTO {table} (id, n) VALUES (1, 1)"
        await do(one, update, update)
        assert await n_of(watcher, table) == 3
        assert await refused(one, update, wrong) == "23505"
        assert await n_of(watcher, table) == 3


async def settings_are_local_to_a_transaction(lab: Lab, table: str) -> None:
    async with opened(lab, "one") as (one,):
        await do(one, "BEGIN", "SET LOCAL client_min_messages = error", "COMMIT")
        assert len((await do(one, "COMMIT")).warnings) == 1  # there is no transaction
        await do(one, "SET client_min_messages = error")
        assert (await do(one, "COMMIT")).warnings == ()
        await do(one, "BEGIN", "SET client_min_messages = notice", "ROLLBACK")
        assert (await do(one, "COMMIT")).warnings == ()


async def begin_twice_is_a_warning(lab: Lab, table: str) -> None:
    async with opened(lab, "one") as (one,):
        reply = await do(one, "BEGIN", f"UPDATE {table} SET n = 2", "BEGIN", "ROLLBACK")
        assert len(reply.warnings) == 1
        assert await n_of(one, table) == 1


async def a_transaction_may_be_read_only(lab: Lab, table: str) -> None:
    async with opened(lab, "one") as (one,):
        for statement in (
            f"UPDATE {table} SET n = 2",
            f"INSERT INTO {table} (id, n) VALUES (5, 5)",
            f"DELETE FROM {table}",
            f"SELECT n FROM {table} FOR SHARE",
        ):
            begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
            assert await refused(one, begin, statement) == "25006"
            await do(one, "ROLLBACK")
        assert await rows(one, f"SELECT n FROM {table}") == ((1,), (1,))


async def an_error_is_told_once(lab: Lab, table: str) -> None:
    """The session goes on after a ROLLBACK, or at once without a transaction."""
    async with opened(lab, "one") as (one,):
        assert await refused(one, "SELECT n FROM no_such_table") == "42P01"
        assert not one.broken
        try:
            await do(one, "ROLLBACK")
        except Refused as error:
            raise AssertionError("ROLLBACK is refused") from error
        assert await n_of(one, table) == 1


COMMITTING: tuple[Fact, ...] = (
    a_commit_waits_for_the_standby,
    a_local_commit_does_not,
    nor_does_one_that_wrote_nothing,
    but_one_that_only_locked_does,
    a_statement_alone_waits_too,
    a_cancelled_wait_is_a_success_with_a_warning,
    or_without_one,
    emptied_names_end_the_wait_without_a_word,
    a_commit_goes_on_without_its_client,
    a_session_that_is_ended_is_rolled_back,
    a_crash_commits_what_waits,
    an_aborted_transaction_is_rolled_back_by_commit,
    it_refuses_all_else,
    what_follows_a_refused_statement_is_not_run,
    a_pipeline_without_begin_is_one_transaction,
    settings_are_local_to_a_transaction,
    begin_twice_is_a_warning,
    a_transaction_may_be_read_only,
    an_error_is_told_once,
)
