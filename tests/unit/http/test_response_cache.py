"""What the response cache keeps, and how little."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from bazar.cache import Cache, LRUStore, Tags
from bazar.http.response import HEADERS, RawResponse, body_of, entity_of, render
from bazar.http.response_cache import CachedResponse, CacheSlot, ResponseCache
from bazar.http.traffic import ASTRAY

BOOKS = 1000
BOOK_BYTES = 1200
"""What a cached book may take: a hundred thousand are 120 MB."""


class Guard:
    def lease_valid(self, now: float) -> bool:
        return True

    def clean(self, tags: Tags | None, now: float) -> bool:
        return True


@pytest.fixture(name="traced")
def _traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def cached(cache: Cache, store: LRUStore, responses: ResponseCache, book: int) -> None:
    """Have this book cached, and found by its target."""
    key = f"info_{book}"
    tags = frozenset({key})
    flight = cache.join(store, key, tags, 0.0)
    assert flight is not None
    body = {"id": book, "title": f"A book about one thing and another, {book}", "count": 7}
    page = CachedResponse(render(body), "catalog-1")
    assert cache.complete(flight, page, tags, 0.0)
    slot = CacheSlot(cache, store, key, None, "data is cached", ASTRAY)
    responses.remember(b"/info/%d" % book, slot, page)


def test_a_cached_book_takes_little(traced: None) -> None:
    cache, store = Cache(Guard(), lambda: 0.0), LRUStore("local", BOOKS + 1, 300.0)
    responses = ResponseCache(BOOKS + 1)
    cached(cache, store, responses, 0)
    before, _ = tracemalloc.get_traced_memory()
    for book in range(1, BOOKS + 1):
        cached(cache, store, responses, book)
    after, _ = tracemalloc.get_traced_memory()
    assert len(store) == BOOKS + 1
    assert (after - before) / BOOKS < BOOK_BYTES


def test_answers_share_what_they_have_in_common() -> None:
    one, other, another = (
        RawResponse.of(entity_of(body), {**HEADERS, "X-Replica": replica}, "cached", ASTRAY)
        for body, replica in ((b"a", "1"), (b"b", "1"), (b"b", "2"))
    )
    assert one.common is other.common
    assert one.etag != other.etag == another.etag
    assert b"X-Replica: 2\r\n" in another.common.lines
    assert b"application/json" not in another.common.validators


@pytest.mark.parametrize("body", (b"", b"x", b"a\r\n\r\nb"))
def test_a_head_is_all_but_the_body(body: bytes) -> None:
    entity = entity_of(body)
    assert body_of(entity) == body
    raw = RawResponse.of(entity, HEADERS, "", ASTRAY)
    status, whole = raw.answer(b"GET", b"A: b\r\n", b"")
    assert status == 200
    assert whole == raw.answer(b"HEAD", b"A: b\r\n", b"")[1] + body
