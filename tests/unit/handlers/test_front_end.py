"""A front end: what it asks the replicas, what of that it keeps, and how it comes and goes."""

from __future__ import annotations

import asyncio
import functools
import json
import unittest
from collections.abc import Sequence
from typing import Any

from bazar.config import NodeConfig
from bazar.errors import Unavailable
from bazar.http.response import RawResponse, body_of
from bazar.metrics.figures import Figures
from bazar.replication.effects import Drop, Effect, Reset
from bazar.replication.messages import ArbiterId
from bazar.replication.store import Answer
from handlers.frontend.questions import Question
from handlers.frontend.service import FrontEndService, Room
from storage.books import info_key
from storage.tags import TOPICS
from tests.patience import until
from tests.unit.handlers.parts import Links, context

SEARCH = {"op": "search", "topic": "t", "limit": 1}
TOPICS_ITEM = {"op": "topics"}
LEASE_S = 10.0


def note(words: str) -> None:
    """Leave the words out of any log."""


class FrontEndCase(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.now = 1000.0
        self.events: list[str] = []
        made = context("frontend-1", lambda: self.now)
        object.__setattr__(made, "links", Links(self.events))
        room = Room((), lambda: self.events.append("closes a room"))
        self.service = FrontEndService(made, [lambda service: room])
        self.service.client.submit = self.submit  # type: ignore[method-assign]
        self.asked: list[tuple[str, str, Any]] = []
        self.tasks: list[asyncio.Task[Any] | None] = []
        self.gate = asyncio.Event()
        self.gate.set()
        for source in self.service.sources:
            source.subscriber.lease_until = self.now + LEASE_S

    async def submit(self, node: NodeConfig, path: str, item: Any, timeout_s: float) -> Answer:
        self.asked.append((node.name, path, item))
        self.tasks.append(asyncio.current_task())
        await self.gate.wait()
        match item.get("op"):
            case "info":
                return {"book": {"id": item["book"], "count": 7}}
            case "topics":
                return {"topics": ["T"]}
            case "search":
                return {"books": [{"id": 4}], "after": "4", "count": 2, "more": False}
        return {"done": path}

    def perform(self, *effects: Effect) -> None:
        """Have the feed of the catalog bring this."""
        self.service.catalog.feed.perform(list(effects))

    async def verdicts(self, *questions: Question) -> list[str]:
        return [(await question.answered(note))[1] for question in questions]


class QuestionTest(FrontEndCase):
    def shown(self, raw: RawResponse | None) -> Any:
        assert raw is not None
        return json.loads(body_of(raw.entity)), raw.common.lines.decode(), raw.common.log_note

    async def test_what_is_cached_is_found_and_no_one_is_asked(self) -> None:
        question = self.service.info(4)
        self.assertIsNone(question.find(self.now))
        book, lines, words = self.shown(await question.fetch(note))
        self.assertEqual(book, {"id": 4, "count": 7})
        self.assertIn("X-Cache: miss\r\nX-Replica: catalog-1", lines)
        again, lines, hit = self.shown(question.find(self.now))
        self.assertEqual(again, book)
        self.assertIn("X-Cache: hit\r\nX-Replica: catalog-1", lines)
        self.assertNotEqual(hit, words)
        self.assertEqual(len(self.asked), 1)
        self.assertIsNone(question.find(self.now + LEASE_S))  # without a lease (C1)

    async def test_a_search_tells_how_many_there_are_and_where_the_next_page_is(self) -> None:
        question = self.service.search(SEARCH, "/search?after=")
        for raw in (await question.fetch(note), question.find(self.now)):
            books, lines, _ = self.shown(raw)
            self.assertEqual(books, [{"id": 4}])
            self.assertIn("X-Total-Count: 2", lines)
            self.assertIn('Link: </search?after=4>; rel="next"', lines)
        _, lines, _ = self.shown(await self.service.info(4).fetch(note))
        self.assertNotIn("X-Total-Count", lines)

    async def test_the_words_of_the_log_say_what_was_cached(self) -> None:
        words = {
            (question.tag is None, verdict): question.word(verdict)
            for question in (self.service.info(4), self.service.search(SEARCH))
            for verdict in ("hit", "miss", "pass")
        }
        missed = {
            words[search, verdict] for search in (True, False) for verdict in ("miss", "pass")
        }
        self.assertEqual(len(missed), 1)
        self.assertEqual(len({*missed, words[True, "hit"], words[False, "hit"]}), 3)

    async def test_one_item_needs_no_task_of_its_own(self) -> None:
        self.gate.clear()
        question = self.service.info(4)
        asking = asyncio.create_task(question.answered(note))
        await until(lambda: self.asked, "it is asked")
        [flight] = self.service.catalog.cache._flights.values()
        self.assertEqual(self.tasks, [flight.task])
        self.gate.set()
        await asking

    def page(self) -> Question:
        """A question that shows what two items show."""

        def show(answer: Answer, replica: str) -> Any:
            self.answer, self.replica = answer, replica
            return answer

        search, catalog = dict(SEARCH), self.service.catalog
        return Question(
            *(catalog, self.service.pages, "page", None, search, (TOPICS_ITEM,), show),
            found_by=frozenset({"word"}),
        )

    async def test_several_items_are_one_answer_of_the_first_items_replica(self) -> None:
        await self.page().answered(note)
        [(first, _, one), (second, _, other)] = self.asked
        self.assertEqual([one, other], [SEARCH, TOPICS_ITEM])
        self.assertNotEqual(first, second)
        self.assertEqual(self.replica, first)
        self.assertEqual(set(self.answer), {"books", "after", "count", "more", "topics"})

    async def test_c5_an_answer_is_dropped_by_what_it_shows_and_by_no_other(self) -> None:
        for question, drops, keeps in (
            (self.service.info(4), (info_key(4),), (info_key(5), "word", TOPICS)),
            (self.service.search(SEARCH), (info_key(4), "searches"), (info_key(5), TOPICS)),
            (self.service.topics(), (TOPICS,), (info_key(4),)),
            (self.page(), (info_key(4), "word", TOPICS), (info_key(5),)),
        ):
            for tag in drops:
                await question.answered(note)
                self.perform(Drop(keeps))
                self.assertEqual(await self.verdicts(question), ["hit"], (question.key, tag))
                self.perform(Drop((tag,)))
                self.assertEqual(await self.verdicts(question), ["miss"], (question.key, tag))

    async def test_c4_a_reset_drops_all_of_a_group(self) -> None:
        questions = self.service.info(4), self.service.search(SEARCH)
        self.assertEqual(await self.verdicts(*questions, *questions), ["miss"] * 2 + ["hit"] * 2)
        self.perform(Reset())
        self.assertEqual(await self.verdicts(*questions), ["miss"] * 2)

    async def test_c5_an_entry_detaches_what_may_show_it(self) -> None:
        """A search under way may show anything; a book only itself."""
        for question, tag, then in (
            (self.service.info(4), info_key(5), "hit"),
            (self.service.info(5), info_key(5), "miss"),
            (self.service.search(SEARCH), info_key(5), "miss"),
        ):
            self.gate.clear()
            self.asked.clear()
            asking = asyncio.create_task(question.answered(note))
            await until(lambda: self.asked, "it is asked")
            self.perform(Drop((tag,)))
            self.gate.set()
            await asking
            self.assertEqual(await self.verdicts(question), [then], question.key)


class FrontEndTest(FrontEndCase):
    async def test_it_follows_both_groups_and_leaves_them_in_order(self) -> None:
        await self.service.start()
        nodes = ("catalog-1", "catalog-2", "order-1", "order-2")
        dials = {f"dials {name}" for name in nodes}
        await until(lambda: dials <= {*self.events}, "it asks all of them")
        self.assertEqual({*self.events}, dials)
        self.events.clear()
        for source in self.service.sources:
            words = f"gives the lease of {source.role} back"
            release = functools.partial(self.events.append, words)
            source.feed.release = release  # type: ignore[method-assign]
        await self.service.stop()
        leaves = [f"gives the lease of {role} back" for role in ("catalog", "order")]
        leaves = ["closes a room", *leaves, "closes its links"]
        self.assertEqual(self.events, leaves)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        self.assertEqual([task for task in others if "run" in repr(task.get_coro())], [])
        del self.service.client.submit
        with self.assertRaises(Unavailable):
            await self.service.client.submit(self.service.orders.nodes[0], "/read", {}, 60.0)
        self.assertEqual(self.events, leaves)  # it asks nobody any more

    async def test_it_is_ready_while_it_has_both_leases(self) -> None:
        self.service.ready()
        for source in self.service.sources:
            source.subscriber.lease_until = self.now
            with self.assertRaisesRegex(Unavailable, source.role):
                self.service.ready()
            source.subscriber.lease_until = self.now + LEASE_S
        self.service.ready()

    def figure(self, name: str) -> Sequence[float]:
        figures = Figures({})
        self.service.measure(figures)
        return [value for _, _, value in figures.families[name].samples]

    async def test_monitoring_is_told_what_it_counts(self) -> None:
        self.assertEqual(self.figure("bazar_purchases"), [0])
        for _ in range(2):
            await self.service.buy({"key": "k"}, note)
        self.assertEqual(self.figure("bazar_purchases"), [2])
        await self.verdicts(self.service.info(4))
        self.assertEqual(self.figure("bazar_cache_misses"), [1, 0])
        self.assertEqual(self.figure("bazar_pool_replica_healthy"), [1] * 4)
        batcher: Any = type("Counted", (), {"calls": 2, "items": 3})
        self.service.client.batchers["catalog-1", "/read"] = batcher
        self.assertEqual(self.figure("bazar_rpc_items"), [3])

    async def test_the_next_request_for_a_target_is_known_to_ask_for_the_same(self) -> None:
        question = self.service.info(4)
        self.assertIsNone(self.service.known.find(b"/info/4"))
        await self.service.answered(b"/info/4", question, note)
        self.assertIs(self.service.known.find(b"/info/4"), question)

    async def test_a2_what_it_asks_for_it_asks_under_the_arbiter_that_it_follows(self) -> None:
        source = self.service.catalog
        arbiter = self.service.client.arbiters["catalog"]
        self.assertIsNone(arbiter())
        source.subscriber.arbiter = ArbiterId("digest", "place")
        self.assertEqual(arbiter(), "digest")
        self.assertIsNone(self.service.client.arbiters["order"]())
