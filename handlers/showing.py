"""How the front end answers: from its cache, or with what a replica knows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bazar.app import HEADERS
from bazar.cache import HIT, Cache, Shelf, Tags
from bazar.config import NodeConfig
from bazar.errors import Unavailable, Unknown
from bazar.rendered import Rendered
from bazar.replication.store import Answer
from handlers.base import Handler, render
from handlers.order import PURCHASES_PATH
from handlers.source import Source
from storage.catalog import SEARCHES, info_key

if TYPE_CHECKING:
    from handlers.frontend import FrontEndService

SIBLING_S = 1.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the answer to a target is cached, and what is the target's own: the Link to the next
    page, and what the log says of a hit."""

    cache: Cache
    shelf: Shelf
    key: str
    link: str | None
    words: str


@dataclass(slots=True)
class Page:
    """An answer as it is cached: its bytes, who filled it, whether another page follows, and the
    headers by which it is not an answer like the others."""

    body: bytes
    replica: str
    more: bool = False
    own: Mapping[str, str] | None = None
    _rendered: tuple[str | None, Rendered] | None = field(default=None, repr=False)

    def headers(self, verdict: str, link: str | None) -> dict[str, str]:
        """What an answer with this page says of it."""
        headers = {"X-Cache": verdict, "X-Replica": self.replica}
        return {**headers, "Link": link} if self.more and link is not None else headers

    def rendered(self, place: Place) -> Rendered:
        """A hit's bytes. They are kept for one Link: a page is rarely asked for under two paths."""
        if self._rendered is None or (self.more and self._rendered[0] != place.link):
            headers = {**HEADERS, **(self.own or {}), **self.headers(HIT, place.link)}
            made = Rendered.of(self.body, headers, place.words)
            self._rendered = place.link, made
        return self._rendered[1]


class FrontEndHandler(Handler):
    service: FrontEndService

    async def show(
        self,
        source: Source,
        shelf: Shelf,
        key: str,
        tags: Tags | None,
        item: dict[str, Any],
        words: str = "data is cached",
        link: str | None = None,
    ) -> None:
        """Answer with the page for `key`, from the cache or from the next replica. `link` is to the
        page behind it, if there is one."""

        async def fetch() -> tuple[Page, Tags]:
            answer, replica = await self.read(source, item)
            return self.page(answer, replica), self.shown(answer) if tags is None else tags

        page: Page
        page, verdict = await source.cache.read(shelf, key, tags, fetch)
        # What was noted while fetching came first; the verdict leads the line.
        self.notes.insert(0, words if verdict == HIT else "data is not cached")
        for name, value in page.headers(verdict, link).items():
            self.set_header(name, value)
        place = Place(source.cache, shelf, key, link, words)
        page.rendered(place)
        self.service.remember((self.request.uri or "").encode("latin-1"), place)
        self.finish(page.body)

    async def from_siblings(self, path: str) -> list[dict[str, Any] | None]:
        """What the other processes of this front end answer, None for one that does not. They ask
        nobody in turn."""

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
        orders = self.service.orders
        settings = orders.settings
        answer, replica = await orders.ask(
            PURCHASES_PATH, item, settings.write_attempt_s, settings.write_deadline_s, self
        )
        self.set_header("X-Replica", replica)
        self.service.purchases += 1
        return answer

    async def read(self, source: Source, item: dict[str, Any]) -> tuple[Answer, str]:
        """What the page is made of, and the replica that knew."""
        return await source.read(item, self)

    def page(self, answer: Answer, replica: str) -> Page:
        """An item's answer has one field, which is what callers see."""
        [shown, *_] = answer.values()
        return Page(render(shown), replica, answer.get("more", False))

    def shown(self, answer: Answer) -> Tags:
        """The keys that a search's answer shows (C5)."""
        return frozenset({SEARCHES, *(info_key(book["id"]) for book in answer["books"])})
