"""Pages about books: the home page, the result of a search, one book. All of them are cached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from bazar.replication.store import Answer
from handlers.api import where_to_begin
from handlers.storefront import forms, rendering
from handlers.storefront.base import ShelfPage
from handlers.validation import MAX_QUANTITY, TEXT, WORDS, trouble
from storage.catalog import MAX_TOPICS
from storage.letters import findable, phrases

ON_HOME = 12
ON_PAGE = 24
TOPICS_SHOWN = 200
TOPICS_LIKE = 5


class HomePage(ShelfPage):
    @forms.HOME
    async def get(self) -> None:
        search = {"op": "search", "topic": "", "limit": ON_HOME}
        # The tags of what it shows are not known before: store it as a search (C5).
        await self.show_page(self.service.search(search), {"op": "topics"})

    def body(self, answer: Answer) -> bytes:
        topics = answer["topics"][:TOPICS_SHOWN]
        return rendering.paint(
            "home.html", title="Bazar, a bookstore", books=answer["books"], topics=topics
        )


class ResultsPage(ShelfPage):
    @forms.RESULTS
    async def get(self) -> None:
        q = self.given["q"]
        if q is not None and q.strip() and (reason := trouble(q)):
            self.set_status(400)
            self.paint("unsearched.html", title="That can’t be looked for", trouble=reason, q=q)
            return
        self.search = self._search(q)
        self.first = all(not self.search[name] for name in ("skip", "after", "before"))
        # The words may be meant as a topic.
        topics = [{"op": "topics"}] if "q" in self.search and self.first else []
        await self.show_page(self.service.search(self.search), *topics)

    def _search(self, q: str | None) -> dict[str, Any]:
        """Return the search, by words or by topic; without either, as from an empty search box, of
        all books."""
        topic = self.given["topic"]
        part = {"limit": ON_PAGE, **where_to_begin(self.given), "before": self.given["before"]}
        if q is not None and q.strip():
            return {"op": "find", "q": WORDS(q, "q"), **part}
        if topic:
            topic = TEXT(topic, "topic")
        return {"op": "search", "topic": topic or "", **part}

    def body(self, answer: Answer) -> bytes:
        q, topic = self.search.get("q"), self.search.get("topic")
        if q is not None:
            heading = f"Books with “{q}”"
        else:
            heading = f"Books about {topic}" if topic else "All books"
        wanted = {"q": q, "topic": topic or None}
        # Of the shop, not of a topic that nobody has.
        is_empty = self.first and not answer["books"] and not (topic or answer.get("topics"))
        before, after = (
            rendering.link("/books", **wanted, **{name: answer[name]}) if answer[name] else None
            for name in ("before", "after")
        )
        return rendering.paint(
            "results.html",
            title=heading if self.first else f"{heading}, continued",
            heading=heading,
            is_empty=is_empty,
            books=answer["books"],
            topics=topics_like(q, answer["topics"]) if q and "topics" in answer else [],
            q=q or "",
            first=self.first,
            start=rendering.link("/books", **wanted),
            count=answer["count"],
            before=before,
            after=after,
        )


def topics_like(q: str, topics: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the topics that have for each word of `q` a word beginning with it; if there is none,
    those that have it for some word."""
    wanted = phrases(q)
    matching: dict[int, list[str]] = {}
    for topic in topics:
        words = _words(topic["topic"])
        found = sum(one.fits(words) for one in wanted)
        matching.setdefault(found, []).append(topic["topic"])
    best = max(matching, default=0)
    return matching[best][:TOPICS_LIKE] if best else []


@lru_cache(maxsize=MAX_TOPICS)  # each search goes through all topics
def _words(topic: str) -> str:
    return findable(topic)


class BookPage(ShelfPage):
    @forms.BOOK_PAGE
    async def get(self, book: int) -> None:
        await self.show_page(self.service.info(book))

    def body(self, answer: Answer) -> bytes:
        book = answer["book"]
        most = min(book["count"], MAX_QUANTITY)
        return rendering.paint("book.html", title=book["title"], book=book, most=most)
