"""The contract of the orders' list by time: its order, its pages, and what a query finds."""

from __future__ import annotations

from itertools import count
from typing import Any
from unittest import mock

from bazar.replication.store import Answer
from storage import order_pages
from storage.history import Position
from storage.order_pages import OrderPage, Wanted, name_of, read_page
from tests.unit.storage.contract.cases import OrderCase
from tests.unit.storage.test_orders import changed

BEGAN = 1_700_000_000_000


def order_id(number: int) -> str:
    return f"{number:08x}{0:024x}"


def sold(number: int, at: int, *books: tuple[int, str]) -> Answer:
    """A sale, so many milliseconds behind BEGAN."""
    lines = [
        {"book": book, "title": title, "quantity": 1, "unit_cost": 20, "new_count": 5}
        for book, title in books or [(4, "Cooking for the Impatient Undergrad")]
    ]
    sale = {"order_id": order_id(number), "seq": number, "sold_at": BEGAN + at}
    return {**sale, "lines": lines}


class Pages(OrderCase):
    async def asyncSetUp(self) -> None:
        await super().asyncSetUp()
        self.upto, self.now = 0, 0.0

    async def sell(self, *sales: Answer) -> None:
        """Have these become orders."""
        await self.batch(changed(self.upto, *sales))
        self.upto = sales[-1]["seq"]
        self.assertEqual(await self.reader.cursor(), Position(self.upto, "e"))

    async def page(self, limit: int = 100, **wanted: Any) -> OrderPage:
        for name in ("since", "until"):
            if name in wanted:
                wanted[name] += BEGAN
        return await read_page(self.reader, Wanted(limit, **wanted), lambda: self.now)

    async def seqs(self, **wanted: Any) -> list[int]:
        """The numbers of all that is wanted, on one page."""
        page = await self.page(**wanted)
        self.assertIsNone(page.before)
        return [one["seq"] for one in page.orders]

    async def walk(self, limit: int, **wanted: Any) -> list[list[int]]:
        """The numbers of all that is wanted, page by page, as JSON carries the place."""
        pages = []
        before = None
        while True:
            page = await self.page(limit, before=before, **wanted)
            pages.append([one["seq"] for one in page.orders])
            before = page.plain()["before"]
            if before is None:
                return pages

    async def test_newest_first_and_by_number_what_was_sold_at_once(self) -> None:
        await self.sell(sold(1, 10), sold(2, 30), sold(3, 30), sold(4, 20))  # a clock steps back
        self.assertEqual(await self.seqs(), [3, 2, 4, 1])
        for limit, pages in (
            (1, [[3], [2], [4], [1]]),
            (2, [[3, 2], [4, 1]]),
            (3, [[3, 2, 4], [1]]),
            (4, [[3, 2, 4, 1]]),
        ):
            self.assertEqual(await self.walk(limit), pages)

    async def test_since_is_inclusive_and_until_is_not(self) -> None:
        await self.sell(*(sold(number, 10 * number) for number in range(1, 6)))
        self.assertEqual(await self.seqs(since=20, until=40), [3, 2])
        self.assertEqual(await self.seqs(since=21, until=41), [4, 3])
        self.assertEqual(await self.seqs(since=40), [5, 4])
        self.assertEqual(await self.seqs(until=20), [1])
        self.assertEqual(await self.seqs(since=20, until=20), [])
        self.assertEqual(await self.walk(1, since=20, until=40), [[3], [2]])

    async def test_an_order_is_shown_as_it_is(self) -> None:
        await self.sell(sold(3, 0))
        cancelled = [{"book": 4, "quantity": 1}]
        cancellation = {"order_id": order_id(3), "cancelled": cancelled, "cancelled_at": 1}
        await self.sell({**cancellation, "seq": 9})
        page = await self.page()
        self.assertEqual(
            page.orders,
            [
                {
                    **(await self.reader.order(order_id(3)) or {}),
                    **{"seq": 3, "change": 9, "refund": 20, "cancelled": cancelled},
                }
            ],
        )

    async def test_what_comes_meanwhile_moves_nothing(self) -> None:
        await self.sell(sold(1, 10), sold(2, 20), sold(3, 30))
        first = await self.page(1)
        assert first.before is not None
        await self.sell(sold(4, 40), sold(5, 25), sold(6, 30))
        rest = await self.page(before=name_of(first.before))
        self.assertEqual([one["seq"] for one in first.orders], [3])
        self.assertEqual([one["seq"] for one in rest.orders], [5, 2, 1])

    async def test_words_of_one_title_as_it_was_sold(self) -> None:
        await self.sell(
            sold(1, 1, (1, "The Fog")),
            sold(2, 2, (2, "Émile"), (3, "Fog, and the Sea")),
            sold(3, 3, (4, "O'Reilly's C++ for 計算機")),
            sold(4, 4, (5, "Fog"), (6, "The Sea")),
        )
        for q, found in (
            ("fog", [4, 2, 1]),
            ("SEA fo", [2]),
            ("emile", [2]),
            ("oreilly", [3]),
            ("c++", [3]),
            ("c#", []),
            ("算機", [3]),
            ("og", []),
            ("\u0301", []),  # an accent alone is no word
        ):
            self.assertEqual(await self.seqs(q=q), found, q)
        self.assertEqual(await self.seqs(q="fog", since=2, until=4), [2])
        self.assertEqual(await self.walk(1, q="fog"), [[4], [2], [1]])

    async def test_the_number_of_a_book(self) -> None:
        await self.sell(
            sold(1, 1, (40, "The Fog")), sold(2, 2, (4, "Émile")), sold(3, 3, (7, "4 Seas"))
        )
        self.assertEqual(await self.seqs(q="4"), [3, 2])
        self.assertEqual(await self.seqs(q="40"), [1])
        self.assertEqual(await self.seqs(q="4 seas"), [3])

    async def test_an_id_and_the_beginning_of_it(self) -> None:
        await self.sell(*(sold(number, number) for number in range(0x100, 0x112)))
        self.assertEqual(await self.seqs(q=order_id(0x10F)), [0x10F])
        self.assertEqual(await self.seqs(q="0000010F"), [0x10F])
        self.assertEqual(await self.seqs(q="0000010f0"), [0x10F])
        self.assertEqual(await self.seqs(q="0000010f1"), [])
        self.assertEqual(await self.seqs(q="0000010f", since=0x110), [])
        self.assertEqual(await self.seqs(q="0000010f", until=0x10F), [])
        self.assertEqual(await self.seqs(q="0000010"), [])  # too short: a word

    async def test_orders_whose_ids_begin_alike_are_pages_too(self) -> None:
        for number in (1, 2, 3):
            await self.sell({**sold(number, number), "order_id": f"0000010f{3 - number:024x}"})
        self.assertEqual(await self.walk(2, q="0000010f"), [[3, 2], [1]])

    async def test_of_which_something_is_cancelled_or_nothing(self) -> None:
        await self.sell(sold(1, 1), sold(2, 2), sold(3, 3, (4, "Fog")), sold(4, 4, (4, "Fog")))
        for number, seq in ((2, 7), (3, 8)):
            lines = [{"book": 4, "quantity": 1}]
            cancelled = {"order_id": order_id(number), "cancelled": lines, "cancelled_at": 1}
            await self.sell({**cancelled, "seq": seq})
        self.assertEqual(await self.seqs(cancelled=True), [3, 2])
        self.assertEqual(await self.seqs(cancelled=False), [4, 1])
        self.assertEqual(await self.seqs(cancelled=True, q="fog"), [3])
        self.assertEqual(await self.seqs(cancelled=False, q=order_id(2)), [])
        self.assertEqual(await self.seqs(cancelled=True, q=order_id(2)), [2])

    async def test_a_page_looks_at_so_many_orders_and_says_how_far_it_has_come(self) -> None:
        await self.sell(
            *(sold(n, n, (n, "Rare" if n in (2, 9) else "Common")) for n in range(1, 13))
        )
        with mock.patch.multiple(order_pages, MOST_LOOKED_AT=4, SLICE=2):
            first = await self.page(q="rare")
            self.assertEqual([one["seq"] for one in first.orders], [9])
            self.assertEqual(first.before, (BEGAN + 9, 9))
            self.assertEqual(first.plain()["looked_back_to"], "2023-11-14T22:13:20.009Z")
            self.assertEqual(await self.walk(5, q="rare"), [[9], [], [2], []])
            self.assertEqual(await self.walk(1, q="rare"), [[9], [], [2], []])
            self.assertEqual(await self.walk(5, q="rare", since=3), [[9], [], []])
            self.assertEqual(await self.walk(2, q="common", since=8), [[12, 11], [10, 8]])
            page = await self.page(1, q="common")
            self.assertEqual((page.before, page.looked_back_to), ((BEGAN + 12, 12), None))
            # What is found by an index is not looked for.
            self.assertEqual(await self.seqs(q=order_id(1)), [1])
            self.assertEqual(await self.seqs(cancelled=True), [])

    async def test_a_page_looks_only_for_a_while(self) -> None:
        await self.sell(*(sold(number, number) for number in range(1, 8)))
        clock = mock.Mock(side_effect=count(step=order_pages.LOOKS_S))
        with mock.patch.object(order_pages, "SLICE", 3):
            page = await read_page(self.reader, Wanted(100, q="none"), clock)
            self.assertEqual((page.before, page.looked_back_to), ((BEGAN + 5, 5), BEGAN + 5))
            page = await read_page(self.reader, Wanted(100), clock)  # which looks for nothing
            self.assertEqual((len(page.orders), page.before), (7, None))

    async def test_places_beyond_all(self) -> None:
        await self.sell(sold(1, 1))
        self.assertEqual(await self.seqs(before="9999999999999999999-9999999999999999999"), [1])
        self.assertEqual(await self.seqs(before="0-0"), [])
