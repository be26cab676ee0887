"""The front end's verbs: cached reads, and purchases and changes of books that are passed on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from bazar.config import NodeConfig
from bazar.errors import Indeterminate, Unavailable
from bazar.metrics.figures import Figures
from bazar.node.server import INTERNAL, METRICS_PATH, PUBLIC, Route
from bazar.node.workers import whose
from bazar.replication.store import Answer
from handlers import described, links, metrics, status, verbs
from handlers.api import (
    LISTS_ORDERS,
    answer_made,
    basket_item,
    bought,
    cancellation_item,
    cancelled,
    create_operation,
    list_of_orders,
    purchase_item,
    purchased,
    retired_query,
    search_query,
    show_books,
    show_orders,
    update_operation,
)
from handlers.base import Handler
from handlers.frontend.questions import Question
from handlers.frontend.service import FrontEndService
from handlers.paths import LINKS_PATH
from storage.books import info_key

SIBLING_S = 1.0


class FrontEndHandler(Handler):
    service: FrontEndService

    async def show(self, question: Question) -> None:
        """Answer with the question's page."""
        question = replace(question, kind=self.kind)
        page, verdict = await self.service.answered(self.target, question, self.note)
        # Notes of the fetch stand first in the list; the verdict leads the log line.
        self.notes.insert(0, question.word(verdict))
        for name, value in page.headers(verdict, question.link).items():
            self.set_header(name, value)
        self.finish(page.body)

    async def from_siblings(self, path: str, body: Any = None) -> list[dict[str, Any] | None]:
        """Return the answers of this front end's other processes, to a POST if there is a body;
        None for one that does not answer. Each of them answers for itself alone."""

        async def ask(sibling: NodeConfig) -> dict[str, Any] | None:
            try:
                answer: dict[str, Any] = await self.service.client.call(
                    sibling, f"{path}?alone=1", body, SIBLING_S
                )
            except (Unavailable, Indeterminate):
                return None
            return answer

        if self.given["alone"] is not None:
            return []
        return await asyncio.gather(*map(ask, self.service.context.siblings))

    async def from_all_siblings(self, path: str, body: Any = None) -> list[dict[str, Any]]:
        """Return the same. Raises Indeterminate if one does not answer: others have done it."""
        answers = await self.from_siblings(path, body)
        answered = [answer for answer in answers if answer is not None]
        if len(answered) < len(answers):
            raise Indeterminate("not every process of this front end answers; others have done it")
        return answered

    def check_buying(self) -> None:
        """Raise TooManyRequests to a client that buys, or undoes it, more often than it may."""
        if self.service.buying_limit is not None:
            self.service.buying_limit.check(self.client, self.service.context.clock())

    async def buy(self, item: dict[str, Any]) -> Answer:
        """Have the next order replica carry out this purchase. Raises TooManyRequests."""
        self.check_buying()
        answer, replica = await self.service.buy(item, self.note)
        self.set_header("X-Replica", replica)
        return answer

    async def cancel(self, item: dict[str, Any]) -> Answer:
        """Have the next order replica carry out this cancellation."""
        answer, replica = await self.service.cancel(item, self.note)
        self.set_header("X-Replica", replica)
        return answer

    async def read_order(self, order_id: str) -> Answer:
        """Return an order as the next order replica has it. Raises NotFound."""
        found, _ = await self.service.orders.read({"op": "order", "order_id": order_id}, self.note)
        order: Answer = found["order"]
        return order

    async def read_orders(self, order_ids: Iterable[str]) -> list[Answer]:
        """Return those of these orders that exist, by one call."""
        item = {"op": "orders", "order_ids": list(order_ids)}
        found, _ = await self.service.orders.read(item, self.note)
        orders: list[Answer] = found["orders"]
        return orders

    async def list_orders(self, item: dict[str, Any]) -> Answer:
        """Return the page of orders that is asked for."""
        page, replica = await self.service.list_orders(item, self.note)
        self.set_header("X-Replica", replica)
        return page

    async def read(self, item: dict[str, Any]) -> Answer:
        """Return what the next catalog replica reads, past the cache. Raises its refusal."""
        answer, _ = await self.service.catalog.read(item, self.note)
        return answer

    async def change(self, operation: dict[str, Any]) -> Answer:
        """Have the next catalog replica change the books. Raises its refusal."""
        answer, replica = await self.service.change(operation, self.note)
        self.set_header("X-Replica", replica)
        return answer


class InfoHandler(FrontEndHandler):
    @verbs.SHOW_BOOK
    async def get(self, book: int) -> None:
        await self.show(self.service.info(book))


class SearchHandler(FrontEndHandler):
    @verbs.SEARCH
    async def get(self) -> None:
        search = search_query(self.given)
        await self.show(self.service.search(search, self.link_behind(search)))


class RetiredHandler(FrontEndHandler):
    @verbs.LIST_RETIRED
    async def get(self) -> None:
        search = retired_query(self.given)
        show_books(self, search, await self.read(search))


