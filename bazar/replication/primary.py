"""The writing side, sans-I/O: messages, completions and ticks go in, effects come out.

`now` is always this node's own clock in seconds (`bazar.clock`), read after what is reported
happened. Nothing here reads a clock, a socket or a disk. The rules are told in the package
docstring; this file says where each applies.
"""

from __future__ import annotations

from bazar.replication import joining
from bazar.replication.effects import (
    Apply,
    Close,
    Confirm,
    Effect,
    LogPage,
    Persist,
    ReadLog,
    Record,
    Send,
    SendSnapshot,
)
from bazar.replication.messages import (
    CACHE,
    Ack,
    Commit,
    Entry,
    Grant,
    Hello,
    Member,
    Membership,
    Message,
    NotPrimary,
    Prepare,
    Release,
    Renew,
    Revoke,
    Tail,
    tail_mark,
)
from bazar.replication.states import (
    Admit,
    HandOver,
    Lead,
    Life,
    PassOver,
    Phase,
    Recording,
    StandDown,
)
from bazar.replication.subscription import Stage, Subscription
from bazar.replication.tenure import Tenure


class Primary(Tenure):
    """One primaryship, from `take_over` to `Stop`.

    The driver asks `begin`, executes operations in an uncommitted transaction, and hands the
    entries (made by `extend`) to `propose`; or calls `abort`. `Apply` then tells it to commit.
    """

    # --- writing (R1-R4) -------------------------------------------------------------------------

    def begin(self, now: float) -> bool:
        """Whether a batch may be executed now; if so it must end in `propose` or `abort`."""
        if self.life is not Life.LEADING or self.phase is not Phase.IDLE or self._recording:
            return False
        if now < self.not_before or self._unproven:
            return False
        near = [feed for feed in self.feeds.values() if feed.near]
        for feed in near:
            # Under constant load a joining replica would stay one batch behind for ever: the
            # boundary is held open for it, for `ack_timeout_s` at the most.
            if feed.hold_until is None:
                feed.hold_until = now + self.timing.ack_timeout_s
        if near:
            return False
        self.phase = Phase.EXECUTING
        return True

    def abort(self, now: float) -> list[Effect]:
        """End a batch that left nothing to write, or failed before any node heard of it (R4)."""
        assert self.phase is Phase.EXECUTING
        self.phase = Phase.IDLE
        return self._settle(now)

    def propose(self, entries: tuple[Entry, ...], now: float) -> list[Effect]:
        """Send subscribers the entries of a batch, executed in an open transaction (R2)."""
        assert self.phase is Phase.EXECUTING
        self.phase = Phase.PREPARED
        return self._prepare(entries, now) + self._try_commit(now)

    def _prepare(self, entries: tuple[Entry, ...], now: float) -> list[Effect]:
        self.pending += entries
        self.tail = tail_mark(self.tail, entries)
        joined = [feed for feed in self.feeds.values() if feed.joined]
        for_replica = Prepare(entries)
        for_cache = Prepare(tuple(entry.without_effects() for entry in entries))
        for feed in joined:
            feed.asked_at = now
        return [
            Send(feed.id, for_cache if feed.hello.kind == CACHE else for_replica) for feed in joined
        ]

    def _try_commit(self, now: float) -> list[Effect]:
        """Commit once every subscriber that may still answer reads has acknowledged (R3)."""
        if self.phase is not Phase.PREPARED or self._recording or self.stopped:
            return []
        if now < self.not_before or self._unproven:
            return []
        joined = [feed for feed in self.feeds.values() if feed.joined]
        acked = [feed for feed in joined if feed.acked == self.tail]
        heard = {feed.hello.run for feed in acked}
        if any(until > now and run not in heard for run, until in self.leases.items()):
            return []
        self.leases = {run: until for run, until in self.leases.items() if until > now}
        effects: list[Effect] = []
        for feed in joined:
            if feed.acked != self.tail:
                # Passed over: it has missed a commit, and counts for nothing until it has joined
                # anew. Its late ack or renewal must find no feed (L3).
                effects += self._close(feed, "did not acknowledge in time")
        members = frozenset({self.me, *(feed.member for feed in acked if not feed.is_cache)})
        if members != self.membership.members:
            # Durable before the commit: or a removed replica could become primary without it.
            return effects + self._record(members, PassOver(), now)
        return effects + self._commit()

    def _commit(self) -> list[Effect]:
        self.phase = Phase.COMMITTING
        return [Apply(self.tail)]

    def stored(self, effect: Persist | Apply, now: float) -> list[Effect]:
        """Go on after the driver has carried `effect` out, durably."""
        if isinstance(effect, Persist):
            self.durable = tail_mark(effect.after, effect.entries)
            return self._settle(now)
        self.committed = self.durable = self.tail
        self.pending = ()
        self.phase = Phase.IDLE
        commit = Commit(self.committed)
        told: list[Effect] = [Send(feed.id, commit) for feed in self.feeds.values() if feed.joined]
        return told + self._settle(now)

    # --- the membership --------------------------------------------------------------------------

    def _record(
        self, members: frozenset[Member], why: Recording, now: float, *, clean: bool = False
    ) -> list[Effect]:
        lease_s = self.timing.lease_s
        if now < self.not_before:
            lease_s = max(lease_s, self.membership.lease_s)
        self._recording = why
        self.membership = Membership(self.epoch, members, lease_s, clean)
        return [Record(self.membership)]

    def recorded(self, now: float) -> list[Effect]:
        """Go on after the membership of the last `Record` is durable, as it was recorded for."""
        why, self._recording = self._recording, None
        effects: list[Effect] = []
        match why:
            case Lead():
                effects = [Confirm()]
            case PassOver():
                effects = self._commit()
            case HandOver():
                effects = self._stop("handed over", clean=True)
            case StandDown(reason):
                effects = self._stop(reason)
            case Admit():
                pass  # it joins as every other member does
        return effects + self._settle(now)

    # --- subscribers (J1-J6) ---------------------------------------------------------------------

    def receive(self, feed_id: int, message: Message, now: float) -> list[Effect]:
        """Take a message that has arrived on a feed."""
        if isinstance(message, Hello):
            return self._hello(feed_id, message, now)
        feed = self.feeds.get(feed_id)
        if feed is None:
            return []  # replaced by a newer hello, or passed over (J1, L3)
        match message:
            case Ack(mark):
                feed.acked, feed.busy = mark, False
                if mark == self.tail:
                    feed.has_our_log()
                return self._settle(now)
            case Renew(number):
                feed.renew = number
                return self._grant(feed, now)
            case Release():
                self.leases.pop(feed.hello.run, None)
                feed.renew = None
                return self._settle(now)
            case Tail(entries):
                return self._adopt(feed, entries, now)
            case _:
                return self._close(feed, f"unexpected {type(message).__name__}")

    def disconnected(self, feed_id: int, now: float) -> list[Effect]:
        """Forget a feed whose connection is gone. Its lease is not: only release or expiry ends one
        (L3)."""
        self.feeds.pop(feed_id, None)
        return self._settle(now)

    def _hello(self, feed_id: int, hello: Hello, now: float) -> list[Effect]:
        if hello.arbiter not in (None, self.arbiter):
            refusal = NotPrimary(self.epoch, None, self.arbiter)
            return [
                *self._strange(hello.node, hello.arbiter),
                *(Send(feed_id, refusal), Close(feed_id, "under another arbiter")),
            ]
        same = hello.epoch == self.epoch and hello.epoch_id == self.epoch_id
        stranger = hello.epoch >= self.epoch and not same
        if stranger and self._has(hello):
            # J5: another has led this group, or the files here were put back below a member.
            theirs, ours = f"{hello.epoch} {hello.epoch_id}", f"{self.epoch} {self.epoch_id}"
            return self._stop(f"epoch {theirs} has begun elsewhere; this one is {ours}")
        if self.life is not Life.LEADING:
            refusal = NotPrimary(self.epoch, None, self.arbiter)
            return [Send(feed_id, refusal), Close(feed_id, "retiring")]
        # J1: or nodes that know its successor would take it for the primary. While it is not on
        # record yet it answers nothing, and it asks as soon as it is.
        ask = stranger and self.on_record
        effects: list[Effect] = [Confirm()] if ask else []
        for old in list(self.feeds.values()):
            if old.hello.node == hello.node:
                effects += self._close(old, "replaced by a new hello")
        self.feeds[feed_id] = Subscription(feed_id, hello)
        return effects + self._settle(now)

    def _close(self, feed: Subscription, reason: str) -> list[Effect]:
        self.feeds.pop(feed.id, None)
        return [Close(feed.id, reason)]

    def _settle(self, now: float) -> list[Effect]:
        if self.on_record:
            self._prove(now)
        effects: list[Effect] = []
        # What a member has to show comes before anybody is let in on our word (J5).
        for feed in sorted(self.feeds.values(), key=lambda f: (not self._is_member(f), f.welcomed)):
            effects += self._grant(feed, now) if feed.joined else self._advance(feed, now)
        if self._unproven and self.on_record and self._is_complete:
            # The last member has just joined: those before it are granted their leases now.
            return effects + self._settle(now)
        effects += self._try_commit(now)
        return effects + self._try_retire(now)

    def _advance(self, feed: Subscription, now: float) -> list[Effect]:
        """Bring one feed that has not joined a step further."""
        if feed.is_cache:
            if not self._boundary:
                return []
            return joining.join_cache(self, feed, now) + self._grant(feed, now)
        if feed.welcomed and feed.acked == self.tail:
            if not self._boundary:
                return []
            if self._is_member(feed):
                return self._join(feed, now)
            if self._unproven:
                # No newcomer on our word alone: a member may be about to show that we lack
                # acknowledged entries, and must not find successors made in our image.
                return []
            return self._record(self.membership.members | {feed.member}, Admit(), now)
        if feed.page is not None:
            return self._welcome(feed, feed.page, now) if self._boundary else []
        if feed.busy or (feed.welcomed and feed.position.seq >= self.durable.seq):
            return []
        feed.busy = True
        return [ReadLog(feed.id, feed.position.seq)]

    def log_read(self, feed_id: int, page: LogPage, now: float) -> list[Effect]:
        """Take the page of the log that `ReadLog` asked for, and send it on."""
        feed = self.feeds.get(feed_id)
        if feed is None:
            return []
        if not feed.welcomed:
            feed.page = page
            return self._settle(now)
        if page.base != feed.position:
            return self._close(feed, f"its log at {feed.position} is not ours at {page.base}")
        return joining.send_page(self, feed, page)

    def _welcome(self, feed: Subscription, page: LogPage, now: float) -> list[Effect]:
        """Answer a replica's hello with what follows its committed entries (J2, J3, J5)."""
        theirs, feed.stage = feed.hello.committed, Stage.HEARD
        is_member = self._is_member(feed)
        if page.base == theirs:
            answer = joining.send_page(self, feed, page)
        elif page.base is None and self.committed.seq < theirs.seq <= self.tail.seq:
            # Read before the tail that another member offered was on our disk (T3).
            feed.page = None
            return [ReadLog(feed.id, theirs.seq)]
        elif is_member and (page.base is not None or theirs.seq > self.tail.seq):
            # J5: a member has committed what we have not: our own disk has lost it.
            others = self.membership.members - {self.me}
            why = f"lost acknowledged entries: {feed.hello.node} has {theirs}"
            self.life = Life.STOPPED  # from now on: what we would show is old
            return self._record(others, StandDown(why), now)
        elif is_member and (self.pending or now < self.not_before):
            # A snapshot shows what is committed here, and would take from a member the entries
            # behind that, which may have been acknowledged. At the end of T2's wait they commit
            # without it (T4): then it is no member, and may be given one.
            return []
        else:
            feed.stage = Stage.CATCHING_UP
            answer = [SendSnapshot(feed.id)]
        feed.page = None
        if is_member:
            joining.await_tail(self, feed, now)
        return [Send(feed.id, joining.welcome(self, now)), *answer]

    def _join(self, feed: Subscription, now: float) -> list[Effect]:
        return joining.join(self, feed) + self._grant(feed, now)

    # --- leases (L1, L3) -------------------------------------------------------------------------

    def _grant(self, feed: Subscription, now: float) -> list[Effect]:
        if not feed.joined or feed.renew is None or self.life is not Life.LEADING:
            return []
        owes = feed.acked != self.tail and now > feed.asked_at + self.timing.ack_timeout_s
        lease_s = self._lease_s(now)
        if owes or self._unproven or not lease_s:
            return []
        number, feed.renew = feed.renew, None
        # The holder counts from when it asked, we count from now, and add what clocks may differ.
        until = now + self.timing.counted_s(lease_s)
        self.leases[feed.hello.run] = max(until, self.leases.get(feed.hello.run, until))
        return [Confirm(), Send(feed.id, Grant(self.epoch, number, lease_s))]

    # --- taking over and handing over (T2-T5) ----------------------------------------------------

    def _adopt(self, feed: Subscription, entries: tuple[Entry, ...], now: float) -> list[Effect]:
        """Adopt a member's entries that follow our log: they may have been acknowledged (T3)."""
        before = self.tail
        fits = self.adopts(now) and bool(entries)
        for entry in entries:
            fits = fits and entry.extends(before) and entry.epoch < self.epoch
            before = entry.mark
        if not fits or feed.member not in self.membership.members:
            return self._close(feed, "its tail does not extend ours")
        self.phase = Phase.PREPARED
        persist = Persist(self.tail, entries)
        for other in self.feeds.values():
            if self._is_member(other) and (other.joined or other.awaited):
                joining.await_log(self, other, now)
        return [persist, *self._prepare(entries, now)]

    def retire(self, now: float) -> list[Effect]:
        """Finish the batch, take every lease back, record a clean end (T5)."""
        if self.life is Life.LEADING:
            self.life = Life.RETIRING
        return self._settle(now)

    def _try_retire(self, now: float) -> list[Effect]:
        if not self.retiring or self._recording or self.phase is not Phase.IDLE:
            return []
        revokes: list[Effect] = []
        if self.life is Life.RETIRING:
            # Only now: a follower that gave its lease back before it has acknowledged the last
            # batch would be passed over, and be no successor.
            self.life = Life.REVOKED
            revokes = [Send(feed.id, Revoke()) for feed in self.feeds.values() if feed.joined]
        if now < self.not_before or any(until > now for until in self.leases.values()):
            return revokes
        return revokes + self._record(self.membership.members, HandOver(), now, clean=True)

    def tick(self, now: float) -> list[Effect]:
        """Deal with what time has brought: leases that ran out, waits that ended."""
        if not self.on_record:
            return []
        effects: list[Effect] = [Confirm()]
        for feed in list(self.feeds.values()):
            if feed.hold_until is not None and now >= feed.hold_until:
                effects += self._close(feed, "too slow to catch up")
        return effects + self._settle(now)
