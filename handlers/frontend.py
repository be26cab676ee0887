"""The front end: answers reads from its cache, and passes the rest on to the replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lru import LRU

from bazar.app import HEADERS, INTERNAL, MAX_READ_BYTES, PUBLIC, Context, Route
from bazar.cache import HIT, Cache, Shelf
from bazar.client import Client
from bazar.config import NodeConfig
from bazar.errors import Unavailable, Unknown
from bazar.pool import ReplicaPool
from bazar.rendered import Rendered
from bazar.replication.effects import Drop, Effect, Reset
from bazar.replication.feed import FeedClient
from bazar.replication.store import Answer
from bazar.replication.subscriber import CacheSubscriber
from bazar.tasks import Tasks
from handlers import inputs, status
from handlers.base import Handler, render
from handlers.catalog import search_key, search_query
from handlers.order import PURCHASES_PATH, basket_item, bought, purchase_item, purchased
from handlers.replicated import READ_PATH
from storage.catalog import SEARCHES, TOPICS, info_key
from storage.orders import order_key

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
    """An answer as it is cached: its bytes, who filled it, and whether another page follows."""

    body: bytes
    replica: str
    more: bool = False
    _rendered: tuple[str | None, Rendered] | None = field(default=None, repr=False)

    def headers(self, verdict: str, link: str | None) -> dict[str, str]:
        """What an answer with this page says of it."""
        headers = {"X-Cache": verdict, "X-Replica": self.replica}
        return {**headers, "Link": link} if self.more and link is not None else headers

    def rendered(self, place: Place) -> Rendered:
        """A hit's bytes. They are kept for one Link: a page is rarely asked for under two paths."""
        if self._rendered is None or (self.more and self._rendered[0] != place.link):
            headers = {**HEADERS, **self.headers(HIT, place.link)}
            made = Rendered.of(self.body, headers, place.words)
            self._rendered = place.link, made
        return self._rendered[1]


class Source:
    """One replicated service as the front end uses it: a pool to ask, and a cache that the
    service's feed keeps coherent."""

    def __init__(self, context: Context, client: Client, role: str) -> None:
        config = context.config
        self.role = role
        self.client = client
        self.settings = config.pool
        self.pool = ReplicaPool(config.group(role), config.pool, context.clock)
        timing = config.replication.timing
        self.subscriber = CacheSubscriber(context.node.name, context.run, timing)
        self.cache = Cache(self.subscriber, context.clock)
        self.feed = FeedClient(
            self.subscriber, config.group(role), context.token, context.clock, self._carry_out
        )

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Drop(keys):
                self.cache.drop(keys)
            case Reset():
                self.cache.reset()

    async def ask(
        self, path: str, item: dict[str, Any], attempt_s: float, deadline_s: float, handler: Handler
    ) -> tuple[Answer, str]:
        """The answer to one item, and the replica that gave it."""

        async def attempt(node: NodeConfig) -> tuple[Answer, str]:
            handler.note(f"Forwarding request to replica: {node.number}")
            return await self.client.submit(node, path, item, attempt_s), node.name

        return await self.pool.call(attempt, deadline_s)

    async def read(self, item: dict[str, Any], handler: Handler) -> tuple[Answer, str]:
        settings = self.settings
        try:
            return await self.ask(
                READ_PATH, item, settings.read_attempt_s, settings.read_deadline_s, handler
            )
        except Unknown as error:
            raise Unavailable(str(error)) from error  # a read changes nothing


