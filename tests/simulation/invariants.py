"""What must never be false (I1-I5, I7), checked where the state changes.

`Truth` is what an all-knowing observer writes down about one group: the log as it was committed,
entry by entry. A commit at a primary is the linearization point, so a read may show nothing older
than what was committed when it began - which is stricter than I4's "acknowledged or seen".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bazar.replication.messages import Entry, Mark
from bazar.replication.primary import Phase, Primary
from bazar.replication.subscriber import ReplicaSubscriber, Subscriber
from tests.simulation.disk import Disk, Image, State
from tests.simulation.shop import TOPICS, search
from tests.simulation.world import Excused, Group, Process, Violation

if TYPE_CHECKING:
    from tests.simulation.arbiter import Arbiter


class Truth:
    """The committed log of one group, and the checks against it."""

    def __init__(self, books: int, stock: int, sales: Truth | None = None) -> None:
        self.books = books
        self.stock = stock
        self.sales = sales  # the catalog's truth, for a group that keeps its orders
        self.group: Group
        self.digests = [""]
        self.epoch = 0
        self.state: State = {}
        self.acked = 0  # the newest entry that a client's answer depends on
        self._owner: dict[int, str] = {}  # epoch -> the run that commits in it
        self._rows: dict[str, list[tuple[int, Any]]] = {}
        self._searches: dict[str, list[tuple[int, Any]]] = {topic: [(0, ())] for topic in TOPICS}
        self._sold: dict[int, int] = {}

    @property
    def seq(self) -> int:
        return len(self.digests) - 1

    @property
    def mark(self) -> Mark:
        return Mark(self.seq, self.digests[-1])

    # --- commits ---------------------------------------------------------------------------------

    def committed(self, primary: Primary, run: str, image: Image, entries: Iterable[Entry]) -> None:
        """A primary's commit has become durable."""
        if self._owner.setdefault(primary.epoch, run) != run:
            raise Violation(f"I1: {run} commits in the epoch of {self._owner[primary.epoch]}")
        if primary.epoch < self.epoch:
            raise Violation(f"I1: {run} commits in epoch {primary.epoch} after {self.epoch}")
        self.epoch = primary.epoch
        for entry in entries:
            if entry.seq <= self.seq:
                if self.digests[entry.seq] != entry.digest:
                    raise Violation(f"I2: {run} commits another entry {entry.seq}")
                continue
            if entry.seq != self.seq + 1:
                raise Violation(f"I2: {run} commits {entry.seq} after {self.seq}")
            self.digests.append(entry.digest)
            self._learn(entry)
        self.on_log(image, run)
        self.acknowledged(self.seq)  # R3: durable at every member before it counts as committed
        self._no_lease_is_ignorant(primary)

    def _learn(self, entry: Entry) -> None:
        books_changed = False
        for key, value in entry.effects:
            kind, _, name = key.partition(":")
            if kind == "sale":
                self._sell(key, value)
            elif kind == "order":
                self._order(key, name)
            elif kind == "book":
                books_changed = True
                if value[2] < 0:
                    raise Violation(f"I7: {value[2]} left of {key}")
                self._rows.setdefault(key, []).append((entry.seq, tuple(value)))
            self.state[key] = value
        if books_changed:
            for book, sold in self._sold.items():
                if self.state[f"book:{book}"][2] + sold != self.stock:
                    raise Violation(f"I7: sold and left of book {book} are not what was stocked")
            for topic, versions in self._searches.items():
                shown = search(self.state, topic, self.books)
                if shown != versions[-1][1]:
                    versions.append((entry.seq, shown))

    def _sell(self, key: str, sale: Sequence[int]) -> None:
        if key in self.state:
            raise Violation(f"I7: {key} is sold twice")
        self._sold[sale[2]] = self._sold.get(sale[2], 0) + sale[3]

    def _order(self, key: str, name: str) -> None:
        if key in self.state:
            raise Violation(f"I7: {key} is made twice")
        if self.sales is not None and f"sale:{name}" not in self.sales.state:
            raise Violation(f"I7: {key} is an order of nothing sold")

    def _no_lease_is_ignorant(self, primary: Primary) -> None:
        """I5, and R3: whoever holds a lease when something commits knows of it and is of this
        epoch. All later reads follow from that."""
        seq, digest = self.seq, self.digests[-1]
        for node in self.group.nodes:
            process = node.process
            subscriber: Subscriber | None = getattr(process, "subscriber", None)
            if subscriber is None or process is None or getattr(process, "primary", None):
                continue
            if not subscriber.lease_valid(process.now()):
                continue
            if subscriber.epoch != primary.epoch:
                raise Violation(
                    f"I5: {node.name} holds a lease of epoch {subscriber.epoch} "
                    f"while epoch {primary.epoch} commits {seq}"
                )
            last = subscriber.last
            if last.seq < seq or (last.seq == seq and last.digest != digest):
                raise Violation(
                    f"I4: {node.name} holds a lease and knows {last} while {seq} is committed"
                )

    # --- logs ------------------------------------------------------------------------------------

    def on_log(self, image: Image, who: str) -> None:
        """I2: what any replica holds as committed is a prefix of the truth."""
        seq, digest = image.committed.seq, image.committed.digest
        if seq > self.seq or self.digests[seq] != digest:
            raise Violation(f"I2: {who} has committed {image.committed}, the log is {self.mark}")

    def acknowledged(self, seq: int) -> None:
        """An answer that depends on entry `seq` goes out to a client."""
        if seq > self.seq:
            raise Violation(f"R3: an answer depends on entry {seq}, which is not committed")
        if seq > self.acked:
            self.acked = seq
            self.check_members()

    def check_members(self) -> None:
        """I3, for all: an acknowledgement, or another membership."""
        for node in self.group.replicas:
            if node.disk is not None:
                self.check_member(node.disk, node.name)

    def check_member(self, disk: Disk, name: str) -> None:
        """I3: a member's log holds every acknowledged entry."""
        membership = self.group.arbiter.membership
        whole = self.holds(disk.image, self.acked)
        if disk.damaged:
            if whole and disk.image.last_seq >= disk.lost_seq:
                disk.lost_seq = 0
        elif (
            not whole
            and membership is not None
            and any(member.store == disk.store for member in membership.members)
        ):
            raise Violation(f"I3: member {name} does not hold the acknowledged {self.acked}")

    def holds(self, image: Image, seq: int) -> bool:
        if image.committed.seq >= seq:
            return True
        mark = image.mark_at(seq)
        return mark is not None and mark.digest == self.digests[seq]

    # --- reads -----------------------------------------------------------------------------------

    def check_row(self, key: str, value: Any, since: int, who: str) -> None:
        """I4: `value` was the committed one at some time since entry `since`."""
        self._check(self._rows.get(key, []), tuple(value or ()), since, f"{who} reads {key}")

    def check_search(self, topic: str, shown: Any, since: int, who: str) -> None:
        self._check(self._searches[topic], shown, since, f"{who} searches {topic}")

    def _check(self, versions: list[tuple[int, Any]], value: Any, since: int, what: str) -> None:
        for seq, version in reversed(versions):
            if version == value:
                return
            if seq <= since:
                break
        raise Violation(
            f"I4: {what}: {value}, which was not the value at any time after {since}; "
            f"lately {versions[-3:]}"
        )


