"""A primary over one database: what it does while it holds the primaryship, and what ends that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bazar.errors import ConfigError, FatalError, Indeterminate
from bazar.replication.arbiter import Knock
from bazar.replication.messages import (
    CACHE,
    REPLICA,
    ArbiterId,
    Commit,
    Grant,
    Mark,
    Prepare,
    Welcome,
)
from bazar.replication.shared.database import Beat, Word
from bazar.replication.shared.replica import LOOK_LEASES
from tests.unit.replication.shared.node import (
    HOME,
    PEER,
    SETTINGS,
    TEMPO,
    Node,
    Subscribed,
    played,
    refused,
)

THEIRS = Beat(3, "theirs", "theirs:7", False, PEER.name, 0)


def leads(node: Node) -> bool:
    return node.replica.leading.is_set()


@played(Node)
async def test_p3_who_takes_over_begins_behind_the_mark_and_answers_once_it_knows_the_rows(
    node: Node,
) -> None:
    node.register.number = 7
    await node.leads()
    assert node.store.began == [Mark(7, "run-1")]
    assert node.register.row.holder == "catalog-1"
    assert node.replica.shown._told() == Mark(7, "run-1")
    assert node.replica.reads.is_open(None)
    assert node.installs == 1
    assert node.database.derived == ["run-1"]  # no slice is left
    assert node.fatal == []


@played(Node)
async def test_p1_it_leads_for_as_long_as_its_beats_are_confirmed(node: Node) -> None:
    await node.leads()
    node.register.beat_takes_s = 0.2
    await asyncio.sleep(10 * TEMPO.primary_lease_s)
    assert leads(node)
    values = node.register.values
    assert values == [f"run-1:{number}" for number in range(1, len(values) + 1)]
    assert 38 <= len(values) <= 42  # however long each takes
    assert {round(timeout_s, 2) for timeout_s in node.register.timeouts} == {2 * TEMPO.beat_s}


@played(Node)
async def test_p1_a_beat_that_is_late_is_followed_by_another_at_once(node: Node) -> None:
    await node.leads()
    node.register.beat_takes_s = 1.5 * TEMPO.beat_s
    await asyncio.sleep(10 * TEMPO.primary_lease_s)
    assert leads(node)
    assert 25 <= len(node.register.values) <= 28


@played(Node)
async def test_p1_a_beat_that_is_not_confirmed_is_sent_again(node: Node) -> None:
    await node.leads()
    node.register.down = True
    await asyncio.sleep(0.7 * TEMPO.primary_lease_s)
    node.register.down = False
    tries = len(node.register.timeouts)
    assert 5 < tries < 50
    await asyncio.sleep(2 * TEMPO.primary_lease_s)
    assert leads(node)
    assert node.replica.primary is not None and node.replica.primary.epoch == 1


@played(Node)
async def test_p2_who_holds_it_no_more_gives_all_up_and_follows(node: Node) -> None:
    await node.leads()
    feed, silent = node.follower(), Subscribed(node, "catalog-3")
    node.store.hangs = True
    written = node.begin("one")
    await node.until(lambda: feed.heard(Prepare))
    waiting = node.begin("two")
    began, node.register.down = node.now, True
    assert "stopped while it was written" in await refused(written, Indeterminate)
    assert node.now - began <= TEMPO.primary_lease_s + SETTINGS.lease_s / 3
    assert await refused(waiting) == "catalog-1 leads no more"
    assert feed.closed and silent.closed
    assert node.register.disconnects == 1 and node.store.disconnects == 1
    assert node.register.timeouts[-1] < TEMPO.beat_s  # there was no time for more
    assert not leads(node)
    await node.until(lambda: node.replica.primary is None)
    assert node.replica.subscriber.epoch == 1
    assert node.replica.subscriber.epoch_id == "run-1"
    assert node.fatal == []


@played(Node)
async def test_p3_it_leads_again_once_its_own_last_beat_is_over_and_is_as_before(
    node: Node,
) -> None:
    await node.leads()
    await node.write("one")
    node.register.down = True
    await node.until(lambda: not leads(node))
    node.register.down = False
    assert await node.until(lambda: leads(node)) >= TEMPO.over_s - 0.5
    await node.write("two")
    assert node.tags() == ["one", "two"]
    assert node.store.began == [Mark(0, "run-1"), Mark(1, "run-2")]
    await asyncio.sleep(2 * TEMPO.primary_lease_s)
    assert leads(node)
    node.register.down = True
    await node.until(lambda: not leads(node))
    assert node.fatal == []


@played(Node)
async def test_p4_a_database_that_has_lost_the_epoch_is_watched_anew(node: Node) -> None:
    node.register.row = THEIRS
    await node.leads()
    node.register.row = THEIRS
    await node.until(lambda: not leads(node))
    assert await node.until(lambda: leads(node)) >= TEMPO.over_s


@played(Node)
async def test_r2_a_batch_is_answered_when_followers_have_heard_of_it(node: Node) -> None:
    await node.leads()
    feed, cache = node.follower(), node.follower("frontend-1", CACHE)
    assert [welcome.arbiter for welcome in feed.heard(Welcome)] == [HOME]
    assert len(feed.heard(Grant)) == 1
    feed.acks = False
    written = node.begin("one")
    applied = asyncio.create_task(node.replica.reads.wait_applied(1, 100.0))
    await node.until(lambda: cache.heard(Prepare))
    await asyncio.sleep(0.1)
    assert not written.done() and node.store.committed == []
    assert await written == {"op": "one"}
    assert node.store.committed == [Mark(1, "run-1")]
    assert node.tags() == ["one"]
    assert feed.closed  # it was passed over
    assert cache.heard(Commit) == [Commit(Mark(1, "run-1"))]
    began = node.now
    assert await applied
    assert node.now - began < 1.0


@played(Node)
async def test_p2_a_subscriber_is_told_nothing_once_the_hold_is_over(node: Node) -> None:
    await node.leads()
    feed = Subscribed(node, PEER.name)
    end_hold(node)
    feed.hello(epoch=8, epoch_id="another")
    assert feed.closed and feed.said == []
    assert not leads(node)
    assert await refused(node.begin("one")) == "catalog-1 hands over"


def end_hold(node: Node) -> None:
    """Have the hold be over this very moment."""
    assert node.replica.primary is not None
    node.replica.primary.hold.until = node.now


@played(Node)
async def test_p1_no_beat_is_sent_once_the_hold_is_over(node: Node) -> None:
    await node.leads()
    for turn in range(8):
        await asyncio.sleep(0.03 * turn)
        node.register.down = True
        await node.until(lambda: not leads(node))
        node.register.down = False
        await node.until(lambda: leads(node))
    assert min(node.register.timeouts) > 0


# --- its end -------------------------------------------------------------------------------------


def welcome(beat: Beat) -> Welcome:
    """What the primary of this beat answers to a hello."""
    mark = Mark(1, beat.epoch_id)
    return Welcome(beat.epoch, mark, mark, False, beat.epoch_id, HOME)


def ends_with(error: Exception) -> Callable[[], list[Word]]:
    def find() -> list[Word]:
        raise error

    return find


@played(Node)
async def test_a_database_of_another_shop_ends_the_process(
    node: Node,
) -> None:
    await node.leads()
    node.register.words = ends_with(ConfigError("another shop's tables"))
    await node.until(lambda: node.fatal)
    assert node.fatal == ["another shop's tables"]


@played(Node)
async def test_what_nobody_has_foreseen_ends_the_process_too(node: Node) -> None:
    await node.leads()
    node.register.words = ends_with(RuntimeError("unforeseen"))
    await node.until(lambda: node.fatal)
    assert node.fatal == ["unforeseen"]


@played(Node)
async def test_so_does_what_is_asked_for_and_cannot_be_done(node: Node) -> None:
    """As the log, of which there is none here."""
    await node.leads()
    Subscribed(node, PEER.name, REPLICA).hello()
    [why] = node.fatal
    assert "no way to carry out" in why


@played(Node)
async def test_p4_an_epoch_that_is_over_ends_the_primaryship_alone(node: Node) -> None:
    await node.leads()
    node.register.words = ends_with(FatalError("another has taken over"))
    await node.until(lambda: not leads(node))
    assert node.fatal == []


@played(Node)
async def test_a3_a_primary_asks_its_peers_and_leaves_where_the_other_log_is_longer(
    node: Node,
) -> None:
    other = ArbiterId("other", "another place")
    await node.leads()
    await asyncio.sleep(2.5 * LOOK_LEASES * SETTINGS.lease_s)
    assert len(node.knocks) == 3
    assert Knock.load(node.knocks[0]) == Knock("catalog-1", HOME, 0)
    node.knock_answer = Knock(PEER.name, other, 99).plain()
    await node.until(lambda: node.fatal)
    assert node.fatal[0].startswith("catalog-1: two clusters")


# --- what a group begins with (T0), and what is derived ------------------------------------------


@played(lambda process: Node(process, "samples", "more"))
async def test_t0_what_a_group_begins_with_is_written_before_anything_else(node: Node) -> None:
    node.store.down = True
    await node.leads()
    for _ in range(5):
        assert "the first entries are not committed yet" in await refused(node.begin("one"))
        await asyncio.sleep(0.2)
    assert 5 <= node.store.tries <= 15
    assert node.replica._candidate.trouble == "catalog-1 cannot write: the database is down"
    node.store.down = False
    await node.until(lambda: len(node.told) == 2)
    await asyncio.sleep(0.1)
    assert await node.write("one") == {"op": "one"}
    await asyncio.sleep(1.0)
    assert node.tags() == ["samples", "more", "one"]


@played(lambda process: Node(process, "samples"))
async def test_t0_what_has_begun_is_not_begun_again(node: Node) -> None:
    node.register.number = 1
    await node.leads()
    await node.write("one")
    assert node.tags() == ["one"]


@played(lambda process: Node(process, "samples"))
async def test_r7_who_leads_no_more_passes_on_whatever_was_not_begun(node: Node) -> None:
    node.store.down = True
    await node.leads()
    node.register.row = THEIRS
    node.reached = True
    await node.until(lambda: node.dialed)
    node.dialed[0].says(welcome(THEIRS))
    assert await node.write("one") == {"by": PEER.name}


@played(Node)
async def test_what_is_derived_is_made_slice_by_slice_beside_batches(node: Node) -> None:
    node.database.slices = 3
    await node.leads()
    assert await node.write("one") == {"op": "one"}
    await node.until(lambda: len(node.database.derived) == 4)
    assert set(node.database.derived) == {"run-1"}
    await asyncio.sleep(1.0)
    assert len(node.database.derived) == 4


@played(Node)
async def test_what_cannot_be_derived_now_is_tried_again_and_said(node: Node) -> None:
    node.database.slices = 2

    def goes_down() -> None:
        node.database.down = True

    def taken_over() -> None:
        asyncio.get_running_loop().call_soon(goes_down)  # once the first slice is made

    node.register.after_commit = taken_over
    await node.leads()
    await node.until(lambda: node.database.down)
    before = node.database.tries
    await asyncio.sleep(1.0)
    assert 5 <= node.database.tries - before <= 15
    assert node.replica._candidate.trouble == "no server takes writes"
    node.database.down = False
    await node.until(lambda: len(node.database.derived) == 3)
    assert leads(node)
