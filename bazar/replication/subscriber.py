"""The following side, sans-I/O: a replica that applies the log, or a cache that drops what it
invalidates. Both say hello, acknowledge every entry and hold a lease that lets them answer reads.

`now` is always this node's own clock in seconds, read after the message was received: a reading
kept from before a pause makes a lease look alive that is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from bazar.errors import Unavailable
from bazar.replication.arbiter import two_clusters
from bazar.replication.effects import (
    Apply,
    Close,
    Drop,
    Effect,
    Install,
    Persist,
    Reset,
    Send,
    Stop,
)
from bazar.replication.messages import (
    CACHE,
    GENESIS,
    REPLICA,
    WIRE_VERSION,
    Ack,
    ArbiterId,
    Commit,
    Entry,
    Grant,
    Hello,
    Mark,
    Message,
    NotPrimary,
    Prepare,
    Release,
    Renew,
    Revoke,
    Snapshot,
    Tail,
    Welcome,
    tail_mark,
)
from bazar.replication.timing import RENEWALS_PER_LEASE, Timing, touched_seq

QUESTIONS_KEPT = 8  # renewals that may still be answered; older ones are over anyway
FAITHFUL_LEASES = 10  # that a cache waits for the arbiter which granted it one


class Subscriber:
    """What replica and cache share: one feed, one lease, and the entries that are pending."""

    kind: str

    def __init__(
        self, node: str, store: str, run: str, epoch: int, epoch_id: str, timing: Timing
    ) -> None:
        self.node = node
        self.store = store
        self.run = run  # this process's own name: a lease belongs to a run, not to a node
        self.epoch, self.epoch_id = epoch, epoch_id  # the newest that is known here (H1)
        self.timing = timing
        self.feed: int | None = None
        self.welcomed = False
        self.hint: str | None = None  # who is primary, as far as anybody told
        self.committed = GENESIS
        self.pending: list[Entry] = []
        self.lease_until = -inf
        self.arbiter: ArbiterId | None = None
        self.followed = False  # it has been granted a lease: its log was whole in this run (L4)
        self._asked: dict[int, float] = {}  # renew number -> when it was sent
        self._number = 0
        self.renew_at = -inf
        self._lease_s = timing.lease_s  # then as granted: configurations may disagree

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.node} epoch={self.epoch} committed={self.committed} "
            f"pending={len(self.pending)} feed={self.feed}>"
        )

    @property
    def last(self) -> Mark:
        return tail_mark(self.committed, self.pending)

    # --- the feed (J1) ---------------------------------------------------------------------------

    def connected(self, feed: int, now: float) -> list[Effect]:
        """A connection to somebody who may be the primary is open: say hello."""
        self.feed, self.welcomed = feed, False
        return self._greet(feed, now)

    def _greet(self, feed: int, now: float) -> list[Effect]:
        hello = Hello(
            WIRE_VERSION,
            self.kind,
            self.node,
            self.run,
            self.store,
            self.epoch,
            self.committed,
            self.last,
            self.epoch_id,
            self.arbiter,
        )
        return [Send(feed, hello), *self._renew(now)]

    def disconnected(self, feed: int) -> None:
        """The connection is gone; the lease runs on, as the primary counts it too."""
        if feed == self.feed:
            self.feed, self.welcomed = None, False

    def _hello_anew(self, reason: str) -> list[Effect]:
        feed, self.feed, self.welcomed = self.feed, None, False
        return [] if feed is None else [Close(feed, reason)]

    def receive(self, feed: int, message: Message, now: float) -> list[Effect]:
        """A message has arrived. What a replaced feed still brings is not processed."""
        if feed != self.feed:
            return []
        match message:
            case NotPrimary() | Welcome() if self.arbiter not in (None, message.arbiter):
                return self._estranged(message.arbiter)
            case NotPrimary(epoch, hint, _):
                self.hint = hint if epoch >= self.epoch else None
                return self._hello_anew("not the primary")
            case Welcome():
                return self._welcomed(message)
        if not self.welcomed:
            return self._hello_anew(f"{type(message).__name__} before the welcome")
        match message:
            case Prepare(entries):
                return self._prepared(entries)
            case Commit(mark):
                return self._committed(mark)
            case Snapshot():
                return self._installing(message)
            case Grant():
                return self._granted(message, now)
            case Revoke():
                return self.release()
            case _:
                return self._hello_anew(f"unexpected {type(message).__name__}")

    def _welcomed(self, welcome: Welcome) -> list[Effect]:
        begun = welcome.epoch, welcome.epoch_id
        if begun != (self.epoch, self.epoch_id):
            # H4: it was another primary's word. Where the number is lower, this one was asked
            # whether it still leads after it had been told of ours (J1): the files were put back.
            self.epoch, self.epoch_id = begun
            self.lease_until = -inf
        self.welcomed = True
        return self._joining(welcome)

    def _estranged(self, other: ArbiterId) -> list[Effect]:
        """Whoever is asked is under another arbiter (A2)."""
        return self._hello_anew(f"under another arbiter, {other.place}")

    def _joining(self, welcome: Welcome) -> list[Effect]:
        raise NotImplementedError

    def _prepared(self, entries: Sequence[Entry]) -> list[Effect]:
        raise NotImplementedError

    def _committed(self, mark: Mark) -> list[Effect]:
        raise NotImplementedError

    def _installing(self, chunk: Snapshot) -> list[Effect]:
        return self._hello_anew("a snapshot for a cache")

    def _position(self, mark: Mark) -> int | None:
        """How many pending entries lie up to `mark`; None if it is not on our log (R6)."""
        count = mark.seq - self.committed.seq
        if count == 0:
            return 0 if mark == self.committed else None
        if 0 < count <= len(self.pending) and self.pending[count - 1].mark == mark:
            return count
        return None

    # --- the lease (L1-L3) -----------------------------------------------------------------------

    def lease_valid(self, now: float) -> bool:
        return now < self.lease_until

    def _renew(self, now: float) -> list[Effect]:
        if self.feed is None:
            return []
        self._number += 1
        self._asked[self._number] = now
        self._asked.pop(self._number - QUESTIONS_KEPT, None)
        self.renew_at = now + self._lease_s / RENEWALS_PER_LEASE
        return [Send(self.feed, Renew(self._number))]

    def _granted(self, grant: Grant, now: float) -> list[Effect]:
        asked_at = self._asked.pop(grant.number, None)
        if grant.epoch == self.epoch and asked_at is not None:
            # From the moment it was asked, not answered: the answer may have been long on its way.
            self.lease_until = max(self.lease_until, asked_at + grant.lease_s)
            self._lease_s = grant.lease_s
            self.followed = True
        return []

    def release(self) -> list[Effect]:
        """Answer no read from here on, and say so; a grant under way must not undo it."""
        self.lease_until = -inf
        self._asked.clear()
        self.renew_at = inf  # until the next hello
        return [] if self.feed is None else [Send(self.feed, Release())]

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: renew every third of a lease."""
        return self._renew(now) if now >= self.renew_at else []

    def touched(self, tags: frozenset[str] | None) -> int:
        """The newest pending entry that touches `tags`, 0 for none; None: a read of anything."""
        return touched_seq(self.pending, tags)


