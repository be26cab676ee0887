"""Books and sales: operations in, row images out, on a real file."""

from __future__ import annotations

import json
from typing import Any

from bazar.errors import BazarError, KeyReused, NotFound, OutOfStock
from bazar.replication.store import Answer, Outcome
from storage.catalog import KEYS_KEPT_MS, SEARCHES, TOPICS, Catalog, CatalogReader, fold, info_key
from storage.log import ReplicatedStore
from tests.unit.files import FilesTestCase
from tests.unit.test_log import entries


def sell(key: str, *lines: tuple[int, int]) -> dict[str, Any]:
    return {
        "op": "sell",
        "key": key,
        "lines": [{"book": book, "quantity": quantity} for book, quantity in lines],
    }


def update(key: str, book: int, **fields: Any) -> dict[str, Any]:
    return {"op": "update", "key": key, "book": book, "fields": fields}


def create(key: str, *books: tuple[str, str | None, str]) -> dict[str, Any]:
    rows = [{"title": t, "author": a, "topic": c, "cost": 1, "count": 2} for t, a, c in books]
    return {"op": "create", "key": key, "books": rows}


class CatalogTest(FilesTestCase):
    async def asyncSetUp(self) -> None:
        self.now_ms = 1_000_000_000_000
        self.made = 0
        model = Catalog(lambda: self.now_ms, self.new_order_id)
        self.store = await ReplicatedStore.open(self.directory / "one.db", model, 1000)
        self.addAsyncCleanup(self.store.close)
        self.reader = CatalogReader(self.store.database)
        await self.batch(*self.store.seed())

    def new_order_id(self) -> str:
        self.made += 1
        return f"order-{self.made}"

    async def batch(self, *operations: Any) -> list[Outcome]:
        """One batch, executed and committed as the primary does."""
        outcomes = await self.store.execute(operations, 0)
        changes = [one.change for one in outcomes if one.change is not None]
        if changes:
            made = entries(self.store.committed, *changes)
            await self.store.append(made)
            await self.store.apply(made[-1].mark)
        else:
            await self.store.rollback()
        return outcomes

    async def one(self, operation: Any) -> Answer:
        [outcome] = await self.batch(operation)
        if isinstance(outcome.answer, BazarError):
            raise outcome.answer
        return outcome.answer

    async def keys(self, operation: Any) -> set[str]:
        [outcome] = await self.batch(operation)
        assert outcome.change is not None
        return set(outcome.change.keys)

    async def book(self, number: int) -> dict[str, Any]:
        return (await self.reader.info([number]))[number]

    async def topics(self) -> list[tuple[int, str]]:
        return [(one["catalog_id"], one["topic"]) for one in await self.reader.topics()]


