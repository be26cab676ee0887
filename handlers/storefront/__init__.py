"""The shop's pages for browsers. They work with forms and links alone, and better with a small
script of our own.

Pages about books are cached like their JSON, and dropped by the same entries: they are the same for
every visitor. What belongs to one visitor, the basket and the orders, is in cookies and on pages
that are never cached.
"""

from __future__ import annotations

from bazar.node.server import PUBLIC, Route
from handlers.assets import AssetHandler
from handlers.storefront.base import NotFoundPage
from handlers.storefront.basket import BasketBuyHandler, BasketPage
from handlers.storefront.books import BookPage, HomePage, ResultsPage
from handlers.storefront.checkout import BuyHandler, ConfirmPage
from handlers.storefront.orders import OrdersPage, ReceiptPage, UndoHandler
from handlers.storefront.visitor import ORDERS_PATH

ROUTES = (
    Route("/", HomePage, PUBLIC),
    Route("/books", ResultsPage, PUBLIC),
    Route("/books/([^/]+)", BookPage, PUBLIC),
    Route("/buy", BuyHandler, PUBLIC),
    Route("/confirm", ConfirmPage, PUBLIC),
    Route(ORDERS_PATH, OrdersPage, PUBLIC),
    Route(f"{ORDERS_PATH}/([^/]+)", ReceiptPage, PUBLIC),
    Route(f"{ORDERS_PATH}/([^/]+)/undo", UndoHandler, PUBLIC),
    Route("/basket", BasketPage, PUBLIC),
    Route("/basket/buy", BasketBuyHandler, PUBLIC),
    Route("/static/([^/]+)", AssetHandler, PUBLIC),
    Route("/(.*)", NotFoundPage, PUBLIC),  # every path that no other route has
)