class TopicsHandler(FrontEndHandler):
    @verbs.LIST_TOPICS
    async def get(self) -> None:
        await self.show(self.service.topics())


class OrderHandler(FrontEndHandler):
    @verbs.SHOW_ORDER
    async def get(self, order: str) -> None:
        await self.show(self.service.order(order))


class OrdersHandler(FrontEndHandler):
    __doc__ = LISTS_ORDERS

    @verbs.LIST_ORDERS
    async def get(self) -> None:
        show_orders(self, await self.list_orders(list_of_orders(self)))


class PurchaseHandler(FrontEndHandler):
    @verbs.BUY_BOOK
    async def put(self, book: int) -> None:
        self.answer(purchased(self, await self.buy(purchase_item(self, book))))


class BasketHandler(FrontEndHandler):
    """Buys all of them, or none."""

    @verbs.BUY_BASKET
    async def post(self) -> None:
        self.answer(bought(self, await self.buy(basket_item(self))))


class CancelHandler(FrontEndHandler):
    """Cancels all of an order, or a part."""

    @verbs.CANCEL_ORDER
    async def post(self, order: str) -> None:
        self.answer(cancelled(self, await self.cancel(cancellation_item(self, order))))


class UpdateHandler(FrontEndHandler):
    @verbs.UPDATE_BOOK
    async def put(self, book: int) -> None:
        self.answer((await self.change(update_operation(self, book)))["book"])


class CreateHandler(FrontEndHandler):
    @verbs.CREATE_BOOK
    async def post(self) -> None:
        await answer_made(self, await self.change(create_operation(self)), self.read)


class InvalidateHandler(FrontEndHandler):
    """Serves operators: the feed has already done so after every write."""

    @verbs.INVALIDATE
    async def get(self, book: int) -> None:
        key = info_key(book)
        own = {"dropped": self.service.local.remove(key)}
        answers = [own, *await self.from_all_siblings(f"/invalidateCache/{book}")]
        dropped = any(answer["dropped"] for answer in answers)
        found = f"Cache entry for {key} invalidated."
        message = found if dropped else f"No cache entry found for {key}."
        self.answer({"message": message, "dropped": dropped})


class LinkHandler(FrontEndHandler):
    """Does it in all processes of this front end: each has connections of its own."""

    counts = False

    @verbs.IMPAIR_LINK
    async def post(self, name: str) -> None:
        context, how = self.service.context, self.json_body()
        links.impair(context, name, how)
        await self.from_all_siblings(f"{LINKS_PATH}/{quote(name)}", how)
        self.answer({"links": context.links.status()})


class StatusHandler(status.StatusHandler, FrontEndHandler):
    """The status of all processes of this front end."""

    @verbs.SHOW_STATUS_OF_ALL
    async def get(self) -> None:
        own = self.tell()
        siblings = await self.from_siblings("/status")
        if siblings:
            own["processes"] = [self.tell(), *(one for one in siblings if one is not None)]
        self.answer(own)


class MetricsHandler(metrics.MetricsHandler, FrontEndHandler):
    """The figures of all processes of this front end, as text; those of one alone as JSON, for its
    siblings."""

    @verbs.SHOW_FIGURES_OF_ALL
    async def get(self) -> None:
        figures = await self.figures()
        if self.given["alone"] is not None:
            self.answer(figures.plain())
            return
        siblings = await self.from_siblings(METRICS_PATH)
        told = [one for one in siblings if one is not None]
        for one in told:
            figures.merge(one)
        node = Figures({"node": whose(self.service.context.node.name)})
        node.gauge("bazar_processes", 1 + len(told))
        node.gauge("bazar_processes_configured", 1 + len(siblings))
        figures.merge(node.plain())
        self.send(figures)


ROUTES = (
    Route("/info/([^/]+)", InfoHandler, PUBLIC),
    Route("/search", SearchHandler, PUBLIC),
    Route("/retired", RetiredHandler, INTERNAL),
    Route("/topics", TopicsHandler, PUBLIC),
    Route("/purchase/([^/]+)", PurchaseHandler, PUBLIC),
    Route("/purchase", BasketHandler, PUBLIC),
    Route("/orders/([^/]+)", OrderHandler, PUBLIC),
    Route("/orders/([^/]+)/cancel", CancelHandler, INTERNAL),
    Route("/orders", OrdersHandler, INTERNAL),
    Route("/update/([^/]+)", UpdateHandler, INTERNAL),
    Route("/create", CreateHandler, INTERNAL),
    Route("/invalidateCache/([^/]+)", InvalidateHandler, INTERNAL),
    Route("/status", StatusHandler, INTERNAL),
    Route(METRICS_PATH, MetricsHandler, INTERNAL),
    Route(f"{LINKS_PATH}/([^/]+)", LinkHandler, INTERNAL),
    *status.PROBES,
    *described.ROUTES,
)
