"""The front end: answers reads from its cache, and passes the rest on to the replicas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lru import LRU

from bazar.background_tasks import Tasks
from bazar.cache import Shelf
from bazar.errors import Unavailable
from bazar.http.response import Rendered
from bazar.node.server import INTERNAL, MAX_READ_BYTES, PUBLIC, Context, Route
from bazar.replication.store import Answer
from bazar.rpc.client import Client
from handlers import status, storefront, validation
from handlers.base import KEY
from handlers.catalog.service import SEARCH_NAMES, search_key, search_query
from handlers.dashboard.poller import Watch
from handlers.frontend.showing import SIBLINGS_NAMES, FrontEndHandler, Page, Place, Question
from handlers.frontend.upstream import Note, Source
from handlers.orders.service import PURCHASES_PATH, basket_item, bought, purchase_item, purchased
from storage.catalog import TOPICS, info_key
from storage.orders import order_key


class FrontEndService:
    """One front end."""

    prefix = "(?:/FrontEnd_service)?"
    max_body_bytes = MAX_READ_BYTES

    def __init__(self, context: Context) -> None:
        self.context = context
        self.client = Client(context.token)
        self.local, self.default, self.pages = self.shelves = [
            Shelf(name, context.config.caches[name].entries, context.config.caches[name].ttl_s)
            for name in ("local", "default", "pages")
        ]
        self.catalog = Source(context, self.client, "catalog")
        self.orders = Source(context, self.client, "order")
        # As many as there are answers to find: one spelling of its target for each.
        self._places: LRU[bytes, Place] = LRU(sum(shelf.entries for shelf in self.shelves))
        self._tasks = Tasks(context.on_fatal)
        self.purchases = 0
        self.watch = Watch(context, self.client)

    def find(self, target: bytes, now: float) -> Rendered | None:
        """Return the cached answer to a GET of the very bytes of a target that was answered before.
        Nothing else says what a target means."""
        place = self._places.get(target)
        if place is None:
            return None
        page: Page | None = place.cache.find(place.shelf, place.key, now)
        return None if page is None else page.rendered(place)

    # --- what can be asked -----------------------------------------------------------------------

    def info(self, book: int) -> Question:
        key = info_key(book)
        item = {"op": "info", "book": book}
        return Question(self.catalog, self.local, key, frozenset({key}), (item,))

    def search(self, search: dict[str, Any], link: str | None = None) -> Question:
        """Ask for a search's page; `link` is to the page behind it, but for where that begins."""
        words = "Data retrieved from cache"
        key = search_key(search)
        return Question(self.catalog, self.local, key, None, (search,), words=words, link=link)

    def topics(self) -> Question:
        tags = frozenset({TOPICS})
        return Question(self.catalog, self.default, TOPICS, tags, ({"op": "topics"},))

    def order(self, order_id: str) -> Question:
        key = order_key(order_id)
        item = {"op": "order", "order_id": order_id}
        return Question(self.orders, self.default, key, frozenset({key}), (item,))

    async def answered(self, target: bytes, question: Question, note: Note) -> tuple[Page, str]:
        """Return the question's page, and HIT, MISS or PASS. Who sends the same target again finds
        it by `find`, whose log shows targets as they are: not one with a key."""
        page, verdict = await question.answered(note)
        place = question.place
        page.rendered(place)
        if not KEY.search(target.decode("latin-1")):
            self._places[target] = place
        return page, verdict

    async def buy(self, item: dict[str, Any], note: Note) -> tuple[Answer, str]:
        """Have the next order replica carry out this purchase. Returns its answer and its name."""
        settings = self.orders.settings
        found = await self.orders.ask(
            PURCHASES_PATH, item, settings.write_attempt_s, settings.write_deadline_s, note
        )
        self.purchases += 1
        return found

    # --- its life --------------------------------------------------------------------------------

    def routes(self) -> Sequence[Route]:
        return (
            Route("/info/([^/]+)", InfoHandler, PUBLIC),
            Route("/search", SearchHandler, PUBLIC),
            Route("/topics", TopicsHandler, PUBLIC),
            Route("/purchase/([^/]+)", PurchaseHandler, PUBLIC),
            Route("/purchase", BasketHandler, PUBLIC),
            Route("/orders/([^/]+)", OrderHandler, PUBLIC),
            Route("/invalidateCache/([^/]+)", InvalidateHandler, INTERNAL),
            Route("/status", StatusHandler, INTERNAL),
            *storefront.ROUTES,
            *status.PROBES,
            storefront.LOST,
        )

    @property
    def sources(self) -> tuple[Source, Source]:
        return self.catalog, self.orders

    async def start(self) -> None:
        for source in self.sources:
            self._tasks.spawn(source.feed.run())

    async def stop(self) -> None:
        self.watch.close()
        for source in self.sources:
            source.feed.release()
        await self._tasks.close()
        self.client.close()

    def ready(self) -> None:
        for source in self.sources:
            if not source.subscriber.lease_valid(self.context.clock()):
                raise Unavailable(f"no lease from the {source.role} group: nothing is cached")

    def status(self) -> dict[str, Any]:
        now = self.context.clock()
        return {
            "node": self.context.node.name,
            "group": "frontend",
            "purchases": self.purchases,
            "latency": self.context.meter.counts,
            "shelves": {
                shelf.name: {"entries": len(shelf), "of": shelf.entries} for shelf in self.shelves
            },
            "sources": {
                source.role: {
                    "primary": source.feed.leader.name if source.feed.leader else None,
                    "epoch": source.subscriber.epoch,
                    "committed": source.subscriber.committed.seq,
                    "lease_s": round(max(source.subscriber.lease_until - now, 0.0), 3),
                    **asdict(source.cache.counters),
                }
                for source in self.sources
            },
        }


