"""Pages about books: the home page, the result of a search, one book. All of them are cached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from typing import Any

from bazar.replication.store import Answer
from handlers.api import search_item
from handlers.storefront import forms, rendering
from handlers.storefront.base import ShelfPage
from handlers.storefront.listing import Listing
from handlers.validation import MAX_QUANTITY, TEXT, WORDS, trouble
from storage.catalog import MAX_TOPICS
from storage.letters import findable, phrases
from storage.paging import LOOKED

ON_HOME = 12
ON_PAGE = 24
TOPICS_SHOWN = 200
TOPICS_LIKE = 5


class HomePage(ShelfPage):
    @forms.HOME
    async def get(self) -> None:
        search = {"op": "search", "topic": "", "limit": ON_HOME}
        # The tags of what it shows are not known before: store it as a search (C5).
        await self.show_page(self.service.search(search), home, {"op": "topics"})


def home(answer: Answer) -> bytes:
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
        search = self._search(q)
        # The words may be meant as a topic.
        topics = [{"op": "topics"}] if "q" in search and _is_first(search) else []
        await self.show_page(self.service.search(search), partial(results, search), *topics)

    def _search(self, q: str | None) -> dict[str, Any]:
        """Return the search, by words, by topic, or both; without either, as from an empty search
        box, of all books."""
        words = WORDS(q, "q") if q is not None and q.strip() else None
        topic = TEXT(self.given["topic"], "topic") if self.given["topic"] else None
        part = {**self.given, "limit": ON_PAGE, "skip": self.given["offset"]}
        if words is None:
            # An order of what words find is none where there are none any more.
            part["sort"] = None if part["sort"] == "fit" else part["sort"]
            return search_item(None, topic or "", part)
        return search_item(words, topic, part)


def _is_first(search: Mapping[str, Any]) -> bool:
    """Whether the page is asked for as the first one of its list."""
    return not any(search.get(name) for name in ("skip", "after", "before"))


def results(search: dict[str, Any], answer: Answer) -> bytes:
    listing, first = Listing(search), _is_first(search)
    books = answer["books"]
    # Of the shop, not of a topic that nobody has.
    is_empty = first and not books and not (listing.topic or answer.get("topics"))
    before, after = (
        listing.link(**{name: answer[name]}) if answer[name] else None
        for name in ("before", "after")
    )
    is_first = first or (bool(books) and before is None)
    return rendering.paint(
        "results.html",
        title=listing.heading if is_first else f"{listing.heading}, continued",
        listing=listing,
        books=books,
        topics=topics_like(listing.q, answer["topics"]) if "topics" in answer else [],
        topics_here=list(dict.fromkeys(book["topic"] for book in books))[:TOPICS_LIKE],
        q=listing.q,
        is_empty=is_empty,
        first=is_first,
        backwards=bool(search.get("before")),
        count=answer["count"],
        is_all=not answer["more"],
        cut=f"{LOOKED:,}" if answer["cut"] else None,
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
        await self.show_page(self.service.info(book), one_book)


def one_book(answer: Answer) -> bytes:
    book = answer["book"]
    most = min(rendering.available(book), MAX_QUANTITY)
    return rendering.paint("book.html", title=book["title"], book=book, most=most)
