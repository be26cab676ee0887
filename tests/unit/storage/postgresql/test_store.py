"""A primary's batches in a real database, when others use it, too."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from unittest import mock

from bazar.replication.messages import GENESIS, Entry, Mark, chained
from bazar.replication.store import Outcome
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
        for module, name in ((link, "RUN_S"), (store, "BEGIN_S")):
            self.enterContext(mock.patch.object(module, name, PATIENCE_S))
        self.link = Link(servers_of(self._conninfo), PATIENCE_S)
        self.addAsyncCleanup(self.link.close)
        self.store = PostgreSQLStore(self.link, model)
        self.store.begin_epoch(Mark(group.last.seq, ""))

    async def waiting(self, count: int) -> None:
        """Return once so many sessions of this database wait for a lock."""
        sql = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        async with asyncio.timeout(PATIENCE_S):
            found = -1
            while found != count:
                [(found,)] = await self.ask(sql)

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
        [outcome], entries = await batch
        assert isinstance(outcome.answer, dict), outcome
        self.assertEqual(len(entries), 1)
        await self.store.rollback()
