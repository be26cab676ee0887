"""Pages about books: the home page, what a search finds, one book. All of them are cached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bazar.replication.store import Answer
from handlers import inputs
from handlers.pages import looks
from handlers.pages.page import ShelfPage
from storage.catalog import fold

ON_HOME = 12
ON_PAGE = 24
TOPICS_SHOWN = 200
TOPICS_LIKE = 5


class HomePage(ShelfPage):
    async def get(self) -> None:
        search = {"op": "search", "topic": "", "limit": ON_HOME, "offset": 0}
        # What it shows is not known before: it is stored as a search is (C5).
        await self.show_page(self.service.search(search), {"op": "topics"})

    def body(self, answer: Answer) -> bytes:
        topics = answer["topics"][:TOPICS_SHOWN]
        return looks.paint(
            "home.html", title="Bazar, a bookstore", books=answer["books"], topics=topics
        )


class ResultsPage(ShelfPage):
    async def get(self) -> None:
        self.search = self._search()
        # By words one may have meant a topic.
        topics = [{"op": "topics"}] if "q" in self.search and not self.search["offset"] else []
        await self.show_page(self.service.search(self.search), *topics)

    def _search(self) -> dict[str, Any]:
        """By words or by topic; all books without either, as an empty search box asks."""
        topic, q = self.query("topic"), self.query("q")
        offset = self.query_number("offset", 0, 0, inputs.MAX_OFFSET)
        page = {"limit": ON_PAGE, "offset": offset}
        if q is not None and q.strip():
            return {"op": "find", "q": inputs.words(q, "q"), **page}
        if topic:
            topic = inputs.text(topic, "topic", inputs.MAX_QUERY)
        return {"op": "search", "topic": topic or "", **page}

    def body(self, answer: Answer) -> bytes:
        search, books = self.search, answer["books"]
        q, topic, offset = search.get("q"), search.get("topic"), search["offset"]
        if q is not None:
            heading = f"Books with “{q}”"
        else:
            heading = f"Books about {topic}" if topic else "All books"
        wanted = {"q": q, "topic": topic or None}
        before, after = max(offset - ON_PAGE, 0), offset + ON_PAGE
        return looks.paint(
            "results.html",
            title=heading if offset == 0 else f"{heading}, from {offset + 1}",
            heading=heading,
            books=books,
            topics=topics_like(search["q"], answer["topics"]) if "topics" in answer else [],
            q=q or "",
            offset=offset,
            before=looks.link("/books", **wanted, offset=before or None) if offset else None,
            after=looks.link("/books", **wanted, offset=after)
            if answer["more"] and after <= inputs.MAX_OFFSET
            else None,
        )


def topics_like(q: str, topics: Iterable[Mapping[str, Any]]) -> list[str]:
    """The topics that have, for each word of `q`, one that begins with it; else for some word."""
    wanted = fold(q).split()
    matching: dict[int, list[str]] = {}
    for topic in topics:
        words = fold(topic["topic"]).split()
        found = sum(any(word.startswith(one) for word in words) for one in wanted)
        matching.setdefault(found, []).append(topic["topic"])
    best = max(matching, default=0)
    return matching[best][:TOPICS_LIKE] if best else []


class BookPage(ShelfPage):
    async def get(self, book: str) -> None:
        await self.show_page(self.service.info(inputs.book_id(book)))

    def body(self, answer: Answer) -> bytes:
        book = answer["book"]
        most = min(book["count"], inputs.MAX_QUANTITY)
        return looks.paint("book.html", title=book["title"], book=book, most=most)
