"""How the front end answers: from its cache, or with what a replica knows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bazar.cache import HIT, Cache, Shelf, Tags
from bazar.config import NodeConfig
from bazar.errors import Unavailable, Unknown
from bazar.http.response import Rendered, render
from bazar.node.server import HEADERS
from bazar.replication.store import Answer
from handlers.base import Handler, next_page
from handlers.frontend.upstream import Note, Source
from storage.catalog import SEARCHES, TOPICS, info_key

if TYPE_CHECKING:
    from handlers.frontend.service import FrontEndService

SIBLING_S = 1.0
SIBLINGS_NAMES = frozenset({"alone"})  # in the query of what is asked of siblings, too


@dataclass(frozen=True, slots=True)
class Place:
    """Where the answer to a target is cached, and what is the target's own: where the next page is,
    but for the place where it begins, and what the log says of a hit."""

    cache: Cache
    shelf: Shelf
    key: str
    link: str | None
    words: str


@dataclass(slots=True)
class Page:
    """An answer as it is cached: its bytes, who filled it, the place behind which another page
    follows if one does, and the headers by which it is not an answer like the others."""

    body: bytes
    replica: str
    after: str | None = None
    own: Mapping[str, str] | None = None
    _rendered: tuple[str | None, Rendered] | None = field(default=None, repr=False)

    def headers(self, verdict: str, link: str | None) -> dict[str, str]:
        """Return what an answer with this page says of it."""
        headers = {"X-Cache": verdict, "X-Replica": self.replica}
        if self.after is None or link is None:
            return headers
        return {**headers, "Link": next_page(link, self.after)}

    def rendered(self, place: Place) -> Rendered:
        """Return a hit's bytes. They are kept for one Link: a page is rarely asked for under two
        paths."""
        if self._rendered is None or (self.after is not None and self._rendered[0] != place.link):
            headers = {**HEADERS, **(self.own or {}), **self.headers(HIT, place.link)}
            made = Rendered.of(self.body, headers, place.words)
            self._rendered = place.link, made
        return self._rendered[1]


def plain(answer: Answer, replica: str) -> Page:
    """Show an item's answer as JSON. It has one field, which is what callers see."""
    [shown, *_] = answer.values()
    return Page(render(shown), replica, answer.get("after"))


@dataclass(frozen=True, slots=True)
class Question:
    """What can be asked and cached: which items of which service, where the answer is kept, and
    how it is shown. `tags` are the cache keys that it shows, None where only the answer tells."""

    source: Source
    shelf: Shelf
    key: str
    tags: Tags | None
    items: tuple[dict[str, Any], ...]
    show: Callable[[Answer, str], Page] = plain
    words: str = "data is cached"
    link: str | None = None

    @property
    def place(self) -> Place:
        return Place(self.source.cache, self.shelf, self.key, self.link, self.words)

    async def answered(self, note: Note) -> tuple[Page, str]:
        """Return the page, from the cache or from the next replica, and HIT, MISS or PASS. Raises
        what the replica refused, or Unavailable."""

        async def fetch() -> tuple[Page, Tags]:
            read = self.source.read
            if len(self.items) == 1:  # the most usual: a task less
                found = [await read(self.items[0], note)]
            else:
                found = await asyncio.gather(*(read(item, note) for item in self.items))
            answer = {name: value for part, _ in found for name, value in part.items()}
            tags = shown(answer) if self.tags is None else self.tags
            return self.show(answer, found[0][1]), tags

        page: Page
        page, verdict = await self.source.cache.read(self.shelf, self.key, self.tags, fetch)
        return page, verdict


def shown(answer: Answer) -> Tags:
    """Return the keys that a search's answer shows (C5)."""
    topics = {TOPICS} if "topics" in answer else set()
    return frozenset({SEARCHES, *topics, *(info_key(book["id"]) for book in answer["books"])})


class FrontEndHandler(Handler):
    service: FrontEndService

    async def show(self, question: Question) -> None:
        """Answer with the question's page."""
        target = (self.request.uri or "").encode("latin-1")
        page, verdict = await self.service.answered(target, question, self.note)
        # What was noted while fetching came first; the verdict leads the line.
        self.notes.insert(0, question.words if verdict == HIT else "data is not cached")
        for name, value in page.headers(verdict, question.link).items():
            self.set_header(name, value)
        self.finish(page.body)

    async def from_siblings(self, path: str) -> list[dict[str, Any] | None]:
        """Return what the other processes of this front end answer, None for one that does not.
        They ask nobody in turn."""

        async def ask(sibling: NodeConfig) -> dict[str, Any] | None:
            try:
                answer: dict[str, Any] = await self.service.client.call(
                    sibling, f"{path}?alone=1", None, SIBLING_S
                )
            except (Unavailable, Unknown):
                return None
            return answer

        if self.query("alone") is not None:
            return []
        return await asyncio.gather(*map(ask, self.service.context.siblings))

    async def buy(self, item: dict[str, Any]) -> Answer:
        """Have the next order replica carry out this purchase."""
        answer, replica = await self.service.buy(item, self.note)
        self.set_header("X-Replica", replica)
        return answer
