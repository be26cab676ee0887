"""A node over one database before it leads: it finds the database, and follows whoever does."""

from __future__ import annotations

import asyncio
from unittest import mock

from bazar.errors import NotOpen, Unavailable
from bazar.replication.arbiter import Knock
from bazar.replication.feed_client import FeedClient
from bazar.replication.messages import (
    Commit,
    Entry,
    Grant,
    Hello,
    Mark,
    NotPrimary,
    Prepare,
    Release,
    Welcome,
)
from bazar.replication.shared.database import Beat, Word
from tests.unit.replication.shared.node import (
    HOME,
    PEER,
    SETTINGS,
    TEMPO,
    Feed,
    Node,
    Subscribed,
    played,
    refused,
)

THEIRS = Beat(3, "theirs", "theirs:7", False, PEER.name, 60_000)
MARK = Mark(5, "theirs")
WELCOME = Welcome(3, MARK, MARK, False, "theirs", HOME)


async def follows(node: Node) -> Feed:
    """Have a node follow the primary, with a lease; return the other end."""
    node.register.row, node.reached = THEIRS, True
    await node.replica.start()
    await node.until(lambda: node.dialed)
    [feed] = node.dialed
    feed.grants = True
    feed.says(WELCOME)
    feed.says(Grant(3, 1, SETTINGS.lease_s))
    await node.until(lambda: node.replica.reads.is_open(None))
    return feed


def raised(kind: type[Exception], call: object) -> str:
    try:
        call()  # type: ignore[operator]
    except kind as error:
        return str(error)
    raise AssertionError(f"no {kind.__name__} is raised")


@played(Node)
async def test_a1_before_it_has_seen_the_database_it_can_say_nothing_of_itself(
    node: Node,
) -> None:
    replica = node.replica
    knock = Knock(PEER.name, HOME, None).plain()
    calls = (
        lambda: replica.refuse_other(HOME.digest),
        lambda: replica.knocked(knock),
        lambda: replica.open_feed(Feed()),
    )
    node.database.down = True
    await replica.start()
    await asyncio.sleep(1.0)
    for call in calls:
        assert raised(NotOpen, call) == "catalog-1: no server takes writes"
    assert 5 <= node.database.tries <= 15
    assert node.dialed == []
    node.database.down = False
    await replica.leading.wait()
    assert replica.home == HOME
    for call in calls:
        call()


@played(Node)
async def test_a2_who_follows_this_group_in_another_database_is_refused(node: Node) -> None:
    await follows(node)
    node.replica.refuse_other(HOME.digest)
    node.replica.refuse_other(None)
    why = raised(Unavailable, lambda: node.replica.refuse_other("here-two"))
    assert why == "catalog-1: belongs to another cluster than its caller"
    assert Knock.load(node.replica.knocked(Knock(PEER.name, HOME, None).plain())).leads is None


@played(Node)
async def test_it_says_which_database_it_has_seen(node: Node) -> None:
    feed = await follows(node)
    [hello] = feed.heard(Hello)
    assert hello.arbiter == HOME


@played(Node)
async def test_l6_it_tells_what_is_committed_and_wakes_who_waits_for_it(node: Node) -> None:
    feed = await follows(node)
    reading = asyncio.create_task(node.replica.reads.wait_applied(6, 100.0))
    feed.says(Prepare((Entry(6, 3, ("book:1",), None, "theirs"),)))
    await asyncio.sleep(0.1)
    assert node.told == [] and not reading.done()
    feed.says(Commit(Mark(6, "theirs")))
    assert node.tags() == ["book:1"]
    began = node.now
    assert await reading
    assert node.now - began < 1.0


@played(Node)
async def test_r7_a_write_is_passed_on_to_the_primary_once(node: Node) -> None:
    assert "not primary" in await refused(node.begin("none"))
    await follows(node)
    assert await node.write("one") == {"by": PEER.name}
    assert node.forwarded == [{"op": "one"}]
    once = asyncio.create_task(node.replica.write({"op": "two"}, 1.0, may_forward=False))
    assert "not primary" in await refused(once)


@played(Node)
async def test_it_follows_until_it_may_lead_and_has_left_its_feed_then(node: Node) -> None:
    feed = await follows(node)
    await asyncio.sleep(2 * TEMPO.over_s)
    assert not feed.closed and not node.replica.leading.is_set()
    closed: list[bool] = []
    node.store.begins = lambda: closed.append(feed.closed)
    node.register.row = Beat(3, "theirs", "theirs:8", True, PEER.name, 0)
    await node.replica.leading.wait()
    assert closed == [True]
    assert node.replica.primary is not None and node.replica.primary.epoch == 4
    assert node.fatal == []


@played(Node)
async def test_a_node_whose_feed_fails_leaves(node: Node) -> None:
    """Instead of following nobody, and saying nothing."""

    async def fail(client: FeedClient) -> None:
        raise RuntimeError("unforeseen")

    node.register.row = THEIRS
    with mock.patch.object(FeedClient, "run", fail):
        await node.replica.start()
        await node.until(lambda: node.fatal)
    assert node.fatal == ["unforeseen"]


