"""The pages for those who come with a browser: a shop that works with forms and links alone, and
better with a little script of our own.

Pages about books are cached like their JSON, and dropped by the same entries: they show the same to
everybody. What is a visitor's own - the basket - is in a cookie and on pages that are made anew.
"""

from __future__ import annotations

from bazar.node.server import PUBLIC, Route
from handlers.assets import AssetHandler
from handlers.storefront.base import LostPage
from handlers.storefront.basket import BasketBuyHandler, BasketPage
from handlers.storefront.books import BookPage, HomePage, ResultsPage
from handlers.storefront.checkout import BuyHandler, ConfirmPage, ReceiptPage

ROUTES = (
    Route("/", HomePage, PUBLIC),
    Route("/books", ResultsPage, PUBLIC),
    Route("/books/([^/]+)", BookPage, PUBLIC),
    Route("/buy", BuyHandler, PUBLIC),
    Route("/confirm", ConfirmPage, PUBLIC),
    Route("/receipt/([^/]+)", ReceiptPage, PUBLIC),
    Route("/basket", BasketPage, PUBLIC),
    Route("/basket/buy", BasketBuyHandler, PUBLIC),
    Route("/static/([^/]+)", AssetHandler, PUBLIC),
    Route("/(.*)", LostPage, PUBLIC),  # what nobody else has
)