# --- one node by itself --------------------------------------------------------------------------


def check_memory(follower: ReplicaSubscriber, image: Image) -> None:
    """J1, T1: a follower whose disk is quiet knows what is on it, and may lead from there."""
    if (image.committed, image.pending) != (follower.committed, tuple(follower.pending)):
        raise Violation(f"{follower} is not what its disk says, {image.committed}")


def check_office(process: Process, primary: Primary, arbiter: Arbiter) -> None:
    """I1: who commits holds the lock, in the epoch that is recorded."""
    membership = arbiter.membership
    if arbiter.holder not in (process, None):
        raise Violation(f"I1: {process.name} commits without the lock")
    if membership is None or (process.alive and membership.epoch != primary.epoch):
        raise Violation(f"I1: {process.name} commits in {primary.epoch}, not {membership}")


def check_excuse(primary: Primary, image: Image) -> None:
    """J5: a primary whose disk has lost commits has waited, and nobody who has them has come."""
    if primary.me not in primary.membership.members:
        return  # it leaves already
    for feed in primary.feeds.values():
        if feed.page is not None and feed.hello.committed.seq > image.last_seq:
            raise Violation(f"J5: {primary.me.node} leads on, though {feed.hello.node} has more")
    raise Excused(f"{primary.me.node} leads with a damaged disk, and nobody else came back")


def check_hand_over(primary: Primary, last_lease: float) -> float:
    """T5: once the last batch is done, leases only end. Returns when the last one does."""
    if not primary.retiring or primary.phase is not Phase.IDLE:
        return last_lease
    last = max(primary.leases.values(), default=0.0)
    if last > last_lease:
        raise Violation(f"T5: {primary.me.node} hands over, and grants")
    return last
