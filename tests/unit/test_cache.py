"""The cache by its rules, with a clock and a subscriber of the test's own."""

from __future__ import annotations

import asyncio
import gc
import unittest
from typing import Any

from bazar.cache import HIT, MISS, PASS, Cache, LRUStore, Tags
from bazar.errors import Unavailable


class Guard:
    """A subscriber as the cache sees it."""

    def __init__(self) -> None:
        self.lease = True
        self.dirty: set[str] = set()

    def lease_valid(self, now: float) -> bool:
        return self.lease

    def clean(self, tags: Tags | None, now: float) -> bool:
        return self.lease and not (self.dirty if tags is None else self.dirty & tags)


class Source:
    """Answers `value` about `tags` when it is let go."""

    def __init__(self, value: Any, *tags: str) -> None:
        self.value = value
        self.tags = frozenset(tags)
        self.asked = 0
        self.asked_now = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self) -> tuple[Any, Tags]:
        self.asked += 1
        value = self.value
        self.asked_now.set()
        await self.may_answer.wait()
        if isinstance(value, BaseException):
            raise value
        return value, self.tags


class CacheTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        self.now = 1000.0
        self.guard = Guard()
        self.cache = Cache(self.guard, lambda: self.now)
        self.store = LRUStore("local", 3, 300.0)

    async def read(self, key: str, value: Any, *tags: str, known: bool = True) -> tuple[Any, str]:
        """Read `key`; a replica would answer `value`, which shows `tags`."""
        source = Source(value, *(tags or (key,)))
        return await self.cache.read(self.store, key, source.tags if known else None, source)

    async def search(self, key: str, value: Any, *tags: str) -> tuple[Any, str]:
        return await self.read(key, value, "searches", *tags, known=False)

    async def test_first_read_misses_and_second_hits(self) -> None:
        self.assertEqual(await self.read("a", 1), (1, MISS))
        self.assertEqual(await self.read("a", 2), (1, HIT))
        counters = self.cache.counters
        self.assertEqual((counters.hits, counters.misses, counters.passes), (1, 1, 0))

    async def test_the_least_recently_used_makes_room(self) -> None:
        for key in "abc":
            await self.read(key, key)
        await self.read("a", "?")  # used again: b is the oldest now
        await self.read("d", "d")
        self.assertEqual(self.cache.counters.evictions, 1)
        self.assertEqual([(await self.read(k, "new"))[1] for k in "acd"], [HIT] * 3)
        self.assertEqual(await self.read("b", "new"), ("new", MISS))
        self.assertEqual(len(self.store), 3)

    async def test_an_entry_ends_with_its_ttl_and_not_before(self) -> None:
        await self.read("a", 1)
        self.now += 299.999
        self.assertEqual(await self.read("a", 2), (1, HIT))
        self.now += 0.001
        self.assertEqual(await self.read("a", 2), (2, MISS))

    async def test_c1_nothing_is_served_without_a_lease(self) -> None:
        await self.read("a", 1)
        self.guard.lease = False
        self.assertEqual(await self.read("a", 2), (2, PASS))

    async def test_c2_those_who_miss_together_ask_once(self) -> None:
        source = Source(1, "a")
        source.may_answer.clear()
        reads = [
            asyncio.create_task(self.cache.read(self.store, "a", source.tags, source))
            for _ in range(5)
        ]
        await source.asked_now.wait()
        source.may_answer.set()
        self.assertEqual(await asyncio.gather(*reads), [(1, MISS)] * 5)
        self.assertEqual(source.asked, 1)

    async def test_c2_an_invalidation_detaches_the_flight(self) -> None:
        old, new = Source("old", "a"), Source("new", "a")
        old.may_answer.clear()
        before = asyncio.create_task(self.cache.read(self.store, "a", old.tags, old))
        await old.asked_now.wait()
        self.cache.drop(["a"])
        # A later reader does not join it, though the key is clean again.
        self.assertEqual(await self.cache.read(self.store, "a", new.tags, new), ("new", MISS))
        old.may_answer.set()
        self.assertEqual(await before, ("old", MISS))
        self.assertEqual(await self.read("a", "?"), ("new", HIT))

    async def test_c2_a_flight_about_another_key_is_left_alone(self) -> None:
        source = Source(1, "a")
        source.may_answer.clear()
        read = asyncio.create_task(self.cache.read(self.store, "a", source.tags, source))
        await source.asked_now.wait()
        self.cache.drop(["b"])
        source.may_answer.set()
        await read
        self.assertEqual(await self.read("a", 2), (1, HIT))

    async def test_c2_losing_the_lease_detaches_every_flight(self) -> None:
        source = Source("old", "a")
        source.may_answer.clear()
        read = asyncio.create_task(self.cache.read(self.store, "a", source.tags, source))
        await source.asked_now.wait()
        self.cache.reset()
        source.may_answer.set()
        await read
        self.assertEqual(await self.read("a", "new"), ("new", MISS))

    async def test_c2_a_flight_that_lands_without_a_lease_is_not_stored(self) -> None:
        source = Source("old", "a")
        source.may_answer.clear()
        read = asyncio.create_task(self.cache.read(self.store, "a", source.tags, source))
        await source.asked_now.wait()
        self.guard.lease = False  # it ran out while this process slept
        source.may_answer.set()
        await read
        self.assertEqual(len(self.store), 0)

    async def test_c2_landing_says_whether_it_was_stored(self) -> None:
        tags = frozenset({"a"})
        for lease in (True, False):
            flight = self.cache.join(self.store, "a", tags, self.now)
            assert flight is not None
            self.guard.lease = lease
            self.assertEqual(self.cache.complete(flight, 1, tags, self.now), lease)

    async def test_c3_a_dirty_key_is_read_through_and_not_stored(self) -> None:
        self.guard.dirty = {"a"}
        self.assertEqual(await self.read("a", 1), (1, PASS))
        self.assertEqual(await self.read("a", 2), (2, PASS))
        self.assertEqual(await self.read("b", 1), (1, MISS))
        counters = self.cache.counters
        self.assertEqual((counters.hits, counters.misses, counters.passes), (0, 1, 2))
        self.guard.dirty = set()
        self.assertEqual(await self.read("a", 3), (3, MISS))

    async def test_c3_passes_are_not_joined(self) -> None:
        self.guard.dirty = {"a"}
        source = Source(1, "a")
        source.may_answer.clear()
        reads = [
            asyncio.create_task(self.cache.read(self.store, "a", source.tags, source))
            for _ in range(3)
        ]
        await source.asked_now.wait()
        source.may_answer.set()
        self.assertEqual(await asyncio.gather(*reads), [(1, PASS)] * 3)
        self.assertEqual(source.asked, 3)

    async def test_c4_a_reset_empties_the_cache(self) -> None:
        await self.read("a", 1)
        await self.search("s", [1], "a")
        self.cache.reset()
        self.assertEqual(len(self.store), 0)
        self.assertEqual(await self.read("a", 2), (2, MISS))

    async def test_c5_a_book_drops_the_searches_that_show_it(self) -> None:
        await self.search("s1", [1, 2], "info_1", "info_2")
        await self.search("s2", [3], "info_3")
        await self.read("info_1", 1)
        self.assertEqual(self.cache.drop(["info_1"]), 2)
        self.assertEqual((await self.search("s1", "new", "info_1"))[1], MISS)
        self.assertEqual((await self.search("s2", "new", "info_3"))[1], HIT)
        self.assertEqual(self.cache.counters.invalidations, 2)

    async def test_c5_any_entry_detaches_a_search_under_way(self) -> None:
        source = Source([1], "searches", "info_1")
        source.may_answer.clear()
        search = asyncio.create_task(self.cache.read(self.store, "s", None, source))
        await source.asked_now.wait()
        self.cache.drop(["info_99"])  # not known yet whether it will show this one
        source.may_answer.set()
        await search
        self.assertEqual((await self.search("s", "new"))[1], MISS)

    async def test_c5_no_search_is_stored_while_anything_is_pending(self) -> None:
        self.guard.dirty = {"info_99"}
        self.assertEqual((await self.search("s", [1], "info_1"))[1], PASS)
        self.assertEqual((await self.search("s", [1], "info_1"))[1], PASS)

    async def test_c5_an_evicted_or_ended_search_is_forgotten_by_its_books(self) -> None:
        for number in range(50):
            await self.search(f"s{number}", number, f"info_{number}")
        shown = {tag for tag in self.cache._shown_by if tag.startswith("info_")}
        self.assertEqual(shown, {"info_47", "info_48", "info_49"})
        self.now += 300
        for number in range(50):
            self.store.get(f"s{number}", self.now)
        self.assertEqual(self.cache._shown_by, {})

    async def test_a_search_stored_anew_shows_its_new_books_alone(self) -> None:
        await self.search("s", "old", "info_1")
        self.store.remove("s")
        await self.search("s", "new", "info_2")
        self.cache.drop(["info_1"])
        self.assertEqual((await self.search("s", "?", "info_2"))[1], HIT)

    async def test_c5_a_search_that_leaves_takes_no_other_of_its_books_along(self) -> None:
        for key in ("s1", "s2", "s3"):
            await self.search(key, "old", "info_1")
        self.assertTrue(self.store.remove("s1"))
        self.assertFalse(self.store.remove("s1"))
        self.assertEqual(self.cache.drop(["info_1"]), 2)
        self.assertEqual(await self.search("s2", "new", "info_1"), ("new", MISS))

    async def test_what_another_cache_has_put_in_its_place_is_not_dropped(self) -> None:
        other = Cache(self.guard, lambda: self.now)
        flights = [one.join(self.store, "s", None, self.now) for one in (self.cache, other)]
        for one, flight, tag in zip((self.cache, other), flights, ("a", "b"), strict=True):
            assert flight is not None
            self.assertTrue(one.complete(flight, tag, frozenset({tag}), self.now))
        self.assertEqual(self.cache.drop(["a"]), 0)
        self.assertEqual(other.find(self.store, "s", self.now), "b")

    async def test_c2_a_detached_flight_that_lands_ends_no_later_one(self) -> None:
        tags = frozenset({"a"})
        old = self.cache.join(self.store, "a", tags, self.now)
        assert old is not None
        self.cache.drop(tags)
        new = self.cache.join(self.store, "a", tags, self.now)
        self.assertFalse(self.cache.complete(old, 1, tags, self.now))
        self.assertIs(self.cache.join(self.store, "a", tags, self.now), new)

    async def test_an_error_is_everybodys_and_is_not_stored(self) -> None:
        source = Source(Unavailable("nobody is there"), "a")
        source.may_answer.clear()
        reads = [
            asyncio.create_task(self.cache.read(self.store, "a", source.tags, source))
            for _ in range(3)
        ]
        await source.asked_now.wait()
        source.may_answer.set()
        errors = await asyncio.gather(*reads, return_exceptions=True)
        self.assertEqual([type(error) for error in errors], [Unavailable] * 3)
        self.assertEqual(source.asked, 1)
        self.assertEqual(await self.read("a", 1), (1, MISS))

    async def test_a_reader_who_leaves_does_not_take_the_answer_along(self) -> None:
        source = Source(1, "a")
        source.may_answer.clear()
        first, second = (
            asyncio.create_task(self.cache.read(self.store, "a", source.tags, source))
            for _ in range(2)
        )
        await source.asked_now.wait()
        first.cancel()
        await asyncio.wait([first])
        source.may_answer.set()
        self.assertEqual(await second, (1, MISS))
        self.assertEqual(await self.read("a", 2), (1, HIT))

    async def test_nobody_complains_of_a_fetch_that_fails_when_its_readers_have_left(self) -> None:
        complaints: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: complaints.append(context["message"]))
        for broken in (Unavailable, asyncio.CancelledError):
            source = Source(broken(), "a")
            source.may_answer.clear()
            read = asyncio.create_task(self.cache.read(self.store, "a", source.tags, source))
            await source.asked_now.wait()
            read.cancel()
            await asyncio.wait([read])
            source.may_answer.set()
            await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
            del source, read
        gc.collect()
        self.assertEqual(complaints, [])

    async def test_two_caches_may_share_a_shelf(self) -> None:
        other = Cache(Guard(), lambda: self.now)
        await self.read("a", 1)
        source = Source(2, "b")
        await other.read(self.store, "b", source.tags, source)
        self.cache.reset()
        self.assertEqual((await other.read(self.store, "b", source.tags, source))[1], HIT)
        self.assertEqual((await self.read("a", 1))[1], MISS)
        self.assertEqual(other.drop(["a"]), 0)
