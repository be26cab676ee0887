"""Calls between nodes: each item has its own answer, and each call its line in the log."""

from __future__ import annotations

import asyncio
import json
import logging
import unittest
from typing import Any
from unittest import mock

from bazar import trace_context
from bazar.errors import BadRequest, NotFound, Unavailable
from bazar.http.access_log import Lines
from bazar.http.traffic import CALLS
from bazar.replication.store import Answer
from bazar.rpc.batcher import MAX_BATCH_ITEMS
from bazar.rpc.frames import FrameConnection
from handlers import calls
from handlers.calls import MAX_SHOWN, BatchHandler, Call, CallsHandler, answer_all
from tests.unit.handlers.parts import Part, context


class Wire(asyncio.Transport):
    """The other end, as far as this one sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[Any] = []
        self.closed = False

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.got.append(json.loads(bytes(data)[4:]))

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class Service:
    """One replica, of which calls ask what its `calls` are."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.context = context("catalog-1", lambda: self.now)
        self.replica: Any = Part([])
        self.callers: dict[FrameConnection, None] = {}
        self.tasks: list[asyncio.Task[Any] | None] = []
        self.traces: list[str] = []
        self.gate = asyncio.Event()
        self.calls = {
            "/read": Call(self.double),
            "/quiet": Call(self.double, logging.DEBUG),
            "/waits": Call(self.wait),
        }

    async def double(self, item: dict[str, Any]) -> Answer:
        self.tasks.append(asyncio.current_task())
        self.traces.append(trace_context.current.get())
        self.now += item.get("takes_s", 0.0)
        if "n" not in item:
            raise NotFound("nothing to double")
        return {"n": 2 * item["n"]}

    async def wait(self, item: dict[str, Any]) -> Answer:
        """Wait"""
        await self.gate.wait()
        return item


class Caller(CallsHandler):
    """A handler behind which there is no request."""

    def __init__(self, service: Any) -> None:
        self.service = service
        self.caller = b"10.0.0.7"
        self.wire = Wire()
        self.open_connection().transport = self.wire


class AnswerAllTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.service: Any = Service()

    async def answers(self, items: Any, traces: Any = ()) -> list[Any]:
        answer = await answer_all(self.service, self.service.calls["/read"], items, traces)
        results: list[Any] = answer["results"]
        return results

    async def test_each_item_has_its_own_answer(self) -> None:
        doubled, unknown, no_item = await self.answers([{"n": 1}, {"m": 1}, 7])
        self.assertEqual(doubled, {"answer": {"n": 2}})
        self.assertEqual(unknown["error"]["status"], 404)
        self.assertEqual(no_item["error"]["status"], 400)
        for items, found in (([], []), ([{"n": 3}], [{"answer": {"n": 6}}])):
            self.assertEqual(await self.answers(items), found)

    async def test_what_fails_unforeseen_leaves_the_others_their_answers(self) -> None:
        with self.assertLogs("handlers.calls", "ERROR"):
            doubled, failed = await self.answers([{"n": 1}, {"n": None}])
        self.assertEqual(doubled, {"answer": {"n": 2}})
        self.assertEqual(failed["error"]["status"], 504)

    async def test_what_is_no_list_is_refused(self) -> None:
        for items in (5, {"n": 1}, None, "ab"):
            with self.assertRaises(BadRequest):
                await self.answers(items)

    async def test_one_item_alone_needs_no_task(self) -> None:
        await self.answers([{"n": 1}])
        self.assertEqual(self.service.tasks, [asyncio.current_task()])

    async def test_each_item_is_answered_for_its_own_request(self) -> None:
        trace_context.current.set("own")
        for traces, found in (
            (["a"], ["a"]),
            (["a", "b"], ["a", "b"]),
            (["a", "b", "c"], ["a", "b", "c"]),
        ):
            self.service.traces.clear()
            await self.answers([{"n": 1}] * len(traces), traces)
            self.assertEqual(self.service.traces, found)

    async def test_without_an_id_for_each_it_is_the_callers(self) -> None:
        trace_context.current.set("own")
        for traces in ((), ["a"], ["a", "b", "c"]):
            self.service.traces.clear()
            await self.answers([{"n": 1}] * 2, traces)
            self.assertEqual(self.service.traces, ["own", "own"])

    async def test_it_names_the_primary_if_it_knows_one(self) -> None:
        for leader, name in ((None, None), (self.service.context.node, "catalog-1")):
            self.service.replica.leader = leader
            answer = await answer_all(self.service, self.service.calls["/read"], [])
            self.assertEqual(answer, {"results": [], "primary": name})


class DescriptionTest(unittest.TestCase):
    def test_a_call_is_described_by_what_takes_it(self) -> None:
        service = Service()
        for method, text in ((service.wait, "Wait"), (service.double, "")):
            self.assertEqual(BatchHandler.about({"call": Call(method)}), text)


class FramesTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.service: Any = Service()
        self.caller = Caller(self.service)

    def send(self, path: Any, items: Any, **more: Any) -> None:
        frame = {"id": 7, "path": path, "items": items, **more}
        self.caller.on_frame(json.dumps(frame).encode())

    async def settled(self) -> None:
        await asyncio.gather(*self.caller.tasks)

    async def logged(self, path: Any, items: Any, **more: Any) -> tuple[dict[str, Any], str]:
        """Call, and return the call's line, and at which level it is."""
        with self.assertLogs("bazar.access", logging.DEBUG) as logs:
            self.send(path, items, **more)
            await self.settled()
            self.service.context.log.flush()
        [record] = logs.records
        assert isinstance(record.msg, Lines)
        [line] = record.msg.plain()
        return line, record.levelname

    async def test_its_line_says_who_asked_for_what_and_how_long_it_took(self) -> None:
        line, level = await self.logged("/read", [{"n": 1, "takes_s": 2.5}], traces=["a"])
        self.assertEqual(
            line,
            {
                "node": "catalog-1",
                "message": "CALL /read 200",
                "trace_id": "a",
                "client": "10.0.0.7",
                "method": "CALL",
                "path": "/read",
                "status": 200,
                "duration_ms": 2500.0,
                "note": "1 items",
            },
        )
        self.assertEqual(level, "INFO")
        self.assertEqual((await self.logged("/quiet", []))[1], "DEBUG")

    async def test_what_is_no_call_is_counted_as_nothing_known(self) -> None:
        for path, items in (("/nowhere", 5), ("/read", []), ("x" * (MAX_SHOWN + 1), [])):
            line, level = await self.logged(path, items)
            self.assertEqual(level, "INFO" if path == "/read" else "WARNING")
            self.assertEqual(line["path"], path[:MAX_SHOWN])
            self.assertEqual(line["note"], "0 items")
        counted = {
            (name, status): histogram.total
            for name, _, status, histogram in self.service.context.log.counted().of(CALLS)
        }
        self.assertEqual(counted, {("/read", 200): 1, ("-", 404): 2})

    async def test_ids_are_taken_as_far_as_they_are_some(self) -> None:
        most = MAX_BATCH_ITEMS
        for traces, shown in (
            (["a"] * most, "a"),
            (["a"] * (most + 1), "-"),
            ("ab", "-"),
            ({"a": 1}, "-"),
            ([1, None, "b"], "b"),
            (None, "-"),
        ):
            line, _ = await self.logged("/read", [], traces=traces)
            self.assertEqual(line["trace_id"], shown, traces)

    async def test_a_call_is_answered_under_its_number(self) -> None:
        self.send("/read", [{"n": 1}], traces=["a"])
        self.send("/read", {"n": 1})
        self.send("/read", [{"n": 1}], arbiter="ours")
        self.send("/read", [{"n": 1}], arbiter="theirs")
        await self.settled()
        answered, no_list, ours, theirs = self.caller.wire.got
        result = {"id": 7, "now": 0.0, "results": [{"answer": {"n": 2}}], "primary": None}
        self.assertEqual(answered, result)
        self.assertEqual(ours, answered)
        self.assertEqual([one["error"]["status"] for one in (no_list, theirs)], [400, 503])
        self.assertEqual(self.service.traces[0], "a")

    async def test_a_call_under_way_is_kept_until_it_is_answered(self) -> None:
        """Nobody else keeps its task, and the node that leaves waits for it."""
        self.send("/waits", [{"n": 1}])
        [task] = self.caller.tasks
        await asyncio.sleep(0)
        leaving = asyncio.create_task(self.service.context.activity.drain(60))
        await asyncio.sleep(0)
        self.send("/read", [{"n": 1}])
        await asyncio.sleep(0)
        self.assertFalse(leaving.done())
        self.service.gate.set()
        await task
        await asyncio.wait_for(leaving, 60)
        self.assertEqual(self.caller.tasks, {})
        refused, answered = self.caller.wire.got
        self.assertEqual(refused["error"]["code"], "leaving")
        self.assertEqual(answered["results"], [{"answer": {"n": 1}}])

    async def test_who_cannot_be_read_is_left_at_once(self) -> None:
        for frame in (b"{", b"[]", b'{"id": 1}'):
            caller = Caller(self.service)
            with self.assertLogs("handlers.calls", "ERROR"):
                await caller.answer_call(frame)
            self.assertTrue(caller.wire.closed)
            self.assertNotIn(caller.connection, self.service.callers)
        self.assertEqual(list(self.service.callers), [self.caller.connection])

    async def test_callers_are_bounded_and_those_that_go_make_room(self) -> None:
        with mock.patch.object(calls, "MAX_CALLERS", 2):
            second = Caller(self.service)
            with self.assertRaises(Unavailable):
                Caller(self.service)
            second.connection.connection_lost(None)
            Caller(self.service)
        self.assertEqual(len(self.service.callers), 2)