class SellingTest(CatalogTest):
    async def test_s1_a_sale_is_one_entry_with_the_rows_it_leaves(self) -> None:
        [outcome] = await self.batch(sell("k", (4, 2)))
        assert outcome.change is not None
        self.assertEqual(outcome.change.keys, ("info_4",))
        put = outcome.change.effects["put"]
        self.assertEqual([(row["id"], row["count"]) for row in put["books"]], [(4, 5)])
        [sale] = put["sales"]
        self.assertEqual((sale["key"], sale["order_id"], sale["seq"]), ("k", "order-1", 2))
        self.assertEqual(sale["sold_at"], self.now_ms)
        line = {
            "book": 4,
            "title": "Cooking for the Impatient Undergrad",
            "quantity": 2,
            "unit_cost": 20,
            "new_count": 5,
        }
        self.assertEqual(json.loads(sale["lines"]), [line])
        self.assertEqual((await self.book(4))["count"], 5)
        [listed] = await self.reader.sales(0, 10)
        self.assertEqual((listed["seq"], listed["lines"]), (2, [line]))
        self.assertEqual(await self.reader.sales(2, 10), [])

    async def test_r1_each_operation_sees_those_before_it(self) -> None:
        outcomes = await self.batch(*(sell(f"k{n}", (3, 1)) for n in range(4)))
        counts = [o.answer["lines"][0]["new_count"] for o in outcomes[:2]]  # type: ignore[index]
        self.assertEqual(counts, [1, 0])
        self.assertIsInstance(outcomes[2].answer, OutOfStock)
        self.assertIsInstance(outcomes[3].answer, OutOfStock)
        self.assertEqual((await self.book(3))["count"], 0)
        outcomes = await self.batch(update("u", 3, count=1), sell("k5", (3, 1)), sell("k6", (3, 1)))
        self.assertEqual(
            [isinstance(one.answer, OutOfStock) for one in outcomes], [False, False, True]
        )
        seqs = [sale["seq"] for sale in await self.reader.sales(0, 10)]
        self.assertEqual(seqs, sorted(set(seqs)))
        self.assertEqual(seqs[-1], self.store.committed.seq)

    async def test_s1_the_same_key_returns_the_first_answer(self) -> None:
        first = await self.one(sell("k", (4, 1)))
        again = await self.one(sell("k", (4, 1)))
        self.assertEqual(again, {**first, "replayed": True})
        outcomes = await self.batch(sell("l", (4, 1)), sell("l", (4, 1)))  # within one batch too
        self.assertIsNone(outcomes[1].change)
        self.assertEqual(outcomes[1].answer, {**outcomes[0].answer, "replayed": True})  # type: ignore[dict-item]
        self.assertEqual((await self.book(4))["count"], 5)

    async def test_s1_the_same_key_for_another_request_is_refused(self) -> None:
        await self.one(sell("k", (4, 1)))
        for other in (sell("k", (4, 2)), sell("k", (5, 1)), update("k", 4, count=1)):
            with self.assertRaises(KeyReused):
                await self.one(other)

    async def test_s1_a_key_of_another_write_is_refused_for_a_sale(self) -> None:
        await self.one(update("k", 4, count=5))
        with self.assertRaises(KeyReused):
            await self.one(sell("k", (4, 1)))

    async def test_r1_a_book_renamed_in_the_same_batch_makes_room(self) -> None:
        book = await self.book(2)
        _, made = await self.batch(
            update("u", 2, title="Another"), create("c", (book["title"], None, book["topic"]))
        )
        self.assertEqual(made.answer, {"books": [{"id": 8, "created": True}]})

    async def test_s1_a_sale_keeps_its_key_for_ever(self) -> None:
        await self.one(sell("k", (4, 1)))
        self.now_ms += 10 * KEYS_KEPT_MS
        self.assertTrue((await self.one(sell("k", (4, 1))))["replayed"])

    async def test_s4_a_refusal_leaves_no_trace(self) -> None:
        before = self.store.committed
        for operation, kind in ((sell("k", (2, 2)), OutOfStock), (sell("k", (99, 1)), NotFound)):
            with self.assertRaises(kind):
                await self.one(operation)
        self.assertEqual(self.store.committed, before)
        self.assertFalse((await self.one(sell("k", (2, 1)))).get("replayed", False))

    async def test_s1_several_lines_sell_all_or_nothing(self) -> None:
        with self.assertRaises(OutOfStock):
            await self.one(sell("k", (4, 1), (2, 2)))
        with self.assertRaises(OutOfStock):
            await self.one(sell("k", (2, 1), (2, 1)))  # the same book on two lines
        self.assertEqual((await self.book(4))["count"], 7)
        answer = await self.one(sell("k", (4, 1), (5, 2), (4, 3)))
        self.assertEqual([line["new_count"] for line in answer["lines"]], [6, 8, 3])
        self.assertEqual(((await self.book(4))["count"], (await self.book(5))["count"]), (3, 8))


