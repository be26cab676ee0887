"""The catalog's rows in a real database."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from bazar.replication.store import Outcome
from storage.postgresql import search
from storage.postgresql.catalog import CatalogRows, PostgreSQLCatalogReader
from tests.unit.storage.contract import catalog
from tests.unit.storage.contract.cases import CatalogCase, GroupCase
from tests.unit.storage.postgresql.database import DatabaseCase, Group


class RowsCase(GroupCase, DatabaseCase):
    """A group whose rows are in a database of this test's."""

    group: Group

    async def batch(self, *operations: Any) -> list[Outcome]:
        return await self.group.batch(*operations)

    async def dry(self, epoch: int, *operations: Any) -> list[Outcome]:
        outcomes = await self.group.execute(operations, epoch)
        await self.group.rollback()
        return outcomes

    async def rows(self, table: str) -> list[dict[str, Any]]:
        return await self.group.rows(table)

    def committed_seq(self) -> int:
        return self.group.last.seq


class CatalogTest(RowsCase, CatalogCase):
    async def asyncSetUp(self) -> None:
        await super().asyncSetUp()
        model = CatalogRows(self.decider(), lambda: self.now_ms)
        self.group = await Group.make(self.session, model)
        self.reader = PostgreSQLCatalogReader(self.group)
        await self.batch(*model.seed())

    def ranked(self, most: int) -> AbstractContextManager[object]:
        return mock.patch.object(search, "RANKED", most)


class LoadingTest(catalog.Loading, CatalogTest):
    pass


class ReadingTest(catalog.Reading, CatalogTest):
    pass
