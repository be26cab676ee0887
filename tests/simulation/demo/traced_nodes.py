"""The product's parts, made to report what they do. They do the same as without this."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import handlers.frontend.upstream
import tests.simulation.node
from bazar.cache import Cache, Flight, LRUStore, Tags
from bazar.replication.cache_subscriber import CacheSubscriber
from bazar.replication.effects import Apply, Close, Effect, Install, Persist, Record
from bazar.replication.messages import Grant
from bazar.replication.states import Phase
from bazar.rpc.pool import Health, ReplicaPool
from tests.simulation.demo.words import listed
from tests.simulation.node import Watched, production
from tests.world.world import World

PATIENCE_S = 0.03  # an acknowledgement that takes longer is reported


@contextmanager
def cast(world: World) -> Iterator[None]:
    """Make the simulated nodes of the parts below."""
    with (
        production(),
        patch.object(tests.simulation.node, "Watched", ShownReplica),
        patch.object(
            handlers.frontend.upstream, "CacheSubscriber", partial(ShownSubscriber, world)
        ),
        patch.object(handlers.frontend.upstream, "Cache", partial(ShownCache, world)),
        patch.object(handlers.frontend.upstream, "ReplicaPool", partial(ShownPool, world)),
    ):
        yield


class ShownReplica(Watched):
    """Reports what it executes, what reaches its disk, and for whom it waits as primary."""

    _proposed = 0

    def _say(self, text: str) -> None:
        self.process.world.say(self.process.name, text)

    def _perform(self, effects: Iterable[Effect]) -> None:
        primary = self.primary
        if primary is not None and primary.tail.seq > self._proposed:
            self._proposed = primary.tail.seq
            if primary.pending:  # else they are of an epoch before
                self._say(f"executes entry {listed(primary.pending)}")
                self.process.world.after(
                    PATIENCE_S, self.process, self._look_round, primary.tail.seq
                )
        effects = list(effects)
        for effect in effects:
            if isinstance(effect, Close) and effect.feed in self._feeds._connections:
                self._say(f"ends the feed: {effect.reason}")
        super()._perform(effects)

    def _look_round(self, seq: int) -> None:
        primary, now = self.primary, self.clock()
        if primary is None or primary.phase is not Phase.PREPARED or primary.tail.seq != seq:
            return
        acked = {feed.hello.run for feed in primary.feeds.values() if feed.acked == primary.tail}
        for run, until in primary.leases.items():
            if run not in acked and until > now:
                name = run.partition("#")[0]
                self._say(f"{name} is silent: waits for the end of its lease (R3)")

    def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Record):
            members = sorted(member.node for member in effect.membership.members)
            self._say(f"records who is in sync: {', '.join(members)}")
        super()._carry_out(effect)

    def _report(self, effect: Persist | Apply | Install) -> None:
        match effect:
            case Persist(_, persisted) if persisted:
                self._say(f"entry {persisted[-1].seq} is on disk")
            case Apply(mark):
                self._say(f"{'applies' if self.primary is None else 'commits'} entry {mark.seq}")
        super()._report(effect)


class Speaking:
    """A part of the process that makes it."""

    world: World

    def __init__(self, world: World, *args: Any) -> None:
        self.world = world
        super().__init__(*args)

    def _say(self, text: str) -> None:
        assert self.world.current is not None
        self.world.say(self.world.current.name, text)


class ShownSubscriber(Speaking, CacheSubscriber):
    """Reports when its lease is over."""

    def _granted(self, grant: Grant, now: float) -> list[Effect]:
        effects = super()._granted(grant, now)
        process, until = self.world.current, self.lease_until
        assert process is not None

        def over() -> None:
            if self.lease_until == until:
                self.world.say(process.name, "its lease is over, its cache shut (C1)")

        self.world.after(until - now, process, over)
        return effects


class ShownCache(Speaking, Cache):
    """Reports what happens to each answer."""

    def find(self, store: LRUStore, key: str, now: float) -> Any | None:
        found = super().find(store, key, now)
        if found is not None:
            self._say("answers from its cache")
        return found

    def join(self, store: LRUStore, key: str, tags: Tags | None, now: float) -> Flight | None:
        flight = super().join(store, key, tags, now)
        if flight is None and not self.guard.lease_valid(now):
            self._say("has no lease: must ask (C3)")
        elif flight is None:
            self._say("an entry is pending: must ask (C3)")
        else:
            self._say("not cached: asks")
        return flight

    def complete(self, flight: Flight, value: Any, tags: Tags, now: float) -> bool:
        detached = flight.detached
        stored = super().complete(flight, value, tags, now)
        if stored:
            self._say("caches the answer")
        elif detached:
            self._say("caches nothing: the fetch was detached (C2)")
        return stored

    def drop(self, tags: Iterable[str]) -> int:
        before = set(self._flights)
        dropped = super().drop(tags)
        if dropped:
            self._say("drops " + ("a cached answer" if dropped == 1 else f"{dropped} answers"))
        elif before - set(self._flights):
            self._say("detaches a fetch under way")
        return dropped

    def reset(self) -> None:
        if any(store.keys(self) for store in self._stores):
            self._say("empties its cache (C4)")
        super().reset()


class ShownPool(Speaking, ReplicaPool):
    """Reports which replica it sets aside, and which it uses again."""

    def _failed(self, health: Health, error: Exception) -> None:
        super()._failed(health, error)
        aside_ms = 1000 * (health.aside_until - self._clock())
        name, reason = health.node.name, str(error)
        why = reason.removeprefix(f"{name}: ").removeprefix(f"{name} ")
        self._say(f"sets {name} aside for {aside_ms:.0f} ms: {why}")

    def _answered(self, health: Health) -> None:
        if not health.healthy:
            self._say(f"uses {health.node.name} again")
        super()._answered(health)
