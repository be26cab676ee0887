"""Calls between nodes, over one connection of frames each, against a real server."""

from __future__ import annotations

import asyncio
import socket

from tornado.netutil import bind_sockets

from bazar.config import NodeConfig
from bazar.errors import Indeterminate, OtherToken, OutOfStock, ShuttingDown, Unavailable
from bazar.rpc import client
from tests.patience import PATIENCE_S, until
from tests.unit.rpc.there import CallsPeer, ThereTestCase


class ClientTest(ThereTestCase):
    async def test_items_travel_together_and_come_back_one_by_one(self) -> None:
        answers = await asyncio.gather(
            *(self.client.submit(self.node, "/items", item, PATIENCE_S) for item in (1, 13, "é")),
            return_exceptions=True,
        )
        self.assertEqual((answers[0], answers[2]), (1, "é"))
        self.assertIsInstance(answers[1], OutOfStock)
        self.assertEqual(self.client.primaries, {self.node.role: "peer-2"})

    async def test_r5_an_answer_that_cannot_be_read_is_unknown(self) -> None:
        with self.assertRaises(Indeterminate):
            await self.client.call(self.node, "/garbage", {}, PATIENCE_S)
        with self.assertRaises(Indeterminate):  # nor is anybody else asked
            await self.client.call(self.node, "/moved", None, PATIENCE_S)
        for path in ("/short", "/odd", "/garbage", "/none", "/breaks"):
            for _ in range(2):  # the first does not stop the next
                with self.subTest(path=path), self.assertRaises(Indeterminate):
                    await self.client.submit(self.node, path, 1, PATIENCE_S)
        self.assertEqual(await self.client.submit(self.node, "/items", 1, PATIENCE_S), 1)

    async def test_a_call_may_be_refused_as_a_whole(self) -> None:
        with self.assertRaisesRegex(ShuttingDown, "not now"):
            await self.client.submit(self.node, "/refuses", 1, PATIENCE_S)

    async def test_r5_nobody_there_is_unavailable(self) -> None:
        with socket.socket() as taken:  # it does not listen, and nobody else can
            taken.bind(("127.0.0.1", 0))
            gone = NodeConfig("gone-1", "catalog", taken.getsockname()[1])
            with self.assertRaises(Unavailable):
                await self.client.call(gone, "/echo", {}, PATIENCE_S)
            with self.assertRaises(Unavailable):
                await self.client.submit(gone, "/items", 1, PATIENCE_S)

    async def test_who_knows_another_token_is_told_apart(self) -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % refusal)
            writer.close()

        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            there = NodeConfig("there", "catalog", server.sockets[0].getsockname()[1])
            for refusal in (b"401 Unauthorized", b"403 Forbidden"):
                with self.subTest(refusal=refusal):
                    with self.assertRaises(OtherToken):
                        await self.client.submit(there, "/items", 1, PATIENCE_S)
                    with self.assertRaises(OtherToken):
                        await self.client.call(there, "/status", None, PATIENCE_S)

    async def test_r5_who_does_not_take_calls_is_unavailable(self) -> None:
        """Nothing has been sent that could have been carried out."""
        listening = bind_sockets(0, "127.0.0.1")

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
            await reader.read()
            writer.close()

        async with await asyncio.start_server(refuse, sock=listening[0]):
            there = NodeConfig("there", "catalog", listening[0].getsockname()[1])
            with self.assertRaisesRegex(Unavailable, "503"):
                await self.client.submit(there, "/items", 1, PATIENCE_S)

        [silent] = bind_sockets(0, "127.0.0.1")  # its kernel answers, as a paused process's does
        with silent:
            there = NodeConfig("silent", "catalog", silent.getsockname()[1])
            with self.assertRaisesRegex(Unavailable, "no connection in time"):
                await client.Peer(there, "the-token").call("/items", [1], 0.05)

    async def test_a_call_with_little_time_leaves_the_others_their_connection(self) -> None:
        peer = client.Peer(self.node, "the-token", PATIENCE_S, silent_s=PATIENCE_S)
        await peer.call("/items", [1], PATIENCE_S)
        connection = peer._connection
        slow = asyncio.create_task(peer.call("/slow", [1], PATIENCE_S))
        with self.assertRaises(Indeterminate):
            await peer.call("/hangs", [1], 0.05)
        self.assertFalse(slow.done())
        CallsPeer.may_answer.set()
        self.assertEqual((await slow)["results"], [])
        await peer.call("/items", [1], PATIENCE_S)
        assert connection is not None
        self.assertIs(peer._connection, connection)
        self.assertFalse(connection.closed)
        peer.close()

    async def test_a_primary_that_does_not_answer_is_preferred_no_more(self) -> None:
        for _ in range(2):
            self.client.primaries["catalog"] = "peer-1"
            with self.assertRaises(Indeterminate):
                await self.client.submit(self.node, "/breaks", 1, PATIENCE_S)
            self.assertEqual(self.client.primaries, {})

    async def test_r5_a_call_without_an_answer_is_unknown_and_its_connection_given_up(self) -> None:
        peer = client.Peer(self.node, "the-token", PATIENCE_S, silent_s=0.01)
        connections = []
        for _ in range(3):
            answer = await peer.call("/items", [1], PATIENCE_S)
            self.assertEqual(answer["results"], [{"answer": 1}])
            connections.append(peer._connection)
            with self.assertRaisesRegex(Indeterminate, "no answer in"):
                await peer.call("/hangs", [1], 0.05)
        self.assertEqual(len(set(connections)), 3)
        peer.close()

    async def test_a_call_that_is_given_up_breaks_off_no_other(self) -> None:
        CallsPeer.may_answer.clear()
        peer = client.Peer(self.node, "the-token", PATIENCE_S, silent_s=0.01)
        await peer.call("/items", [1], PATIENCE_S)
        first = peer._connection
        slow = asyncio.create_task(peer.call("/slow", [1], PATIENCE_S))
        await until(lambda: peer._answers, "it is under way")
        with self.assertRaises(Indeterminate):
            await peer.call("/hangs", [1], 0.05)
        answer = await peer.call("/items", [1], PATIENCE_S)  # over another connection
        self.assertEqual(answer["results"], [{"answer": 1}])
        self.assertIsNot(peer._connection, first)
        CallsPeer.may_answer.set()
        self.assertEqual((await slow)["results"], [])
        assert first is not None
        self.assertTrue(first.closed)
        peer.close()

    async def test_r5_what_is_under_way_when_it_is_closed_is_unknown(self) -> None:
        """Over the connection that was given up as well."""
        peer = client.Peer(self.node, "the-token", PATIENCE_S, silent_s=0.01)
        await peer.call("/items", [1], PATIENCE_S)
        first = peer._connection
        asked = [asyncio.create_task(peer.call("/slow", [1], 2 * PATIENCE_S))]
        await until(lambda: peer._answers, "it is under way")
        with self.assertRaises(Indeterminate):
            await peer.call("/hangs", [1], 0.05)
        await peer.call("/items", [1], PATIENCE_S)
        self.assertIsNot(peer._connection, first)
        asked.append(asyncio.create_task(peer.call("/hangs", [1], 2 * PATIENCE_S)))
        await until(lambda: len(peer._answers) == 2, "both are under way")
        peer.close()
        async with asyncio.timeout(PATIENCE_S):
            answers = await asyncio.gather(*asked, return_exceptions=True)
        self.assertEqual([type(answer) for answer in answers], [Indeterminate] * 2)
        assert first is not None
        self.assertTrue(first.closed)

    async def test_only_calls_that_wait_make_a_connection_silent(self) -> None:
        CallsPeer.may_answer.clear()
        peer = client.Peer(self.node, "the-token", PATIENCE_S)
        await peer.call("/items", [1], PATIENCE_S)
        self.assertIsNone(peer._unheard_since)
        slow = asyncio.create_task(peer.call("/slow", [1], PATIENCE_S))
        await until(lambda: peer._answers, "it is under way")
        await peer.call("/items", [1], PATIENCE_S)
        self.assertIsNotNone(peer._unheard_since)
        CallsPeer.may_answer.set()
        await slow
        self.assertIsNone(peer._unheard_since)
        peer.close()

    async def test_a_node_that_stops_asks_nobody_any_more(self) -> None:
        self.client.close()
        for asking in (
            self.client.submit(self.node, "/items", 1, PATIENCE_S),
            self.client.call(self.node, "/echo", None, PATIENCE_S),
        ):
            with self.assertRaisesRegex(Unavailable, "peer-1 is not asked: this node stops"):
                await asking
