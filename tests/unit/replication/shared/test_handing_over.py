"""How a primary over one database hands over: as it stops (T5), or to one that is heard by more
(P7)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bazar.errors import FatalError
from bazar.replication.messages import (
    Prepare,
    Revoke,
)
from bazar.replication.shared.candidate import ABSTAIN_LEASES
from bazar.replication.shared.database import Word
from tests.unit.replication.shared.node import (
    SETTINGS,
    TEMPO,
    Node,
    Subscribed,
    played,
    refused,
)


def leads(node: Node) -> bool:
    return node.replica.leading.is_set()


async def keep(feed: Subscribed) -> None:
    """Renew a lease again and again."""
    while True:
        feed.renew()
        await asyncio.sleep(0.05)


@played(Node)
async def test_t5_who_leaves_releases_the_primaryship_when_all_leases_are_back(
    node: Node,
) -> None:
    await node.leads()
    feed, silent = node.follower(), Subscribed(node, "catalog-3")
    feed.acks = False
    written = node.begin("one")
    await node.until(lambda: feed.heard(Prepare))
    waiting = node.begin("two")
    await asyncio.sleep(0)
    stopping = asyncio.create_task(node.replica.stop())
    assert await refused(waiting) == "the primary hands over"
    assert not written.done() and not stopping.done()
    assert await refused(node.begin("three")) == "catalog-1 hands over"
    assert await written == {"op": "one"}
    await stopping
    assert node.register.row.released
    assert silent.closed and not leads(node)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    row = node.register.row
    await asyncio.sleep(2 * TEMPO.over_s)
    assert node.register.row == row


@played(Node)
async def test_t5_a_follower_is_asked_for_its_lease_first(node: Node) -> None:
    await node.leads()
    feed = node.follower()
    await node.replica.stop()
    assert feed.heard(Revoke) and feed.closed


@played(Node)
async def test_one_that_was_left_while_it_stopped_comes_to_an_end_all_the_same(
    node: Node,
) -> None:
    await node.leads()
    node.follower()
    node.register.down = True
    await node.replica.stop()
    assert not node.register.row.released
    assert not leads(node)


# --- to one that is heard by more (P7) -----------------------------------------------------------


def word(node: Node, back: int = 1, hears: int = 2) -> Word:
    """The word of a candidate that saw the last beat, or one before that."""
    values = node.register.values
    return Word("catalog-9", values[-back] if len(values) >= back else "", hears)


@played(Node)
async def test_p7_one_that_is_heard_by_more_is_let_lead(node: Node) -> None:
    await node.leads()
    node.register.words = lambda: [word(node)]
    heeded_s = await node.until(lambda: node.register.row.released)
    assert 2 * SETTINGS.lease_s + 0.9 < heeded_s < 2 * SETTINGS.lease_s + 1.0 + 2 * TEMPO.beat_s
    await node.until(lambda: not leads(node))
    node.register.words = list
    abstained_s = await node.until(lambda: leads(node))
    assert abstained_s >= ABSTAIN_LEASES * TEMPO.primary_lease_s - 0.2


@played(Node)
async def test_p7_a_word_counts_for_three_beats(node: Node) -> None:
    await node.leads()
    for back, counts in ((4, False), (3, True)):
        node.register.words = lambda back=back: [word(node, back)]  # type: ignore[misc]
        await asyncio.sleep(4 * TEMPO.primary_lease_s)
        assert (node.register.row.epoch_id == "run-1" and leads(node)) is not counts


@played(Node)
async def test_p7_who_hears_as_many_or_has_the_other_among_them_stays(node: Node) -> None:
    await node.leads()
    feed = node.follower("catalog-3")
    renewing = asyncio.create_task(keep(feed))
    for stays in (
        lambda: [word(node, hears=1)],
        lambda: [replace(word(node), node="catalog-3")],
        lambda: [replace(word(node), node="catalog-1")],
    ):
        node.register.words = stays
        await asyncio.sleep(2 * TEMPO.primary_lease_s)
        assert leads(node)
    node.register.words = lambda: [word(node, hears=1), word(node, hears=2)]
    await node.until(lambda: not leads(node))
    renewing.cancel()


@played(Node)
async def test_p7_what_waits_is_refused_at_once_where_it_hands_over(node: Node) -> None:
    await node.leads()
    await asyncio.sleep(2 * TEMPO.primary_lease_s)
    feed = node.follower()
    feed.acks = False
    written = node.begin("one")
    await node.until(lambda: feed.heard(Prepare))
    waiting = node.begin("two")
    node.register.words = lambda: [word(node)]
    assert await refused(waiting) == "the primary hands over"
    assert not written.done()
    assert await written == {"op": "one"}


@played(Node)
async def test_no_task_is_left_where_a_primary_gives_up_just_before_it_is_stopped(
    node: Node,
) -> None:
    await node.leads()
    node.replica._tenure.fail(FatalError("another primary has taken over"))
    await node.replica.stop()  # in the same turn of the loop
    left = asyncio.all_tasks() - {asyncio.current_task()}
    row = node.register.row
    await asyncio.sleep(1.0)
    after = node.register.row
    for task in left:
        task.cancel()
    assert not left, [task.get_coro() for task in left]
    assert row == after
