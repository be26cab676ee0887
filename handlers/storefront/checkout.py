"""Buying one book: a form, and a page that asks if there is something to ask.

Every purchase carries a key, so that it happens once however often it is sent (S1). A book's page
is cached, and names none: a script does, or else the visitor is asked once more, on a page that
does. The key itself is made of that name and the visitor's cookie.
"""

from __future__ import annotations

from bazar.errors import OutOfStock, PriceChanged, Retired
from bazar.http.response import HEADERS
from handlers.operations import JSON
from handlers.parameters import KEY
from handlers.storefront import forms, rendering
from handlers.storefront.base import new_key
from handlers.storefront.forms import KEY_NAME, LINE, line
from handlers.storefront.visitor import ORDERS_PATH, Bought, VisitorHandler, short


class BuyHandler(VisitorHandler):
    def go(self, path: str, status: int = 303) -> None:
        """Tell a script, which asks for JSON, where to go: it would follow a redirect, and then
        have its visitor's browser load the same page once more."""
        if status != 303 or self.request.headers.get("Accept") != JSON:
            super().go(path, status)
            return
        self.set_header("Content-Type", HEADERS["Content-Type"])
        self.answer({"location": path})

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
        if self.comes_back():
            return
        own_key = self.own_key(key)
        try:
            answer = await self.buy({"key": own_key, "lines": [wanted]})
        except (Retired, OutOfStock, PriceChanged):
            # That page shows the present stock and price.
            self.go(rendering.link("/confirm", **wanted, key=key))
            return
        self.remember(answer["order_id"], key, str(wanted["book"]))
        self.go(f"{ORDERS_PATH}/{answer['order_id']}")


class ConfirmPage(VisitorHandler):
    """The page that shows what is about to be bought, as it is now. The key's name is in the
    address, so that a reload and the back button lead to the same purchase: once that is made, the
    page says so."""

    @forms.CONFIRM
    async def get(self) -> None:
        wanted = {name: self.given[name] for name in LINE}
        key = self.given["key"]
        self.know_visitor()
        bought = {one.name: one for one in self.bought()}.get(short(key))
        if bought is not None and await self._is_bought(bought, wanted):
            return
        found = await self.read({"op": "info", "book": wanted["book"]})
        book = found["book"]
        quantity = min(wanted["quantity"], rendering.available(book))
        title = f"Buy {book['title']}?" if quantity else rendering.stock(book)
        another = next((o.order for o in self.bought() if o.what == str(book["id"])), None)
        self.paint(
            "confirm.html",
            **{"title": title, "book": book, "wanted": wanted, "quantity": quantity, "key": key},
            another=another,
        )

    async def _is_bought(self, bought: Bought, wanted: dict[str, int]) -> bool:
        """Show the order of this purchase, if it is there."""
        found = await self.read_orders([bought.order])
        for order in found:
            again = rendering.link("/confirm", **wanted, key=new_key())
            self.paint("bought.html", title="You just bought this", order=order, again=again)
        return bool(found)
