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
from handlers.api import total
from handlers.frontend.upstream import Note, Source
from storage.books import info_key
from storage.searches import Search
from storage.tags import TOPICS


def plain(answer: Answer, replica: str) -> CachedResponse:
    """Show an item's answer as JSON. Its first field is what callers see."""
    [shown, *_] = answer.values()
    own = total(answer) if "count" in answer else None
    return CachedResponse(render(shown), replica, answer.get("after"), own)


@dataclass(frozen=True, slots=True)
class Question:
    """A cacheable question: the items to read of a service, where the answer is stored, and how it
    is shown. `tags` are the cache keys that it shows; None if only the answer shows them, beside
    those of the `search`."""

    source: Source
    store: LRUStore
    key: str
    tags: Tags | None
    items: tuple[dict[str, Any], ...]
    show: Callable[[Answer, str], CachedResponse] = plain
    log_note: str = "data is cached"
    link: str | None = None
    search: Search | None = None

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
            return self.show(answer, found[0][1]), self._shown(answer)

        page: CachedResponse
        page, verdict = await self.source.cache.read(self.store, self.key, self.tags, fetch)
        return page, verdict

    def _shown(self, answer: Answer) -> Tags:
        """Return the cache keys that an answer shows (C5)."""
        if self.tags is not None:
            return self.tags
        of_search = self.search.tags if self.search is not None else frozenset()
        topics = {TOPICS} if "topics" in answer else set()
        return frozenset({*of_search, *topics, *(info_key(one["id"]) for one in answer["books"])})
