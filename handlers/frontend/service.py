"""The front end: it answers reads from its cache, and passes all other requests to the replicas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bazar.background_tasks import Tasks
from bazar.cache import LRUStore
from bazar.errors import Unavailable
from bazar.http.cached_response import CachedResponse
from bazar.http.known_targets import KnownTargets, Note
from bazar.http.rate_limit import RateLimit
from bazar.metrics.figures import Figures
from bazar.metrics.tell import tell_caches, tell_client, tell_pool
from bazar.node.server import MAX_BODY_BYTES, Context, Route
from bazar.replication.store import Answer
from bazar.rpc.client import RPCClient
from handlers.api import search_key
from handlers.frontend.questions import Question
from handlers.frontend.upstream import Source
from handlers.paths import CANCELLATIONS_PATH, LISTING_PATH, PURCHASES_PATH, WRITE_PATH
from storage.books import info_key
from storage.orders import order_key
from storage.searches import Search
from storage.tags import TOPICS


@dataclass(frozen=True, slots=True)
class Room:
    """A part of what a front end shows: its routes, and how to end what belongs to them."""

    routes: Sequence[Route]
    close: Callable[[], None] = lambda: None


class FrontEndService:
    """One front end. `rooms` are the parts that it shows; their routes are tried in this order."""

    prefix = "(?:/FrontEnd_service)?"
    max_body_bytes = MAX_BODY_BYTES
    for_nodes = False

    def __init__(
        self, context: Context, rooms: Sequence[Callable[[FrontEndService], Room]] = ()
    ) -> None:
        self.context = context
        self.client = RPCClient(context.token, dial=context.links.dial, clock=context.clock)
        self.local, self.default, self.pages = self.stores = [
            LRUStore(name, context.config.caches[name].entries, context.config.caches[name].ttl_s)
            for name in ("local", "default", "pages")
        ]
        self.catalog = Source(context, self.client, "catalog")
        self.orders = Source(context, self.client, "order")
        # About one target per cached answer: many spellings of one put others out.
        self.known = KnownTargets(sum(store.entries for store in self.stores))
        rate = context.config.rate_limit
        self.limit = RateLimit.of(rate.requests_per_s, rate.requests_burst, "requests")
        self.buying_limit = RateLimit.of(rate.purchases_per_s, rate.purchases_burst, "purchases")
        self._tasks = Tasks(context.on_fatal)
        self.purchases = 0
        self._rooms = [room(self) for room in rooms]

    # --- what can be asked -----------------------------------------------------------------------

    def info(self, book: int) -> Question:
        key = info_key(book)
        item = {"op": "info", "book": book}
        return Question(self.catalog, self.local, key, key, item)

    def search(self, search: dict[str, Any], link: str | None = None) -> Question:
        """Ask for a page of a search; `link` is the next page's address without the value of its
        `after`."""
        return Question(
            *(self.catalog, self.local, search_key(search), None, search),
            link=link,
            found_by=Search.of(search).tags,
        )

    def topics(self) -> Question:
        return Question(self.catalog, self.default, TOPICS, TOPICS, {"op": "topics"})

    def order(self, order_id: str) -> Question:
        key = order_key(order_id)
        item = {"op": "order", "order_id": order_id}
        return Question(self.orders, self.default, key, key, item)

    async def answered(
        self, target: bytes, question: Question, note: Note
    ) -> tuple[CachedResponse, str]:
        """Return the question's answer, and HIT, MISS or PASS. The next request for the same target
        is known to ask for the same."""
        answer, verdict = await question.answered(note)
        self.known.remember(target, question)
        return answer, verdict

    async def buy(self, item: dict[str, Any], note: Note) -> tuple[Answer, str]:
        """Have the next order replica carry out this purchase. Returns its answer and its name."""
        found = await self.orders.write(PURCHASES_PATH, item, note)
        self.purchases += 1
        return found

    async def cancel(self, item: dict[str, Any], note: Note) -> tuple[Answer, str]:
        """Have the next order replica carry out this cancellation."""
        return await self.orders.write(CANCELLATIONS_PATH, item, note)

    async def list_orders(self, item: dict[str, Any], note: Note) -> tuple[Answer, str]:
        """Have the next order replica list orders: nothing of that is cached."""
        return await self.orders.read(item, note, LISTING_PATH)

    async def change(self, operation: dict[str, Any], note: Note) -> tuple[Answer, str]:
        """Have the next catalog replica carry out this change of books, which has a key."""
        return await self.catalog.write(WRITE_PATH, operation, note)

    # --- its life --------------------------------------------------------------------------------

    def routes(self) -> Sequence[Route]:
        return [route for room in self._rooms for route in room.routes]

    @property
    def sources(self) -> tuple[Source, Source]:
        return self.catalog, self.orders

    async def start(self) -> None:
        for source in self.sources:
            self._tasks.spawn(source.feed.run())

    async def stop(self) -> None:
        for room in self._rooms:
            room.close()
        for source in self.sources:
            source.feed.release()
        await self._tasks.close()
        self.client.close()
        self.context.links.close()

    def ready(self) -> None:
        for source in self.sources:
            if not source.subscriber.lease_valid(self.context.clock()):
                raise Unavailable(f"no lease from the {source.role} group: nothing is cached")

    def measure(self, figures: Figures) -> None:
        figures.counter("bazar_purchases", self.purchases)
        tell_caches(figures, self.status())
        for source in self.sources:
            tell_pool(figures, source.role, source.pool)
        tell_client(figures, self.client)

    def status(self) -> dict[str, Any]:
        now = self.context.clock()
        return {
            "node": self.context.node.name,
            "group": "frontend",
            "purchases": self.purchases,
            "latency": self.context.log.counted().of_customers().counts,
            "caches": {
                store.name: {"entries": len(store), "of": store.entries} for store in self.stores
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
