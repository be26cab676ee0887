"""A follower over one database, sans-I/O: it is told what is written, and keeps nothing."""

from __future__ import annotations

from bazar.replication.cache_subscriber import CacheSubscriber
from bazar.replication.effects import Effect, Told
from bazar.replication.messages import FOLLOWER, ArbiterId, Grant, Mark
from bazar.replication.timing import Timing


class Follower(CacheSubscriber):
    """A subscriber as a cache is one: its entries are dirty from when it is told of them until they
    are committed (L2). `committed` is the mark that it was told of last (L6)."""

    kind = FOLLOWER

    def __init__(self, node: str, run: str, timing: Timing, arbiter: ArbiterId) -> None:
        super().__init__(node, run, timing)
        self.home = self.arbiter = arbiter

    def _granted(self, grant: Grant, now: float) -> list[Effect]:
        super()._granted(grant, now)
        return []  # without a lease, too, it was told of everything, or it would have joined anew

    def _committed(self, mark: Mark) -> list[Effect]:
        pending = tuple(self.pending)
        effects = super()._committed(mark)
        told = pending[: len(pending) - len(self.pending)]
        return [*effects, Told(told)] if told else effects
