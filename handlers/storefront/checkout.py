"""Buying one book: a form, a page that asks if there is something to ask, and the order.

Every purchase carries a key, so that it happens once however often it is sent (S1). A book's page
is cached, and has no key: a script makes one, or else the visitor is asked once more, on a page
that names one. The key itself is made of that name and the visitor's cookie.
"""

from __future__ import annotations

from bazar.errors import OutOfStock, PriceChanged
from bazar.replication.store import Answer
from handlers.parameters import KEY
from handlers.storefront import forms, rendering
from handlers.storefront.base import PageHandler, ShelfPage, new_key
from handlers.storefront.forms import KEY_NAME, LINE, line


class BuyHandler(PageHandler):
    @forms.BUY
    async def post(self) -> None:
        given = {name: self.form(name) for name in LINE}
        wanted = line(**given)
        key = KEY_NAME(self.form("key"), KEY.name)
        if not key:
            self.know_visitor()
            self.go(rendering.link("/confirm", **wanted, key=new_key()))
            return
        self.retry = "/buy", [*given.items(), ("key", key)]
        own_key = self.own_key(key)
        try:
            answer = await self.buy({"key": own_key, "lines": [wanted]})
        except (OutOfStock, PriceChanged):
            # That page shows the present stock and price.
            self.go(rendering.link("/confirm", **wanted, key=key))
            return
        self.go(f"/receipt/{answer['order_id']}")


class ConfirmPage(PageHandler):
    """The page that shows what is about to be bought, as it is now. The key's name is in the
    address, so that a reload and the back button lead to the same purchase."""

    @forms.CONFIRM
    async def get(self) -> None:
        wanted = {name: self.given[name] for name in LINE}
        key = self.given["key"]
        self.know_visitor()
        found = await self.read({"op": "info", "book": wanted["book"]})
        book = found["book"]
        quantity = min(wanted["quantity"], book["count"])
        title = f"Buy {book['title']}?" if quantity else "Out of stock"
        self.paint(
            "confirm.html", title=title, book=book, wanted=wanted, quantity=quantity, key=key
        )


class ReceiptPage(ShelfPage):
    @forms.RECEIPT
    async def get(self, order: str) -> None:
        await self.show_page(self.service.order(order))

    def body(self, answer: Answer) -> bytes:
        order = answer["order"]
        return rendering.paint("receipt.html", title="Your order", order=order)
