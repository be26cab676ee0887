"""The contract of retired books: nobody finds them, and they are there."""

from __future__ import annotations

from itertools import chain, product
from typing import Any

from bazar.errors import BadRequest, BazarError, Retired
from storage.books import RETIRED
from storage.searches import SORTS, Count, Search
from tests.unit.storage.contract.finding import FIRST, Finding
from tests.unit.storage.operations import cancel, create, sell, update

ISBN = "9780306406157"
OF_4 = ("cooking", "undergrad", "u", "Cooking for the Impatient Undergrad", ISBN, "0306406152")
"""What finds book 4."""


class Retiring(Finding):
    async def retire(self, *books: int, to: bool = True) -> None:
        seq = self.committed_seq()
        operations = (update(f"r{seq}.{book}", book, retired=to) for book in books)
        for outcome in await self.batch(*operations):
            assert not isinstance(outcome.answer, BazarError), outcome

    async def numbers(self, **wanted: Any) -> list[int]:
        """All numbers of a search, which says how many they are."""
        page = await self.found(**wanted)
        found = [book["id"] for book in page.books]
        self.assertEqual(page.count, Count(len(found)), wanted)
        return found

    async def listed(self, q: str | None = None) -> list[int]:
        return await self.numbers(q=q, topic="" if q is None else None, retired=True)

    @staticmethod
    def searches() -> list[dict[str, Any]]:
        """Of all kinds that find book 4 while it is on sale."""
        topic = "Undergraduate School"
        asked = [{"q": q, "topic": where} for q, where in product(OF_4, (None, topic))]
        asked += [{"topic": where} for where in ("", "undergrad", topic)]
        return [
            {**one, "sort": sort, "in_stock": in_stock}
            for one, sort, in_stock in product(asked, (None, *SORTS), (False, True))
            if sort != "fit" or "q" in one
        ]

    async def test_s8_no_search_shows_it_or_counts_it_until_it_is_back(self) -> None:
        """In none of the orders, whatever its filters are, and wherever it stops to look."""
        await self.batch(update("k", 4, isbn=ISBN))
        for looked in (1000, 2):
            with self.bounds(LOOKED=looked, COUNTED=2 if looked == 2 else 1000):
                before = [await self.found(**wanted) for wanted in self.searches()]
                await self.retire(4)
                for wanted, then in zip(self.searches(), before, strict=True):
                    now = await self.found(**wanted)
                    shown = [book["id"] for book in now.books]
                    self.assertNotIn(4, shown, wanted)
                    if looked == 1000:
                        numbers = [book["id"] for book in then.books]
                        self.assertIn(4, numbers, wanted)
                        self.assertEqual(shown, [n for n in numbers if n != 4], wanted)
                        self.assertEqual(now.count, Count(len(shown)), wanted)
                await self.retire(4, to=False)
                again = [await self.found(**wanted) for wanted in self.searches()]
                self.assertEqual(again, before)

    async def test_s8_it_is_there_and_says_so(self) -> None:
        book = await self.book(4)
        await self.retire(4)
        self.assertEqual(await self.book(4), {**book, "retired": True})
        with self.assertRaises(Retired):
            await self.one(sell("k", (4, 1)))

    async def test_s8_the_retired_are_listed_and_found_among_themselves(self) -> None:
        await self.batch(update("k", 4, isbn=ISBN), create("l", ("Cooked", "C. Ook", "Cakes")))
        await self.retire(3, 4, FIRST)
        self.assertEqual(await self.listed(), [3, 4, FIRST])
        for q in OF_4:
            expected = [4, 3] if q in ("undergrad", "u") else [4]
            self.assertEqual(await self.listed(q), expected, q)
        self.assertEqual(await self.listed("cook"), [FIRST, 4])
        self.assertEqual(await self.listed("grade"), [])
        for part, expected in (
            ({"topic": "", "sort": "newest"}, [FIRST, 4, 3]),
            ({"topic": "ca"}, [FIRST]),
            ({"q": "cook", "sort": "newest"}, [FIRST, 4]),
        ):
            self.assertEqual(await self.numbers(retired=True, **part), expected, part)
        [shown] = (await self.found(q="cooking", retired=True)).books
        self.assertEqual(shown, await self.book(4))
        await self.retire(4, to=False)
        self.assertEqual((await self.listed(), await self.listed("u")), ([3, FIRST], [3]))

    async def test_s8_what_goes_through_all_that_is_on_sale_has_none_of_them(self) -> None:
        some: tuple[dict[str, Any], ...] = (
            *({"topic": "", "in_stock": True}, {"topic": "", "sort": "title"}),
            *({"q": "x", "sort": "price"}, {"q": "x", "topic": "T"}),
        )
        for part in some:
            with self.assertRaises(BadRequest):
                Search.of({"op": "find" if "q" in part else "search", "limit": 9, **part,
                           "retired": True})  # fmt: skip

    async def test_s8_a_topic_of_retired_books_alone_is_not_listed(self) -> None:
        await self.retire(1)
        self.assertEqual(len(await self.topics()), 2)
        await self.retire(2)
        self.assertEqual(await self.topics(), [(2, "Undergraduate School")])
        await self.retire(1, to=False)
        self.assertEqual(len(await self.topics()), 2)

    async def test_s8_what_it_is_called_meanwhile_finds_it_afterwards(self) -> None:
        await self.retire(4)
        await self.batch(update("k", 4, title="Baking", topic="Cakes"))
        cakes: dict[str, Any] = {"topic": "cakes", "sort": "title"}
        self.assertEqual((await self.ids("baking"), await self.numbers(**cakes)), ([], []))
        self.assertEqual((await self.listed("baking"), await self.listed("cooking")), ([4], []))
        self.assertEqual(len(await self.topics()), 2)
        await self.retire(4, to=False)
        self.assertEqual((await self.ids("baking"), await self.numbers(**cakes)), ([4], [4]))
        self.assertEqual(await self.ids("cooking"), [])

    async def test_s8_its_number_is_never_given_anew(self) -> None:
        await self.make("One", "Two")
        await self.retire(FIRST, FIRST + 1)
        await self.make("Three")
        self.assertEqual(await self.numbers(topic="T"), [*range(1, FIRST), FIRST + 2])

    async def test_s8_the_same_book_is_not_made_anew(self) -> None:
        await self.make("One")
        await self.retire(FIRST)
        [same] = (await self.one(create("again", ("One", None, "T"))))["books"]
        self.assertEqual(same, {"id": FIRST, "created": False, "retired": True})

    async def test_s6_cancelled_copies_go_back_to_it(self) -> None:
        sold = await self.one(sell("a", (4, 3)))
        await self.retire(4)
        await self.one(cancel("b", sold["order_id"], (4, 1)))
        book = await self.book(4)
        self.assertEqual((book["count"], book["retired"]), (5, True))

    async def test_s8_pages_pass_over_them_in_both_directions(self) -> None:
        await self.make(*(f"Many {n}" for n in range(30)))
        gone = [n for n in range(1, FIRST + 30) if n % 3 == 0 or 15 < n < 30]
        left = [n for n in range(1, FIRST + 30) if n not in gone]
        await self.retire(*gone)
        many = [n for n in left if n >= FIRST]
        lists: list[tuple[dict[str, Any], list[int]]] = [
            ({"topic": ""}, left),
            ({"topic": "t"}, left),
            ({"q": "many"}, many),
            *(({"q": "many", "sort": sort}, many) for sort in SORTS),
            *(({"topic": "", "sort": sort}, left) for sort in ("title", "price", "newest")),
            ({"topic": "", "retired": True}, gone),
            ({"topic": "t", "retired": True, "sort": "newest"}, gone),
            ({"q": "many", "retired": True}, [n for n in gone if n >= FIRST]),
        ]
        for wanted, expected in lists:
            pages, after, before = [], None, []
            while True:
                page = await self.found(limit=4, after=after, **wanted)
                pages.append([book["id"] for book in page.books])
                before.append(page.before)
                self.assertEqual(page.count, Count(len(expected)), wanted)
                if page.after is None:
                    break
                after = page.after
            self.assertEqual(sorted(chain(*pages)), expected, wanted)
            for back, shown in zip(before[1:], pages, strict=False):
                page = await self.found(limit=4, before=back, **wanted)
                self.assertEqual([book["id"] for book in page.books], shown, wanted)
            if wanted.get("sort") not in ("title", "price", "-price"):
                skipped = await self.found(limit=2, skip=3, **wanted)
                shown = [book["id"] for book in skipped.books]
                self.assertEqual(shown, [*chain(*pages)][3:5], wanted)

    async def test_s8_a_row_has_one_spelling_of_it(self) -> None:
        for to, value in ((True, RETIRED), (True, RETIRED), (False, None), (False, None)):
            await self.retire(4, to=to)
            [row] = [row for row in await self.rows("books") if row["id"] == 4]
            self.assertEqual((row["retired"], type(row["retired"])), (value, type(value)))
