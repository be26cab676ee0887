"""The subscriber's end of a feed in virtual time: whom it asks, when it leaves, how it renews."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import unittest
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any

from bazar.config import NodeConfig
from bazar.replication.cache_subscriber import CacheSubscriber
from bazar.replication.effects import Drop, Effect, Reset, Send
from bazar.replication.feed_client import RETRY_S, SILENT_LEASES, UNANSWERED, FeedClient
from bazar.replication.messages import (
    GENESIS,
    Grant,
    Hello,
    Message,
    NotPrimary,
    Prepare,
    Release,
    Renew,
    Revoke,
    Welcome,
    decode,
    encode,
)
from bazar.replication.timing import RENEWALS_PER_LEASE, TICKS_PER_LEASE, Timing
from bazar.rpc.frames import FrameConnection
from tests.unit.replication.steps import HERE, log
from tests.world.lab import play
from tests.world.world import Process

LEASE_S = 0.3
THIRD_MS = round(1000 * LEASE_S / RENEWALS_PER_LEASE)
WELCOME = Welcome(1, GENESIS, GENESIS, False, "e1", HERE)
NAMES = ("r-1", "r-2", "r-3")


class Link(FrameConnection):
    """The subscriber's end of a connection to this node, and the other one, too."""

    def __init__(self, node: str) -> None:
        super().__init__()
        self.node = node
        self.sent: list[tuple[int, Message]] = []
        self.waiting: list[Message] = []

    def send(self, frame: bytes) -> None:
        now = asyncio.get_running_loop().time()
        if not self.closed:
            self.sent.append((10 * round(100 * now), decode(frame)))

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        while self.waiting and not self.paused:
            self.say(self.waiting.pop(0))

    def say(self, message: Message) -> None:
        if self.paused:
            self.waiting.append(message)
        elif not self.closed:
            self.on_frame(encode(message))

    def hang_up(self) -> None:
        self.connection_lost(None)

    @property
    def renewed_ms(self) -> list[int]:
        return [at for at, message in self.sent if isinstance(message, Renew)]


class Counting(CacheSubscriber):
    """Counts how often it looks at the time."""

    ticks = 0

    def tick(self, now: float) -> list[Effect]:
        self.ticks += 1
        return super().tick(now)


class Shop:
    """A subscriber and the nodes that it may follow. `answers` says what a node does when it is
    dialed: it raises an error, or says something."""

    def __init__(self, process: Process, answers: Callable[[Link], None], names: Sequence[str]):
        self.loop = process.loop
        self.answers = answers
        self.links: list[Link] = []
        self.dialed: list[str] = []
        self.dialed_ms: list[int] = []
        self.carried_out: list[Effect] = []
        self.settling: Awaitable[None] | None = None
        self.subscriber = Counting("f-1", "run", Timing(LEASE_S, LEASE_S / 2))
        self.client = FeedClient(
            *(self.subscriber, [NodeConfig(name, "catalog") for name in names], "token"),
            *(process.loop.time, self.carried_out.append, lambda: self.settling),
            dial=self.dial,
        )

    async def dial(self, node: NodeConfig, path: str, token: str, within_s: float) -> Link:
        self.dialed.append(node.name)
        self.dialed_ms.append(10 * round(100 * self.loop.time()))
        link = Link(node.name)
        await asyncio.sleep(0.001)
        self.answers(link)
        self.links.append(link)
        link.pause()
        return link

    @property
    def link(self) -> Link:
        return self.links[-1]

    async def after(self, ms: int) -> None:
        """Return so long after the beginning."""
        await asyncio.sleep(ms / 1000 - self.loop.time())


def welcomes(link: Link) -> None:
    link.waiting.append(WELCOME)


def refuses(link: Link) -> None:
    raise ConnectionRefusedError(link.node)


class FollowingTestCase(unittest.TestCase):
    def follow(
        self,
        answers: Callable[[Link], None],
        work: Callable[[Shop], Coroutine[Any, Any, None]],
        names: Sequence[str] = NAMES,
    ) -> None:
        """Do `work` while it follows, or tries to."""

        @contextlib.asynccontextmanager
        async def following(shop: Shop) -> AsyncIterator[None]:
            task = asyncio.create_task(shop.client.run())
            try:
                yield
            finally:
                task.cancel()
                await asyncio.wait([task])

        async def run(process: Process) -> None:
            shop = Shop(process, answers, names)
            async with following(shop):
                await work(shop)
            self.assertTrue(all(link.closed for link in shop.links))
            self.assertIsNone(shop.client.leader)
            ticks = shop.subscriber.ticks
            await asyncio.sleep(LEASE_S)
            self.assertEqual(shop.subscriber.ticks, ticks)  # its time stands still

        play(run)


