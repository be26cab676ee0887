"""An order node that sells: what it asks of the catalog, and when it answers (S3, S4)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from bazar.errors import BadRequest, BazarError, Indeterminate, NotFound, Unavailable
from bazar.replication.store import Answer
from handlers.paths import TRACE_OF_SALE_PATH, WRITE_PATH
from storage.history import Position
from storage.orders import order_key
from tests.unit.handlers.orders import LINES, SOON_S, Item, Node, OrdersTestCase, passes

SEQ = 7
ITEM: Item = {"key": "k", "lines": [{"book": 4, "quantity": 2}]}
SALE: Item = {"order_id": "one", "lines": LINES, "seq": SEQ}


def sells(node: Node, sale: Item, takes_s: float = 0.0) -> None:
    async def sell(item: Item) -> Answer:
        node.now += takes_s
        return sale

    node.client.answers[WRITE_PATH] = sell


class SellingTest(OrdersTestCase):
    def test_a_sale_is_answered_once_its_order_is_committed_here(self) -> None:
        async def work(node: Node) -> None:
            sells(node, SALE)
            bought = asyncio.create_task(node.service.purchase(ITEM, 5.0))
            await passes(0.2)
            node.commits("another", SEQ - 1)
            await passes(0.2)
            self.assertFalse(bought.done())
            node.commits("one", SEQ)
            await passes(SOON_S)
            self.assertEqual(
                bought.result(),
                {
                    **{"order_id": "one", "lines": LINES, "cost": 40},
                    **{"key": "k", "replayed": False},
                },
            )
            self.assertEqual(node.reader.looked_up, [])  # it has heard of it by name

        self.play(work)

    def test_an_order_that_came_before_the_sales_answer_is_not_waited_for(self) -> None:
        async def work(node: Node) -> None:
            sells(node, SALE)
            node.commits("one", SEQ)
            bought = asyncio.create_task(node.service.purchase(ITEM, 5.0))
            await passes(SOON_S)
            self.assertEqual(bought.result()["order_id"], "one")
            self.assertEqual(node.reader.looked_up, [])

        self.play(work)

    def test_a_replay_says_so_and_what_is_cancelled_since(self) -> None:
        async def work(node: Node) -> None:
            cancelled = [{"book": 4, "quantity": 1}]
            sells(node, {**SALE, "replayed": True, "cancelled": cancelled})
            node.commits("one", SEQ)
            answer = await node.service.purchase(ITEM, 5.0)
            self.assertEqual((answer["replayed"], answer["cancelled"]), (True, cancelled))

        self.play(work)

    def test_an_order_of_long_ago_is_looked_up(self) -> None:
        async def work(node: Node) -> None:
            sells(node, SALE)
            node.commits("one", SEQ)
            node.reader.at = Position(SEQ, "e")
            await node.service.installed()  # what it knew by name is forgotten
            bought = asyncio.create_task(node.service.purchase(ITEM, 5.0))
            await passes(SOON_S)
            self.assertEqual(bought.result()["order_id"], "one")
            self.assertEqual(node.reader.looked_up, ["one"])

        self.play(work)

    def test_a_number_that_has_come_twice_is_no_order(self) -> None:
        """After an adoption the cursor may be further than the sale, which has no order yet."""

        async def work(node: Node) -> None:
            sells(node, SALE)
            node.commits(None, SEQ + 1)
            bought = asyncio.create_task(node.service.purchase(ITEM, 5.0))
            await passes(0.2)
            self.assertFalse(bought.done())
            node.commits("one", SEQ + 1)
            await passes(SOON_S)
            self.assertTrue(bought.done())

        self.play(work)

    def test_an_order_that_comes_with_a_whole_state_is_seen(self) -> None:
        async def work(node: Node) -> None:
            sells(node, SALE)
            bought = asyncio.create_task(node.service.purchase(ITEM, 5.0))
            await passes(0.2)
            node.reader.orders["one"] = {"order_id": "one", "lines": LINES}
            node.reader.at = Position(SEQ, "e")
            await node.service.installed()
            await passes(SOON_S)
            self.assertTrue(bought.done())

        self.play(work)

    def test_what_was_committed_before_another_state_came_counts_no_more(self) -> None:
        async def work(node: Node) -> None:
            sells(node, SALE)
            node.commits("one", SEQ)
            del node.reader.orders["one"]
            await node.service.installed()
            self.assertEqual(node.service.cursor, Position())
            with self.assertRaises(Indeterminate):
                await node.service.purchase(ITEM, 0.5)

        self.play(work)

    def test_what_is_committed_while_the_cursor_is_read_has_moved_it(self) -> None:
        async def work(node: Node) -> None:
            node.reader.meanwhile = lambda: node.commits("one", SEQ)
            await node.service.installed()
            self.assertEqual(node.service.cursor, Position(SEQ, "e"))
            node.commits(None, 0, cursor=False)
            self.assertEqual(node.service.cursor, Position(SEQ, "e"))

        self.play(work)

    def test_an_order_that_does_not_come_is_unknown_when_time_is_over(self) -> None:
        async def work(node: Node) -> None:
            sells(node, SALE)
            for deadline_s in (0.4, 2.0):
                began = await passes(0)
                with self.assertRaises(Indeterminate):
                    await node.service.purchase(ITEM, deadline_s)
                self.assertAlmostEqual(await passes(0) - began, deadline_s, delta=SOON_S)

        self.play(work)

    def test_a_catalog_that_cannot_be_asked_is_asked_until_time_is_over(self) -> None:
        async def work(node: Node) -> None:
            async def down(item: Item) -> Answer:
                raise Unavailable("down")

            node.client.answers[WRITE_PATH] = down
            began = await passes(0)
            with self.assertRaises(Unavailable):
                await node.service.purchase(ITEM, 1.5)
            self.assertAlmostEqual(await passes(0) - began, 1.5, delta=SOON_S)
            self.assertGreater(len(node.client.asked), 2)

        self.play(work)

    def test_each_attempt_has_the_time_that_is_left_and_the_cursor_as_it_is(self) -> None:
        async def work(node: Node) -> None:
            async def moved(item: Item) -> Answer:
                if len(node.client.asked) == 1:
                    node.commits("one", SEQ)
                    raise Unavailable("down")
                return SALE

            node.client.answers[WRITE_PATH] = moved
            await node.service.purchase({**ITEM, "from": "a front end"}, 0.4)
            await node.service.purchase(ITEM, 60.0)
            first, second, third = node.client.to(WRITE_PATH)
            sell = {"op": "sell", **ITEM}
            self.assertEqual(first[1], {**sell, "cursor": Position().plain})
            self.assertEqual(second[1], {**sell, "cursor": Position(SEQ, "e").plain})
            self.assertNotEqual(first[0], second[0])
            self.assertAlmostEqual(first[2], 0.4, delta=SOON_S)
            self.assertEqual(third[2], node.service.settings.read_attempt_s)

        self.play(work)

    def test_the_catalogs_primary_is_asked_first_where_it_is_known(self) -> None:
        async def work(node: Node) -> None:
            sells(node, SALE)
            node.commits("one", SEQ)
            for name in ("catalog-2", "catalog-2", "catalog-1", "catalog-1"):
                node.client.primaries["catalog"] = name
                await node.service.purchase(ITEM, 5.0)
                self.assertEqual(node.client.asked[-1][0], name)

        self.play(work)

    def test_a_replica_that_is_out_of_sync_sells_nothing(self) -> None:
        async def work(node: Node) -> None:
            sells(node, SALE)
            node.part.reads.closed = True
            with self.assertRaises(Unavailable):
                await node.service.purchase(ITEM, 5.0)
            self.assertEqual(node.client.asked, [])

        self.play(work)

    def test_r5_what_is_sold_is_unknown_while_its_order_cannot_be_looked_up(self) -> None:
        async def work(node: Node) -> None:
            async def numbers(order_ids: Iterable[str]) -> dict[str, int]:
                raise Unavailable("order-1 holds no lease")  # as Shown._told does, over PostgreSQL

            sells(node, SALE)
            node.commits("one", SEQ)
            node.reader.at = Position(SEQ, "e")
            await node.service.installed()
            node.reader.numbers = numbers  # type: ignore[method-assign]
            bought = asyncio.create_task(node.service.purchase(ITEM, 1.0))
            await passes(3.0)
            error = bought.exception()
            assert isinstance(error, BazarError)
            self.assertIsInstance(error, Indeterminate)

        self.play(work)


class ToldTest(OrdersTestCase):
    def test_who_wants_to_know_is_told_how_long_each_step_took(self) -> None:
        async def work(node: Node) -> None:
            sells(node, {**SALE, "told": {"primary": "catalog-1"}}, takes_s=5.0)
            node.part.leader = node.service.context.node
            bought = asyncio.create_task(node.service.purchase({**ITEM, "tell": True}, 60.0))
            await passes(0.2)
            node.now += 7.0
            traces = node.service._traces
            assert traces is not None
            traces.keep(SEQ - 1, SEQ, {"primary": "order-1"})
            node.commits("one", SEQ)
            await passes(SOON_S)
            [(asked, sell, _)] = node.client.to(WRITE_PATH)
            self.assertIs(sell["tell"], True)
            self.assertEqual(
                bought.result()["told"],
                {
                    "sale": {"asked": asked, "ms": 5000.0, "primary": "catalog-1"},
                    "order": {"ms": 7000.0, "primary": "order-1"},
                },
            )

        self.play(work, stands=True)

    def test_who_does_not_is_told_nothing_and_nobody_is_asked(self) -> None:
        async def work(node: Node) -> None:
            sells(node, SALE)
            node.part.leader = node.service.context.config.nodes["order-2"]
            node.commits("one", SEQ)
            self.assertNotIn("told", await node.service.purchase(ITEM, 5.0))
            self.assertEqual([path for _, path, _, _ in node.client.asked], [WRITE_PATH])

        self.play(work)

    def test_another_primary_is_asked_for_a_moment_at_most(self) -> None:
        async def work(node: Node) -> None:
            async def tells(item: Item) -> Answer:
                return {"primary": "order-2"}

            node.part.leader = node.service.context.config.nodes["order-2"]
            node.client.answers[TRACE_OF_SALE_PATH] = tells
            for left_s, timeout_s in ((60.0, 1.0), (0.4, 0.4)):
                deadline = node.clock() + left_s
                told = await node.service._ask_leader(TRACE_OF_SALE_PATH, {"seq": 1}, deadline)
                self.assertEqual(told, {"primary": "order-2"})
                name, item, given_s = node.client.to(TRACE_OF_SALE_PATH)[-1]
                self.assertEqual((name, item), ("order-2", {"seq": 1}))
                self.assertAlmostEqual(given_s, timeout_s, delta=SOON_S)

        self.play(work)

    def test_a_primary_that_cannot_tell_keeps_nobody_from_buying(self) -> None:
        async def work(node: Node) -> None:
            async def refuses(item: Item) -> Answer:
                raise Unavailable("down")

            nobody, itself = None, node.service.context.node
            for leader in (nobody, itself, node.service.context.config.nodes["order-2"]):
                node.part.leader = leader
                node.client.answers[TRACE_OF_SALE_PATH] = refuses
                asked = await node.service._ask_leader(TRACE_OF_SALE_PATH, {"seq": 1}, 9e9)
                self.assertEqual(asked, {})

        self.play(work)

    def test_tracing_goes_on_while_it_is_asked_for(self) -> None:
        async def work(node: Node) -> None:
            service = node.service
            with self.assertRaises(NotFound):
                await service.traced_item({"seq": SEQ})
            self.assertEqual(await service.trace_item({}), {})
            traces = service._traces
            assert traces is not None
            traces.keep(SEQ - 1, SEQ, {"ms": 1})
            await service.trace_item({})
            self.assertEqual(await service.traced_item({"seq": SEQ}), {"ms": 1})
            for wrong in ({}, {"seq": "7"}):
                with self.assertRaises(BadRequest):
                    await service.traced_item(wrong)

        self.play(work)


class ReadingTest(OrdersTestCase):
    def test_an_order_is_read_behind_what_is_pending_of_it(self) -> None:
        async def work(node: Node) -> None:
            one, other = "1" * 32, "2" * 32
            node.commits(one, SEQ)
            order = {"order_id": one, "lines": LINES}
            found = await node.service.read({"op": "order", "order_id": one})
            self.assertEqual(found, {"order": order})
            found = await node.service.read({"op": "orders", "order_ids": [one, other]})
            self.assertEqual(found, {"orders": [order]})
            keys = order_key(one), order_key(other)
            self.assertEqual(node.part.reads.passed, [frozenset(keys[:1]), frozenset(keys)])
            with self.assertRaises(NotFound):
                await node.service.read({"op": "order", "order_id": other})
            for wrong in ({"op": "odd"}, {"op": "order", "order_id": 1}):
                with self.assertRaises(BadRequest):
                    await node.service.read(wrong)
            with self.assertRaises(BadRequest):
                await node.service.read({"op": "orders", "order_ids": ["x"]})
            node.part.reads.closed = True
            items: tuple[Any, ...] = ({"op": "order", "order_id": one},)
            for item in (*items, {"op": "orders", "order_ids": [one]}):
                with self.assertRaises(Unavailable):
                    await node.service.read(item)

        self.play(work)
