"""Until when a call is waited for, by the clock of the node that is asked (R9)."""

from __future__ import annotations

import asyncio
import contextvars
from math import inf
from typing import Any

from bazar import deadlines
from bazar.drift import DRIFT
from bazar.rpc import client
from bazar.rpc.client import FRESH_S, RPCClient
from tests.patience import PATIENCE_S, until
from tests.unit.rpc.there import CallsPeer, ThereTestCase


class DeadlinesTest(ThereTestCase):
    async def test_r9_a_call_says_until_when_it_is_waited_for_by_the_others_clock(self) -> None:
        now = 7.0
        asking = RPCClient("the-token", PATIENCE_S, clock=lambda: now)

        async def said(timeout_s: float) -> Any:
            return await asking.submit(self.node, "/until", 1, timeout_s)

        slowest = 1 - DRIFT
        self.assertEqual(await said(PATIENCE_S), [PATIENCE_S * slowest])  # it has just been opened
        now += 1.0  # since it said that it shows 100
        self.assertEqual(await said(PATIENCE_S), [100.0 + (1.0 + PATIENCE_S) * slowest])
        with deadlines.bounded(2.0, now):  # that of whoever asked
            # It has said 100 once more, and is known to show more by now.
            self.assertEqual(await said(PATIENCE_S), [100.0 + (1.0 + 2.0) * slowest])
        asking.close()

    async def test_r9_a_connection_that_was_silent_for_long_is_opened_anew(self) -> None:
        """Else it would be known too badly what the clock at its other end shows."""
        now = 7.0
        peer = client.Peer(self.node, "the-token", PATIENCE_S, clock=lambda: now)
        connections = []
        for silent_s, is_new in ((0.0, True), (FRESH_S, False), (FRESH_S + 0.1, True)):
            now += silent_s
            await peer.call("/until", [1], PATIENCE_S)
            assert peer._connection is not None
            self.assertEqual(peer._connection not in connections, is_new)
            connections.append(peer._connection)
        self.assertEqual([one.closed for one in connections], [True, True, False])
        peer.close()

    async def test_a_silent_connection_stays_open_for_the_calls_under_way(self) -> None:
        now = 7.0
        peer = client.Peer(self.node, "the-token", PATIENCE_S, clock=lambda: now)
        CallsPeer.may_answer.clear()
        slow = asyncio.create_task(peer.call("/slow", [1], PATIENCE_S))
        await until(lambda: peer._answers, "it is under way")
        now += FRESH_S + 0.1
        await peer.call("/items", [1], PATIENCE_S)
        CallsPeer.may_answer.set()
        self.assertEqual((await slow)["results"], [])
        peer.close()


def test_a_task_that_is_thrown_away_in_the_middle_leaves_no_error() -> None:
    """As one that is left when its process ends: it is closed in another context."""

    async def asking() -> None:
        with deadlines.bounded(1.0, 0.0):
            await asyncio.sleep(0)

    work = asking()
    contextvars.copy_context().run(work.send, None)
    work.close()
    assert deadlines.current.get() == inf