class ReplicaSubscriber(Subscriber):
    """A follower: makes entries durable, acknowledges, and applies what is committed.

    `committed` is what its own state shows; `pending` are the entries of its log behind that,
    each of them dirty from its receipt until it is applied (R2, L2).
    """

    kind = REPLICA

    def __init__(
        self,
        node: str,
        store: str,
        run: str,
        epoch: int,
        epoch_id: str,
        timing: Timing,
        committed: Mark,
        pending: Sequence[Entry],
        arbiter: ArbiterId,
    ) -> None:
        super().__init__(node, store, run, epoch, epoch_id, timing)
        self.arbiter = arbiter
        self.committed = committed
        self.pending = list(pending)
        self._durable = self.last
        self._agreed = committed  # how far our log is known to be the primary's
        self._owes = False
        self._writing = 0  # effects for the disk that are not yet reported
        self._greeted = False

    def connected(self, feed: int, now: float) -> list[Effect]:
        # J1: a hello waits until all that the last feed left is on disk. It would name a state
        # that is about to change, and what answers it would be written behind things unforeseen:
        # a commit, a final chunk, or entries of another primary, whose `stored` looks like ours.
        self.feed, self.welcomed, self._greeted = feed, False, False
        return [] if self._writing else self._greet(feed, now)

    def _greet(self, feed: int, now: float) -> list[Effect]:
        self._greeted = True
        self._agreed, self._owes = self.committed, False
        return super()._greet(feed, now)

    def _estranged(self, other: ArbiterId) -> list[Effect]:
        assert self.arbiter is not None
        why = two_clusters(self.node, self.arbiter, "a node of its group", other)
        return [*super()._estranged(other), Stop(why)]

    def _write(self, effect: Persist | Apply | Install) -> list[Effect]:
        self._writing += 1
        return [effect]

    def _joining(self, welcome: Welcome) -> list[Effect]:
        beyond = [entry for entry in self.pending if entry.seq > welcome.tail.seq]
        if not beyond:
            return []
        if not welcome.adopting:
            # J2: nobody has acknowledged these to a client, or the primary would have them.
            return self._replace(len(self.pending) - len(beyond), ())
        if self._position(welcome.tail) is not None and self.feed is not None:
            return [Send(self.feed, Tail(tuple(beyond)))]
        return []

    def _replace(self, kept: int, entries: tuple[Entry, ...]) -> list[Effect]:
        """Keep the first `kept` pending entries and put `entries` behind them."""
        after = tail_mark(self.committed, self.pending[:kept])
        self.pending[kept:] = entries
        if self._durable.seq > after.seq:
            self._durable = after
        return self._write(Persist(after, entries))

    def _prepared(self, entries: Sequence[Entry]) -> list[Effect]:
        news: list[Entry] = []
        kept = len(self.pending)
        for entry in entries:
            position = entry.seq - self.committed.seq
            if position <= 0:
                return self._hello_anew(f"entry {entry.seq} is behind {self.committed}")
            if not news and position <= len(self.pending):
                if self.pending[position - 1].digest == entry.digest:
                    continue
                # Another primary's entry at the same place, never acknowledged to a client: ours
                # goes, with all behind it (Raft, section 5.3: the AppendEntries conflict rule).
                kept = position - 1
            if not entry.extends(tail_mark(tail_mark(self.committed, self.pending[:kept]), news)):
                return self._hello_anew(f"entry {entry.seq} does not follow {self.last}")
            news.append(entry)
        if entries:
            self._agreed = entries[-1].mark
        self._owes = True
        effects = self._replace(kept, tuple(news)) if news else []
        return effects + self._acknowledge()

    def _acknowledge(self) -> list[Effect]:
        """R2: only what is durable. A later entry's ack covers the earlier ones."""
        if not self._owes or self._agreed.seq > self._durable.seq or self.feed is None:
            return []
        self._owes = False
        return [Send(self.feed, Ack(self._agreed))]

    def _committed(self, mark: Mark) -> list[Effect]:
        position = self._position(mark)
        if position is None:
            return self._hello_anew(f"commit {mark} is not on our log")
        return self._write(Apply(mark)) if position else []

    def _installing(self, chunk: Snapshot) -> list[Effect]:
        # What we hold stays as it is, for a successor too, until the final chunk replaces it.
        return self._write(Install(chunk))

    def stored(self, effect: Persist | Apply | Install, now: float) -> list[Effect]:
        """The driver has carried `effect` out, durably, in the order they were returned."""
        self._writing -= 1
        match effect:
            case Persist(after, entries):
                mark = tail_mark(after, entries)
                # Replaced already by a `Persist` behind this one? Then it says nothing.
                if self._position(mark) is not None:
                    self._durable = mark
            case Apply(mark):
                done = self._position(mark)
                if done:
                    del self.pending[:done]
                    self.committed = mark
            case Install(chunk) if chunk.final:
                self.committed = self._durable = self._agreed = chunk.mark
                self.pending.clear()
                self._owes = True
        if self.feed is not None and not self._greeted:
            return [] if self._writing else self._greet(self.feed, now)
        return self._acknowledge()

    def read(self, tags: frozenset[str] | None, now: float) -> int:
        """The entry that a read of `tags` must wait for, 0 for none (L2). Raises Unavailable."""
        if not self.lease_valid(now):
            raise Unavailable(f"{self.node} holds no lease")
        return self.touched(tags)


