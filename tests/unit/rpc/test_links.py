"""Links that are cut and slowed, over real sockets."""

from __future__ import annotations

import asyncio
import unittest
from math import inf
from unittest import mock

from bazar.config import NodeConfig
from bazar.errors import Indeterminate
from bazar.rpc import frames, impairment
from bazar.rpc.client import Peer
from bazar.rpc.frames import FrameConnection, dial
from bazar.rpc.impairment import Impaired
from bazar.rpc.links import Links
from tests.patience import PATIENCE_S, until
from tests.unit.rpc.test_frames import Accepting

LONG_S = 2 * PATIENCE_S


class End:
    """One end of a connection, and what it has heard."""

    def __init__(self, connection: FrameConnection) -> None:
        self.connection = connection
        self.got: list[bytes] = []
        self.lost = asyncio.Event()
        connection.on_frame, connection.on_lost = self.got.append, self.lost.set


class LinksTest(unittest.IsolatedAsyncioTestCase):
    """The links of `here`, which dials; `there` accepts."""

    async def asyncSetUp(self) -> None:
        self.there: list[End] = []
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(self.accepting, "127.0.0.1", 0)
        self.node = NodeConfig("there", "catalog", self.server.sockets[0].getsockname()[1])
        self.links = Links("here")
        logs = self.assertLogs("bazar.rpc.links", "WARNING")
        self.logs = logs.__enter__()
        self.addCleanup(logs.__exit__, None, None, None)

    async def asyncTearDown(self) -> None:
        self.links.close()
        for end in self.there:
            end.connection.abort()
        self.server.close()
        await self.server.wait_closed()

    def accepting(self) -> Accepting:
        self.there.append(End(FrameConnection()))
        return Accepting([], self.there[-1].connection)

    async def dial(self, timeout_s: float = PATIENCE_S) -> tuple[End, End]:
        """Both ends of a new connection."""
        connection = await self.links.dial(self.node, "/feed", "the-token", timeout_s)
        self.addCleanup(connection.abort)
        here = End(connection)
        connection.resume()
        return here, self.there[-1]

    async def all_else_arrives(self) -> None:
        """Let a frame go there and back over a link that nobody has cut."""
        connection = await dial(self.node, "/feed", "the-token", PATIENCE_S)
        here, there = End(connection), self.there[-1]
        connection.resume()
        connection.send(b"there")
        await until(lambda: there.got, "it is there")
        there.connection.send(b"back")
        await until(lambda: here.got, "it is back")
        connection.close()

    def cut(self) -> None:
        self.links.impair("there", inf, LONG_S)

    async def test_what_is_sent_over_a_cut_link_arrives_when_it_is_mended(self) -> None:
        here, there = await self.dial()
        plain = here.connection.transport
        self.cut()
        sent = [bytes([number]) * (1 << number) for number in range(20)]
        for frame in sent:
            here.connection.send(frame)
            there.connection.send(frame)
        await self.all_else_arrives()
        self.assertEqual((here.got, there.got), ([], []))
        [told] = self.links.status()
        self.assertEqual((told["to"], told["delay_ms"]), ("there", None))
        self.assertLessEqual(told["left_s"], LONG_S)
        self.links.mend("there")
        await until(lambda: len(here.got) == len(there.got) == len(sent), "all has arrived")
        self.assertEqual((here.got, there.got, self.links.status()), (sent, sent, []))
        await until(lambda: here.connection.transport is plain, "nothing stands between any more")
        here.connection.send(b"whole")
        await until(lambda: there.got[-1] == b"whole", "it goes on")

    async def test_a_link_that_is_whole_has_nothing_in_between(self) -> None:
        here, _ = await self.dial()
        self.links.impair("elsewhere", inf, LONG_S)
        self.assertNotIsInstance(here.connection.transport, Impaired)
        self.links.mend("there")  # which is no more than that
        self.assertEqual([told["to"] for told in self.links.status()], ["elsewhere"])

    async def test_a_forgotten_cut_mends_by_itself(self) -> None:
        here, there = await self.dial()
        self.links.impair("there", inf, 0.01)
        here.connection.send(b"late")
        await until(lambda: there.got, "it is mended")
        self.assertEqual(self.links.status(), [])
        self.assertIn("here: its link to there is mended", self.logs.output[-1])

    async def test_a_cut_again_lasts_longer_and_lets_nothing_through(self) -> None:
        here, there = await self.dial()
        self.links.impair("there", inf, 0.05)
        here.connection.send(b"held")
        self.links.impair("there", 0.001, LONG_S)
        self.cut()
        began = asyncio.get_running_loop().time()
        await until(lambda: asyncio.get_running_loop().time() > began + 0.1, "the first is over")
        await self.all_else_arrives()
        self.assertEqual(there.got, [])
        self.assertEqual(len(self.links.status()), 1)

    async def test_a_cut_of_before_ends_no_later_one(self) -> None:
        self.links.impair("there", inf, 0.01)
        self.links.mend("there")
        self.cut()
        began = asyncio.get_running_loop().time()
        await until(lambda: asyncio.get_running_loop().time() > began + 0.05, "the first is over")
        self.assertEqual(len(self.links.status()), 1)

    async def test_one_cut_anew_before_it_has_read_on_lets_nothing_through(self) -> None:
        here, there = await self.dial()
        self.cut()
        here.connection.pause()
        here.connection.resume()  # with the loop's next turn
        self.links.mend("there")
        self.cut()
        await asyncio.sleep(0)
        here.connection.send(b"one")
        await self.all_else_arrives()
        self.assertEqual(there.got, [])
        self.links.mend("there")
        await until(lambda: there.got == [b"one"], "it arrives")

    async def test_nobody_is_reached_over_a_cut_link(self) -> None:
        self.cut()
        with self.assertRaises(TimeoutError):
            await self.dial(0.05)
        self.assertEqual(self.there, [])
        dialing = asyncio.create_task(self.dial())
        await self.all_else_arrives()
        self.assertFalse(dialing.done())
        self.links.mend("there")
        await dialing

    async def test_neither_end_learns_over_a_cut_link_that_the_other_is_closed(self) -> None:
        here, there = await self.dial()
        other, at = await self.dial()
        self.cut()
        here.connection.send(b"before the end")
        here.connection.close()
        other.connection.abort()
        await until(other.lost.is_set, "who aborts is told at once")
        await self.all_else_arrives()
        self.assertFalse(there.lost.is_set() or at.lost.is_set())
        self.links.mend("there")
        await until(lambda: there.lost.is_set() and at.lost.is_set(), "both know")
        self.assertEqual((there.got, here.lost.is_set()), ([b"before the end"], False))

        here, there = await self.dial()
        self.cut()
        there.connection.send(b"last words")
        there.connection.close()
        await self.all_else_arrives()
        self.assertFalse(here.lost.is_set())
        self.links.mend("there")
        await until(here.lost.is_set, "it knows")
        self.assertEqual(here.got, [b"last words"])

    async def test_a_reset_loses_what_was_not_sent(self) -> None:
        here, there = await self.dial()
        self.cut()
        here.connection.send(b"lost")
        here.connection.close()
        held = here.connection.transport
        assert held is not None
        here.connection.abort()
        self.assertEqual(held.get_write_buffer_size(), 0)
        self.links.mend("there")
        await until(there.lost.is_set, "it is over")
        self.assertEqual(there.got, [])

    async def test_a_slow_link_takes_its_time_in_each_direction(self) -> None:
        loop = asyncio.get_running_loop()
        here, there = await self.dial()
        self.links.impair("there", 0.03, LONG_S)
        began = loop.time()
        sent = [bytes([number]) for number in range(50)]
        for frame in sent:
            here.connection.send(frame)
        await until(lambda: len(there.got) == len(sent), "all is there")
        self.assertGreaterEqual(loop.time(), began + 0.03)
        there.connection.send(b"back")
        await until(lambda: here.got, "an answer")
        self.assertGreaterEqual(loop.time(), began + 0.06)
        self.assertEqual(there.got, sent)
        [told] = self.links.status()
        self.assertEqual(told["delay_ms"], 30)

    async def test_to_open_a_connection_over_a_slow_link_takes_two_round_trips(self) -> None:
        loop = asyncio.get_running_loop()
        self.links.impair("there", 0.02, LONG_S)
        began = loop.time()
        here, there = await self.dial()
        self.assertGreaterEqual(loop.time(), began + 0.08)
        here.connection.send(b"x")
        await until(lambda: there.got, "it is there")
        self.assertGreaterEqual(loop.time(), began + 0.1)
        there.connection.close()
        await until(here.lost.is_set, "the end arrives, too")
        self.links.impair("there", 60.0, LONG_S)
        with self.assertRaises(TimeoutError):
            await self.dial(0.01)

    async def test_who_reads_nothing_yet_gets_all_in_order_later(self) -> None:
        here, there = await self.dial()
        here.connection.pause()
        self.cut()
        there.connection.send(b"1")
        self.links.mend("there")
        self.cut()  # before anybody has read
        there.connection.send(b"2")
        here.connection.resume()
        await self.all_else_arrives()
        self.assertEqual(here.got, [])
        self.links.mend("there")
        await until(lambda: len(here.got) == 2, "both are there")
        self.assertEqual(here.got, [b"1", b"2"])
        await until(
            lambda: not isinstance(here.connection.transport, Impaired), "nothing stands between"
        )

    async def test_what_arrives_before_it_is_wanted_is_kept(self) -> None:
        for ends in (False, True):
            here, there = await self.dial()
            self.cut()
            held = here.connection.transport
            assert isinstance(held, Impaired)
            sent = [b"1", b"2"]
            for frame in sent:
                there.connection.send(frame)
            await until(lambda: held._here.size == 10, "all has been read")  # noqa: B023
            if ends:
                there.connection.close()
                await until(lambda: held._lost, "its end, too")  # noqa: B023
            here.connection.pause()
            self.links.mend("there")
            self.assertEqual((here.got, held.over), ([], False))
            here.connection.resume()
            await until(lambda: len(here.got) == 2, "all is there")  # noqa: B023
            self.assertEqual((here.got, held.over), (sent, ends))

    async def test_who_reads_nothing_makes_the_other_end_wait_over_a_slow_link_too(self) -> None:
        here, there = await self.dial()
        plain = here.connection.transport
        assert plain is not None
        here.connection.pause()
        self.links.impair("there", 0.001, LONG_S)
        self.assertFalse(plain.is_reading())
        here.connection.resume()
        there.connection.pause()
        here.connection.send(b"x" * (32 << 20))
        await until(plain.get_write_buffer_size, "it is under way")
        drained = asyncio.create_task(here.connection.drained())
        await asyncio.sleep(0)  # it has begun
        self.assertFalse(drained.done())
        there.connection.resume()
        self.assertTrue(await asyncio.wait_for(drained, PATIENCE_S))

    async def test_what_is_sent_to_one_that_is_gone_is_lost(self) -> None:
        here, there = await self.dial()
        self.links.impair("there", LONG_S, LONG_S)
        held = here.connection.transport
        assert isinstance(held, Impaired)
        with self.assertNoLogs("asyncio"):
            for told in (False, True):
                for _ in range(10):
                    here.connection.send(b"lost")
                if not told:
                    there.connection.abort()
                    await until(lambda: held._lost, "the other end is gone")
            self.assertFalse(here.lost.is_set())  # it learns of that when it would arrive
            self.links.mend("there")
            await until(here.lost.is_set, "it learns of that")
        self.assertIsNone(here.connection.transport)

    async def test_what_has_got_rid_of_its_last_words_may_be_given_up(self) -> None:
        here, there = await self.dial()
        there.connection.pause()
        here.connection.send(b"x" * (32 << 20))
        self.links.impair("there", 0.001, LONG_S)
        held = here.connection.transport
        assert isinstance(held, Impaired)
        with mock.patch.object(frames, "CLOSE_S", LONG_S):
            here.connection.pause()
            here.connection.close()
        there.connection.resume()
        await until(lambda: held._lost, "all is sent")
        here.connection.abort()  # as happens CLOSE_S after the end
        self.links.mend("there")
        await until(there.lost.is_set, "the other end knows")
        self.assertEqual(len(there.got), 1)

    async def test_connections_that_are_over_are_forgotten(self) -> None:
        self.links.impair("there", 0.001, LONG_S)
        for _ in range(3):
            here, there = await self.dial()
            here.connection.close()
            await until(there.lost.is_set, "it is over")
        held = self.links._impaired["there"].connections
        await until(lambda: all(one.over for one in held), "both ends know")
        await self.dial()
        self.assertEqual(len(self.links._impaired["there"].connections), 1)

    async def test_what_is_on_its_way_is_bounded_in_both_directions(self) -> None:
        sent = [bytes([number]) * 1000 for number in range(200)]
        with mock.patch.object(impairment, "MAX_HELD_BYTES", 5000):
            here, there = await self.dial()
            self.links.impair("there", 0.002, LONG_S)
            for frame in sent:
                there.connection.send(frame)
            await until(lambda: len(here.got) == len(sent), "all has come")
            self.assertEqual(here.got, sent)
            self.cut()
            held = here.connection.transport
            assert isinstance(held, Impaired)
            for frame in sent:
                there.connection.send(frame)
            await until(lambda: not held._transport.is_reading(), "it reads no more")
            self.links.mend("there")
            await until(lambda: len(here.got) == 2 * len(sent), "all has come")
        with mock.patch.object(frames, "MAX_UNSENT_BYTES", 5000):
            self.cut()
            for frame in sent:
                here.connection.send(frame)
            await until(here.lost.is_set, "who sends on is cut off")

    async def test_a_frame_that_fails_ends_the_connection(self) -> None:
        def fail(frame: bytes) -> None:
            raise ValueError("as what is no message may do")

        complaints: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: complaints.append(str(context)))
        here, there = await self.dial()
        here.connection.on_frame = fail
        self.links.impair("there", 0.001, LONG_S)
        there.connection.send(b"x")
        await until(lambda: here.lost.is_set() and there.lost.is_set(), "both ends know")
        self.assertIn("as what is no message may do", complaints[0])

    async def test_a_call_over_a_cut_link_is_in_doubt(self) -> None:
        peer = Peer(self.node, "the-token", PATIENCE_S, 0.01, self.links.dial)
        self.addCleanup(peer.close)
        asking = asyncio.create_task(peer.call("/read", [1], PATIENCE_S))
        await until(lambda: self.there and self.there[0].got, "it is asked")
        self.cut()
        self.there[0].connection.send(b'{"id": 1, "results": []}')
        with self.assertRaises(Indeterminate):
            await peer.call("/read", [2], 0.05)
        self.assertFalse(asking.done())
        self.links.mend("there")
        self.assertEqual(await asking, {"id": 1, "results": []})
