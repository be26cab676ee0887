"""A catalog node: what it reads of its rows, and what it knows without them."""

from __future__ import annotations

import asyncio
import json
import unittest
from collections.abc import Iterable
from typing import Any

from bazar.errors import BadRequest, NotFound, Unavailable
from bazar.http.response import body_of
from bazar.http.traffic import ASTRAY
from bazar.replication.messages import Change, chained
from bazar.replication.store import Answer
from handlers.catalog.known_book import KnownBook
from handlers.catalog.service import MAX_WAIT_MS, CatalogService
from storage.books import info_key
from storage.history import Position, number_of
from storage.orders import MAX_SALES
from storage.searches import Count, Found, Search
from storage.tags import TOPICS
from tests.patience import until
from tests.unit.handlers.parts import Engine, context

EPOCH, EPOCH_ID = 1, "e"  # as the core of parts has it
POSITION = Position(number_of(EPOCH, 1), EPOCH_ID)
BEGINNING = POSITION.plain


class Reader:
    """The committed rows; each look at them is noted."""

    def __init__(self) -> None:
        self.looks: list[Any] = []
        self.counts = {4: 7, 5: 10}
        self.sales: list[Answer] = []

    async def info(self, books: Iterable[int]) -> dict[int, dict[str, Any]]:
        wanted = list(books)
        self.looks.append(wanted)
        known = self.counts
        return {book: {"id": book, "count": known[book]} for book in wanted if book in known}

    async def search(self, search: Search) -> Found:
        self.looks.append("search")
        return Found([], None, None, Count(0))

    async def topics(self) -> list[dict[str, Any]]:
        self.looks.append("topics")
        return [{"catalog_id": 1, "topic": "T"}]

    async def changes(self, after: Position, limit: int) -> tuple[list[Answer], str | None]:
        self.looks.append((after, limit))
        return [one for one in self.sales if one["seq"] > after.number], EPOCH_ID

    async def newest(self, before: int, limit: int) -> list[dict[str, Any]]:
        self.looks.append((before, limit))
        return [one for one in reversed(self.sales) if one["seq"] < before]


