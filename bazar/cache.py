"""The front end's cache: LRU with a TTL, single-flight, and fills that an invalidation detaches.

One `Cache` belongs to one replicated group and is kept coherent by that group's feed: its guard
(a `CacheSubscriber`) knows the lease and what is dirty, and the feed's driver calls `drop` and
`reset`. Several caches may keep their answers on the same `Shelf`.

The race that all of this exists for, the *stale fill* (Nishtala et al., "Scaling Memcache at
Facebook", 2013, section 3.2.1):

    reader                        writer
      misses info_4
      asks a replica: 7 in stock
                                    prepare: info_4 changes -> we drop info_4, acknowledge
                                    commit: 6 in stock, the buyer is told
      stores 7                      ... and every later reader sees 7, an old value

`drop` detaches the reader's flight: it may answer those who were already waiting (their reads
began before the commit) but is not stored. And between `prepare` and `commit` a new miss would
read the old value again: while a key is dirty, every read passes through and stores nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from lru import LRU

HIT, MISS, PASS = "hit", "miss", "pass"

Tags = frozenset[str]


class Guard(Protocol):
    """What the cache asks its subscriber."""

    def lease_valid(self, now: float) -> bool:
        """C1: whether anything cached may be served."""

    def clean(self, tags: Tags | None, now: float) -> bool:
        """C3: whether an answer about `tags` may be fetched for all and stored."""


@dataclass(slots=True)
class Counters:
    hits: int = 0
    misses: int = 0
    passes: int = 0
    evictions: int = 0
    invalidations: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """A cached answer and the tags it shows."""

    owner: Cache
    value: Any
    tags: Tags
    expires_at: float


class Shelf:
    """One named LRU store of bounded size; the least recently used item makes room."""

    def __init__(self, name: str, entries: int, ttl_s: float) -> None:
        self.name = name
        self.entries = entries
        self.ttl_s = ttl_s
        # lru-dict calls back for evictions only: not for `del`, nor for an overwrite.
        self._items = LRU(entries, callback=self._evicted)

    def __len__(self) -> int:
        return len(self._items)

    def _evicted(self, key: str, item: Item) -> None:
        item.owner.counters.evictions += 1
        item.owner.forget(self, key, item)

    def get(self, key: str, now: float) -> Item | None:
        item: Item | None = self._items.get(key)
        if item is not None and now >= item.expires_at:
            self.remove(key)
            return None
        return item

    def put(self, key: str, item: Item) -> None:
        self.remove(key)
        self._items[key] = item

    def remove(self, key: str) -> bool:
        item: Item | None = self._items.pop(key, None)
        if item is None:
            return False
        item.owner.forget(self, key, item)
        return True


@dataclass(slots=True, eq=False)
class Flight:
    """One fetch that several readers wait for. `tags` is None until its answer is known (C5)."""

    shelf: Shelf
    key: str
    tags: Tags | None
    detached: bool = False
    task: asyncio.Task[Any] | None = field(default=None, repr=False)


class Cache:
    """Coherent read-through caching for one group. All methods but `read` are synchronous: what
    they check still holds when they store, however long the process slept before (C2)."""

    def __init__(self, guard: Guard, clock: Callable[[], float]) -> None:
        self.guard = guard
        self.clock = clock
        self.counters = Counters()
        self._flights: dict[str, Flight] = {}
        self._shown_by: dict[str, set[tuple[Shelf, str]]] = {}  # tag -> who shows it

    # --- reading ---------------------------------------------------------------------------------

    def find(self, shelf: Shelf, key: str, now: float) -> Any | None:
        """The cached value, or None. What is still here no pending entry touches (C1)."""
        if not self.guard.lease_valid(now):
            return None
        item = shelf.get(key, now)
        if item is None:
            return None
        self.counters.hits += 1
        return item.value

    def board(self, shelf: Shelf, key: str, tags: Tags | None, now: float) -> Flight | None:
        """The flight for this key, under way or new (then it has no task yet); None if this read
        must fetch for itself (C3)."""
        if not self.guard.clean(tags, now):
            self.counters.passes += 1
            return None
        self.counters.misses += 1
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = Flight(shelf, key, tags)
        return flight

    def land(self, flight: Flight, value: Any, tags: Tags, now: float) -> bool:
        """The flight has its answer, which shows `tags`. Whether it was stored."""
        self.abandon(flight)
        if flight.detached or not self.guard.clean(flight.tags, now):
            return False
        shelf, key = flight.shelf, flight.key
        shelf.put(key, Item(self, value, tags, now + shelf.ttl_s))
        for tag in tags:
            self._shown_by.setdefault(tag, set()).add((shelf, key))
        return True

    def abandon(self, flight: Flight) -> None:
        """The flight has ended without an answer worth storing."""
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    async def read(
        self,
        shelf: Shelf,
        key: str,
        tags: Tags | None,
        fetch: Callable[[], Awaitable[tuple[Any, Tags]]],
    ) -> tuple[Any, str]:
        """The value for `key`, and HIT, MISS or PASS. `fetch` answers (value, tags it shows) and
        may raise; then nothing is stored and all who wait get the same error."""
        now = self.clock()
        found = self.find(shelf, key, now)
        if found is not None:
            return found, HIT
        flight = self.board(shelf, key, tags, now)
        if flight is None:
            return (await fetch())[0], PASS
        if flight.task is None:
            flight.task = asyncio.ensure_future(self._fly(flight, fetch))
            # Every reader may have left before it failed: then nobody else looks at the error.
            flight.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        # Shielded: a reader who leaves does not take the answer from the others.
        return await asyncio.shield(flight.task), MISS

    async def _fly(self, flight: Flight, fetch: Callable[[], Awaitable[tuple[Any, Tags]]]) -> Any:
        try:
            value, tags = await fetch()
        except BaseException:
            self.abandon(flight)
            raise
        self.land(flight, value, tags, self.clock())
        return value

    # --- invalidating ----------------------------------------------------------------------------

    def drop(self, tags: Iterable[str]) -> int:
        """`prepare` has touched `tags`: drop what shows them and detach the flights (C2, C5).
        Returns how many items were dropped."""
        touched = frozenset(tags)
        dropped = 0
        for tag in touched:
            for shelf, key in list(self._shown_by.get(tag, ())):
                dropped += shelf.remove(key)
        self.counters.invalidations += dropped
        for flight in list(self._flights.values()):
            # What a search under way will show is not known yet: every entry detaches it.
            if flight.tags is None or not touched.isdisjoint(flight.tags):
                self._detach(flight)
        return dropped

    def reset(self) -> None:
        """The lease is lost, or a feed begins: start empty, and let no flight land (C4, J6)."""
        for shown in list(self._shown_by.values()):
            for shelf, key in list(shown):
                shelf.remove(key)
        for flight in list(self._flights.values()):
            self._detach(flight)

    def _detach(self, flight: Flight) -> None:
        flight.detached = True
        self.abandon(flight)

    def forget(self, shelf: Shelf, key: str, item: Item) -> None:
        """An item has left its shelf: nothing shows its tags any more."""
        for tag in item.tags:
            shown = self._shown_by.get(tag)
            if shown is not None:
                shown.discard((shelf, key))
                if not shown:
                    del self._shown_by[tag]
