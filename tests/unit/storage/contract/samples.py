"""The samples' contract: where they were taken away nothing is left of them, whatever keeps the
rows."""

from __future__ import annotations

from bazar.errors import Conflict
from storage.samples import SAMPLES
from tests.unit.storage.contract.cases import CatalogCase
from tests.unit.storage.operations import create, sell, update
from tests.unit.storage.rows import PlainCatalog
from tests.unit.storage.test_samples import REMOVE


class SamplesTaken(CatalogCase):
    async def ids(self, **wanted: str) -> list[int]:
        return [book["id"] for book in (await self.found(**wanted)).books]

    async def test_s7_no_read_finds_what_was_taken_away(self) -> None:
        await self.one(create("c", ("Cooking for all", "Ada", "Food")))
        self.assertEqual(await self.ids(q="cook"), [8, 4])
        answer = await self.one(REMOVE)
        self.assertEqual([book["id"] for book in answer["removed"]], list(SAMPLES))
        self.assertEqual(list(await self.reader.info(range(1, 9))), [8])
        self.assertEqual(await self.ids(topic=""), [8])
        self.assertEqual(await self.ids(topic="school"), [])
        self.assertEqual(await self.topics(), [(3, "Food")])
        for q, books in (("cook", [8]), ("theory", []), ("ada", [8])):
            self.assertEqual(await self.ids(q=q), books, q)

    async def test_decisions_are_those_on_plain_rows(self) -> None:
        plain = PlainCatalog()
        for operations in (
            [create("c", ("t", None, "c")), update("u", 2, title="Mine"), update("v", 3, cost=1)],
            [update("w", 4, title="Mine, too"), REMOVE, sell("s", (5, 1))],
            [REMOVE, create("d", ("RPCs for Noobs", None, "Distributed Systems"))],
            [sell("t", (8, 1)), {**REMOVE, "key": "again"}],
            [{**REMOVE, "key": "later"}, update("x", 5, cost=1)],
        ):
            expected = plain.batch(*operations)
            for one, other in zip(await self.batch(*operations), expected, strict=True):
                self.assertEqual(one.change, other.change)
                self.assertEqual(repr(one.answer), repr(other.answer))
        for table in plain.decider.tables:
            self.assertEqual(await self.rows(table), plain.rows(table), table)

    async def test_s7_what_was_sold_long_ago_is_known(self) -> None:
        first = await self.one(sell("s", (4, 1)))
        await self.one(sell("t", (5, 1)))
        with self.assertRaisesRegex(Conflict, first["order_id"]):
            await self.one(REMOVE)
        self.assertEqual(len(await self.reader.info(SAMPLES)), 7)