class CacheSubscriber(Subscriber):
    """A front end's cache: drops what an entry touches, at once, and then acknowledges.

    Its pending entries carry no effects; their tags are dirty until they are committed (C3).
    """

    kind = CACHE

    def __init__(self, node: str, run: str, timing: Timing) -> None:
        super().__init__(node, "", run, 0, "", timing)
        self._faithful_until = -inf

    def _greet(self, feed: int, now: float) -> list[Effect]:
        if now >= self._faithful_until:
            self.arbiter = None
        return super()._greet(feed, now)

    def _joining(self, welcome: Welcome) -> list[Effect]:
        self.arbiter = welcome.arbiter
        self.committed = welcome.committed
        self.pending.clear()
        return [Reset()]

    def _prepared(self, entries: Sequence[Entry]) -> list[Effect]:
        if self.feed is None or not entries or entries[0].seq != self.last.seq + 1:
            return self._hello_anew(f"entries do not follow {self.last}")
        self.pending.extend(entries)
        tags = frozenset(tag for entry in entries for tag in entry.tags)
        return [Drop(tuple(sorted(tags))), Send(self.feed, Ack(self.last))]

    def _committed(self, mark: Mark) -> list[Effect]:
        position = self._position(mark)
        if position is None:
            return self._hello_anew(f"commit {mark} is not on our log")
        del self.pending[:position]
        self.committed = mark
        return []

    def _granted(self, grant: Grant, now: float) -> list[Effect]:
        # C4: between two leases anything may have happened.
        lapsed = not self.lease_valid(now)
        super()._granted(grant, now)
        self._faithful_until = self.lease_until + FAITHFUL_LEASES * self._lease_s
        return [Reset()] if lapsed else []

    def clean(self, tags: frozenset[str] | None, now: float) -> bool:
        """Whether what the cache holds about `tags` may be served, and filled (C1, C3)."""
        return self.lease_valid(now) and not self.touched(tags)
