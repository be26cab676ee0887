"""The cluster's page: its stream, its lesson, and who may disturb a node."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar
from unittest import mock

from bazar.config import Config
from bazar.errors import Unavailable
from bazar.replication import trace as replication_trace
from bazar.replication.file_arbiter import lock_owner
from handlers.dashboard import poller
from handlers.frontend.upstream import Source
from handlers.orders import trace
from tests.http.shop import TOKEN, ShopTestCase
from tests.patience import PATIENCE_S, until

EVENTS = b"GET /cluster/events HTTP/1.1\r\nHost: a\r\n\r\n"


class DashboardTestCase(ShopTestCase):
    @property
    def watch(self) -> poller.Watch:
        """The one poller of the front end."""
        [watch] = {r.options["watch"] for r in self.shop.frontend.routes() if "watch" in r.options}
        assert isinstance(watch, poller.Watch)
        return watch


class StreamTest(DashboardTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enterContext(mock.patch.object(poller, "ASK_S", PATIENCE_S))  # none is slow

    async def connect(self, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        port = self.shop.node("frontend-1").port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        return reader, writer

    async def stream(self, wanted: int) -> list[Any]:
        """The first views of a stream, which is then left."""
        reader, writer = await self.connect(EVENTS)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"text/event-stream" in head, head
        views: list[Any] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(views) < wanted:
                line = await reader.readline()
                if line.startswith(b"data: "):
                    views.append(json.loads(line[6:]))
        writer.close()
        return views

    def test_proxies_are_told_to_pass_it_on_as_it_comes(self) -> None:
        headers = self.ask("/cluster/events", "HEAD").headers
        self.assertEqual(headers["X-Accel-Buffering"], "no")
        self.assertEqual(headers["Cache-Control"], "no-cache, no-store, no-transform")

    def test_views_come_while_somebody_watches(self) -> None:
        first, second, third = self.io_loop.run_sync(lambda: self.stream(3))
        self.assertEqual(first, {"events": []})
        nodes = {node["name"]: node for node in second["nodes"]}
        self.assertEqual(set(nodes), set(self.shop.config.nodes))
        self.assertTrue(all(node["up"] for node in nodes.values()))
        self.assertEqual(sum(node.get("primary", False) for node in nodes.values()), 2)
        self.assertIn("requests", third["rates"])

    def test_nobody_watches_for_ever(self) -> None:
        self.io_loop.run_sync(lambda: self.stream(2))

        idle = until(lambda: self.watch._task is None, "nobody watches")
        self.io_loop.run_sync(lambda: idle)

    def test_watchers_are_bounded(self) -> None:
        async def crowd() -> None:
            reader, writer = await self.connect(EVENTS)
            await reader.readuntil(b"data: ")
            with mock.patch.object(poller, "MAX_WATCHERS", 1):
                self.assertEqual(len(await self.stream(3)), 3)
            async with asyncio.timeout(PATIENCE_S):
                await reader.readuntil(b"\r\n0\r\n\r\n")
            writer.close()

        self.io_loop.run_sync(crowd)

    def test_one_that_leaves_at_once(self) -> None:
        async def leave() -> None:
            for _ in range(5):
                _, writer = await self.connect(EVENTS)
                writer.close()
            self.assertEqual(len(await self.stream(3)), 3)
            await until(lambda: not self.watch._watchers, "nobody watches")

        with self.assertNoLogs("bazar", "ERROR"):
            self.io_loop.run_sync(leave)

    def test_the_page(self) -> None:
        page = self.ask("/cluster")
        self.assertEqual(page.code, 200)
        self.assertIn(b"catalog-2", page.body)


class LessonTest(ShopTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enterContext(mock.patch.object(trace, "TOLD_S", PATIENCE_S))

    def way(self, do: str, book: int = 4) -> Any:
        response = self.ask("/cluster/try", "POST", {"do": do, "book": book})
        self.assertEqual(response.code, 200, response.body)
        return json.loads(response.body)

    def rules(self, told: Any) -> list[str]:
        return [step["rule"] for step in told["steps"]]

    def test_a_read_misses_then_hits(self) -> None:
        first, second, third = (self.way("read", book) for book in (4, 4, 5))
        self.assertEqual(first["result"]["cache"], "miss")
        self.assertEqual(first["steps"][1]["to"], first["steps"][2]["at"])
        self.assertEqual({self.rules(told)[2] for told in (first, third)}, {"L2", "L4"})
        self.assertEqual((self.rules(second), second["result"]["cache"]), (["C1"], "hit"))
        self.assertEqual(self.ask("/info/4").headers["X-Cache"], "hit")  # the same cache

    def test_a_purchase_tells_what_both_primaries_waited_for(self) -> None:
        for _ in range(2):
            self.way("buy")  # each replica of the orders comes to know who sells
        for _ in range(2):
            told = self.way("buy")
            seller, leader = map(self.leader, self.shop.frontend.sources)
            asked = told["steps"][0]["to"]
            log = ["R1", "R1", "R2", "R2", "R3"]
            rest = ["S3"] if asked == leader else ["R6", "S3"]
            self.assertEqual(self.rules(told), ["", "S1", *log, "S2", *log, *rest])
            acked = [step["to"] for step in told["steps"] if step["rule"] == "R2"]
            followers = {"catalog-1", "catalog-2", "order-1", "order-2"}
            followers -= {seller, leader}
            self.assertEqual(sorted(acked), sorted(["frontend-1", "frontend-1", *followers]))
            self.assertEqual(self.get(f"/orders/{told['result']['order_id']}")["cost"], 20)
        self.assertEqual(self.rules(self.way("read"))[0], "C2")
        self.assertEqual((told["result"]["left"], self.get("/info/4")["count"]), (3, 3))

    @contextlib.contextmanager
    def run_of_tracing(self) -> Iterator[set[str]]:
        """The functions of tracing that are run in this block."""
        files = {replication_trace.__file__, trace.__file__}
        run: set[str] = set()

        def note(frame: FrameType, event: str, arg: Any) -> None:
            if frame.f_code.co_filename in files:
                run.add(frame.f_code.co_qualname)

        before = sys.gettrace()
        sys.settrace(note)
        try:
            yield run
        finally:
            sys.settrace(before)

    def test_what_nobody_traces_runs_none_of_it(self) -> None:
        with self.run_of_tracing() as run:
            self.buy(5)
        self.assertEqual(run, set())
        with self.run_of_tracing() as run:
            self.way("buy")
        self.assertLess({"begin", "Trace.note", "Trace.told", "ProjectionTraces.keep"}, run)

    def test_tracing_ends_by_itself(self) -> None:
        with mock.patch.object(trace, "TRACED_S", 0):
            told = self.way("buy")
        self.assertEqual(self.rules(told)[-3:], ["R3", "S2", "S3"])  # of the sale alone
        with self.run_of_tracing() as run:
            self.buy(5)
        self.assertEqual(run, set())

    def leader(self, source: Source) -> str:
        assert source.feed.leader is not None
        return source.feed.leader.name

    def test_what_is_told_is_no_part_of_the_request_or_of_the_row(self) -> None:
        self.way("buy")
        [[_, key, request, *_]] = self.shop.rows("catalog-1", "sales")
        self.assertNotIn("tell", request)
        replayed = self.buy(4, Idempotency_Key=key)
        self.assertTrue(replayed["replayed"])
        self.assertNotIn("told", replayed)

    def test_refusals(self) -> None:
        for body, status in (
            ({"do": "dance", "book": 4}, 400),
            ({"do": "read"}, 400),
            ({"do": "read", "book": 99}, 404),
            ({"do": "read", "book": 4, "tell": True}, 400),
            ({"do": "buy", "book": 99}, 404),
        ):
            self.assert_error(self.ask("/cluster/try", "POST", body), status)


class DisturbTest(DashboardTestCase):
    def disturb(self, name: str, body: Any, token: str | None = TOKEN) -> Any:
        return self.ask(f"/cluster/nodes/{name}", "POST", body, token=token)

    def test_with_the_token_a_replica_gets_a_signal(self) -> None:
        sent: list[tuple[int, int]] = []
        with mock.patch("os.kill", lambda *signal: sent.append(signal)):
            for do in ("pause", "return", "kill"):
                self.assertEqual(self.disturb("catalog-2", {"do": do}).code, 200)
            told = [event["text"] for event in self.watch._noted]
            self.assertIn("catalog-2 gets SIGSTOP from this page", told)
            self.assert_error(self.disturb("catalog-2", {"do": "kill"}, None), 401)
            self.assert_error(self.disturb("catalog-2", {"do": "kill"}, "wrong"), 403)
            for nonsense in ("burn", ["kill"], {"kill": 1}, None):
                self.assert_error(self.disturb("catalog-2", {"do": nonsense}), 400)
            self.assert_error(self.disturb("catalog-2", {}), 400)
            for name in ("frontend-1", "catalog-9", "x"):
                self.assert_error(self.disturb(name, {"do": "kill"}), 404)
        signals = (signal.SIGSTOP, signal.SIGCONT, signal.SIGKILL)
        self.assertEqual(sent, [(os.getpid(), number) for number in signals])

    def test_not_from_another_site(self) -> None:
        response = self.ask("/cluster/nodes/catalog-1", "POST", {"do": "kill"}, token=TOKEN,
                            Sec_Fetch_Site="cross-site")  # fmt: skip
        self.assert_error(response, 403, "forbidden")

    def test_a_number_that_nobody_holds_is_no_process(self) -> None:
        path = self.shop.config.data_dir / "gone.pid"
        path.write_text("1\n")
        for one in (path, Path("/nowhere/x.pid")):
            with self.assertRaises(Unavailable):
                lock_owner(one)


class LinksTest(DashboardTestCase):
    settings: ClassVar[dict[str, Any]] = {"replication": {"lease_s": 0.5, "ack_timeout_s": 0.2}}

    def disturb(self, *between: Any, token: str | None = TOKEN, **how: Any) -> Any:
        body = {"between": between, **how}
        return self.ask("/cluster/links", "POST", body, token=token)

    def impaired(self) -> dict[str, Any]:
        """What each node says of its ends."""
        return {
            name: {link["to"]: link["delay_ms"] for link in self.status(name)["links"]}
            for name in self.shop.config.nodes
            if self.status(name)["links"]
        }

    def status(self, name: str) -> Any:
        return json.loads(self.ask("/status", node=name, token=TOKEN).body)

    def test_a_link_is_cut_slowed_and_mended_at_both_its_ends(self) -> None:
        with self.assertLogs("bazar.rpc.links", "WARNING") as logs:
            answer = self.disturb("catalog-1", "frontend-1", do="cut")
            self.assertEqual(
                json.loads(answer.body),
                {"between": ["catalog-1", "frontend-1"], "did": "cut", "for_s": 60},
            )
            cut = {"catalog-1": {"frontend-1": None}, "frontend-1": {"catalog-1": None}}
            self.assertEqual(self.impaired(), cut)
            self.disturb("order-1", "order-2", do="slow", delay_ms=7)
            slow = {"order-1": {"order-2": 7}, "order-2": {"order-1": 7}}
            self.assertEqual(self.impaired(), {**cut, **slow})
            self.disturb("frontend-1", "catalog-1", do="slow")
            self.assertEqual(self.impaired()["frontend-1"], {"catalog-1": 100})
            for ends in (("frontend-1", "catalog-1"), ("order-2", "order-1")):
                self.assertEqual(self.disturb(*ends, do="mend").code, 200)
                self.assertEqual(self.disturb(*ends, do="mend").code, 200)  # it is whole already
        self.assertEqual(self.impaired(), {})
        self.assertIn("frontend-1: its link to catalog-1 is cut for 60 s", " ".join(logs.output))

    def test_what_goes_over_a_cut_link_waits(self) -> None:
        """The cache is told of nothing: so it must not answer (C1), and a sale waits (R3)."""
        leader = self.shop.frontend.catalog.feed.leader
        assert leader is not None
        self.get("/info/4")
        with self.assertLogs("bazar", "WARNING"):
            self.disturb("frontend-1", leader.name, do="cut")
            bought = self.buy(4, node="order-1")
            [kept] = [s for s in self.shop.frontend.sources if s.role == "catalog"]
            self.assertFalse(kept.subscriber.lease_valid(self.shop.now()))
            self.disturb("frontend-1", leader.name, do="mend")
        self.settle()
        self.assertEqual(self.get("/info/4")["count"], bought["new_count"])

    def test_refusals(self) -> None:
        ends = "catalog-1", "catalog-2"
        self.assert_error(self.disturb(*ends, do="cut", token=None), 401)
        self.assert_error(self.disturb(*ends, do="cut", token="wrong"), 403)
        for between, how, status in (
            (ends, {"do": "burn"}, 400),
            (ends, {}, 400),
            (ends, {"do": "slow", "delay_ms": 0}, 400),
            (ends, {"do": "slow", "delay_ms": 2001}, 400),
            (ends, {"do": "slow", "delay_ms": "7"}, 400),
            (ends, {"do": "cut", "for_s": 1}, 400),
            (("catalog-1",), {"do": "cut"}, 400),
            ((*ends, "order-1"), {"do": "cut"}, 400),
            (("catalog-1", 7), {"do": "cut"}, 400),
            (("catalog-1", "catalog-1"), {"do": "cut"}, 400),
            (("frontend-1", "frontend-1"), {"do": "cut"}, 400),
            (("catalog-1", "catalog-9"), {"do": "cut"}, 404),
            (("catalog-1", "catalog-1/../x"), {"do": "cut"}, 404),
        ):
            self.assert_error(self.disturb(*between, **how), status)
        few = self.assert_error(self.disturb("catalog-1", do="cut"), 400)
        self.assertEqual(few["error"], "between: must be a list of 2")
        self.assert_error(
            self.ask("/links/catalog-9", "POST", {"do": "cut"}, node="catalog-1", token=TOKEN), 404
        )
        with mock.patch.object(Config, "is_local", False):
            self.assert_error(self.disturb(*ends, do="cut"), 403, "forbidden")
            for node in ("catalog-1", "frontend-1"):
                asked = self.ask("/links/order-1", "POST", {"do": "cut"}, node=node, token=TOKEN)
                self.assert_error(asked, 403, "forbidden")
        self.assertEqual(self.impaired(), {})

    def test_a_link_is_cut_at_both_ends_or_not_at_all(self) -> None:
        self.io_loop.run_sync(lambda: self.shop.stop_node("order-2"))
        with self.assertLogs("bazar.rpc.links", "WARNING"):
            refused = self.disturb("order-1", "order-2", do="cut")
        self.assertIn("order-2: can't be told", self.assert_error(refused, 503)["error"])
        self.assertEqual(self.status("order-1")["links"], [])
        self.assert_error(self.disturb("order-1", "order-2", do="mend"), 504, "unknown")
        self.io_loop.run_sync(lambda: self.shop.start_node("order-2"))