class ChangingTest(CatalogTest):
    async def test_c5_an_update_of_the_stock_touches_its_book_alone(self) -> None:
        self.assertEqual(await self.keys(update("a", 4, count=9, cost=9)), {info_key(4)})

    async def test_c5_what_searches_show_by_touches_every_search(self) -> None:
        for number, fields in enumerate(
            ({"title": "x"}, {"author": "y"}, {"topic": "z"}, {"topic": "Distributed Systems"})
        ):
            keys = await self.keys(update(f"k{number}", 4, **fields))
            self.assertEqual(keys, {info_key(4), SEARCHES, TOPICS}, fields)
        keys = await self.keys(update("same", 4, title="x", cost=3))  # nothing of it is new
        self.assertEqual(keys, {info_key(4)})
        self.assertEqual(
            await self.keys(create("c", ("t", None, "new"))), {info_key(8), SEARCHES, TOPICS}
        )

    async def test_an_update_of_an_unknown_book(self) -> None:
        with self.assertRaises(NotFound):
            await self.one(update("k", 99, topic="made by nobody"))
        # Nor does the refused one leave its topic behind.
        await self.batch(update("l", 99, topic="nobody's"), update("m", 4, topic="somebody's"))
        self.assertNotIn("nobody's", [name for _, name in await self.topics()])
        rows = await self.store.database.read("SELECT id, name FROM topics")
        names = {row["name"]: row["id"] for row in rows}
        self.assertEqual((await self.book(4))["catalog_id"], names["somebody's"])
        self.assertNotIn("nobody's", names)

    async def test_a_topic_that_a_refused_update_would_have_made_is_made_by_the_next(self) -> None:
        outcomes = await self.batch(update("k", 99, topic="T"), update("l", 4, topic="T"))
        self.assertIsInstance(outcomes[0].answer, NotFound)
        book = await self.book(4)
        self.assertEqual(book["topic"], "T")

    async def test_a_book_is_the_same_if_title_author_and_topic_are(self) -> None:
        first = await self.one(create("a", ("t", "x", "c"), ("t", "y", "c"), ("t", "x", "d")))
        self.assertEqual([one["id"] for one in first["books"]], [8, 9, 10])
        again = await self.one(create("b", ("t", "x", "c"), ("u", "x", "c"), ("u", "x", "c")))
        self.assertEqual(
            again["books"],
            [
                {"id": 8, "created": False},
                {"id": 11, "created": True},
                {"id": 11, "created": False},
            ],
        )
        await self.one(update("u", 9, author="x"))  # now 8 and 9 are alike; the lower id stands
        third = await self.one(create("c", ("t", "x", "c"), ("t", "y", "c")))
        self.assertEqual(third["books"], [{"id": 8, "created": False}, {"id": 12, "created": True}])

    async def test_a_topic_without_books_is_not_listed(self) -> None:
        self.assertEqual(
            await self.topics(), [(1, "Distributed Systems"), (2, "Undergraduate School")]
        )
        await self.batch(update("a", 1, topic="New"), update("b", 2, topic="New"))
        self.assertEqual(await self.topics(), [(3, "New"), (2, "Undergraduate School")])

    async def test_keys_of_other_writes_are_kept_for_a_day(self) -> None:
        await self.one(update("k", 4, count=1))
        self.now_ms += KEYS_KEPT_MS
        self.assertTrue((await self.one(update("k", 4, count=1)))["replayed"])
        self.now_ms += 1
        await self.one(update("another", 4, count=2))
        await self.one(update("one more", 4, count=2))
        rows = await self.store.database.read("SELECT key FROM answers ORDER BY key")
        self.assertNotIn("k", [row["key"] for row in rows])
        self.assertNotIn("replayed", await self.one(update("k", 4, count=1)))

    async def test_the_starting_stock_is_there_once(self) -> None:
        again = await self.one(self.store.seed()[0])
        self.assertTrue(again["replayed"])
        self.assertEqual(len(await self.reader.info(range(20))), 7)


class ReadingTest(CatalogTest):
    async def test_search_pages_by_id(self) -> None:
        await self.one(create("c", *((f"t{n}", None, f"Many {n % 3}") for n in range(30))))
        found: list[int] = []
        more = True
        while more:
            books, more = await self.reader.search("many", 7, len(found))
            found += [book["id"] for book in books]
        self.assertEqual(found, list(range(8, 38)))

    async def test_search_is_literal_and_folds_case(self) -> None:
        await self.one(create("c", ("a", None, "50% _off_"), ("b", None, "GROẞE Straße")))
        for wanted, titles in (
            ("%", ["a"]),
            ("_OFF", ["a"]),
            ("f_", ["a"]),
            ("grosse", ["b"]),
            ("STRASSE", ["b"]),
            ("0%o", []),
        ):
            books, _ = await self.reader.search(wanted, 10, 0)
            self.assertEqual([book["title"] for book in books], titles, wanted)

    async def test_a_book_without_an_author_has_no_such_field(self) -> None:
        self.assertNotIn("author", await self.book(1))
        await self.one(update("a", 1, author="A"))
        self.assertEqual((await self.book(1))["author"], "A")

    def test_fold(self) -> None:
        self.assertEqual(fold("E\N{COMBINING ACUTE ACCENT}"), fold("é"))
        self.assertEqual(fold("STRASSE"), fold("straße"))
        self.assertNotEqual(fold("e"), fold("é"))
