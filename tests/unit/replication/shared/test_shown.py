"""What a node shows of the database: rows of one moment, of which it has been told (L6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bazar.errors import Unavailable
from bazar.replication.messages import GENESIS, Commit, Entry, Grant, Mark, Prepare, Welcome
from bazar.replication.reads import Reads
from bazar.replication.shared.follower import Follower
from bazar.replication.shared.shown import Shown
from bazar.replication.timing import Timing
from tests.unit.replication.shared.node import played
from tests.unit.replication.steps import HERE
from tests.world.world import Process

PATIENCE_S = 1.0
EPOCH, OTHER = "e1", "e2"
FEED = 1
BOOK = frozenset({"book:1"})


def entry(seq: int, tag: str = "book:1", epoch_id: str = EPOCH) -> Entry:
    return Entry(seq, 1, (tag,), None, epoch_id)


class Node:
    """A follower with a lease, told of five entries, and the servers that it reads."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.follower = Follower("catalog-2", "run", Timing(lease_s=100.0), HERE)
        self.reads = Reads(
            *("catalog-2", lambda: self.follower, process.time), lease_s=1.0, seeded=False
        )
        self.shown = Shown(
            *("catalog-2", lambda: self.follower, self.reads, process.time, PATIENCE_S)
        )
        self.marks: list[Mark] = []  # that the servers show; the last one again and again
        self.looks: list[int] = []
        self.looked: Callable[[], None] = lambda: None
        self.welcome(EPOCH)

    def welcome(self, epoch_id: str, seq: int = 5) -> None:
        mark, now = Mark(seq, epoch_id), self.process.time()
        self.follower.connected(FEED, now)
        number = self.follower._number
        self.follower.receive(FEED, Welcome(1, mark, mark, False, epoch_id, HERE), now)
        self.follower.receive(FEED, Grant(1, number, 100.0), now)

    def prepare(self, *entries: Entry) -> None:
        self.follower.receive(FEED, Prepare(entries), self.process.time())

    def commit(self, seq: int) -> None:
        self.follower.receive(FEED, Commit(Mark(seq, EPOCH)), self.process.time())
        self.reads.committed()

    async def snapshot(self, looks: int) -> tuple[Mark, Mark]:
        """Rows that are named by the mark under which they were read."""
        self.looks.append(looks)
        mark = self.marks.pop(0) if len(self.marks) > 1 else self.marks[0]
        self.looked()
        return mark, mark

    async def read(self, *marks: Mark, tags: frozenset[str] | None = BOOK) -> Mark:
        self.marks = [*marks]
        return await self.shown.read(tags, self.snapshot)

    async def refused(self, *marks: Mark, tags: frozenset[str] | None = BOOK) -> float:
        """Return after how long a read was refused."""
        began = self.process.time()
        try:
            found = await self.read(*marks, tags=tags)
        except Unavailable:
            return self.process.time() - began
        raise AssertionError(f"{found} was shown")

    async def refused_late(self, *marks: Mark, tags: frozenset[str] | None = BOOK) -> None:
        """A read is refused, when there is no time left."""
        late_s = await self.refused(*marks, tags=tags)
        assert PATIENCE_S <= late_s < PATIENCE_S + 0.1, late_s


def at(seq: int, epoch_id: str = EPOCH) -> Mark:
    return Mark(seq, epoch_id)


@played(Node)
async def test_the_moment_that_it_was_told_of_is_shown_at_once(node: Node) -> None:
    for tags in (BOOK, frozenset[str](), None):
        assert await node.read(at(5), tags=tags) == at(5)
    assert node.looks == [0, 0, 0]


@played(Node)
async def test_servers_that_are_behind_are_left_for_others(node: Node) -> None:
    began = node.process.time()
    assert await node.read(at(3), at(4), at(5)) == at(5)
    assert node.looks == [0, 1, 2]
    assert node.process.time() > began  # it has let some time pass between


@played(Node)
async def test_where_all_stay_behind_it_is_refused_in_the_end(node: Node) -> None:
    await node.refused_late(at(4))
    assert len(node.looks) < 1000


@played(Node)
async def test_the_rows_of_another_epoch_are_not_shown(node: Node) -> None:
    for mark in (at(5, OTHER), at(9, OTHER)):
        await node.refused_late(mark)
    assert await node.read(at(9, OTHER), at(5)) == at(5)


@played(Node)
async def test_a_newer_moment_is_shown_once_it_was_told_of(node: Node) -> None:
    read = asyncio.create_task(node.read(at(6)))
    await asyncio.sleep(0.5)
    assert not read.done()
    node.prepare(entry(6), entry(7))
    await asyncio.sleep(0.1)
    assert not read.done()
    node.commit(6)
    assert await read == at(6)
    assert node.looks == [0]


@played(Node)
async def test_a_newer_moment_that_is_told_of_nowhere_is_refused(node: Node) -> None:
    await node.refused_late(at(6))
    node.prepare(entry(6))
    await node.refused_late(at(6))


@played(Node)
async def test_what_is_pending_elsewhere_is_not_waited_for(node: Node) -> None:
    began = node.process.time()
    node.prepare(entry(6, "book:2"), entry(7, "book:1"))
    assert await node.read(at(6)) == at(6)
    assert node.process.time() - began < PATIENCE_S / 2
    await node.refused_late(at(6), tags=None)  # a search may show it
    await node.refused_late(at(7))  # it touches the book
    await node.refused_late(at(8), tags=frozenset({"book:3"}))  # who knows


@played(Node)
async def test_the_last_one_that_is_pending_is_waited_for_where_it_touches(node: Node) -> None:
    node.prepare(entry(6, "book:2"))
    assert await node.read(at(6)) == at(6)
    await node.refused_late(at(6), tags=frozenset({"book:2"}))


@played(Node)
async def test_of_an_older_epoch_nothing_counts_any_more(node: Node) -> None:
    """It was told of another while it read."""
    node.looked = lambda: node.welcome(OTHER, 2)
    assert await node.read(at(5), at(2, OTHER)) == at(2, OTHER)
    assert node.looks == [0, 0]  # no server was behind


@played(Node)
async def test_an_epoch_that_begins_while_a_read_waits_has_it_look_again(node: Node) -> None:
    read = asyncio.create_task(node.read(at(6), at(9, OTHER)))
    await asyncio.sleep(0.1)
    node.welcome(OTHER, 9)
    node.reads.committed()
    assert await read == at(9, OTHER)


@played(Node)
async def test_an_epoch_that_begins_between_two_looks_has_it_look_again(node: Node) -> None:
    """And what an older one shows, whatever its number, is not taken for the new one's."""
    read = asyncio.create_task(node.read(at(4), at(9), at(3, OTHER)))
    await asyncio.sleep(0)
    node.welcome(OTHER, 3)
    assert await read == at(3, OTHER)


@played(Node)
async def test_without_a_lease_nothing_is_read(node: Node) -> None:
    node.follower.release()
    assert await node.refused(at(5)) == 0.0
    assert node.looks == []


@played(Node)
async def test_a_lease_that_ends_while_it_reads_ends_the_read(node: Node) -> None:
    def ends() -> None:
        node.follower.release()

    node.looked = ends
    assert await node.refused(at(5)) < PATIENCE_S
    assert node.looks == [0]


@played(Node)
async def test_before_the_first_entry_there_is_nothing_to_wait_for(node: Node) -> None:
    node.follower.committed = GENESIS
    assert await node.read(GENESIS, tags=None) == GENESIS
