"""What is asked of one node, over connections that are opened and answered as a test says."""

from __future__ import annotations

import asyncio
import json
import unittest
from collections.abc import Callable
from typing import Any

from bazar import trace_context
from bazar.config import NodeConfig
from bazar.errors import Indeterminate, OutOfStock, Unavailable
from bazar.rpc.client import DIAL_S, Peer, RPCClient, error_body
from bazar.rpc.frames import FrameConnection
from tests.patience import PATIENCE_S, until
from tests.world.lab import Lab
from tests.world.world import Process

NODE = NodeConfig("peer-1", "catalog", 8001)
OTHER = NodeConfig("peer-2", "catalog", 8002)

Call = dict[str, Any]
Answer = Callable[[Call], Call | None]


def silence(call: Call) -> None:
    """Answer nothing."""


def echo(call: Call) -> Call:
    return {"primary": "peer-1", "results": [{"answer": item} for item in call["items"]]}


class Connection(FrameConnection):
    """One whose other end answers each call as `Node.answer` says."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node

    def send(self, frame: bytes) -> None:
        call = json.loads(frame)
        self.node.calls.append(call)
        answer = None if self.closed else self.node.answer(call)
        if answer is not None:
            told = json.dumps({"id": call["id"], **answer}).encode()
            asyncio.get_running_loop().call_soon(lambda: self.on_frame(told))

    def resume(self) -> None:
        if self.node.breaks:
            self.closed = True


class Node:
    """The other node: what it was asked, and over which connections."""

    def __init__(self, answer: Answer = echo) -> None:
        self.answer = answer
        self.breaks = False
        """Whether a connection is over as soon as it is open."""
        self.connections: list[Connection] = []
        self.patience_s: list[float] = []
        self.calls: list[Call] = []

    async def dial(
        self, node: NodeConfig, path: str, token: str, timeout_s: float
    ) -> FrameConnection:
        self.patience_s.append(timeout_s)
        await asyncio.sleep(0)  # as others do meanwhile what they do
        self.connections.append(Connection(self))
        return self.connections[-1]


class PeerTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        self.node = Node()
        self.peer = Peer(NODE, "the-token", dial=self.node.dial)

    async def test_those_that_call_at_the_same_time_share_a_connection(self) -> None:
        calls = [self.peer.call("/items", [item], PATIENCE_S) for item in (1, 2, 3)]
        answers = await asyncio.gather(*calls)
        self.assertEqual([a["results"] for a in answers], [[{"answer": n}] for n in (1, 2, 3)])
        self.assertEqual(len(self.node.connections), 1)

    async def test_time_is_left_to_ask_another_node_instead(self) -> None:
        await self.peer.call("/items", [1], PATIENCE_S)
        self.node.connections[0].closed = True
        await self.peer.call("/items", [1], DIAL_S)
        self.assertEqual(self.node.patience_s, [DIAL_S, DIAL_S / 2])

    async def test_r5_a_connection_that_breaks_at_once_has_carried_nothing(self) -> None:
        self.node.breaks = True
        with self.assertRaisesRegex(Unavailable, "peer-1: the connection broke"):
            await self.peer.call("/items", [1], PATIENCE_S)
        self.assertEqual(self.node.calls, [])

    async def test_an_answer_that_nobody_waits_for_any_more_is_passed_over(self) -> None:
        await self.peer.call("/items", [1], PATIENCE_S)
        [connection] = self.node.connections
        connection.on_frame(b'{"id": 77, "results": []}')
        await self.peer.call("/items", [2], PATIENCE_S)
        self.assertEqual(self.node.connections, [connection])

    async def test_one_that_is_broken_off_is_not_complained_of(self) -> None:
        complaints: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: complaints.append(context["message"]))
        self.node.answer = silence
        call = asyncio.create_task(self.peer.call("/items", [1], PATIENCE_S))
        await until(lambda: self.node.calls, "it is under way")
        call.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await call
        self.assertEqual(complaints, [])

    async def test_what_it_closes_is_over(self) -> None:
        await self.peer.call("/items", [1], PATIENCE_S)
        self.peer.close()
        self.assertTrue(self.node.connections[0].closed)


class SilenceTest(unittest.TestCase):
    """In virtual time, where a connection that says nothing for a second is given up."""

    def setUp(self) -> None:
        self.node = Node(silence)
        self.ended: list[tuple[str, int]] = []
        """Which calls have ended, and when, in ms: none has got an answer."""

    def peer(self, work: Callable[[Peer], list[Any]]) -> None:
        """Run what `work` returns, at the same time, with a peer."""

        async def run(process: Process) -> None:
            await asyncio.gather(*work(Peer(NODE, "the-token", silent_s=1.0, dial=self.node.dial)))

        with Lab() as lab:
            lab.start(run)
            lab.run(9.0)

    async def call(self, peer: Peer, name: str, at_s: float, timeout_s: float) -> None:
        """Call, until no answer comes."""
        await asyncio.sleep(at_s)
        loop = asyncio.get_running_loop()
        with self.assertRaises(Indeterminate):
            await peer.call(name, [1], timeout_s)
        self.ended.append((name, round(1000 * loop.time())))

    def test_calls_that_follow_each_other_hide_no_silence(self) -> None:
        self.peer(
            lambda peer: [
                self.call(peer, "first", 0.0, 0.8),
                self.call(peer, "second", 0.7, 0.8),
                self.call(peer, "third", 1.6, 0.8),
            ]
        )
        self.assertEqual(len(self.node.connections), 2)

    def test_one_that_has_just_been_opened_is_not_given_up(self) -> None:
        """However long the one before it was silent."""
        self.peer(
            lambda peer: [
                self.call(peer, "first", 0.0, 1.5),
                self.call(peer, "second", 1.6, 0.5),
                self.call(peer, "third", 2.2, 0.5),
            ]
        )
        self.assertEqual(len(self.node.connections), 2)

    def test_one_that_breaks_takes_along_its_own_calls_alone(self) -> None:
        async def break_first() -> None:
            await asyncio.sleep(2.0)
            self.node.connections[0].on_lost()

        self.peer(
            lambda peer: [
                self.call(peer, "early", 0.0, 5.0),
                self.call(peer, "gives up", 0.0, 1.5),
                self.call(peer, "late", 1.6, 5.0),
                break_first(),
            ]
        )
        self.assertEqual(len(self.node.connections), 2)
        self.assertEqual(self.ended, [("gives up", 1500), ("early", 2000), ("late", 6600)])

    def test_a_connection_that_was_given_up_says_nothing_about_the_next(self) -> None:
        """When time is over for what was asked over it."""
        self.peer(
            lambda peer: [
                self.call(peer, "early", 0.0, 4.0),
                self.call(peer, "gives up", 0.0, 1.5),
                self.call(peer, "late", 1.6, 5.0),
                self.call(peer, "later", 4.5, 1.0),
            ]
        )
        self.assertEqual(len(self.node.connections), 2)

    def test_a_call_ends_in_time_though_the_next_connection_breaks(self) -> None:
        async def ask_in_vain(peer: Peer) -> None:
            await asyncio.sleep(2.0)
            self.node.breaks = True
            with self.assertRaises(Unavailable):
                await peer.call("/items", [1], 1.0)

        self.peer(
            lambda peer: [
                self.call(peer, "early", 0.0, 4.0),
                self.call(peer, "gives up", 0.0, 1.5),
                ask_in_vain(peer),
            ]
        )
        self.assertEqual(self.ended, [("gives up", 1500), ("early", 4000)])

    def test_r5_who_answers_what_cannot_be_read_is_not_waited_for(self) -> None:
        async def garble() -> None:
            await asyncio.sleep(0.5)
            self.node.connections[0].on_frame(b"<html>")

        self.peer(lambda peer: [self.call(peer, "call", 0.0, 4.0), garble()])
        self.assertEqual(self.ended, [("call", 500)])


class SubmitTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        self.node = Node()
        self.client = RPCClient("the-token", dial=self.node.dial)
        self.addCleanup(self.client.close)

    def submit(self, item: Any, node: NodeConfig = NODE, path: str = "/items") -> asyncio.Task[Any]:
        return asyncio.create_task(self.client.submit(node, path, item, PATIENCE_S))

    async def test_calls_of_every_path_share_the_connection_of_their_node(self) -> None:
        await asyncio.gather(self.submit(1), self.submit(2), self.submit(3, path="/others"))
        self.assertEqual(
            [(call["path"], call["items"]) for call in self.node.calls],
            [("/items", [1, 2]), ("/others", [3])],
        )
        self.assertEqual(len(self.node.connections), 1)
        await self.submit(4, OTHER)
        self.assertEqual(len(self.node.connections), 2)

    async def test_the_requests_that_items_are_for_are_named_if_there_are_any(self) -> None:
        await self.submit(1)
        self.assertNotIn("traces", self.node.calls[0])
        trace_context.current.set("a-request")
        one = self.submit(2)
        trace_context.current.set("")
        await asyncio.gather(one, self.submit(3))
        self.assertEqual(self.node.calls[1]["traces"], ["a-request", ""])

    async def test_a2_a_call_says_under_which_arbiter_it_is_asked(self) -> None:
        await self.submit(1)
        self.client.arbiters["catalog"] = lambda: "ours"
        await self.submit(2)
        self.client.arbiters["catalog"] = lambda: None  # not known yet
        await self.submit(3)
        self.assertEqual([call["arbiter"] for call in self.node.calls], [None, "ours", None])

    async def test_it_says_where_an_item_would_be_joined(self) -> None:
        both = [NODE, OTHER]
        self.assertIsNone(self.client.gathers(both, "/items"))
        for node in both:
            waits = self.submit(1, node)
            await asyncio.sleep(0)
            self.assertEqual(self.client.gathers(both, "/items"), node.name)
            self.assertIsNone(self.client.gathers(both, "/others"))
            await waits
        self.assertIsNone(self.client.gathers(both, "/items"))

    async def test_r5_an_answer_that_lacks_items_is_unknown(self) -> None:
        self.node.answer = lambda call: {"primary": None, "results": []}
        with self.assertRaisesRegex(Indeterminate, "0 answers to 1 items"):
            await self.submit(1)

    async def test_r5_what_is_under_way_when_this_node_stops_is_unknown(self) -> None:
        self.node.answer = silence
        asked = self.submit(1)
        await until(lambda: self.node.calls, "it is asked")
        self.client.close()
        with self.assertRaisesRegex(Indeterminate, "the connection broke"):
            await asked
        self.assertTrue(self.node.connections[0].closed)

    async def test_an_error_keeps_what_programs_read_of_it(self) -> None:
        for details in ({"books": [{"id": 1}]}, {}):
            error = OutOfStock("none", details)
            self.assertEqual("details" in error_body(error), bool(details))
            self.node.answer = lambda call: {
                "primary": None,
                "results": [{"error": error_body(error)}],  # noqa: B023
            }
            with self.assertRaisesRegex(OutOfStock, "none") as caught:
                await self.submit(1)
            self.assertEqual(caught.exception.details, details)