class AskingTest(FollowingTestCase):
    def test_j1_it_asks_one_after_the_other(self) -> None:
        async def work(shop: Shop) -> None:
            await shop.after(100)
            self.assertEqual(shop.dialed[:6], [*NAMES, *NAMES])
            self.assertEqual(shop.dialed_ms[3] - shop.dialed_ms[0], 10 * round(100 * RETRY_S))

        self.follow(refuses, work)

    def test_j1_it_asks_the_one_next_that_is_said_to_lead(self) -> None:
        def answers(link: Link) -> None:
            if link.node != "r-1" or hinted:
                raise ConnectionRefusedError("it is down")
            hinted.append(link.node)
            link.waiting.append(NotPrimary(1, "r-3", HERE))

        async def work(shop: Shop) -> None:
            await shop.after(150)
            expected = ["r-1", "r-3", "r-1", "r-2", *NAMES]
            self.assertEqual(shop.dialed[: len(expected)], expected)

        hinted: list[str] = []
        self.follow(answers, work)

    def test_j1_one_that_names_itself_is_no_reason_to_ask_it_again(self) -> None:
        def answers(link: Link) -> None:
            link.waiting.append(NotPrimary(1, link.node, HERE))

        async def work(shop: Shop) -> None:
            await shop.after(40)
            self.assertEqual(shop.dialed, [*NAMES])

        self.follow(answers, work)

    def test_an_operator_is_told_once_of_nodes_that_do_not_trust_us(self) -> None:
        errors = [
            ConnectionRefusedError("it is down"),
            PermissionError("another token"),
            ssl.SSLError("another CA"),
            PermissionError("another token"),
        ]

        def answers(link: Link) -> None:
            raise errors.pop(0) if errors else ConnectionRefusedError("it is down")

        async def work(shop: Shop) -> None:
            await shop.after(300)

        with self.assertLogs("bazar.replication.feed_client", "DEBUG") as logs:
            self.follow(answers, work)
        levels = [record.levelno for record in logs.records]
        self.assertEqual(levels[:2], [logging.DEBUG, logging.WARNING])
        self.assertEqual(set(levels[2:]), {logging.DEBUG})

    def test_an_operator_is_told_of_one_that_answers_nothing_so_often_in_a_row(self) -> None:
        silent, answers_once = [True] * (UNANSWERED - 1), [False]
        played = [*silent, *answers_once, *silent, *answers_once, *silent]
        all_played = asyncio.Event()

        def answers(link: Link) -> None:
            if not played or played.pop(0):
                asyncio.get_running_loop().call_later(0.01, link.hang_up)
            else:
                link.waiting.append(NotPrimary(1, None, HERE))
            if not played:
                all_played.set()

        async def work(shop: Shop) -> None:
            with self.assertNoLogs("bazar.replication.feed_client", "WARNING"):
                await all_played.wait()
                await asyncio.sleep(0.03)
            with self.assertLogs("bazar.replication.feed_client", "WARNING") as logs:
                await asyncio.sleep(1.0)
            self.assertIn("another version of Bazar", logs.output[0])

        self.follow(answers, work, ["r-1"])


class FollowedTest(FollowingTestCase):
    def test_it_leads_once_it_has_welcomed_us_and_until_it_hangs_up(self) -> None:
        async def work(shop: Shop) -> None:
            await shop.after(100)
            leader = shop.client.leader
            assert leader is not None
            self.assertEqual(leader.name, "r-1")
            shop.link.say(Grant(1, 1, LEASE_S))
            shop.link.hang_up()
            self.assertIsNone(shop.client.leader)
            await asyncio.sleep(0.01)
            self.assertEqual((shop.subscriber.feed, shop.subscriber.welcomed), (None, False))
            await shop.after(200)
            self.assertEqual(len(shop.links), 2)  # it was noticed at once

        with self.assertLogs("bazar.replication.feed_client", "INFO") as logs:
            self.follow(welcomes, work, ["r-1"])
        self.assertEqual(len(logs.output), 2, logs.output)  # once each time

    def test_one_that_refuses_us_does_not_lead(self) -> None:
        async def work(shop: Shop) -> None:
            await shop.after(20)
            shop.link.say(NotPrimary(1, None, HERE))
            self.assertIsNone(shop.client.leader)
            self.assertTrue(shop.link.closed)
            await shop.after(120)
            self.assertGreater(len(shop.links), 1)  # the next is asked at once

        with self.assertNoLogs("bazar.replication.feed_client", "INFO"):
            self.follow(lambda link: None, work, ["r-1"])

    def test_one_that_cannot_be_read_is_left_at_once(self) -> None:
        async def work(shop: Shop) -> None:
            await shop.after(20)
            with self.assertLogs("bazar.replication.feed_client", "ERROR"):
                shop.link.on_frame(b"{")
            self.assertTrue(shop.link.closed)
            self.assertIsNone(shop.client.leader)

        self.follow(welcomes, work, ["r-1"])

    def test_what_was_meant_for_an_earlier_feed_is_sent_on_no_other(self) -> None:
        async def work(shop: Shop) -> None:
            await shop.after(20)
            before = shop.subscriber.feed
            shop.link.hang_up()
            await shop.after(40)
            assert before is not None
            shop.client.perform([Send(before, Renew(97))])  # to nobody
            await shop.after(120)
            after = shop.subscriber.feed
            assert after is not None
            shop.client.perform([Send(before, Renew(98)), Send(after, Renew(99))])
            sent = [message for _, message in shop.link.sent]
            self.assertNotIn(Renew(98), sent)
            self.assertIn(Renew(99), sent)

        self.follow(welcomes, work, ["r-1"])

    def test_what_is_not_the_feeds_is_carried_out_elsewhere(self) -> None:
        async def work(shop: Shop) -> None:
            await shop.after(20)
            shop.link.say(Prepare(tuple(e.without_effects() for e in log(GENESIS, "a"))))
            self.assertEqual(shop.carried_out, [Reset(), Drop(("a",))])

        self.follow(welcomes, work, ["r-1"])

    def test_who_waits_for_its_end_waits_so_long_at_most(self) -> None:
        async def work(shop: Shop) -> None:
            await shop.after(20)
            await shop.client.follows(0.08)
            self.assertAlmostEqual(shop.loop.time(), 0.1, delta=0.005)
            shop.loop.call_later(0.1, shop.link.hang_up)
            await shop.client.follows(5.0)
            self.assertAlmostEqual(shop.loop.time(), 0.2, delta=0.005)

        self.follow(welcomes, work, ["r-1"])


