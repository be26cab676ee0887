"""A primary's batches in a real database, when others use it, too."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bazar import clock
from bazar.errors import FatalError, Indeterminate, Unavailable
from bazar.replication.batches import Batches
from bazar.replication.messages import GENESIS, ArbiterId, Entry, Mark, Member, chained
from bazar.replication.shared.hold import Hold, Tempo
from bazar.replication.shared.primary import SharedPrimary
from bazar.replication.store import Outcome
from bazar.replication.timing import Timing
from bazar.replication.write_queue import WriteQueue
from storage.catalog import Catalog
from storage.history import number_of
from storage.postgresql.catalog import CatalogRows
from storage.postgresql.link import Link
from storage.postgresql.session import Session, Statement
from storage.postgresql.store import PostgreSQLStore
from storage.postgresql.transaction import BEGIN, ROLLBACK
from tests.patience import PATIENCE_S
from tests.unit.storage.operations import sell
from tests.unit.storage.postgresql.database import TIMEOUT_S, DatabaseCase, Group, servers_of

WAITING = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

FREE = "SELECT 1 FROM bazar_catalog.mark FOR UPDATE NOWAIT"
UNSET = (  # no update of the mark is carried out
    "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "CREATE TRIGGER pass BEFORE UPDATE ON bazar_catalog.mark FOR EACH ROW EXECUTE FUNCTION pass()",
)
PLANNED = "SELECT statement FROM pg_prepared_statements"


def extend(outcomes: Sequence[Outcome]) -> tuple[Entry, ...]:
    """The entries behind the seed's."""
    behind = Mark(1, GENESIS.digest)
    return chained(behind, 1, [one.change for one in outcomes if one.change is not None])


async def run(session: Session, *statements: str | Statement) -> None:
    made = (Statement(each) if isinstance(each, str) else each for each in statements)
    await session.run(*made, timeout_s=TIMEOUT_S)


