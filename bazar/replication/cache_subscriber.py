"""A front end's cache as a subscriber, sans-I/O."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from bazar.replication.effects import Drop, Effect, Reset, Send
from bazar.replication.messages import CACHE, Ack, ArbiterId, Entry, Grant, Mark, Welcome
from bazar.replication.subscriber import Subscriber
from bazar.replication.timing import Timing

FAITHFUL_LEASES = 10  # that a cache waits for the arbiter that granted it one


class CacheSubscriber(Subscriber):
    """A front end's cache: drops what an entry touches, at once, and then acknowledges.

    Its pending entries carry no effects; their tags are dirty until they are committed (C3).
    """

    kind = CACHE
    home: ArbiterId | None = None
    """The arbiter that it belongs to, where it has one of its own."""

    def __init__(self, node: str, run: str, timing: Timing) -> None:
        super().__init__(node, "", run, 0, "", timing)
        self._faithful_until = -inf

    def _greet(self, feed: int, now: float) -> list[Effect]:
        if now >= self._faithful_until:
            self.arbiter = self.home
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
