"""A node in its group, whatever keeps the state: whom it answers, and what it passes on."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Sequence
from typing import Any, ClassVar
from unittest import mock

from bazar.config import NodeConfig, ReplicationConfig
from bazar.errors import BadRequest, Unavailable
from bazar.replication import part as part_module
from bazar.replication.arbiter import Knock
from bazar.replication.batches import Batches
from bazar.replication.cache_subscriber import CacheSubscriber
from bazar.replication.effects import Alert, Close, Confirm, Drop, Effect, Reset, Send, Stop
from bazar.replication.messages import (
    CACHE,
    GENESIS,
    WIRE_VERSION,
    Ack,
    Change,
    Hello,
    Mark,
    Message,
    NotPrimary,
    Prepare,
    Renew,
    Welcome,
    decode,
    encode,
)
from bazar.replication.part import Part, Wiring
from bazar.replication.primary import Primary
from bazar.replication.store import Answer, Operation
from bazar.replication.timekeeper import Timekeeper
from bazar.replication.trace import Trace
from bazar.rpc.frames import FrameConnection, dial
from tests.patience import PATIENCE_S
from tests.unit.replication.steps import HERE, THERE, TIMING, lone_primary

ME, PEER = NodeConfig("r-1", "catalog", 8001), NodeConfig("r-2", "catalog", 8002)
NOW = 5.0
HELLO = Hello(WIRE_VERSION, CACHE, "f-1", "run", "", 0, GENESIS, GENESIS, "")


class Bare(Part):
    """A part that keeps nothing, and notes what it is asked to carry out."""

    def __init__(self, wiring: Wiring) -> None:
        subscriber = CacheSubscriber(wiring.me.name, wiring.run, TIMING)
        super().__init__(wiring, subscriber, HERE, settling=lambda: None, seeded=False)
        self.leads = True
        self.carried_out: list[Effect] = []

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def _still_leads(self) -> bool:
        return self.leads

    def _carry_out(self, effect: Effect) -> None:
        self.carried_out.append(effect)

    def _waits_for(self) -> str:
        return "a peer that leads"


class Noting(FrameConnection):
    """One end of a connection, and what is sent on it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Message] = []

    def send(self, frame: bytes) -> None:
        self.sent.append(decode(frame))


