"""The front end's cache: LRU with a TTL, single-flight, and fills that an invalidation detaches.

One `Cache` belongs to one replicated group and is kept coherent by that group's feed: its guard
(a `CacheSubscriber`) knows the lease and what is dirty, and the feed's driver (`Source` in
`handlers/frontend/upstream.py`) calls `drop` and `reset`. Several caches may keep their answers on
the same `LRUStore`.

The race that all of this exists for, the *stale fill* (Nishtala et al., "Scaling Memcache at
Facebook", 2013, section 3.2.1):

    reader                        writer
      misses info_4
      asks a replica: 7 in stock
                                    prepare: info_4 changes -> we drop info_4, acknowledge
                                    commit: 6 in stock, the buyer is told
      stores 7                      ... and every later reader sees 7, an old value

`drop` detaches the reader's flight: it may answer the readers that already wait (their reads began
before the commit) but is not stored. And between `prepare` and `commit` a new miss would
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
NO_TAGS: Tags = frozenset()


class Guard(Protocol):
    """The part of a subscriber that the cache asks."""

    def lease_valid(self, now: float) -> bool:
        """Return whether anything cached may be served (C1)."""

    def clean(self, tags: Tags | None, now: float) -> bool:
        """Return whether an answer about `tags` may be shared by readers, and stored (C3)."""


@dataclass(slots=True)
class Counters:
    """What one cache has done since it was made."""

    hits: int = 0
    misses: int = 0
    passes: int = 0
    evictions: int = 0
    invalidations: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """A cached answer and the tags it shows beside its key."""

    owner: Cache
    value: Any
    tags: Tags
    expires_at: float


class LRUStore:
    """One named LRU store of bounded size: the least recently used item makes room."""

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
        item.owner.removed(self, key, item)

    def owner(self, key: str) -> Cache | None:
        """Return whose item this key has, if any."""
        item: Item | None = self._items.get(key)
        return None if item is None else item.owner

    def keys(self, owner: Cache) -> list[str]:
        """Return the keys of its items."""
        return [key for key, item in self._items.items() if item.owner is owner]

    def get(self, key: str, now: float) -> Item | None:
        """Return the item of this key, None if there is none or it has expired."""
        item: Item | None = self._items.get(key)
        if item is not None and now >= item.expires_at:
            self.remove(key)
            return None
        return item

    def put(self, key: str, item: Item) -> None:
        """Store an item in place of the one of the same key."""
        self.remove(key)
        self._items[key] = item

    def remove(self, key: str) -> bool:
        """Remove the item of this key. Return whether there was one."""
        item: Item | None = self._items.pop(key, None)
        if item is None:
            return False
        item.owner.removed(self, key, item)
        return True


@dataclass(slots=True, eq=False)
class Flight:
    """One fetch that several readers wait for. `tags` is None until its answer is known (C5)."""

    store: LRUStore
    key: str
    tags: Tags | None
    detached: bool = False
    task: asyncio.Task[Any] | None = field(default=None, repr=False)


class Cache:
    """A coherent read-through cache for one group. All methods but `read` are synchronous: what
    they check still holds when they store, however long the process slept before (C2)."""

    def __init__(self, guard: Guard, clock: Callable[[], float]) -> None:
        self.guard = guard
        self.clock = clock
        self.counters = Counters()
        self._flights: dict[str, Flight] = {}
        self._stores: dict[LRUStore, None] = {}  # where items of ours may be
        self._shown_by: dict[str, set[tuple[LRUStore, str]]] = {}  # tag -> the items that show it

    # --- reading ---------------------------------------------------------------------------------

    def find(self, store: LRUStore, key: str, now: float) -> Any | None:
        """Return the cached value, or None. No pending entry touches what is still here (C1)."""
        if not self.guard.lease_valid(now):
            return None
        item = store.get(key, now)
        if item is None:
            return None
        self.counters.hits += 1
        return item.value

    def join(self, store: LRUStore, key: str, tags: Tags | None, now: float) -> Flight | None:
        """Return the flight for this key, under way or new (then it has no task yet); None if this
        read must fetch for itself (C3)."""
        if not self.guard.clean(tags, now):
            self.counters.passes += 1
            return None
        self.counters.misses += 1
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = Flight(store, key, tags)
        return flight

    def complete(self, flight: Flight, value: Any, tags: Tags, now: float) -> bool:
        """End a flight with its answer, which shows `tags`. Return whether it was stored."""
        self.forget(flight)
        if flight.detached or not self.guard.clean(flight.tags, now):
            return False
        store, key = flight.store, flight.key
        tags = tags - {key} or NO_TAGS  # it shows its key anyway: most items need nothing else
        self._stores[store] = None
        store.put(key, Item(self, value, tags, now + store.ttl_s))
        for tag in tags:
            self._shown_by.setdefault(tag, set()).add((store, key))
        return True

    def forget(self, flight: Flight) -> None:
        """End a flight without storing an answer."""
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    async def read(
        self,
        store: LRUStore,
        key: str,
        tags: Tags | None,
        fetch: Callable[[], Awaitable[tuple[Any, Tags]]],
    ) -> tuple[Any, str]:
        """Return the value for `key`, and HIT, MISS or PASS. `fetch` returns the value and the tags
        that it shows. If it raises, nothing is stored, and all waiting readers get its error."""
        now = self.clock()
        found = self.find(store, key, now)
        if found is not None:
            return found, HIT
        flight = self.join(store, key, tags, now)
        if flight is None:
            return (await fetch())[0], PASS
        if flight.task is None:
            flight.task = asyncio.ensure_future(self._fly(flight, fetch))
            # Every reader may have left before it failed: then nothing else retrieves the error.
            flight.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        # Shielded: a reader that leaves does not cancel the fetch of the others.
        return await asyncio.shield(flight.task), MISS

    async def _fly(self, flight: Flight, fetch: Callable[[], Awaitable[tuple[Any, Tags]]]) -> Any:
        try:
            value, tags = await fetch()
        except BaseException:
            self.forget(flight)
            raise
        self.complete(flight, value, tags, self.clock())
        return value

    # --- invalidating ----------------------------------------------------------------------------

    def drop(self, tags: Iterable[str]) -> int:
        """Drop what shows any of `tags`, which a `prepare` touches, and detach the flights that may
        show them (C2, C5). Return how many items were dropped."""
        touched = frozenset(tags)
        dropped = 0
        for tag in touched:
            for store, key in self._showing(tag):
                dropped += store.remove(key)
        self.counters.invalidations += dropped
        for flight in list(self._flights.values()):
            # What a search under way will show is not known yet: every entry detaches it.
            if flight.tags is None or not touched.isdisjoint(flight.tags):
                self._detach(flight)
        return dropped

    def reset(self) -> None:
        """Drop all, and detach all flights: the lease is lost, or a feed begins (C4, J6)."""
        for store in self._stores:
            for key in store.keys(self):
                store.remove(key)
        for flight in list(self._flights.values()):
            self._detach(flight)

    def _showing(self, tag: str) -> list[tuple[LRUStore, str]]:
        """Return where the items are that show a tag, the ones of this very key among them."""
        same = [(store, tag) for store in self._stores if store.owner(tag) is self]
        return [*same, *self._shown_by.get(tag, ())]

    def _detach(self, flight: Flight) -> None:
        flight.detached = True
        self.forget(flight)

    def removed(self, store: LRUStore, key: str, item: Item) -> None:
        """Forget that an item shows its tags: it has left its store."""
        for tag in item.tags:
            shown = self._shown_by[tag]
            shown.discard((store, key))
            if not shown:
                del self._shown_by[tag]
