"""The following side, sans-I/O: what a replica and a cache have in common. Both say hello,
acknowledge every entry and hold a lease that lets them answer reads.

`now` is always this node's own clock in seconds, read after the message was received: a reading
kept from before a pause makes a lease look alive that is over.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import inf

from bazar.errors import Unavailable
from bazar.replication.effects import Close, Effect, Send
from bazar.replication.messages import (
    GENESIS,
    WIRE_VERSION,
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
    Welcome,
    tail_mark,
)
from bazar.replication.timing import RENEWALS_PER_LEASE, Timing, touched_seq

QUESTIONS_KEPT = 8  # renewals that may still be answered; older ones are over anyway


class Subscriber(ABC):
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
        self.hint: str | None = None  # the primary, as far as a peer has told
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
        """Say hello on a connection that is open, to a node that may be the primary."""
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
        """Forget a connection that is gone; the lease runs on, as the primary counts it too."""
        if feed == self.feed:
            self.feed, self.welcomed = None, False

    def _hello_anew(self, reason: str) -> list[Effect]:
        feed, self.feed, self.welcomed = self.feed, None, False
        return [] if feed is None else [Close(feed, reason)]

    def receive(self, feed: int, message: Message, now: float) -> list[Effect]:
        """Take a message that has arrived. What a replaced feed still brings is not processed."""
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
        """End a feed whose other end is under another arbiter (A2)."""
        return self._hello_anew(f"under another arbiter, {other.place}")

    @abstractmethod
    def _joining(self, welcome: Welcome) -> list[Effect]:
        """Begin to join, as the welcome says."""

    @abstractmethod
    def _prepared(self, entries: Sequence[Entry]) -> list[Effect]:
        """Take entries that may yet be committed."""

    @abstractmethod
    def _committed(self, mark: Mark) -> list[Effect]:
        """Take up to here what was prepared as committed."""

    def _installing(self, chunk: Snapshot) -> list[Effect]:
        return self._hello_anew("a snapshot for a cache")

    def _position(self, mark: Mark) -> int | None:
        """Return how many pending entries lie up to `mark`, None if it is not on our log (R6)."""
        count = mark.seq - self.committed.seq  # of what is not there, another mark is the last
        return count if tail_mark(self.committed, self.pending[:count]) == mark else None

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
        """Renew the lease, if a third of it is over."""
        return self._renew(now) if now >= self.renew_at else []

    def touched(self, tags: frozenset[str] | None) -> int:
        """Return the newest pending entry that touches `tags`, 0 for none; None: a read of
        anything."""
        return touched_seq(self.pending, tags)

    def read(self, tags: frozenset[str] | None, now: float) -> int:
        """Return the entry that a read of `tags` must wait for, 0 for none (L2). Raises
        Unavailable."""
        if not self.lease_valid(now):
            raise Unavailable(f"{self.node} holds no lease")
        return self.touched(tags)
