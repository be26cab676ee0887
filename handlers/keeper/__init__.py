"""The pages of the keeper, who runs the shop: on every front end, at each of its doors. They work
with forms and links alone.

A further page is a handler that is a `KeeperHandler`, whose route below is INTERNAL: that is for
whoever has a session, or brings the token. `rendering.NAVIGATION` names it. The address of a form
is a page, too: whoever signs in again may be led there. Whatever it does is an operation of the
API, too.
"""

from __future__ import annotations

from bazar.node.server import INTERNAL, PUBLIC, Route
from handlers.frontend.service import FrontEndService, Room
from handlers.keeper.book import BookPage, NewBookPage
from handlers.keeper.books import BooksFile, BooksPage, HomePage
from handlers.keeper.order import OrderPage
from handlers.keeper.orders import OrdersFile, OrdersPage
from handlers.keeper.session import Sessions
from handlers.keeper.sign_in import SignInPage, SignOutHandler, limit


def keeper(service: FrontEndService) -> Room:
    """Return the paths of the keeper's pages on one front end."""
    known = {"sessions": Sessions(service.context)}
    return Room(
        (
            Route("/keeper", HomePage, INTERNAL, known),
            Route("/keeper/sign-in", SignInPage, PUBLIC, {**known, "tries": limit()}),
            Route("/keeper/sign-out", SignOutHandler, PUBLIC, known),
            Route("/keeper/books", BooksPage, INTERNAL, known),
            Route("/keeper/books.csv", BooksFile, INTERNAL, known),
            Route("/keeper/books/([^/]+)", BookPage, INTERNAL, known),
            Route("/keeper/add", NewBookPage, INTERNAL, known),
            Route("/keeper/orders", OrdersPage, INTERNAL, known),
            Route("/keeper/orders.csv", OrdersFile, INTERNAL, known),
            Route("/keeper/orders/([^/]+)", OrderPage, INTERNAL, known),
        )
    )