@played(Node)
async def test_l3_who_leaves_gives_its_lease_back(node: Node) -> None:
    feed, silent = await follows(node), Subscribed(node, "frontend-1")
    await node.replica.stop()
    assert feed.heard(Release) and feed.closed
    assert silent.closed
    assert asyncio.all_tasks() == {asyncio.current_task()}


@played(Node)
async def test_it_looks_ten_times_in_a_lease(node: Node) -> None:
    await follows(node)
    before = node.register.looks
    await asyncio.sleep(10 * TEMPO.primary_lease_s)
    assert 90 <= node.register.looks - before <= 105


# --- those that ask it instead of the primary (P7) -----------------------------------------------


@played(Node)
async def test_who_asks_it_is_told_that_it_does_not_lead(node: Node) -> None:
    await follows(node)
    feed = Subscribed(node, "frontend-1")
    feed.hello()
    assert feed.said == [NotPrimary(3, PEER.name, HOME)]
    assert feed.closed


@played(Node)
async def test_p7_who_reaches_the_database_alone_leaves_word_of_who_asks_it(node: Node) -> None:
    node.register.row = THEIRS
    await node.replica.start()
    await asyncio.sleep(5.0)
    Subscribed(node, "frontend-1").hello()
    await node.until(lambda: node.register.left)
    assert node.register.left[0] == Word("catalog-1", THEIRS.value, 2)


@played(Node)
async def test_p7_who_follows_the_primary_leaves_no_word(node: Node) -> None:
    await follows(node)
    for _ in range(10):
        Subscribed(node, "frontend-1").hello()
        await asyncio.sleep(0.5)
    assert node.register.left == []


# --- what its service reads when it joins --------------------------------------------------------


@played(Node)
async def test_nothing_is_read_here_before_the_service_has_read_what_it_keeps(
    node: Node,
) -> None:
    node.installing = unavailable
    node.register.row, node.reached = THEIRS, True
    await node.replica.start()
    await node.until(lambda: node.dialed)
    node.dialed[0].grants = True
    node.dialed[0].says(WELCOME)
    node.dialed[0].says(Grant(3, 1, SETTINGS.lease_s))
    assert not node.replica.reads.is_open(None)  # not for a moment
    await asyncio.sleep(1.0)
    assert not node.replica.reads.is_open(None)
    assert 5 <= node.installs <= 15
    node.installing = node.installed
    await node.until(lambda: node.replica.reads.is_open(None))
    installs = node.installs
    await asyncio.sleep(1.0)
    assert node.installs == installs
    assert not node.replica.leading.is_set()


async def unavailable() -> None:
    raise Unavailable("no server answers")


@played(Node)
async def test_who_joins_anew_reads_it_anew(node: Node) -> None:
    """What was read for the time before, and comes later, opens nothing."""
    feed = await follows(node)
    gates = [asyncio.Event(), asyncio.Event()]
    order = iter(gates)

    async def install() -> None:
        await next(order).wait()

    node.installing = install
    for _ in gates:
        feed.says(WELCOME)
        await asyncio.sleep(0.1)
    gates[0].set()
    await asyncio.sleep(0.5)
    assert not node.replica.reads.is_open(None)
    gates[1].set()
    await node.until(lambda: node.replica.reads.is_open(None))


@played(Node)
async def test_who_joins_anew_tries_only_the_last_time_again(node: Node) -> None:
    feed = await follows(node)
    node.installing = unavailable
    for _ in range(3):
        feed.says(WELCOME)
    await asyncio.sleep(0.5)
    before = node.installs
    await asyncio.sleep(1.0)
    assert 5 <= node.installs - before <= 12
    node.installing = node.installed
    await node.until(lambda: node.replica.reads.is_open(None))


@played(Node)
async def test_t5_one_that_hands_over_before_it_has_read_what_it_keeps_never_leads(
    node: Node,
) -> None:
    gate = asyncio.Event()

    async def install() -> None:
        await gate.wait()

    node.installing = install
    await node.replica.start()
    await node.until(lambda: node.installs)
    node.follower()  # whose lease is waited for
    stopping = asyncio.create_task(node.replica.stop())
    await asyncio.sleep(0.1)
    assert not stopping.done()
    gate.set()
    await asyncio.sleep(0.1)
    assert not node.replica.leading.is_set()
    await stopping


@played(Node)
async def test_no_two_installations_are_under_way_at_once(node: Node) -> None:
    at_once: list[int] = []
    under_way = 0

    async def installing() -> None:
        nonlocal under_way
        under_way += 1
        at_once.append(under_way)
        try:
            await asyncio.sleep(1.0)
        finally:
            under_way -= 1

    node.installing = installing
    node.replica._install(node.replica._tasks)
    await asyncio.sleep(0.5)
    node.replica._install(node.replica._tasks)  # it has joined anew
    await asyncio.sleep(3.0)
    assert max(at_once) == 1, at_once
