"""Calls as frames, against a real node."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any
from unittest import mock

from tornado.iostream import StreamClosedError

from bazar.replication.feed_client import FEED_PATH
from bazar.replication.store import Answer
from bazar.rpc.client import CALLS_PATH
from bazar.rpc.frames import SWITCHING
from handlers import calls
from handlers.feed import UpgradeHandler
from handlers.paths import SALES_PATH
from tests.http.caller import CallsTestCase
from tests.http.shop import TOKEN
from tests.patience import PATIENCE_S, until


class CallsTest(CallsTestCase):
    def test_each_item_has_its_answer_and_each_call_its_number(self) -> None:
        info = {"op": "info", "book": 4}
        got, _ = self.exchange(
            self.call(1, "/read", [info, {"op": "info", "book": 99}, {"op": "odd"}]),
            self.call(2, "/nowhere", [info]),
            self.call(3, "/read", {}),
            self.call(4, "/read", []),
            answers=4,
        )
        found, unknown, odd = got[0]["results"]
        self.assertEqual(found["answer"]["book"]["id"], 4)
        self.assertEqual((unknown["error"]["status"], odd["error"]["status"]), (404, 400))
        self.assertEqual(got[0]["primary"], "catalog-1")
        self.assertEqual((got[1]["error"]["status"], got[2]["error"]["status"]), (404, 400))
        self.assertEqual(got[3]["results"], [])

    def test_r9_what_nobody_waits_for_any_more_is_not_written(self) -> None:
        """By the clock of the connection, which each answer shows."""

        def titled(title: str) -> dict[str, Any]:
            key = title.replace(" ", "-")
            return {"op": "update", "key": key, "book": 1, "fields": {"title": title}}

        late, in_time = titled("late"), titled("in time")
        got, _ = self.exchange(
            self.call(1, "/write", [in_time, late], until=[PATIENCE_S, 0.0]),
            self.call(2, "/write", [titled("too late, too")], until=[-1]),
            answers=2,
        )
        written, refused = got[0]["results"]
        self.assertIn("answer", written)
        for one in (refused, *got[1]["results"]):
            self.assertEqual(one["error"]["code"], "unavailable")
        self.assertEqual(self.get("/info/1")["title"], "in time")
        for answer in got:
            self.assertLess(0.0, answer["now"])
            self.assertLess(answer["now"], PATIENCE_S)

    def test_deadlines_that_are_none_are_passed_over(self) -> None:
        info = {"op": "info", "book": 4}
        for number, none in enumerate(("soon", ["soon"], [None], [], [1.0, 2.0], {"a": 1})):
            [answer], _ = self.exchange(self.call(number, "/read", [info], until=none), answers=1)
            self.assertEqual(answer["results"][0]["answer"]["book"]["id"], 4)

    def test_items_that_are_no_list_are_refused_and_logged(self) -> None:
        with self.assertLogs("bazar.access") as logs:
            [answer], _ = self.exchange(self.call(1, "/read", 5), answers=1)
            self.shop.write_logs()
        self.assertEqual(answer["error"]["status"], 400)
        line = r"catalog-1 - 127\.0\.0\.1 CALL /read 400 \S+ ms - 0 items"
        self.assertRegex("\n".join(logs.output), line)

    def test_a_path_that_is_no_call_is_refused_and_logged(self) -> None:
        with self.assertLogs("bazar.access", "WARNING") as logs:
            [answer], _ = self.exchange(self.call(1, "/elsewhere", []), answers=1)
        self.assertEqual(answer["error"]["status"], 404)
        line = r"catalog-1 - 127\.0\.0\.1 CALL /elsewhere 404 \S+ ms - 0 items"
        self.assertRegex("\n".join(logs.output), line)

    def test_each_call_is_logged_at_its_own_level(self) -> None:
        """Replicas ask for sales all the time: an ordinary log leaves that out."""
        with self.assertLogs("bazar.access", "DEBUG") as logs:
            sales = self.call(2, SALES_PATH, [{"after": {"seq": 0, "id": ""}, "wait_ms": 0}])
            self.exchange(self.call(1, "/read", []), sales, self.call(3, "/odd", []), answers=3)
            self.shop.write_logs()
        found = {
            path: {
                record.levelname for record in logs.records if f"CALL {path} " in str(record.msg)
            }
            for path in ("/read", SALES_PATH, "/odd")
        }
        self.assertEqual(found, {"/read": {"INFO"}, SALES_PATH: {"DEBUG"}, "/odd": {"WARNING"}})

    def test_a_call_by_post_is_logged_as_one_by_frames(self) -> None:
        sales = {"after": {"number": 0, "id": None}, "wait_ms": 0}
        with self.assertLogs("bazar.access", "DEBUG") as logs:
            for path, item in (("/read", {"op": "info", "book": 4}), (SALES_PATH, sales)):
                asked = self.ask(path, "POST", {"items": [item]}, node="catalog-1", token=TOKEN)
                self.assertEqual(asked.code, 200)
                self.assertIn("answer", json.loads(asked.body)["results"][0])
        found = {
            path: {one.levelname for one in logs.records if f"POST {path} " in str(one.msg)}
            for path in ("/read", SALES_PATH)
        }
        self.assertEqual(found, {"/read": {"INFO"}, SALES_PATH: {"DEBUG"}})

    def test_a_request_that_is_for_another_protocol_is_refused(self) -> None:
        for path in (CALLS_PATH, FEED_PATH):
            for more in ({}, {"Upgrade": "websocket", "Connection": "Upgrade"}):
                refused = self.ask(path, node="catalog-1", token=TOKEN, **more)
                self.assert_error(refused, 400, "bad_request")

    def test_a_call_may_come_right_behind_the_request(self) -> None:
        call = self.call(1, "/read", [{"op": "info", "book": 4}])
        request = (
            b"GET " + CALLS_PATH.encode() + b" HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
            b"Authorization: Bearer " + TOKEN.encode() + b"\r\nUpgrade: bazar-frames\r\n\r\n"
        )

        async def talk() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(request + len(call).to_bytes(4, "big") + call)
            async with asyncio.timeout(PATIENCE_S):
                self.assertEqual(await reader.readuntil(b"\r\n\r\n"), SWITCHING)
                answer = await reader.readexactly(int.from_bytes(await reader.readexactly(4)))
            writer.close()
            await writer.wait_closed()
            return answer

        [result] = json.loads(self.io_loop.run_sync(talk))["results"]
        self.assertEqual(result["answer"]["book"]["id"], 4)

    def test_who_sends_nonsense_is_hung_up_on(self) -> None:
        for frame in (b"", b"{", b"[]", b"{}", b'{"id": 1}', b"\xff", b"7"):
            with self.assertLogs("handlers.calls", "ERROR"):
                self.assertEqual(self.exchange(frame, answers=1), ([], True))
        self.get("/info/4")

    def test_a_feed_that_says_nonsense_is_hung_up_on(self) -> None:
        for frame in (b"", b"{", b"[]", b'{"type": "odd"}', b'{"type": "ack"}'):
            with self.assertNoLogs("bazar.replication", "WARNING"):
                self.assertEqual(self.exchange(frame, answers=1, path=FEED_PATH), ([], True))
        self.get("/info/4")

    def test_a_feed_of_another_version_is_named_once(self) -> None:
        for name in ("one", "other"):
            hello = json.dumps({"type": "hello", "version": 1, "node": name}).encode()
            with self.assertLogs("bazar.replication.feed_server", "ERROR") as logs:
                for _ in range(2):
                    self.assertEqual(self.exchange(hello, answers=1, path=FEED_PATH), ([], True))
            [line] = logs.output
            self.assertIn(f"catalog-1: {name} speaks version 1 of the feed", line)

    def test_a_node_that_leaves_takes_no_more_calls(self) -> None:
        async def talk() -> None:
            got: list[Any] = []
            connection = await self.connect(got)
            with mock.patch.object(self.shop.catalog(1).context.activity, "draining", True):
                connection.send(self.call(1, "/write", [{"op": "update"}]))
                await until(lambda: got, "it has answered")
            connection.close()
            self.assertEqual(got[0]["error"]["code"], "leaving")

        self.io_loop.run_sync(talk)

    def test_a_node_that_leaves_waits_for_the_calls_under_way(self) -> None:
        self.io_loop.run_sync(self.quiet)
        service = self.shop.catalog(1)
        asked, may_answer = asyncio.Event(), asyncio.Event()

        async def wait(item: Answer) -> Answer:
            asked.set()
            await may_answer.wait()
            return item

        async def talk() -> None:
            got: list[Any] = []
            connection = await self.connect(got)
            connection.send(self.call(1, "/waits", [{"one": 1}]))
            await asked.wait()
            activity = service.context.activity
            leaving = asyncio.create_task(activity.drain(2 * PATIENCE_S))
            await until(lambda: activity.draining, "it leaves")
            connection.send(self.call(2, "/waits", [{"two": 2}]))
            await until(lambda: got, "the next one is refused meanwhile")
            self.assertFalse(leaving.done())
            may_answer.set()
            await asyncio.wait_for(leaving, PATIENCE_S)
            await until(lambda: len(got) == 2, "the first one is answered")
            connection.close()
            refused, answered = got
            self.assertEqual(refused["error"]["code"], "leaving")
            self.assertEqual(answered["results"], [{"answer": {"one": 1}}])

        with mock.patch.dict(service.calls, {"/waits": calls.Call(wait)}):
            self.io_loop.run_sync(talk, timeout=2 * PATIENCE_S)

    async def quiet(self) -> None:
        """Nobody calls the catalog's nodes who has not been told to."""
        for name in ("frontend-1", "order-1", "order-2"):
            await self.shop.stop_node(name)
        await until(lambda: not self.shop.catalog(1).callers, "they are gone")

    def test_who_cannot_be_read_is_left_and_forgotten(self) -> None:
        self.io_loop.run_sync(self.quiet)

        async def talk() -> None:
            connection = await self.connect([])
            connection.send(b"{")
            await until(lambda: connection.closed, "it is left")

        with self.assertLogs("handlers.calls", "ERROR") as logs:
            self.io_loop.run_sync(talk)
        self.assertIn("catalog-1: a call that can't be read", logs.output[0])
        self.assertEqual(len(self.shop.catalog(1).callers), 0)

    def test_who_hangs_up_before_the_answer_is_forgotten(self) -> None:
        self.io_loop.run_sync(self.quiet)
        service = self.shop.catalog(1)
        before = len(service.callers), len(service.replica._feeds._connections)
        for path in (CALLS_PATH.encode(), b"/feed"):
            request = (
                b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                b"Authorization: Bearer " + TOKEN.encode() + b"\r\nUpgrade: bazar-frames\r\n\r\n"
            )
            with self.assertNoLogs("handlers.base", "ERROR"):
                for _ in range(20):
                    with socket.create_connection(("127.0.0.1", self.port)) as knocking:
                        knocking.sendall(request)
                self.assertEqual(self.get("/info/4", "catalog-1")["id"], 4)

            def forgotten() -> bool:
                return (len(service.callers), len(service.replica._feeds._connections)) == before

            gone = until(forgotten, "they are forgotten")
            self.io_loop.run_sync(lambda gone=gone: gone)

    def test_who_has_hung_up_as_the_request_is_read_is_forgotten(self) -> None:
        callers = self.shop.catalog(1).callers
        self.io_loop.run_sync(self.quiet)
        request = (
            b"GET " + CALLS_PATH.encode() + b" HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
            b"Authorization: Bearer " + TOKEN.encode() + b"\r\nUpgrade: bazar-frames\r\n\r\n"
        )
        met: list[int] = []

        def hung_up(handler: UpgradeHandler) -> None:
            met.append(len(callers))
            raise StreamClosedError

        async def knock() -> None:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(request)
            await until(lambda: met and not callers, "it is forgotten")
            writer.close()
            await writer.wait_closed()

        with mock.patch.object(UpgradeHandler, "detach", hung_up):
            self.io_loop.run_sync(knock)
        self.assertEqual(met, [1])

    @property
    def port(self) -> int:
        return self.shop.node("catalog-1").port

    def test_callers_are_bounded_and_forgotten_when_they_go(self) -> None:
        callers = self.shop.catalog(1).callers

        async def crowd() -> None:
            await self.quiet()
            with mock.patch.object(calls, "MAX_CALLERS", 1):
                connection = await self.connect([])
                self.assertEqual(len(callers), 1)
                with self.assertRaisesRegex(ConnectionRefusedError, "503"):
                    await self.connect([])
                connection.close()
                await until(lambda: not callers, "it is forgotten")

        self.io_loop.run_sync(crowd)
