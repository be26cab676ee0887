"""The catalog's contract: what a batch is decided on, and what is read, whatever keeps the rows."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any

from bazar.errors import ForeignHistory
from storage.catalog import KEYS_KEPT_MS
from storage.history import Position
from tests.unit.storage.contract.cases import CatalogCase
from tests.unit.storage.operations import cancel, create, sell, undo, update
from tests.unit.storage.rows import PlainCatalog

Sold = tuple[str, str, int]  # the key of a sale, its id, and a book of it


def some_operation(chance: random.Random, sold: Sequence[Sold]) -> dict[str, Any]:
    """One of few, on few books, so that keys, titles and topics often meet; some undo what was
    `sold`."""
    key = f"k{chance.randrange(40)}" if chance.random() < 0.2 else f"k{chance.random()}"
    book = chance.randint(1, 20)
    match chance.choice(("sell", "sell", "update", "create", "cancel")):
        case "cancel":
            lines = dict.fromkeys(chance.choices(range(1, 8), k=chance.choice((1, 1, 2))), 1)
            if sold and chance.random() < 0.5:
                (own, order, bought), (other, *_) = chance.choices(sold, k=2)
                shown = own if chance.random() < 0.8 else other
                return undo(key, order, shown, KEYS_KEPT_MS // 4, (bought, 1))
            return cancel(key, f"order-{chance.randint(1, 30)}", *lines.items())
        case "sell":
            return sell(key, *((chance.randint(1, 20), 1) for _ in range(chance.randint(1, 3))))
        case "update":
            fields = {
                "title": "tué",
                "author": "ab",
                "topic": "cdß",
                "count": (0, 9),
                "cost": (5, 6),
                "retired": (True, False, False),
            }
            named = chance.sample(sorted(fields), chance.randint(1, 3))
            return update(key, book, **{name: chance.choice(fields[name]) for name in named})
        case _:
            author = chance.choice(("a", "b", None))
            return create(key, *((title, author, chance.choice("cdß")) for title in "té"))


class Loading(CatalogCase):
    async def test_decisions_are_those_on_plain_rows(self) -> None:
        """Whatever a batch may need is loaded: the outcomes, and the rows that they leave."""
        plain = PlainCatalog()
        chance = random.Random(7)
        seen: Counter[str] = Counter()
        for _ in range(200):
            sold = [
                (row["key"], row["order_id"], json.loads(row["lines"])[0]["book"])
                for row in plain.rows("sales")
            ]
            operations = [some_operation(chance, sold) for _ in range(chance.randint(1, 4))]
            operations += operations[: chance.random() < 0.1]  # once more
            expected = plain.batch(*operations)
            for one, other in zip(await self.batch(*operations), expected, strict=True):
                self.assertEqual(one.change, other.change)
                self.assertEqual(repr(one.answer), repr(other.answer))
                seen[type(one.answer).__name__] += 1
                if one.change is None and isinstance(one.answer, dict):
                    seen["replayed"] += one.answer["replayed"]
                elif one.change is not None:
                    seen["forgotten"] += len(one.change.effects.get("delete", ()))
            self.now_ms += chance.choice((1, KEYS_KEPT_MS // 20))
            plain.now_ms = self.now_ms
        for table in plain.decider.tables:
            self.assertEqual(await self.rows(table), plain.rows(table), table)
        self.assertGreater(len(plain.rows("cancellations")), 1)
        for kind in (
            "dict",
            "OutOfStock",
            "Retired",
            "NotFound",
            "KeyReused",
            "NotBuyer",
            "TooLate",
            "replayed",
            "forgotten",
        ):
            self.assertGreater(seen[kind], 0, kind)

    async def test_s2_what_a_later_epoch_sells_is_behind_every_cursor(self) -> None:
        """A promotion by force may cut the log back below what orders have seen."""
        numbers = []
        for epoch, before in ((1, 3), (2, 0)):
            sales = [sell(f"{epoch}.{number}", (4, 1)) for number in range(before + 1)]
            answer = (await self.dry(epoch, *sales))[-1].answer
            assert isinstance(answer, dict)
            numbers.append(answer["seq"])
        self.assertLess(numbers[0], numbers[1])


class Reading(CatalogCase):
    async def test_sales_in_the_order_they_were_committed(self) -> None:
        sold = [await self.one(sell(key, (4, 1))) for key in "abc"]
        for after, limit, found in (
            (Position(), 10, sold),
            (Position(sold[0]["seq"]), 1, [sold[1]]),
            (Position(self.committed_seq()), 10, []),
        ):
            self.assertEqual(await self.reader.changes(after, limit), (found, None))
        with self.assertRaises(ForeignHistory):
            await self.reader.changes(Position(self.committed_seq() + 1), 10)

    async def test_s6_cancellations_come_among_the_sales(self) -> None:
        """Each at its place, whatever is cancelled of the sale later: that may be lost."""
        sold = [await self.one(sell(key, (4, 2))) for key in "ab"]
        first = await self.one(cancel("x", sold[0]["order_id"], (4, 1)))
        last = await self.one(cancel("y", sold[0]["order_id"], (4, 2)))
        more = await self.one(sell("c", (5, 1)))
        for after, limit, found in (
            (0, 10, [*sold, first, last, more]),
            (0, 3, [*sold, first]),
            (first["seq"], 10, [last, more]),
            (last["seq"], 10, [more]),
        ):
            self.assertEqual(await self.reader.changes(Position(after), limit), (found, None))

    async def test_h2_sales_come_with_the_id_of_the_last_ones_epoch(self) -> None:
        begin = {"op": "begin", "epoch": 0, "id": "e0"}
        [_, outcome] = await self.batch(begin, sell("a", (4, 1)))
        sale = outcome.answer
        assert isinstance(sale, dict)
        self.assertEqual(await self.reader.changes(Position(), 10), ([sale], "e0"))
        self.assertEqual(await self.reader.changes(Position(sale["seq"], "e0"), 10), ([], None))
        for position in (Position(sale["seq"], "e1"), Position(1, "e0"), Position(99, "e0")):
            with self.assertRaises(ForeignHistory):
                await self.reader.changes(position, 10)
        newest = {"order_id": sale["order_id"], "seq": sale["seq"], "id": "e0"}
        self.assertEqual(await self.reader.newest(99, 10), [newest])
        self.assertEqual(await self.reader.newest(sale["seq"], 10), [])

    async def test_info_of_the_books_that_exist(self) -> None:
        found = await self.reader.info([99, 4, 2, 4])
        self.assertEqual(sorted(found), [2, 4])
        self.assertEqual(
            list(found[4].items()),
            [
                ("id", 4),
                ("title", "Cooking for the Impatient Undergrad"),
                ("topic", "Undergraduate School"),
                ("cost", 20),
                ("count", 7),
                ("catalog_id", 2),
            ],
        )

    async def test_a_topic_without_books_is_not_listed(self) -> None:
        self.assertEqual(
            await self.topics(), [(1, "Distributed Systems"), (2, "Undergraduate School")]
        )
        await self.batch(update("a", 1, topic="New"), update("b", 2, topic="New"))
        self.assertEqual(await self.topics(), [(3, "New"), (2, "Undergraduate School")])

    async def test_search_pages_by_id(self) -> None:
        await self.one(create("c", *((f"t{n}", None, f"Many {n % 3}") for n in range(30))))
        found: list[int] = []
        more = True
        while more:
            page = await self.found(topic="many", limit=7, skip=len(found))
            found += [book["id"] for book in page.books]
            more = page.after is not None
        self.assertEqual(found, list(range(8, 38)))

    async def test_search_goes_on_behind_a_book_and_back(self) -> None:
        await self.one(create("c", *((f"t{n}", None, f"Many {n % 3}") for n in range(30))))
        for topic, first in (("many", 8), ("", 1)):
            pages, after = [], None
            while True:
                page = await self.found(topic=topic, limit=7, after=after)
                pages.append([book["id"] for book in page.books])
                if page.after is None:
                    break
                after = page.after
            self.assertEqual([*chain(*pages)], list(range(first, 38)))
            for before in reversed(pages[:-1]):
                page = await self.found(topic=topic, limit=7, before=page.before)
                self.assertEqual([book["id"] for book in page.books], before)
                self.assertEqual(page.after, str(before[-1]))
            self.assertIsNone(page.before)

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
            found = await self.found(topic=wanted)
            self.assertEqual([book["title"] for book in found.books], titles, wanted)

    async def test_a_book_without_an_author_has_no_such_field(self) -> None:
        self.assertNotIn("author", await self.book(1))
        await self.one(update("a", 1, author="A"))
        self.assertEqual((await self.book(1))["author"], "A")
