"""The contract of orders and filters: each list is total, page by page to the end and back."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import product
from typing import Any

from bazar.errors import BadRequest
from storage.letters import sort_key
from storage.searches import SORTS, Count, Found, Search
from tests.unit.storage.contract.cases import CatalogCase
from tests.unit.storage.operations import create, sell, update

Book = dict[str, Any]

KEYS: dict[str, Callable[[Book], Any]] = {
    "title": lambda book: (sort_key(book["title"]), book["id"]),
    "price": lambda book: (book["cost"], book["id"]),
    "-price": lambda book: (-book["cost"], -book["id"]),
    "newest": lambda book: -book["id"],
}
TITLES = ("Many", "many", "Mány things", "“Many” - more", "MANYFOLD", "Zebra", "apple", "Éclair")
TOPICS = ("Art", "Cartography", "art")


class Listing(CatalogCase):
    async def make(self, books: int, seed: int = 1) -> list[Book]:
        """Books that have much in common, in a shop with the starting stock. Return all books."""
        chance = random.Random(seed)
        made = [
            (chance.choice(TITLES), chance.choice(("Ann Many", "Bo", None)), chance.choice(TOPICS))
            for _ in range(books)
        ]
        [outcome] = await self.batch(create(f"k{seed}", *made))
        assert isinstance(outcome.answer, dict)
        numbers = [one["id"] for one in outcome.answer["books"] if one["created"]]
        await self.batch(
            *(
                update(f"{seed}.{n}", n, cost=chance.randrange(4), count=chance.choice((0, 0, 1)))
                for n in numbers
            )
        )
        retired = chance.sample(numbers, books // 5)
        await self.batch(*(update(f"{seed}.{n}.r", n, retired=True) for n in retired))
        return list((await self.reader.info(range(1, max(numbers) + 1))).values())

    async def walk(self, limit: int, backwards: bool = False, **wanted: Any) -> list[Found]:
        """All pages to the end; back from there to the first in turn, if `backwards`."""
        pages = [await self.found(limit=limit, **wanted)]
        while pages[-1].after is not None:
            pages.append(await self.found(limit=limit, after=pages[-1].after, **wanted))
        if not backwards:
            return pages
        back = [pages[-1]]
        while back[-1].before is not None:
            back.append(await self.found(limit=limit, before=back[-1].before, **wanted))
        return back[::-1]

    async def expected(
        self, books: list[Book], sort: str | None = None, **wanted: Any
    ) -> list[int]:
        """What must be listed, by another way than the engine's."""
        books = [book for book in books if "retired" not in book]
        if (q := wanted.get("q")) is not None:
            order = [book["id"] for book in (await self.found(q=q)).books]
            books = [book for book in books if book["id"] in order]
            if sort in (None, "fit"):
                books = sorted(books, key=lambda book: order.index(book["id"]))
        if (topic := wanted.get("topic")) is not None:
            exactly = q is not None
            books = [
                book
                for book in books
                if (topic == book["topic"] if exactly else topic in book["topic"].casefold())
            ]
        if wanted.get("in_stock"):
            books = [book for book in books if book["count"]]
        if sort in KEYS:
            books = sorted(books, key=KEYS[sort])
        return [book["id"] for book in books]


def numbers(pages: list[Found]) -> list[int]:
    return [book["id"] for page in pages for book in page.books]


class Orders(Listing):
    async def every(self, books: list[Book], check: Callable[..., Any]) -> None:
        """Check each order of each choice of books."""
        for sort, q, topic, in_stock in product(
            (None, *SORTS), (None, "many", "many a"), (None, "art"), (False, True)
        ):
            if sort == "fit" and q is None:
                continue
            wanted: dict[str, Any] = {"sort": sort, "q": q, "in_stock": in_stock}
            wanted["topic"] = topic or ("" if q is None else None)
            with self.subTest(**wanted):
                await check(await self.expected(books, **wanted), **wanted)

    async def test_every_order_is_total_and_paged_to_the_end_and_back(self) -> None:
        async def check(expected: list[int], **wanted: Any) -> None:
            self.assertGreater(len(expected), 0)
            for backwards in (False, True):
                pages = await self.walk(3, backwards, **wanted)
                self.assertEqual(numbers(pages), expected)
                self.assertEqual({page.count for page in pages}, {Count(len(expected))})
                self.assertEqual({page.cut for page in pages}, {False})
                self.assertEqual([len(page.books) for page in pages[1:-1]], [3] * (len(pages) - 2))

        await self.every(await self.make(60), check)

    async def test_a_page_ends_early_and_nothing_is_missing(self) -> None:
        """Where more are looked at than a page may, wherever it has to stop."""
        books = await self.make(60)
        seen: set[bool] = set()
        for looked in (4, 7, 30):

            async def check(expected: list[int], most: int = looked, **wanted: Any) -> None:
                for backwards in (False, True):
                    with self.bounds(LOOKED=most, COUNTED=min(most, 20)):
                        pages = await self.walk(3, backwards, **wanted)
                    found = numbers(pages)
                    if wanted["in_stock"] and SORTS.get(wanted["sort"] or "fit") is SORTS["fit"]:
                        # Not of all that fit is it known how well they do.
                        found, expected = sorted(found), sorted(expected)
                    self.assertEqual(found, expected)
                    seen.update(page.cut for page in pages)
                    for page in pages:
                        self.assertLessEqual(page.count.books, len(expected))
                        if not page.count.more:
                            self.assertEqual(page.count.books, len(expected))

            await self.every(books, check)
        self.assertEqual(seen, {False, True})

    async def test_a_page_that_is_cut_says_so_and_goes_on(self) -> None:
        await self.make(60)
        with self.bounds(LOOKED=5):
            first = await self.found(topic="", sort="price", in_stock=True, limit=20)
            self.assertTrue(first.cut)
            self.assertLessEqual(len(first.books), 5)
            self.assertIsNotNone(first.after)
            self.assertTrue(first.count.more)

    async def test_counts_are_exact_up_to_a_bound(self) -> None:
        books = await self.make(60)
        choices: tuple[dict[str, Any], ...] = (
            *({"topic": ""}, {"topic": "", "in_stock": True}, {"topic": "art", "sort": "title"}),
            *({"q": "many"}, {"q": "many", "topic": "art"}, {"q": "many", "in_stock": True}),
        )
        for wanted in choices:
            expected = len(await self.expected(books, **wanted))
            for bound, count in (
                (expected, Count(expected)),
                (expected - 1, Count(expected - 1, more=True)),
            ):
                with self.bounds(COUNTED=bound):
                    self.assertEqual((await self.found(limit=1, **wanted)).count, count, wanted)


