"""What is kept of a cached answer and its target, and how little."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from bazar.cache import Cache, LRUStore, Tags
from bazar.http.cached_response import CachedResponse
from bazar.http.known_targets import LEAST, LONGEST, KnownTargets
from bazar.http.response import HEADERS, RawResponse, body_of, entity_of, render
from bazar.http.traffic import ASTRAY
from handlers.frontend.questions import Question
from handlers.frontend.upstream import Source

BOOKS = 1000
BOOK_BYTES = 1250
"""What a cached book may take: a hundred thousand are 125 MB. It is 1,198, or a little more where
Python allocates meanwhile for itself."""


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


def cached(cache: Cache, store: LRUStore, known: KnownTargets, book: int) -> None:
    """Have this book cached, found by its target, and answered once from there."""
    key = f"info_{book}"
    flight = cache.join(store, key, frozenset({key}), 0.0)
    assert flight is not None
    body = {"id": book, "title": f"A book about one thing and another, {book}", "count": 7}
    page = CachedResponse(render(body), "catalog-1")
    assert cache.complete(flight, page, frozenset({key}), 0.0)
    source = cast(Source, SimpleNamespace(cache=cache))
    item = {"op": "info", "book": book}
    known.remember(b"/info/%d" % book, Question(source, store, key, key, item))
    question = known.find(b"/info/%d" % book)
    assert question is not None
    assert question.find(0.0) is question.find(0.0) is not None


def test_a_cached_book_takes_little(traced: None) -> None:
    cache, store = Cache(Guard(), lambda: 0.0), LRUStore("local", BOOKS + 1, 300.0)
    known = KnownTargets(BOOKS + 1)
    cached(cache, store, known, 0)
    before, _ = tracemalloc.get_traced_memory()
    for book in range(1, BOOKS + 1):
        cached(cache, store, known, book)
    after, _ = tracemalloc.get_traced_memory()
    assert len(store) == BOOKS + 1
    assert (after - before) / BOOKS < BOOK_BYTES


def test_so_many_targets_are_known_and_no_more() -> None:
    source, store = cast(Source, None), LRUStore("local", 1, 300.0)
    for entries, kept in ((0, LEAST), (LEAST + 2, LEAST + 2)):
        known = KnownTargets(entries)
        for number in range(kept + 1):
            known.remember(b"%d" % number, Question(source, store, "", "", {}))
        assert known.find(b"0") is None
        assert known.find(b"1") is not None
        assert known.find(b"%d" % kept) is not None


def test_a_very_long_target_is_not_known() -> None:
    known, question = KnownTargets(), Question(cast(Source, None), cast(LRUStore, None), "", "", {})
    for length, is_known in ((LONGEST, True), (LONGEST + 1, False)):
        known.remember(b"/" * length, question)
        assert (known.find(b"/" * length) is question) is is_known


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
