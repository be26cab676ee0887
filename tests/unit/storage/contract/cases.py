"""What the contract's tests ask of an engine: a group of its own, to write to and to read."""

from __future__ import annotations

import unittest
from contextlib import AbstractContextManager
from itertools import count
from typing import Any
from unittest import mock

from bazar.errors import BazarError
from bazar.replication.store import Answer, Outcome
from storage import paging
from storage.catalog import Catalog, CatalogReader
from storage.orders import OrderReader
from storage.searches import Found, Search

BEGIN_MS = 1_000_000_000_000


class GroupCase(unittest.IsolatedAsyncioTestCase):
    """A group, written by batches as its primary does."""

    async def batch(self, *operations: Any) -> list[Outcome]:
        """One batch, executed and committed."""
        raise NotImplementedError

    async def dry(self, epoch: int, *operations: Any) -> list[Outcome]:
        """What a batch in this epoch would come to."""
        raise NotImplementedError

    async def rows(self, table: str) -> list[dict[str, Any]]:
        """A table, in the order of its primary key."""
        raise NotImplementedError

    def committed_seq(self) -> int:
        """The number of the last entry."""
        raise NotImplementedError

    async def one(self, operation: Any) -> Answer:
        """The answer to one operation. Raises its refusal."""
        [outcome] = await self.batch(operation)
        if isinstance(outcome.answer, BazarError):
            raise outcome.answer
        return outcome.answer


class CatalogCase(GroupCase):
    """A catalog with the samples, whose clock stands at `now_ms`."""

    reader: CatalogReader
    now_ms = BEGIN_MS

    def ranked(self, most: int) -> AbstractContextManager[object]:
        """Within this, so many books are given a rank."""
        return self.bounds(RANKED=most, COUNTED=most)

    def bounds(self, **most: int) -> AbstractContextManager[object]:
        """Within this, these bounds of `storage/paging.py` are others."""
        return mock.patch.dict(vars(paging), most)

    async def found(self, **wanted: Any) -> Found:
        return await self.reader.search(Search(**{"limit": 100, **wanted}))

    @staticmethod
    def decider() -> Catalog:
        """One whose sales are told apart by small numbers."""
        numbers = count(1)
        return Catalog(lambda: f"order-{next(numbers)}")

    async def book(self, number: int) -> dict[str, Any]:
        return (await self.reader.info([number]))[number]

    async def topics(self) -> list[tuple[int, str]]:
        return [(one["catalog_id"], one["topic"]) for one in await self.reader.topics()]


class OrderCase(GroupCase):
    """Orders of a catalog that is elsewhere; there are none yet."""

    reader: OrderReader
