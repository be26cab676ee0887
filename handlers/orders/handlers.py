"""The orders' verbs: buying, and the orders that come of it."""

from __future__ import annotations

from bazar.node.server import INTERNAL, PUBLIC, Route
from handlers import verbs
from handlers.api import (
    LISTS_ORDERS,
    basket_item,
    bought,
    cancellation_item,
    cancelled,
    list_of_orders,
    purchase_item,
    purchased,
    show_orders,
)
from handlers.base import Handler
from handlers.orders.service import OrderService


class OrderServiceHandler(Handler):
    service: OrderService
    shows_replica = True


class PurchaseHandler(OrderServiceHandler):
    @verbs.BUY_BOOK
    async def put(self, book: int) -> None:
        item = purchase_item(self, book)
        answer = await self.service.purchase(item, self.service.settings.write_deadline_s)
        self.answer(purchased(self, answer))


class BasketHandler(OrderServiceHandler):
    """Buys all of them, or none."""

    @verbs.BUY_BASKET
    async def post(self) -> None:
        item = basket_item(self)
        answer = await self.service.purchase(item, self.service.settings.write_deadline_s)
        self.answer(bought(self, answer))


class OrderHandler(OrderServiceHandler):
    @verbs.SHOW_ORDER
    async def get(self, order: str) -> None:
        found = await self.service.read({"op": "order", "order_id": order})
        self.answer(found["order"])


class CancelHandler(OrderServiceHandler):
    """Cancels all of an order, or a part."""

    @verbs.CANCEL_ORDER
    async def post(self, order: str) -> None:
        item = cancellation_item(self, order)
        answer = await self.service.cancel(item, self.service.settings.write_deadline_s)
        self.answer(cancelled(self, answer))


class OrdersHandler(OrderServiceHandler):
    __doc__ = LISTS_ORDERS

    @verbs.LIST_ORDERS
    async def get(self) -> None:
        show_orders(self, await self.service.listing(list_of_orders(self)))


ROUTES = (
    Route("/purchase2?/([^/]+)", PurchaseHandler, PUBLIC),
    Route("/purchase2?", BasketHandler, PUBLIC),
    Route("/orders/([^/]+)", OrderHandler, PUBLIC),
    Route("/orders/([^/]+)/cancel", CancelHandler, INTERNAL),
    Route("/orders", OrdersHandler, INTERNAL),
)