class CatalogCase(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.now = 1000.0
        self.reader = Reader()
        self.engine = Engine(self.reader)
        self.service = CatalogService(context("catalog-1", lambda: self.now), engine=self.engine)
        self.part = self.engine.replica
        self.service.replica = self.part  # type: ignore[assignment]
        self.reads, self.core = self.part.reads, self.part.core
        self.commit(Change(("begin",), {}))

    def commit(self, *changes: Change) -> None:
        entries = chained(self.core.committed, EPOCH, changes)
        self.service.committed(entries)
        self.core.committed = entries[-1].mark

    def sell(self, order_id: str) -> dict[str, Any]:
        """Commit a sale; return what the orders are told of it."""
        number = number_of(EPOCH, self.core.committed.seq + 1)
        row = {"order_id": order_id, "seq": number, "sold_at": 1, "lines": "[]"}
        self.commit(Change((), {"put": {"sales": [row]}}))
        told = {"order_id": order_id, "seq": number, "sold_at": 1, "lines": []}
        self.reader.sales.append(told)
        return told


class ReadingTest(CatalogCase):
    async def info(self, book: int) -> Any:
        return (await self.service.read({"op": "info", "book": book}))["book"]

    async def test_a_book_that_was_read_stays_in_memory_until_it_changes(self) -> None:
        for _ in range(2):
            self.assertEqual((await self.info(4))["count"], 7)
        self.commit(Change((info_key(5),), {}))
        self.assertEqual((await self.info(4))["count"], 7)
        self.assertEqual(self.reader.looks, [[4]])
        self.reader.counts[4] = 6
        self.commit(Change((info_key(4),), {}))
        self.assertEqual((await self.info(4))["count"], 6)
        self.assertEqual(self.reader.looks, [[4], [4]])
        self.assertEqual(set(self.reads.passed), {frozenset({info_key(4)})})

    async def test_what_changed_while_it_was_read_is_not_kept(self) -> None:
        reading = asyncio.create_task(self.info(4))
        await asyncio.sleep(0)
        self.commit(Change((info_key(4),), {}))
        await reading
        await self.info(4)
        self.assertEqual(self.reader.looks, [[4], [4]])

    async def test_books_that_are_asked_for_at_once_are_looked_up_together(self) -> None:
        await self.info(5)
        book, *others = await asyncio.gather(
            *(self.info(book) for book in (4, 9, 9)), return_exceptions=True
        )
        self.assertEqual(book, {"id": 4, "count": 7})
        self.assertEqual([type(one) for one in others], [NotFound, NotFound])
        self.assertEqual(self.reader.looks, [[5], [4, 9, 9]])

    async def test_each_read_waits_for_what_it_shows(self) -> None:
        for item, shown, found in (
            ({"op": "info", "book": 4}, {info_key(4)}, {"book": {"id": 4, "count": 7}}),
            (
                {"op": "books", "books": [4, 9]},
                {info_key(4), info_key(9)},
                {"books": [{"id": 4, "count": 7}]},
            ),
            ({"op": "topics"}, {TOPICS}, {"topics": [{"catalog_id": 1, "topic": "T"}]}),
            ({"op": "search", "topic": "a", "limit": 1}, None, {"books": []}),
            ({"op": "find", "q": "a", "limit": 1}, None, {"books": []}),
        ):
            self.reads.closed = False
            self.reads.passed.clear()
            answer = await self.service.read(item)
            self.assertLessEqual(found.items(), answer.items())
            self.assertEqual(self.reads.passed, [None if shown is None else frozenset(shown)])
            self.reads.closed = True
            with self.assertRaises(Unavailable):
                await self.service.read(item)

    async def test_what_is_no_read_is_refused(self) -> None:
        for item in ({}, {"op": "odd"}, {"op": "info"}, {"op": "info", "book": "4"},
                     {"op": "books", "books": [4, "5"]}):  # fmt: skip
            with self.assertRaises(BadRequest):
                await self.service.read(item)
        self.assertEqual(self.reader.looks, [])


class KnownBookTest(CatalogCase):
    async def asyncSetUp(self) -> None:
        await super().asyncSetUp()
        self.known = KnownBook(self.service, 4, ASTRAY)

    def count(self, answer: Any) -> Any:
        return json.loads(body_of(answer.entity))["count"]

    async def test_it_is_answered_at_once_where_it_is_in_memory(self) -> None:
        self.assertIsNone(self.known.find(self.now))
        fetched = await self.known.fetch(lambda words: None)
        self.assertEqual(self.count(fetched), 7)
        self.assertIn(b"X-Replica: catalog-1", fetched.common.lines)
        self.assertIs(self.known.find(self.now), fetched)  # its bytes are made once
        self.assertEqual(self.reader.looks, [[4]])

    async def test_it_is_not_where_this_replica_may_not_answer(self) -> None:
        await self.known.fetch(lambda words: None)
        self.reads.closed = True
        self.assertIsNone(self.known.find(self.now))
        with self.assertRaises(Unavailable):
            await self.known.fetch(lambda words: None)

    async def test_it_shows_what_has_changed(self) -> None:
        await self.known.fetch(lambda words: None)
        self.reader.counts[4] = 6
        self.commit(Change((info_key(4),), {}))
        self.assertIsNone(self.known.find(self.now))
        fetched = await self.known.fetch(lambda words: None)
        self.assertEqual(self.count(fetched), 6)
        self.assertIs(self.known.find(self.now), fetched)


class SalesTest(CatalogCase):
    async def sales(self, after: Any = BEGINNING, wait_ms: Any = 0) -> Answer:
        return await self.service.sales({"after": after, "wait_ms": wait_ms})

    async def test_what_was_sold_behind_a_position_is_told_without_a_wait(self) -> None:
        first, second = self.sell("one"), self.sell("two")
        self.assertEqual(await self.sales(), {"changes": [first, second], "id": EPOCH_ID})
        self.assertEqual(self.reader.looks, [(POSITION, MAX_SALES)])
        self.assertEqual(self.reads.caught, [1])
        self.assertEqual(self.reads.waited, [])

    async def test_who_follows_closely_is_told_without_a_look_at_the_rows(self) -> None:
        first, second = self.sell("one"), self.sell("two")
        after = {"number": first["seq"], "id": EPOCH_ID}
        self.assertEqual(await self.sales(after), {"changes": [second], "id": EPOCH_ID})
        self.assertEqual(self.reader.looks, [])

    async def test_it_waits_for_the_next_one_as_long_as_it_is_told(self) -> None:
        told: list[Any] = []

        def nothing_of_it() -> bool:
            """Commit what is no sale, and later what is one."""
            self.now += 0.125
            if len(self.reads.waited) == 1:
                self.commit(Change((), {}))
            else:
                told.append(self.sell("one"))
            return len(self.reads.waited) < 3

        self.reads.applies = nothing_of_it
        answer = await self.sales(wait_ms=500)
        self.assertEqual(answer, {"changes": told, "id": EPOCH_ID})
        self.assertEqual(self.reads.waited, [(2, 0.5), (3, 0.375)])

    async def test_it_waits_no_longer(self) -> None:
        self.assertEqual(await self.sales(wait_ms=MAX_WAIT_MS), {"changes": [], "id": EPOCH_ID})
        self.assertEqual(self.reads.waited, [(2, MAX_WAIT_MS / 1000)])

    async def test_a_node_that_leaves_lets_nobody_wait(self) -> None:
        waiting = asyncio.Event()

        async def wait_applied(seq: int, timeout_s: float) -> bool:
            waiting.set()
            await asyncio.Event().wait()
            return True

        self.reads.wait_applied = wait_applied  # type: ignore[method-assign]
        asked = asyncio.create_task(self.sales(wait_ms=500))
        await until(lambda: waiting.is_set() or asked.done(), "it waits")
        await self.service.context.activity.drain(60)
        self.assertEqual(await asyncio.wait_for(asked, 60), {"changes": [], "id": EPOCH_ID})

    async def test_a_position_is_looked_at_once_this_replica_may_answer(self) -> None:
        self.reads.closed = True
        with self.assertRaises(Unavailable):
            await self.sales()
        self.assertEqual(self.reader.looks, [])

    async def test_what_is_no_position_or_too_long_a_wait_is_refused(self) -> None:
        for after, wait_ms in (
            (None, 0),
            ({"number": -1, "id": None}, 0),
            (BEGINNING, MAX_WAIT_MS + 1),
            (BEGINNING, "0"),
        ):
            with self.assertRaises(BadRequest):
                await self.sales(after, wait_ms)

    async def test_the_newest_are_told_before_a_number(self) -> None:
        first, second = self.sell("one"), self.sell("two")
        for before, found in (
            ((1 << 63) - 1, [second, first]),
            (second["seq"], [first]),
            (0, []),
        ):
            answer = await self.service.newest_sales({"before": before})
            self.assertEqual(answer, {"sales": found})
        self.assertEqual(self.reads.passed, [None] * 3)
        for wrong in ({}, {"before": 1 << 63}, {"before": -1}, {"before": "1"}):
            with self.assertRaises(BadRequest):
                await self.service.newest_sales(wrong)
        self.reads.closed = True
        with self.assertRaises(Unavailable):
            await self.service.newest_sales({"before": 1})
