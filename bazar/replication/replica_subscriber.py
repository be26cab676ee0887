"""A follower, sans-I/O: a replica with its log."""

from __future__ import annotations

from collections.abc import Sequence

from bazar.replication.arbiter import two_clusters
from bazar.replication.effects import Apply, Effect, Install, Persist, Send, Stop
from bazar.replication.messages import (
    REPLICA,
    Ack,
    ArbiterId,
    Entry,
    Mark,
    Snapshot,
    Tail,
    Welcome,
    tail_mark,
)
from bazar.replication.subscriber import Subscriber
from bazar.replication.timing import Timing


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
            # J2: these were acknowledged to no client, or the primary would have them.
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
        """Acknowledge only what is durable (R2). A later entry's ack covers the earlier ones."""
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
        """Go on after the driver has carried `effect` out, durably, in the order they were
        returned."""
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
