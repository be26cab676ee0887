"""What a front end can be asked, and how its answer is cached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bazar.cache import HIT, LRUStore, Tags
from bazar.http.cached_response import CachedResponse
from bazar.http.known_targets import Note
from bazar.http.response import RawResponse, render
from bazar.http.traffic import ASTRAY, Kind
from bazar.replication.store import Answer
from handlers.api import total
from handlers.frontend.upstream import Source
from storage.books import info_key
from storage.tags import TOPICS


def plain(answer: Answer, replica: str) -> CachedResponse:
    """Show an item's answer as JSON. Its first field is what callers see."""
    [shown, *_] = answer.values()
    own = total(answer) if "count" in answer else None
    return CachedResponse(render(shown), replica, answer.get("after"), own)


@dataclass(frozen=True, slots=True)
class Question:
    """A cacheable question, which a target asks: the item to read of a service, and `more` of them,
    where the answer is stored, and how it is shown. It shows one cache key, `tag`; None for a
    search, where only the answer says which, beside the tags that it is `found_by`. `link` is the
    next page's address without the value of its `after`; requests for it are counted as `kind`.
    Many of them are kept: what can be made from the rest has no field."""

    source: Source
    store: LRUStore
    key: str
    tag: str | None
    item: dict[str, Any]
    more: tuple[dict[str, Any], ...] = ()
    show: Callable[[Answer, str], CachedResponse] = plain
    link: str | None = None
    found_by: Tags = frozenset()
    kind: Kind = ASTRAY

    def word(self, verdict: str) -> str:
        """Return with what its log line begins."""
        if verdict != HIT:
            return "data is not cached"
        return "Data retrieved from cache" if self.tag is None else "data is cached"

    def find(self, now: float) -> RawResponse | None:
        """Return the answer, if it is cached and may be served now."""
        page: CachedResponse | None = self.source.cache.find(self.store, self.key, now)
        return None if page is None else page.hit(self)

    async def fetch(self, note: Note) -> RawResponse:
        """Return the answer as `answered` has it."""
        with self.source.activity.request():
            page, verdict = await self.answered(note)
        return page.raw(verdict, self)

    async def answered(self, note: Note) -> tuple[CachedResponse, str]:
        """Return the page, from the cache or from the next replica, and HIT, MISS or PASS. Raises
        the error by which the replica refused, or Unavailable."""

        async def fetch() -> tuple[CachedResponse, Tags]:
            read = self.source.read
            if not self.more:  # the usual case: it needs no tasks
                found = [await read(self.item, note)]
            else:
                items = (self.item, *self.more)
                found = await asyncio.gather(*(read(item, note) for item in items))
            answer = {name: value for part, _ in found for name, value in part.items()}
            return self.show(answer, found[0][1]), self._shown(answer)

        page: CachedResponse
        tags = None if self.tag is None else frozenset({self.tag})
        page, verdict = await self.source.cache.read(self.store, self.key, tags, fetch)
        return page, verdict

    def _shown(self, answer: Answer) -> Tags:
        """Return the cache keys that an answer shows (C5)."""
        if self.tag is not None:
            return frozenset({self.tag})
        topics = {TOPICS} if "topics" in answer else set()
        return frozenset(
            {*self.found_by, *topics, *(info_key(one["id"]) for one in answer["books"])}
        )