class InfoHandler(FrontEndHandler):
    async def get(self, book: str) -> None:
        await self.show(self.service.info(validation.book_id(book)))


class SearchHandler(FrontEndHandler):
    query_names = SEARCH_NAMES

    async def get(self) -> None:
        search = search_query(self)
        await self.show(self.service.search(search, self.link_behind(search)))


class TopicsHandler(FrontEndHandler):
    async def get(self) -> None:
        await self.show(self.service.topics())


class OrderHandler(FrontEndHandler):
    async def get(self, order: str) -> None:
        await self.show(self.service.order(validation.order_id(order)))


class PurchaseHandler(FrontEndHandler):
    async def put(self, book: str) -> None:
        self.answer(purchased(self, await self.buy(purchase_item(self, book))))


class BasketHandler(FrontEndHandler):
    """Several books as one order: all of them, or none."""

    async def post(self) -> None:
        self.answer(bought(self, await self.buy(basket_item(self))))


class InvalidateHandler(FrontEndHandler):
    """For operators: the feed has done it already for every write."""

    query_names = SIBLINGS_NAMES

    async def get(self, book: str) -> None:
        key = info_key(validation.book_id(book))
        own = {"dropped": self.service.local.remove(key)}
        answers = [own, *await self.from_siblings(f"/invalidateCache/{book}")]
        if any(answer is None for answer in answers):
            raise Unavailable("not every process of this front end answers")
        dropped = any(answer["dropped"] for answer in answers if answer is not None)
        found = f"Cache entry for {key} invalidated."
        message = found if dropped else f"No cache entry found for {key}."
        self.answer({"message": message, "dropped": dropped})


class StatusHandler(status.StatusHandler, FrontEndHandler):
    """What all processes of this front end tell."""

    query_names = SIBLINGS_NAMES

    async def get(self) -> None:
        own = self.tell()
        siblings = await self.from_siblings("/status")
        if siblings:
            own["processes"] = [self.tell(), *(one for one in siblings if one is not None)]
        self.answer(own)