class StoreTest(DatabaseCase):
    async def asyncSetUp(self) -> None:
        await super().asyncSetUp()
        model = CatalogRows(Catalog())
        group = await Group.make(self.session, model)
        await group.batch(*model.seed())
        self.link = Link(servers_of(self._conninfo), PATIENCE_S)
        self.addAsyncCleanup(self.link.close)
        self.store = PostgreSQLStore(self.link, model)
        self.mark = Mark(group.last.seq, "")
        self.store.begin_epoch(self.mark)

    async def test_r5_a_batch_of_a_primary_that_leads_no_more_is_in_doubt_at_once(self) -> None:
        """Not when whoever asked has waited as long as they can."""
        holder, queue = await self.connect(), WriteQueue(limit=1)
        await run(holder, *BEGIN, "LOCK bazar_catalog.mark")
        tempo, timing = Tempo(primary_lease_s=PATIENCE_S), Timing(lease_s=PATIENCE_S)
        member, hold = Member("catalog-1", ""), Hold(tempo, clock.now())
        primary = SharedPrimary.begin_epoch(
            *(member, 1, self.mark, hold, timing, ArbiterId("here", "here"))
        )
        batches = Batches(
            *(primary, self.store, queue, 100, clock.now),
            perform=lambda effects: None,
            check=lambda epoch: None,
            needed=lambda: None,
            begun=True,
        )
        running = asyncio.create_task(batches.run())
        ticket = queue.add(sell("key", (4, 1)))
        await self.waiting(1)
        batches.abandon("the hold is over")
        with self.assertRaisesRegex(Indeterminate, "the hold is over"):
            await asyncio.wait_for(ticket.done, PATIENCE_S)
        running.cancel()
        await asyncio.wait([running])

    async def waiting(self, count: int) -> None:
        """Return once so many sessions of this database wait for a lock."""
        async with asyncio.timeout(PATIENCE_S):
            found = -1
            while found != count:
                [(found,)] = await self.ask(f"SELECT count(*) {WAITING}")

    async def test_a_batch_that_a_deadlock_has_ended_is_begun_again(self) -> None:
        """As with somebody's own maintenance: nobody has heard of the batch yet."""
        one, other = await self.connect(), await self.connect()
        await run(one, *BEGIN, "LOCK bazar_catalog.books")
        # Whose wait closes the circle looks for it; this one never does.
        await run(other, *BEGIN, "SET LOCAL deadlock_timeout = '1h'", "LOCK bazar_catalog.sales")
        batch = asyncio.create_task(self.store.execute([sell("key", (4, 1))], 1, extend))
        await self.waiting(1)  # for the books; it has locked the mark
        mark = asyncio.create_task(run(other, "LOCK bazar_catalog.mark"))
        await self.waiting(2)
        await run(one, ROLLBACK)  # the batch goes on to the sales
        await mark
        await run(other, ROLLBACK)
        self.sold(*await batch)

    def sold(self, outcomes: list[Outcome], entries: tuple[Entry, ...]) -> None:
        [outcome] = outcomes
        assert isinstance(outcome.answer, dict), outcome
        self.assertEqual(len(entries), 1)

    async def test_a_batch_whose_session_has_ended_is_begun_again(self) -> None:
        holder = await self.connect()
        await run(holder, *BEGIN, "LOCK bazar_catalog.mark")
        batch = asyncio.create_task(self.store.execute([sell("key", (4, 1))], 1, extend))
        await self.waiting(1)
        await self.ask(f"SELECT pg_terminate_backend(pid, 60000) {WAITING}")
        await self.waiting(1)  # over another session
        await run(holder, ROLLBACK)
        self.sold(*await batch)

    async def test_a_batch_that_cannot_begin_fails_with_what_the_server_says(self) -> None:
        """As one whose tables are not as they should be: no fault of the program."""
        await self.ask("ALTER TABLE bazar_catalog.sales RENAME TO elsewhere")
        with self.assertRaisesRegex(Unavailable, "42P01"):
            await self.store.execute([sell("key", (4, 1))], 1, extend)

    async def test_a_sale_has_the_number_behind_the_mark(self) -> None:
        _, [entry] = await self.store.execute([sell("key", (4, 1))], 7, extend)
        [sale] = entry.effects["put"]["sales"]
        self.assertEqual(sale["seq"], number_of(7, self.mark.seq + 1))

    async def test_what_changes_nothing_leaves_nothing_open(self) -> None:
        [outcome], entries = await self.store.execute([sell("key", (4, 1 << 30))], 1, extend)
        self.assertIsNone(outcome.change)
        self.assertEqual(entries, ())
        await self.ask(FREE)

    async def test_what_is_taken_back_was_never_there(self) -> None:
        await self.store.execute([sell("key", (4, 1))], 1, extend)
        await self.store.rollback()
        await self.ask(FREE)
        self.assertEqual(await self.ask("SELECT 1 FROM bazar_catalog.sales"), ())

    async def test_p4_a_batch_behind_another_mark_ends_the_primary(self) -> None:
        await self.ask("UPDATE bazar_catalog.mark SET number = number + 1")
        with self.assertRaisesRegex(FatalError, "this primary has left"):
            await self.store.execute([sell("key", (4, 1))], 1, extend)

    async def test_p4_a_batch_whose_mark_cannot_be_set_ends_the_primary(self) -> None:
        for sql in UNSET:
            await self.ask(sql)
        with self.assertRaisesRegex(FatalError, "the database is not at .* any more"):
            await self.store.execute([sell("key", (4, 1))], 1, extend)

    async def test_p5_a_commit_that_is_not_confirmed_is_in_doubt(self) -> None:
        _, [entry] = await self.store.execute([sell("key", (4, 1))], 1, extend)
        self.store.disconnect()
        self.assertIsNone(self.link.server)
        with self.assertRaisesRegex(FatalError, "entry 2 is in doubt"):
            await self.store.commit(entry.mark)

    async def test_an_epoch_begins_over_a_connection_of_its_own(self) -> None:
        """The server may have forgotten the one before, or another leads now."""
        await self.link.session()
        self.store.begin_epoch(self.mark)
        self.assertIsNone(self.link.server)

    async def test_what_runs_with_each_batch_is_planned_once_a_session(self) -> None:
        await self.store.execute([sell("key", (4, 1))], 1, extend)
        planned = (await self.link.go_on(Statement(PLANNED))).results[0].rows
        lock, update = sorted(text for (text,) in planned)
        self.assertTrue(lock.startswith("SELECT epoch_id, number FROM bazar_catalog.mark"))
        self.assertTrue(update.startswith("UPDATE bazar_catalog.mark"))