class PartTestCase(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.forwarded: list[tuple[str, Operation]] = []
        self.fatal: list[str] = []
        self.part = Bare(
            Wiring(
                ME,
                [PEER],
                ReplicationConfig(),
                token="token",
                dial=dial,
                run="run",
                clock=lambda: NOW,
                forward=self.forward,
                knock=lambda node, knock: self.fail("it asks nobody"),
                on_commit=lambda entries: None,
                on_install=self.nothing,
                on_fatal=lambda error: self.fatal.append(str(error)),
            )
        )

    async def nothing(self) -> None: ...

    async def forward(self, node: NodeConfig, operation: Operation) -> Answer:
        self.forwarded.append((node.name, operation))
        return {"from": node.name}

    def lead(self) -> Primary:
        primary = lone_primary(NOW)
        primary.recorded(NOW)
        primary.confirmed(NOW)
        self.part.primary = primary
        return primary

    def feed(self) -> tuple[int, Noting]:
        connection = Noting()
        return self.part.open_feed(connection), connection

    def perform(self, *effects: Effect) -> None:
        self.part._perform(effects)


class StrangersTest(PartTestCase):
    def test_a2_only_callers_under_another_arbiter_are_refused(self) -> None:
        for arbiter in (None, HERE.digest):
            self.part.refuse_other(arbiter)
        with self.assertRaisesRegex(Unavailable, "r-1: belongs to another cluster"):
            self.part.refuse_other(THERE.digest)

    def test_a3_a_follower_says_under_which_it_is(self) -> None:
        answer = self.part.knocked(Knock("r-2", THERE, 7).plain())
        self.assertEqual(Knock.load(answer), Knock("r-1", HERE, None))
        self.assertEqual(self.fatal, [])

    def test_a3_a_primary_says_what_it_leads(self) -> None:
        self.lead().committed = Mark(3, "three")
        with self.assertLogs("bazar.replication.part", "CRITICAL"):
            answer = self.part.knocked(Knock("r-2", THERE, None).plain())
        self.assertEqual(Knock.load(answer), Knock("r-1", HERE, 3))

    def test_a3_a_primary_whose_log_is_shorter_stops(self) -> None:
        self.lead()
        answer = self.part.knocked(Knock("r-2", THERE, 7).plain())
        self.assertIsNone(Knock.load(answer).leads)
        self.assertEqual(len(self.fatal), 1)

    def test_a3_what_is_no_knock_is_refused(self) -> None:
        plain = Knock("r-2", THERE, 7).plain()
        for bad in ({}, {**plain, "arbiter": None}, {**plain, "arbiter": {"digest": "d"}}):
            with self.subTest(bad), self.assertRaises(BadRequest):
                self.part.knocked(bad)


class WritingTest(PartTestCase):
    operation: ClassVar[Operation] = {"op": "sell", "key": "k"}

    async def write(self, **how: Any) -> Answer:
        return await self.part.write(self.operation, PATIENCE_S, **how)

    async def test_r7_a_follower_passes_it_on_one_hop_at_the_most(self) -> None:
        with self.assertRaisesRegex(Unavailable, "knows of none"):
            await self.write()
        self.part._client.leader = PEER
        self.assertEqual(await self.write(), {"from": "r-2"})
        self.assertEqual(self.forwarded, [("r-2", self.operation)])
        with self.assertRaisesRegex(Unavailable, "is not primary"):
            await self.write(may_forward=False)
        self.assertEqual(len(self.forwarded), 1)

    async def test_t5_one_that_hands_over_takes_nothing(self) -> None:
        self.lead()
        self.part._stopped.set()
        with self.assertRaisesRegex(Unavailable, "r-1 hands over"):
            await self.write()
        self.part._stopped.clear()
        self.lead().retire(NOW)
        with self.assertRaisesRegex(Unavailable, "r-1 hands over"):
            await self.write()
        self.assertEqual(len(self.part.queue), 0)

    async def test_a_primary_answers_when_a_batch_has_decided(self) -> None:
        self.lead()
        writing = asyncio.create_task(self.write())
        await asyncio.sleep(0)
        [ticket] = self.part.queue.take(1)
        self.assertEqual((ticket.operation, ticket.trace), (self.operation, None))
        ticket.resolve({"sold": 1})
        self.assertEqual(await writing, {"sold": 1})

    async def test_who_asks_for_it_is_told_how_it_went(self) -> None:
        self.lead()
        told = {**self.operation, "tell": True}
        writing = asyncio.create_task(self.part.write(told, PATIENCE_S))
        await asyncio.sleep(0)
        [ticket] = self.part.queue.take(1)
        self.assertEqual(ticket.operation, self.operation)
        assert ticket.trace is not None
        self.assertEqual((ticket.trace.primary, ticket.trace.asked), ("r-1", NOW))
        ticket.resolve({"sold": 1})
        await writing


class FeedsTest(PartTestCase):
    def hear(self, feed: int, *messages: Message) -> None:
        for message in messages:
            self.part.feed_message(feed, encode(message))

    def test_j1_who_does_not_lead_says_who_may(self) -> None:
        for leader, hint in ((None, None), (PEER, "r-2")):
            self.part._client.leader = leader
            feed, connection = self.feed()
            self.hear(feed, Renew(1))  # of no feed that anybody has begun
            self.assertEqual((connection.sent, connection.closed), ([], False))
            self.hear(feed, HELLO)
            self.assertEqual(connection.sent, [NotPrimary(0, hint, HERE)])
            self.assertTrue(connection.closed)

    def test_a_primary_hears_what_is_said_on_its_feeds(self) -> None:
        primary = self.lead()
        feed, connection = self.feed()
        self.hear(feed, HELLO, Renew(1))
        self.assertIsInstance(connection.sent[0], Welcome)
        self.assertEqual(list(primary.feeds), [feed])
        with mock.patch.object(primary, "receive") as receive:
            self.part.feed_message(feed, b"{")
        receive.assert_not_called()
        self.assertTrue(connection.closed)

    def test_a_connection_that_is_gone_is_forgotten_at_both_places(self) -> None:
        primary = self.lead()
        feed, _ = self.feed()
        self.hear(feed, HELLO)
        self.part.feed_closed(feed)
        self.assertEqual(primary.feeds, {})
        self.assertFalse(self.part._feeds.closed(feed))

    def test_a_follower_forgets_it_too(self) -> None:
        feed, _ = self.feed()
        self.part.feed_closed(feed)
        self.assertFalse(self.part._feeds.closed(feed))

    def test_who_has_acknowledged_a_traced_batch_is_told(self) -> None:
        primary = self.lead()
        feed, _ = self.feed()
        self.hear(feed, HELLO, Renew(1))  # a batch waits for it
        self.assertTrue(primary.begin(NOW))
        entries = primary.extend([Change(("a",), None), Change(("b",), None)])
        self.perform(*primary.propose(entries, NOW))
        batches = self.part._batches = Batches(
            *(primary, mock.Mock(), self.part.queue, 100, lambda: NOW),
            perform=self.part._perform,
            check=lambda epoch: None,
            needed=lambda: None,
        )
        traced = Trace("r-1", NOW)
        batches.traces = [traced]
        self.hear(feed, Ack(entries[0].mark), Renew(1))
        self.hear(99, Ack(entries[1].mark))
        self.assertEqual(traced.moments, {})
        self.hear(feed, Ack(entries[1].mark))
        self.assertEqual(traced.moments, {"ack f-1": NOW})


class EffectsTest(PartTestCase):
    def test_they_are_carried_out_in_order(self) -> None:
        (one, here), (two, there) = self.feed(), self.feed()
        prepare = Prepare(())
        with mock.patch.object(part_module, "encode", wraps=encode) as encoded:
            self.perform(Send(one, Renew(1)), Send(one, prepare), Drop(("a",)), Send(two, prepare))
            self.assertEqual(encoded.call_count, 2)  # what goes to many is encoded once
        self.perform(Close(two, "why"), Reset())
        self.assertEqual((here.sent, there.sent), ([Renew(1), prepare], [prepare]))
        self.assertEqual((here.closed, there.closed), (False, True))
        self.assertEqual(self.part.carried_out, [Drop(("a",)), Reset()])

    def test_l5_nothing_behind_a_look_at_the_arbiter_leaves_if_another_leads(self) -> None:
        feed, connection = self.feed()
        self.perform(Confirm(), Send(feed, Renew(1)))
        self.part.leads = False
        self.perform(Send(feed, Renew(2)), Confirm(), Send(feed, Renew(3)))
        self.assertEqual(connection.sent, [Renew(1), Renew(2)])

    def test_an_operator_is_told_in_the_log(self) -> None:
        with self.assertLogs("bazar.replication.part", "CRITICAL") as logs:
            self.perform(Alert("two clusters"))
        self.assertIn("two clusters", logs.output[0])

    def test_t5_only_a_clean_end_is_no_failure(self) -> None:
        self.perform(Stop("handed over", clean=True))
        self.assertTrue(self.part._stopped.is_set())
        self.assertEqual(self.fatal, [])
        self.part._stopped.clear()
        self.perform(Stop("lost acknowledged entries"))
        self.assertFalse(self.part._stopped.is_set())
        self.assertEqual(self.fatal, ["r-1: lost acknowledged entries"])

    async def test_what_happens_may_let_a_waiting_batch_begin(self) -> None:
        queue = self.part.queue
        self.perform()
        self.assertFalse(queue.wake.is_set())  # nothing waits
        queue.add({"op": "sell"})
        queue.wake.clear()
        self.perform()
        self.assertTrue(queue.wake.is_set())

    def test_what_happens_may_make_something_due_sooner(self) -> None:
        looked: list[Sequence[Effect]] = []
        timekeeper = mock.Mock(spec=Timekeeper)
        timekeeper.look.side_effect = lambda: looked.append(list(self.part.carried_out))
        self.part._timekeeper = timekeeper
        self.perform(Reset())
        self.assertEqual(looked, [[Reset()]])  # once it has happened


class LeaderTest(PartTestCase):
    def test_it_is_the_node_itself_once_it_leads(self) -> None:
        self.assertIsNone(self.part.leader)
        self.part._client.leader = PEER
        self.assertEqual(self.part.leader, PEER)
        self.assertIs(self.part.core, self.part.subscriber)
        primary = self.lead()
        self.assertEqual(self.part.leader, ME)
        self.assertIs(self.part.core, primary)
