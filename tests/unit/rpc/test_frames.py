"""Frames between two nodes, over real sockets."""

from __future__ import annotations

import asyncio
import gc
import random
import select
import socket
import unittest
from typing import cast
from unittest import mock

from bazar.config import NodeConfig
from bazar.rpc import frames
from bazar.rpc.frames import FrameConnection, accept, dial
from tests.patience import PATIENCE_S, until


class Accepting(asyncio.Protocol):
    """Hands a connection over once it has read a head."""

    def __init__(self, requests: list[bytes], connection: FrameConnection) -> None:
        self.requests = requests
        self.connection = connection
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, rest = self.received.partition(b"\r\n\r\n")
        if end:
            self.requests.append(head + end)
            accept(self.connection, self.transport, rest)


class FramesTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.requests: list[bytes] = []
        self.accepted: list[FrameConnection] = []
        self.got: list[bytes] = []
        self.lost = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(self.accepting, "127.0.0.1", 0)
        self.node = NodeConfig("there", "catalog", self.server.sockets[0].getsockname()[1])

    async def asyncTearDown(self) -> None:
        for connection in self.accepted:
            connection.close()
        self.server.close()
        await self.server.wait_closed()

    def accepting(self) -> Accepting:
        connection = FrameConnection(self.got.append, self.lost.set)
        self.accepted.append(connection)
        return Accepting(self.requests, connection)

    async def dial(self) -> tuple[FrameConnection, list[bytes], asyncio.Event]:
        """This end, what it gets, and whether it was lost."""
        got: list[bytes] = []
        lost = asyncio.Event()
        connection = await dial(self.node, "/feed", "the-token", PATIENCE_S)
        connection.on_frame, connection.on_lost = got.append, lost.set
        connection.resume()
        self.accepted.append(connection)
        return connection, got, lost

    async def test_a_frame_that_came_with_the_request_ends_the_connection_if_it_fails(self) -> None:
        def fail(frame: bytes) -> None:
            raise ValueError("as what is no message may do")

        near, far = socket.socketpair()
        with near:
            connection = FrameConnection(fail, self.lost.set)
            loop = asyncio.get_running_loop()
            transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, far)
            with self.assertRaises(ValueError):
                accept(connection, transport, (1).to_bytes(4, "big") + b"x")
            await asyncio.wait_for(self.lost.wait(), PATIENCE_S)

    async def test_one_that_is_closed_before_it_is_accepted_is_ended_at_once(self) -> None:
        near, far = socket.socketpair()
        with near:
            connection = FrameConnection(self.got.append, self.lost.set)
            connection.close()
            loop = asyncio.get_running_loop()
            transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, far)
            accept(connection, transport, b"")
            self.assertTrue(transport.is_closing())

    async def test_frames_arrive_whole_and_in_order_both_ways(self) -> None:
        here, got, _ = await self.dial()
        self.assertIn(b"GET /feed HTTP/1.1\r\n", self.requests[0])
        self.assertIn(b"Authorization: Bearer the-token\r\n", self.requests[0])
        sent = [bytes([n % 256]) * size for n, size in enumerate((0, 1, 3, 4, 5, 70_000, 1 << 20))]
        for frame in sent:
            here.send(frame)
            self.accepted[0].send(frame)
        await until(lambda: len(self.got) == len(got) == len(sent), "all have arrived")
        self.assertEqual((self.got, got), (sent, sent))

    def test_any_split_gives_the_same_frames(self) -> None:
        rng = random.Random(7)
        sent = [*(rng.randbytes(rng.choice((0, 1, 2, 9, 300))) for _ in range(40)), b""]
        stream = b"".join(len(frame).to_bytes(4, "big") + frame for frame in sent)
        for _ in range(50):
            got: list[bytes] = []
            connection = FrameConnection(got.append)
            at = 0
            while at < len(stream):
                size = rng.choice((1, 2, 3, 4, 5, 17, 1000))
                connection.data_received(stream[at : at + size])
                at += size
            self.assertEqual(got, sent)

    def test_what_was_delivered_is_kept_no_longer(self) -> None:
        connection = FrameConnection()
        for _ in range(3):
            connection.data_received((1).to_bytes(4, "big") + b"x\0")
            connection.data_received(b"\0\0\0")
        self.assertEqual(len(connection._received), 0)

    async def test_a_connection_that_is_paused_reads_nothing(self) -> None:
        """TCP makes the other end wait."""
        here, _, _ = await self.dial()
        transport = here.transport
        assert transport is not None
        here.pause()
        self.assertFalse(transport.is_reading())
        here.resume()
        self.assertTrue(transport.is_reading())

    async def test_nothing_is_delivered_while_paused_nor_after_the_end(self) -> None:
        here, got, lost = await self.dial()

        def one_at_a_time(frame: bytes) -> None:
            got.append(frame)
            here.pause()

        here.on_frame = one_at_a_time
        for number in range(3):
            self.accepted[0].send(bytes([number]))
        await until(lambda: got, "the first has come")
        await here.drained()
        self.assertEqual(len(got), 1)
        here.resume()
        await until(lambda: len(got) > 1, "the second has come")
        self.assertEqual(len(got), 2)
        here.on_frame = got.append
        here.resume()
        await until(lambda: len(got) == 3, "the last has come")
        here.close()
        here.data_received(b"\0\0\0\0")
        here.send(b"swallowed")
        await until(self.lost.is_set, "the other end knows")
        self.assertEqual((len(got), self.got, lost.is_set()), (3, [], False))
        self.assertFalse(await self.accepted[0].drained())

    async def test_a_frame_beyond_the_bound_ends_the_connection(self) -> None:
        with mock.patch.object(frames, "MAX_FRAME_BYTES", 100):
            here, _, lost = await self.dial()
            here.send(b"x" * 100)
            await until(lambda: self.got, "what fits has come")
            here.send(b"x" * 101)
            await until(lambda: lost.is_set() and self.lost.is_set(), "both ends know")
        self.assertEqual(len(self.got), 1)

    async def test_who_does_not_read_is_cut_off(self) -> None:
        with mock.patch.object(frames, "MAX_UNSENT_BYTES", 1 << 20):
            here, _, lost = await self.dial()
            self.accepted[0].pause()
            for _ in range(64):
                here.send(b"x" * (1 << 20))
            await until(lost.is_set, "it is cut off")

    async def test_the_bound_of_what_nobody_reads_is_itself_allowed(self) -> None:
        here, _, _ = await self.dial()
        self.accepted[0].pause()
        here.send(b"x" * (32 << 20))
        transport = here.transport
        assert transport is not None
        with mock.patch.object(frames, "MAX_UNSENT_BYTES", transport.get_write_buffer_size()):
            here.send(b"within")
            self.assertFalse(transport.is_closing())
            here.send(b"beyond")
            self.assertTrue(transport.is_closing())

    async def test_drained_waits_until_the_other_end_has_read(self) -> None:
        here, _, _ = await self.dial()
        self.accepted[0].pause()
        here.send(b"x" * (32 << 20))
        drained = asyncio.create_task(here.drained())
        await asyncio.sleep(0)  # it has begun
        assert here.transport is not None
        kernel = select.poll()
        kernel.register(here.transport.get_extra_info("socket").fileno(), select.POLLOUT)
        await until(lambda: not kernel.poll(0), "the kernel takes no more")
        self.assertFalse(drained.done())
        self.accepted[0].resume()
        self.assertTrue(await drained)

    async def test_who_waits_for_that_learns_of_the_end(self) -> None:
        with mock.patch.object(frames, "CLOSE_S", 2 * PATIENCE_S):
            for end in (FrameConnection.close, FrameConnection.abort):
                here, _, _ = await self.dial()
                self.accepted[-2].pause()
                here.send(b"x" * (32 << 20))
                drained = asyncio.create_task(here.drained())
                await asyncio.sleep(0)  # it has begun
                end(here)
                with self.subTest(end=end.__name__):
                    self.assertFalse(await asyncio.wait_for(drained, PATIENCE_S))
                here.abort()

    async def test_nothing_is_sent_before_it_begins_nor_behind_the_end(self) -> None:
        early = FrameConnection()
        early.send(b"early")
        early.pause()
        early.resume()
        here, _, _ = await self.dial()
        self.accepted[0].pause()
        with mock.patch.object(frames, "CLOSE_S", 2 * PATIENCE_S):
            here.send(b"x" * (32 << 20))
            here.close()
            here.send(b"late")
        self.accepted[0].resume()
        await until(self.lost.is_set, "the other end knows")
        self.assertEqual([len(frame) for frame in self.got], [32 << 20])
        here.abort()  # as happens CLOSE_S after the end

    async def test_what_nobody_reads_does_not_keep_a_closed_connection_open(self) -> None:
        here, _, _ = await self.dial()
        self.accepted[0].pause()
        transport = here.transport
        assert transport is not None
        with mock.patch.object(frames, "CLOSE_S", 0.01):
            here.send(b"x" * (32 << 20))
            here.close()
        await until(lambda: not transport.get_write_buffer_size(), "the rest is dropped")
        self.accepted[0].resume()
        await until(self.lost.is_set, "the other end knows")
        self.assertEqual(self.got, [])

    async def test_a_refusal_is_an_error(self) -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            node = NodeConfig("there", "catalog", server.sockets[0].getsockname()[1])
            for answer, kind, error in (
                (b"HTTP/1.1 401 Unauthorized\r\n\r\n", PermissionError, "401"),
                (b"HTTP/1.1 403 Forbidden\r\n\r\n", PermissionError, "403"),
                (b"HTTP/1.1 404 Not Found\r\n\r\n", ConnectionRefusedError, "404"),
                (b"", ConnectionResetError, "the connection was closed"),
                (b"HTTP/1.1 101", ConnectionResetError, "the connection was closed"),
                (b"x" * (1 << 20), ConnectionRefusedError, "answered"),
            ):
                with self.subTest(answer=answer[:20]), self.assertRaisesRegex(kind, error):
                    await dial(node, "/feed", "wrong", PATIENCE_S)

    async def test_who_gives_up_at_any_moment_leaves_no_complaint(self) -> None:
        complaints: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: complaints.append(context["message"]))
        with socket.create_server(("127.0.0.1", 0)) as silent:
            node = NodeConfig("there", "catalog", silent.getsockname()[1])
            for turns in range(20):
                dialing = asyncio.create_task(dial(node, "/feed", "the-token", PATIENCE_S))
                for _ in range(turns):
                    await asyncio.sleep(0)
                dialing.cancel()
                await asyncio.wait([dialing])
                await asyncio.sleep(0)  # the connection is lost
        del dialing
        gc.collect()
        self.assertEqual(complaints, [])

    async def test_an_answer_that_does_not_end_is_not_read_on(self) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"x" * frames.MAX_ANSWER_BYTES)
            await reader.read()  # until the other end hangs up
            writer.close()
            left.set()

        left = asyncio.Event()
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            node = NodeConfig("there", "catalog", server.sockets[0].getsockname()[1])
            with self.assertRaises(ConnectionRefusedError):
                await dial(node, "/feed", "the-token", PATIENCE_S)
            await asyncio.wait_for(left.wait(), PATIENCE_S)

    async def test_frames_that_come_with_the_answer_wait_for_who_has_dialled(self) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(frames.SWITCHING + (5).to_bytes(4, "big") + b"first")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            node = NodeConfig("there", "catalog", server.sockets[0].getsockname()[1])
            connection = await dial(node, "/feed", "the-token", PATIENCE_S)
            self.assertTrue(connection.paused)
            connection.on_frame, connection.on_lost = self.got.append, self.lost.set
            connection.resume()
            await until(self.lost.is_set, "the other end has hung up")
        self.assertEqual(self.got, [b"first"])

    async def test_who_says_nothing_is_not_waited_for(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            node = NodeConfig("there", "catalog", silent.getsockname()[1])
            with self.assertRaises(TimeoutError):
                await dial(node, "/feed", "the-token", 0.05)