class Places(Listing):
    async def test_books_that_come_and_go_in_between_repeat_none(self) -> None:
        await self.make(40)
        for sort in ("title", "price", "-price", "newest"):
            first = await self.found(topic="", sort=sort, limit=10)
            expected = numbers([await self.found(topic="", sort=sort, after=first.after)])
            last = first.books[-1]["id"]
            # The last book of the page goes elsewhere: its place is still where it was.
            await self.batch(update(f"{sort}", last, title="Aa", cost=99))
            rest = numbers([await self.found(topic="", sort=sort, after=first.after)])
            self.assertEqual([n for n in rest if n != last], [n for n in expected if n != last])
            await self.batch(update(f"{sort} back", last, title="Many", cost=1))

    async def test_titles_in_the_order_of_their_letters(self) -> None:
        titles = ("zebra", "“Émile”", "École", ".NET", "10 Years", "C++", "Apple", "日本", "!!!")
        await self.batch(create("k", *((title, None, "Alone") for title in titles)))
        found = await self.found(topic="alone", sort="title")
        self.assertEqual(
            [book["title"] for book in found.books],
            ["10 Years", "Apple", "C++", "École", "“Émile”", ".NET", "zebra", "日本", "!!!"],
        )
        await self.batch(update("u", found.books[0]["id"], title="Years, Ten"))
        found = await self.found(topic="alone", sort="title", limit=7)
        self.assertEqual(found.books[-1]["title"], "zebra")
        self.assertEqual(found.books[-2]["title"], "Years, Ten")

    async def test_long_titles_have_places(self) -> None:
        titles = [letter * 499 + str(n) for letter in "a猫ﷺ" for n in range(3)]
        await self.batch(create("k", *((title, None, "Alone") for title in titles)))
        pages = await self.walk(1, topic="alone", sort="title")
        self.assertEqual(sorted(numbers(pages)), list(range(8, 8 + len(titles))))

    async def test_words_topic_and_stock_follow_the_books(self) -> None:
        wanted = {"q": "cooking", "topic": "Undergraduate School", "in_stock": True}
        self.assertEqual(numbers([await self.found(**wanted)]), [4])
        self.assertEqual(numbers([await self.found(**{**wanted, "topic": "undergraduate"})]), [])
        await self.batch(sell("s", (4, 7)))
        self.assertEqual(numbers([await self.found(**wanted)]), [])
        self.assertEqual(numbers([await self.found(**{**wanted, "in_stock": False})]), [4])
        await self.batch(update("a", 4, count_add=1))
        self.assertEqual(numbers([await self.found(**wanted)]), [4])
        await self.batch(update("b", 4, topic="Kitchen"))
        self.assertEqual(numbers([await self.found(**wanted)]), [])
        self.assertEqual(numbers([await self.found(**{**wanted, "topic": "Kitchen"})]), [4])

    async def test_many_topics_and_none(self) -> None:
        await self.batch(create("k", *((f"T {n}", None, f"Topic {n}") for n in range(300))))
        for sort in ("title", "-price", "newest"):
            pages = await self.walk(50, topic="topic", sort=sort, in_stock=True)
            self.assertEqual(sorted(numbers(pages)), list(range(8, 308)))
            nothing = await self.found(topic="nothing of that", sort=sort)
            self.assertEqual((nothing.books, nothing.count), ([], Count(0)))

    def test_what_does_not_go_together_is_refused(self) -> None:
        for item in (
            {"op": "search", "topic": "", "limit": 1, "sort": "fit"},
            {"op": "search", "topic": "", "limit": 1, "sort": "size"},
            {"op": "search", "topic": "", "limit": 1, "sort": "price", "skip": 1},
            {"op": "find", "q": "a", "limit": 1, "in_stock": True, "skip": 1},
            {"op": "find", "q": "a", "limit": 1, "sort": "price", "after": "2-31-17"},
            {"op": "find", "q": "a", "limit": 1, "sort": "title", "after": "17"},
            {"op": "find", "q": "a", "limit": 1, "sort": "title", "after": "a\0-17"},
            {"op": "find", "q": "a", "limit": 1, "sort": "newest", "after": "a-17"},
            {"op": "find", "q": "a", "limit": 1, "in_stock": 1},
            {"op": "find", "q": "a", "limit": 1, "topic": 1},
            {"op": "find", "limit": 1, "topic": "a"},
            {"op": "search", "q": "a", "topic": "a", "limit": 1},
            {"op": "find", "q": "a", "limit": 1, "skip": 1, "before": "1-6-0"},
            {"op": "search", "topic": "", "limit": 1, "after": "5", "before": "5"},
        ):
            with self.assertRaises(BadRequest, msg=item):
                Search.of(item)
