"""One node's tenure as primary, as it stands: its epoch, its log, its subscribers and their leases;
what follows from that alone, and how it is taken over. `Primary` says what is to be done about it.

Nothing here reads a clock: `now` is always this node's own, in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import Self

from bazar.errors import Unavailable
from bazar.replication.arbiter import Knock, two_clusters
from bazar.replication.effects import Alert, Effect, Record, Stop
from bazar.replication.messages import (
    ArbiterId,
    Change,
    Entry,
    Hello,
    Mark,
    Member,
    Membership,
    chained,
    tail_mark,
)
from bazar.replication.states import Lead, Life, Phase, Recording
from bazar.replication.subscription import Subscription
from bazar.replication.timing import Timing, touched_seq


class Tenure:
    """From `take_over` to `Stop`, the state of one primaryship."""

    def __init__(
        self,
        me: Member,
        membership: Membership,
        committed: Mark,
        pending: Sequence[Entry],
        not_before: float,
        timing: Timing,
        *,
        epoch_id: str,
        restarted: bool,
        arbiter: ArbiterId,
    ) -> None:
        self.me = me
        self.arbiter = arbiter
        self.epoch = membership.epoch
        self.epoch_id = epoch_id
        self.membership = membership
        self.committed = committed
        self.pending = tuple(pending)
        self.tail = tail_mark(committed, pending)
        self.durable = self.tail  # how far a reader of our own log sees
        self.not_before = not_before
        self.timing = timing
        self.feeds: dict[int, Subscription] = {}
        self.leases: dict[str, float] = {}  # run -> when its lease is surely over
        self._leads_until = -inf  # what the arbiter has confirmed (L5)
        self.life = Life.LEADING
        self.phase = Phase.PREPARED if pending else Phase.IDLE
        self._unproven = restarted  # our own disk may have lost commits (L4, J5)
        self._recording: Recording | None = Lead()
        self._stranger: ArbiterId | None = None  # that was told of last (A2)

    @classmethod
    def take_over(
        cls,
        me: Member,
        membership: Membership | None,
        committed: Mark,
        pending: Sequence[Entry],
        now: float,
        timing: Timing,
        *,
        known: int,
        epoch_id: str,
        restarted: bool,
        arbiter: ArbiterId,
    ) -> tuple[Self, list[Effect]]:
        """Begin the next epoch (T0, T2); `now` is a moment after the lock was got.

        `membership` is None for the very first epoch. `known` is the newest epoch of our log,
        `epoch_id` a random name that no epoch has had (H1). `restarted` says that committed
        entries were read from disk, not kept in this process since it followed (L4).
        """
        if membership is None:
            begun = Membership(1, frozenset({me}), timing.lease_s)
            wait_s = 0.0
        else:
            # A lease of the old epoch may just have been granted: until it is surely over, a
            # commit here could be missed by a reader who still trusts it. `clean` says none is.
            # A restarted node waits all the same: for the others of its set (L4, J5), and because
            # files that were put back know nothing of the leases of what they are put back from.
            skip = membership.clean and not restarted
            old_s = max(membership.lease_s, timing.lease_s if restarted else 0.0)
            wait_s = 0.0 if skip else timing.surely_over_s(old_s)
            longest_s = max(0.0 if membership.clean else membership.lease_s, timing.lease_s)
            begun = Membership(max(membership.epoch, known) + 1, membership.members, longest_s)
        primary = cls(
            *(me, begun, committed, pending, now + wait_s, timing),
            epoch_id=epoch_id,
            restarted=restarted,
            arbiter=arbiter,
        )
        return primary, [Record(begun)]

    def __repr__(self) -> str:
        return (
            f"<Primary {self.me.node} epoch={self.epoch} {self.phase.name} "
            f"committed={self.committed} tail={self.tail} feeds={len(self.feeds)}>"
        )

    @property
    def last(self) -> Mark:
        return self.tail

    @property
    def stopped(self) -> bool:
        return self.life is Life.STOPPED

    @property
    def retiring(self) -> bool:
        """Whether it takes nothing new any more, in order to hand over (T5)."""
        return self.life in (Life.RETIRING, Life.REVOKED)

    @property
    def on_record(self) -> bool:
        """Whether the arbiter is known to have this epoch (T2)."""
        return not isinstance(self._recording, Lead)

    @property
    def _inherits(self) -> bool:
        """Whether what is pending was left by an epoch before (T3). A batch of its own begins only
        when nothing is pending."""
        return bool(self.pending) and self.pending[0].epoch < self.epoch

    # --- what may be done now --------------------------------------------------------------------

    @property
    def _boundary(self) -> bool:
        """Whether subscribers may join now: between batches, or while a takeover waits (J1, J4, J6,
        T3)."""
        between = self.phase is Phase.IDLE
        waiting = self.phase is Phase.PREPARED and self._inherits
        return (between or waiting) and not self._recording and not self.stopped

    def _is_member(self, feed: Subscription) -> bool:
        return self._has(feed.hello)

    def _has(self, hello: Hello) -> bool:
        return Member(hello.node, hello.store) in self.membership.members

    def adopts(self, now: float) -> bool:
        """Whether a member's tail that extends our log is adopted: nothing is committed yet, and
        it may have been acknowledged (T3)."""
        return now < self.not_before or self._unproven

    def _prove(self, now: float) -> None:
        """Take our state for proved once none can show any more that our disk lost commits (L4)."""
        self._unproven = self._unproven and not self._is_proved(now)

    def _is_proved(self, now: float) -> bool:
        """Whether every member has joined, or all that are waited for have been heard."""
        # One that has said hello is heard, even if our own log is still being read for it; and
        # where one's log is longer, all are waited for until they have the rest of it (T3).
        unheard = any(
            (not feed.heard or feed.awaited) and self._is_member(feed)
            for feed in self.feeds.values()
        )
        return self._is_complete or (now >= self.not_before and not unheard)

    @property
    def _is_complete(self) -> bool:
        """Whether every member has joined, and has what was adopted since (T3)."""
        joined = {one.member for one in self.feeds.values() if one.joined and not one.awaited}
        return self.membership.members <= joined | {self.me}

    def _lease_s(self, now: float) -> float:
        """Return how long a lease may be that is granted now; 0: none may be."""
        return self.timing.lease_s

    def due(self, now: float) -> float:
        """Return when the next `tick` has something to do, as far as it is known by `now`."""
        times = [feed.hold_until for feed in self.feeds.values() if feed.hold_until is not None]
        if now < self.not_before:
            times.append(self.not_before)
        if self.phase is Phase.PREPARED or self.retiring:
            times += [until for until in self.leases.values() if until > now]
        return min(times, default=inf)

    # --- what it says of itself ------------------------------------------------------------------

    def extend(self, changes: Iterable[Change]) -> tuple[Entry, ...]:
        """Return the entries that put `changes` behind the log, in order."""
        return chained(self.tail, self.epoch, changes)

    def knock(self) -> Knock:
        """Return what this node asks its peers with, and answers them."""
        return Knock(self.me.node, self.arbiter, None if self.stopped else self.committed.seq)

    def confirmed(self, asked_at: float) -> None:
        """Answer reads for a lease from `asked_at`: the arbiter was asked then, or later, and says
        that this node still leads (L5)."""
        self._leads_until = asked_at + self.timing.lease_s

    def read(self, tags: frozenset[str] | None, now: float) -> int:
        """Return the entry that a read of `tags` must wait for, 0 for none (L4). Raises
        Unavailable.

        A batch under way needs no waiting: its transaction shows when it commits. But after a
        takeover the pending tail may have been acknowledged and shown by the old primary.
        """
        if self.stopped or not self.on_record:
            raise Unavailable(f"{self.me.node} is not primary yet")
        if self._unproven:
            raise Unavailable(f"{self.me.node} waits for the members of its set")
        if now >= self._leads_until:
            raise Unavailable(f"{self.me.node} has not asked lately whether it still leads")
        return touched_seq(self.pending, tags) if self._inherits else 0

    # --- other arbiters (A2, A3) -----------------------------------------------------------------

    def meet(self, theirs: Knock) -> list[Effect]:
        """Stop, or tell an operator, if this one is under another arbiter (A3). What it had is
        compared with what we have now: logs grow, so never do both stop."""
        if theirs.arbiter == self.arbiter or self.stopped:
            return []
        mine = (self.committed.seq, self.arbiter)
        if theirs.leads is None or mine > (theirs.leads, theirs.arbiter):
            return self._strange(theirs.node, theirs.arbiter)
        why = two_clusters(self.me.node, self.arbiter, theirs.node, theirs.arbiter)
        return self._stop(f"{why}. The log of {theirs.node} is longer")

    def _strange(self, node: str, arbiter: ArbiterId) -> list[Effect]:
        """Tell an operator of a node under another arbiter, once: it may ask again and again."""
        known, self._stranger = self._stranger, arbiter
        if arbiter == known:
            return []
        return [Alert(two_clusters(self.me.node, self.arbiter, node, arbiter))]

    def _stop(self, reason: str, *, clean: bool = False) -> list[Effect]:
        self.life = Life.STOPPED
        return [Stop(reason, clean)]
