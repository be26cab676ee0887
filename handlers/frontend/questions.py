"""What a front end can be asked, and how its answer is cached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bazar.cache import LRUStore, Tags
from bazar.http.response import render
from bazar.http.response_cache import CachedResponse, CacheSlot
from bazar.http.traffic import Kind
from bazar.replication.store import Answer
from handlers.frontend.upstream import Note, Source
from storage.books import info_key
from storage.catalog import SEARCHES, TOPICS


def plain(answer: Answer, replica: str) -> CachedResponse:
    """Show an item's answer as JSON. Its first field is what callers see."""
    [shown, *_] = answer.values()
    return CachedResponse(render(shown), replica, answer.get("after"))


@dataclass(frozen=True, slots=True)
class Question:
    """A cacheable question: the items to read of a service, where the answer is stored, and how it
    is shown. `tags` are the cache keys that it shows; None if only the answer shows them."""

    source: Source
    store: LRUStore
    key: str
    tags: Tags | None
    items: tuple[dict[str, Any], ...]
    show: Callable[[Answer, str], CachedResponse] = plain
    log_note: str = "data is cached"
    link: str | None = None

    def slot(self, kind: Kind) -> CacheSlot:
        cache = self.source.cache
        return CacheSlot(cache, self.store, self.key, self.link, self.log_note, kind)

    async def answered(self, note: Note) -> tuple[CachedResponse, str]:
        """Return the page, from the cache or from the next replica, and HIT, MISS or PASS. Raises
        the error by which the replica refused, or Unavailable."""

        async def fetch() -> tuple[CachedResponse, Tags]:
            read = self.source.read
            if len(self.items) == 1:  # the usual case: it needs no tasks
                found = [await read(self.items[0], note)]
            else:
                found = await asyncio.gather(*(read(item, note) for item in self.items))
            answer = {name: value for part, _ in found for name, value in part.items()}
            tags = shown(answer) if self.tags is None else self.tags
            return self.show(answer, found[0][1]), tags

        page: CachedResponse
        page, verdict = await self.source.cache.read(self.store, self.key, self.tags, fetch)
        return page, verdict


def shown(answer: Answer) -> Tags:
    """Return the cache keys that a search's answer shows (C5)."""
    topics = {TOPICS} if "topics" in answer else set()
    return frozenset({SEARCHES, *topics, *(info_key(book["id"]) for book in answer["books"])})