class SilenceTest(FollowingTestCase):
    """A primary that says nothing for some leases is left, unless it is we who do not listen."""

    async def speak(self, shop: Shop, leases: int) -> None:
        for _ in range(leases):
            await asyncio.sleep(LEASE_S)
            shop.link.say(Grant(1, 0, LEASE_S))

    def test_it_is_left(self) -> None:
        async def work(shop: Shop) -> None:
            await self.speak(shop, 2 * SILENT_LEASES)
            self.assertEqual(len(shop.links), 1)
            await asyncio.sleep((SILENT_LEASES + 1.5) * LEASE_S)
            self.assertEqual(len(shop.links), 2)
            self.assertTrue(shop.links[0].closed)

        with self.assertLogs("bazar.replication.feed_client", "WARNING"):
            self.follow(welcomes, work, ["r-1"])

    def test_not_while_the_disk_is_behind(self) -> None:
        async def work(shop: Shop) -> None:
            disk = shop.loop.create_future()
            shop.settling = disk
            await shop.after(20)
            self.assertTrue(shop.link.paused)
            await asyncio.sleep((SILENT_LEASES + 2) * LEASE_S)
            shop.settling = None
            disk.set_result(None)
            await asyncio.sleep(0.01)
            self.assertFalse(shop.link.paused)
            await asyncio.sleep((SILENT_LEASES - 0.5) * LEASE_S)
            self.assertEqual(len(shop.links), 1)  # until then it could not be heard
            await asyncio.sleep(2.5 * LEASE_S)
            self.assertEqual(len(shop.links), 2)

        with self.assertLogs("bazar.replication.feed_client", "WARNING"):
            self.follow(welcomes, work, ["r-1"])


class RenewingTest(FollowingTestCase):
    def test_l1_it_renews_every_third_of_a_lease(self) -> None:
        async def work(shop: Shop) -> None:
            await shop.after(450)
            self.assertIsInstance(shop.link.sent[0][1], Hello)
            self.assertEqual(shop.link.renewed_ms, [n * THIRD_MS for n in range(5)])
            self.assertLess(shop.subscriber.ticks, TICKS_PER_LEASE)

        self.follow(welcomes, work, ["r-1"])

    def test_l1_it_looks_so_often_at_the_most(self) -> None:
        async def work(shop: Shop) -> None:
            await shop.after(round(1000 * LEASE_S))
            self.assertLessEqual(shop.subscriber.ticks, TICKS_PER_LEASE + 1)

        self.follow(refuses, work)

    def test_l3_who_was_revoked_renews_again_from_its_next_hello(self) -> None:
        async def work(shop: Shop) -> None:
            await shop.after(150)
            shop.link.say(Revoke())
            self.assertEqual(shop.link.sent[-1], (150, Release()))
            await shop.after(450)
            self.assertEqual(shop.link.renewed_ms, [0, THIRD_MS])
            shop.link.hang_up()
            await shop.after(1000)
            self.assertGreaterEqual(len(shop.link.renewed_ms), 4)

        self.follow(welcomes, work, ["r-1"])

    def test_l3_who_leaves_gives_its_lease_back(self) -> None:
        async def work(shop: Shop) -> None:
            await shop.after(150)
            shop.client.release()
            self.assertEqual(shop.link.sent[-1], (150, Release()))

        self.follow(welcomes, work, ["r-1"])
