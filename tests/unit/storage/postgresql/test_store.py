"""A primary's batches in a real database, when others use it, too."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from unittest import mock

from bazar import clock
from bazar.errors import Indeterminate, Unavailable
from bazar.replication.batches import Batches
from bazar.replication.messages import GENESIS, ArbiterId, Entry, Mark, Member, chained
from bazar.replication.shared.hold import Hold, Tempo
from bazar.replication.shared.primary import SharedPrimary
from bazar.replication.store import Outcome
from bazar.replication.timing import Timing
from bazar.replication.write_queue import WriteQueue
from storage.catalog import Catalog
from storage.postgresql import link, store
from storage.postgresql.catalog import CatalogRows
from storage.postgresql.link import Link
from storage.postgresql.session import Session, Statement
from storage.postgresql.store import PostgreSQLStore
from storage.postgresql.transaction import BEGIN, ROLLBACK
from tests.patience import PATIENCE_S
from tests.unit.storage.operations import sell
from tests.unit.storage.postgresql.database import TIMEOUT_S, DatabaseCase, Group, servers_of

WAITING = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def extend(outcomes: Sequence[Outcome]) -> tuple[Entry, ...]:
    return chained(GENESIS, 1, [one.change for one in outcomes if one.change is not None])


async def run(session: Session, *statements: str | Statement) -> None:
    made = (Statement(each) if isinstance(each, str) else each for each in statements)
    await session.run(*made, timeout_s=TIMEOUT_S)


class StoreTest(DatabaseCase):
    async def asyncSetUp(self) -> None:
        await super().asyncSetUp()
        model = CatalogRows(Catalog())
        group = await Group.make(self.session, model)
        await group.batch(*model.seed())
        # How fast the machine is must not show.
        for module, name in ((link, "RUN_S"), (link, "LOCK_S"), (store, "BEGIN_S")):
            self.enterContext(mock.patch.object(module, name, PATIENCE_S))
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
