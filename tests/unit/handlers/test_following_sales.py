"""How the orders' primary follows the catalog's sales (S2), and how cancelling is followed (S6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bazar.errors import Conflict, ForeignHistory, Indeterminate, NotFound, Unavailable
from bazar.metrics.figures import Figures
from bazar.replication.store import Answer, Operation
from handlers.orders import trace
from handlers.orders.service import FOREIGN_RETRY_S, PROJECT_RETRY_S, SALES_WAIT_MS
from handlers.paths import NEWEST_PATH, SALES_PATH, WRITE_PATH
from storage.history import Position
from tests.unit.handlers.orders import LINES, SOON_S, Item, Node, OrdersTestCase, passes

SALE = {"order_id": "one", "seq": 7, "sold_at": 1, "lines": LINES}
NONE: Item = {"changes": [], "id": None}
ORDER_ID = "a" * 32
CANCELLATION: Item = {"key": "c", "order_id": ORDER_ID}
EACH_S = 0.1
"""How long the catalog takes to answer."""


class FollowingTest(OrdersTestCase):
    async def follow(self, node: Node, tell: Callable[[Item], Item]) -> None:
        """Lead, over a catalog that answers thus what is behind a position."""

        async def sales(item: Item) -> Answer:
            await passes(EACH_S)
            return tell(item)

        def write(operation: Operation) -> Answer:
            node.commits(None, operation["changes"][-1]["seq"])
            cursor = Position(operation["changes"][-1]["seq"], "e").plain
            return {"cursor": cursor, "told": {"ms": 1}}

        node.client.answers[SALES_PATH] = sales
        node.part.answers = write
        await node.service.start()
        node.part.leading.set()

    def one_sale(self, item: Item) -> Item:
        behind = item["after"]["number"] < SALE["seq"]
        return {"changes": [SALE], "id": "e"} if behind else NONE

    def test_who_does_not_lead_follows_nothing(self) -> None:
        async def work(node: Node) -> None:
            await self.follow(node, self.one_sale)
            node.part.leading.clear()
            await passes(1.0)
            self.assertEqual(node.client.asked, [])
            node.part.leading.set()
            await passes(1.0)
            self.assertTrue(node.client.asked)
            await node.service.stop()

        self.play(work)

    def test_sales_become_orders_from_the_cursor_on(self) -> None:
        async def work(node: Node) -> None:
            with self.assertNoLogs("handlers.orders.service", "WARNING"):
                await self.follow(node, self.one_sale)
                await passes(5 * EACH_S + SOON_S)
            first = Position()
            project = {"op": "project", "after": first.plain, "changes": [SALE], "id": "e"}
            self.assertEqual(node.part.written, [(project, True)])
            (_, item, timeout_s), *rest = node.client.to(SALES_PATH)
            self.assertEqual(item, {"after": first.plain, "wait_ms": SALES_WAIT_MS})
            attempt_s = node.service.settings.read_attempt_s
            self.assertEqual(timeout_s, SALES_WAIT_MS / 1000 + attempt_s)
            self.assertEqual({one["after"]["number"] for _, one, _ in rest}, {SALE["seq"]})
            await node.service.stop()
            asked = len(node.client.asked)
            await passes(1.0)
            self.assertEqual(len(node.client.asked), asked)
            came_and_went = ["opens", "takes part", "leaves the group", "is closed"]
            self.assertEqual(node.engine.events, came_and_went)

        self.play(work)

    def test_what_came_in_on_an_earlier_try_is_passed_by(self) -> None:
        async def work(node: Node) -> None:
            await self.follow(node, self.one_sale)

            def conflict(operation: Operation) -> Answer:
                node.commits(None, 7)
                raise Conflict("the cursor stands there already")

            node.part.answers = conflict
            await passes(1.0)
            self.assertEqual(len(node.part.written), 1)
            await node.service.stop()

        self.play(work)

    def figure(self, node: Node, name: str = "bazar_foreign_history") -> list[float]:
        """Return what monitoring is told under this name."""
        figures = Figures({})
        node.service.measure(figures)
        return [value for _, _, value in figures.families[name].samples]

    def test_s2_a_foreign_history_is_told_until_it_is_followed_again(self) -> None:
        async def work(node: Node) -> None:
            history = [ForeignHistory("it was put back")]

            def tell(item: Item) -> Item:
                if history:
                    raise history[0]
                return NONE

            with self.assertLogs("handlers.orders.service", "CRITICAL") as logs:
                await self.follow(node, tell)
                await passes(3.0)
            self.assertEqual(len(logs.records), 1)
            self.assertEqual(node.service.status()["foreign"], "it was put back")
            self.assertEqual(self.figure(node), [1])
            asked = len(node.client.asked)
            self.assertTrue(2 <= asked <= 3.0 / FOREIGN_RETRY_S, asked)
            with self.assertLogs("handlers.orders.service", "WARNING") as logs:
                history.clear()
                await passes(3.0)
            self.assertEqual(len(logs.records), 1)
            self.assertEqual(node.service.status(), node.part.status())
            self.assertEqual(self.figure(node), [0])
            await node.service.stop()

        self.play(work)

    def test_monitoring_is_told_of_the_replica_and_of_the_catalogs_that_it_asks(self) -> None:
        async def work(node: Node) -> None:
            self.assertEqual(self.figure(node, "bazar_committed_seq"), [9])
            self.assertEqual(self.figure(node, "bazar_pool_replica_healthy"), [1, 1])

        self.play(work)

    def test_a_catalog_that_does_not_answer_is_asked_again_after_a_moment(self) -> None:
        async def work(node: Node) -> None:
            lost = [Unavailable("down"), Indeterminate("lost"), Unavailable("down")]

            def tell(item: Item) -> Item:
                return self.one_sale(item)

            def write(operation: Operation) -> Answer:
                if lost:
                    raise lost.pop()
                node.commits(None, 7)
                return {}

            await self.follow(node, tell)
            node.part.answers = write
            began = await passes(0)
            while node.service.cursor.number < 7:
                await passes(0.01)
            took_s = await passes(0) - began
            self.assertAlmostEqual(took_s, 4 * EACH_S + 3 * PROJECT_RETRY_S, delta=SOON_S)
            await node.service.stop()

        self.play(work)

    def test_while_it_is_asked_for_it_tells_how_sales_became_orders(self) -> None:
        async def work(node: Node) -> None:
            at = 7

            def next_sale(item: Item) -> Item:
                behind = item["after"]["number"] < at
                return {"changes": [{**SALE, "seq": at}], "id": "e"} if behind else NONE

            await node.service.trace_item({})
            await self.follow(node, next_sale)
            await passes(1.0)
            self.assertIs(node.part.written[0][0]["tell"], True)
            for seq in (1, 7):
                self.assertEqual(await node.service.traced_item({"seq": seq}), {"ms": 1})
            at = 9
            await passes(1.0)
            self.assertEqual(await node.service.traced_item({"seq": 8}), {"ms": 1})
            await passes(trace.TRACED_S)
            at = 11
            await passes(1.0)
            self.assertNotIn("tell", node.part.written[-1][0])
            with self.assertRaises(NotFound):
                await node.service.traced_item({"seq": 11})
            await node.service.stop()

        self.play(work)

    def test_what_needs_no_wait_has_an_attempts_time(self) -> None:
        async def work(node: Node) -> None:
            async def newest(item: Item) -> Answer:
                return {"sales": []}

            node.client.answers[NEWEST_PATH] = newest
            await node.service.ask_catalog(NEWEST_PATH, {"before": 1})
            [(_, _, timeout_s)] = node.client.to(NEWEST_PATH)
            self.assertEqual(timeout_s, node.service.settings.read_attempt_s)

        self.play(work)


class CancellingTest(OrdersTestCase):
    def cancels(self, node: Node, answer: Item | None = None) -> None:
        async def cancel(item: Item) -> Answer:
            told = {"order_id": ORDER_ID, "cancelled": item["lines"]}
            return {**told, **(answer or {})}

        node.commits(ORDER_ID, 7)
        node.client.answers[WRITE_PATH] = cancel

    def shows(self, node: Node, quantity: int) -> None:
        """Show so many copies of the order as cancelled."""
        node.reader.orders[ORDER_ID] |= {"cancelled": [{"book": 4, "quantity": quantity}]}
        node.commits(None, 8)

    def test_it_is_answered_once_the_order_shows_it_here(self) -> None:
        async def work(node: Node) -> None:
            self.cancels(node)
            cancelling = asyncio.create_task(node.service.cancel(CANCELLATION, 5.0))
            await passes(0.2)
            self.shows(node, 1)
            order = node.reader.orders.pop(ORDER_ID)
            node.commits(None, 8)  # as while another state comes
            await passes(0.2)
            self.assertFalse(cancelling.done())
            node.reader.orders[ORDER_ID] = order
            self.shows(node, 2)
            await passes(SOON_S)
            cancelled = [{"book": 4, "quantity": 2}]
            self.assertEqual(
                cancelling.result(),
                {
                    **{"order_id": ORDER_ID, "lines": LINES, "cancelled": cancelled},
                    **{"key": "c", "replayed": False},
                },
            )
            [(_, cancel, _)] = node.client.to(WRITE_PATH)
            self.assertEqual(
                cancel,
                {
                    **{"op": "cancel", "key": "c", "order_id": ORDER_ID},
                    **{"lines": cancelled, "cursor": Position(7, "e").plain},
                },
            )

        self.play(work)

    def test_a_part_a_buyer_and_a_key_again(self) -> None:
        async def work(node: Node) -> None:
            self.cancels(node, {"replayed": True})
            self.shows(node, 1)
            lines = [{"book": 4, "quantity": 1}]
            buyer = {"key": "bought", "within_ms": 1000}
            answer = await node.service.cancel_item(
                {**CANCELLATION, "lines": lines, "buyer": buyer}
            )
            self.assertIs(answer["replayed"], True)
            [(_, cancel, _)] = node.client.to(WRITE_PATH)
            self.assertEqual((cancel["lines"], cancel["buyer"]), (lines, buyer))

        self.play(work)

    def test_what_is_not_shown_in_time_is_unknown(self) -> None:
        async def work(node: Node) -> None:
            self.cancels(node)
            for deadline_s in (0.4, 2.0):
                began = await passes(0)
                with self.assertRaises(Indeterminate):
                    await node.service.cancel(CANCELLATION, deadline_s)
                self.assertAlmostEqual(await passes(0) - began, deadline_s, delta=SOON_S)

        self.play(work)

    def test_an_order_that_is_not_there_is_not_cancelled(self) -> None:
        async def work(node: Node) -> None:
            with self.assertRaises(NotFound):
                await node.service.cancel(CANCELLATION, 5.0)
            self.assertEqual(node.client.asked, [])

        self.play(work)