class FrontEndService:
    """One front end."""

    prefix = "(?:/FrontEnd_service)?"
    max_body_bytes = MAX_READ_BYTES

    def __init__(self, context: Context) -> None:
        self.context = context
        self.client = Client(context.token)
        self.local, self.default = (
            Shelf(name, context.config.caches[name].entries, context.config.caches[name].ttl_s)
            for name in ("local", "default")
        )
        self.catalog = Source(context, self.client, "catalog")
        self.orders = Source(context, self.client, "order")
        # As many as there are answers to find: one spelling of its target for each.
        self._places: LRU[bytes, Place] = LRU(self.local.entries + self.default.entries)
        self._tasks = Tasks(context.on_fatal)

    def find(self, target: bytes, now: float) -> Rendered | None:
        place = self._places.get(target)
        if place is None:
            return None
        page: Page | None = place.cache.find(place.shelf, place.key, now)
        return None if page is None else page.rendered(place)

    def remember(self, target: bytes, place: Place) -> None:
        """A handler has found this place for this target: the next who sends the same bytes finds
        it without one. Nothing else may say what a target means."""
        self._places[target] = place

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
            *status.PROBES,
        )

    @property
    def sources(self) -> tuple[Source, Source]:
        return self.catalog, self.orders

    async def start(self) -> None:
        for source in self.sources:
            self._tasks.spawn(source.feed.run())

    async def stop(self) -> None:
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
            "shelves": {
                shelf.name: {"entries": len(shelf), "of": shelf.entries}
                for shelf in (self.local, self.default)
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


class FrontEndHandler(Handler):
    service: FrontEndService

    async def show(
        self,
        source: Source,
        shelf: Shelf,
        key: str,
        tags: frozenset[str] | None,
        item: dict[str, Any],
        words: str = "data is cached",
        link: str | None = None,
    ) -> None:
        """Answer with the page for `key`, from the cache or from the next replica. `link` is to the
        page behind it, if there is one."""

        async def fetch() -> tuple[Page, frozenset[str]]:
            answer, replica = await source.read(item, self)
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
        return answer

    def page(self, answer: Answer, replica: str) -> Page:
        """An item's answer has one field, which is what callers see."""
        [shown, *_] = answer.values()
        return Page(render(shown), replica, answer.get("more", False))

    def shown(self, answer: Answer) -> frozenset[str]:
        """The keys that a search's answer shows (C5)."""
        return frozenset({SEARCHES, *(info_key(book["id"]) for book in answer["books"])})


class InfoHandler(FrontEndHandler):
    async def get(self, book: str) -> None:
        number = inputs.book_id(book)
        key = info_key(number)
        item = {"op": "info", "book": number}
        service = self.service
        await self.show(service.catalog, service.local, key, frozenset({key}), item)


class SearchHandler(FrontEndHandler):
    async def get(self) -> None:
        search = search_query(self)
        service, words = self.service, "Data retrieved from cache"
        key, link = search_key(search), self.next_page(search)
        await self.show(service.catalog, service.local, key, None, search, words, link)


class TopicsHandler(FrontEndHandler):
    async def get(self) -> None:
        service, tags = self.service, frozenset({TOPICS})
        await self.show(service.catalog, service.default, TOPICS, tags, {"op": "topics"})


class OrderHandler(FrontEndHandler):
    async def get(self, order: str) -> None:
        order_id = inputs.order_id(order)
        key = order_key(order_id)
        item = {"op": "order", "order_id": order_id}
        service = self.service
        await self.show(service.orders, service.default, key, frozenset({key}), item)


class PurchaseHandler(FrontEndHandler):
    async def put(self, book: str) -> None:
        self.answer(purchased(await self.buy(purchase_item(self, book))))


class BasketHandler(FrontEndHandler):
    """Several books as one order: all of them, or none."""

    async def post(self) -> None:
        self.answer(bought(await self.buy(basket_item(self))))


class InvalidateHandler(FrontEndHandler):
    """For operators: the feed has done it already for every write."""

    async def get(self, book: str) -> None:
        key = info_key(inputs.book_id(book))
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

    async def get(self) -> None:
        own = self.tell()
        siblings = await self.from_siblings("/status")
        if siblings:
            own["processes"] = [self.tell(), *(one for one in siblings if one is not None)]
        self.answer(own)
