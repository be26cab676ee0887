"""The basket: the books that a visitor has chosen, bought as one order.

It is in the visitor's cookie, with the name of the purchase that it may become, until that is made.
So a purchase whose answer was lost is not made twice, not even after the basket has changed.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bazar.errors import BadRequest, NotFound, OutOfStock, PriceChanged, Retired
from handlers.parameters import KEY
from handlers.storefront import forms
from handlers.storefront.forms import LINE, TOTAL, line
from handlers.storefront.rendering import available
from handlers.storefront.visitor import OF_BASKET, ORDERS_PATH, VisitorHandler
from handlers.validation import BASKET, BOOK_ID, IDEMPOTENCY_KEY, MAX_LINES, MAX_QUANTITY

COOKIE = "basket"
KEPT_S = 30 * 86_400
_COOKIE = re.compile(
    r"([0-9a-f]{40}|[0-9a-f]{32})((?:~[0-9]{1,18}\.[0-9]{1,4}\.[0-9]{1,13})*)", re.ASCII
)
_KEY = re.compile("[0-9a-f]{32}", re.ASCII)  # what a basket had while its name was the key itself
_NONE = re.compile("0+", re.ASCII)
_QUANTITY = "quantity-"
SUMMED = "summed"  # the page says that the sum is another one


def new_name() -> str:
    return secrets.token_hex(20)


@dataclass(slots=True)
class Basket:
    """The chosen books: book -> (quantity, what one cost when the visitor saw it last)."""

    name: str = field(default_factory=new_name)
    lines: dict[int, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str | None) -> Basket:
        """Return the basket of a cookie; an empty one if the cookie is not one of ours."""
        match = _COOKIE.fullmatch(text or "")
        if match is None:
            return cls()
        basket = cls(match[1])
        try:
            for part in match[2].split("~")[1:]:
                basket.put(**line(**dict(zip(LINE, part.split("."), strict=True))))
        except BadRequest:
            return cls()
        return basket

    def put(self, book: int, quantity: int, cost: int) -> None:
        """Add a line. Raises BadRequest if the basket is full."""
        if book not in self.lines and len(self.lines) >= MAX_LINES:
            raise BadRequest(f"basket: holds {MAX_LINES} different books already")
        self.lines[book] = quantity, cost

    def text(self) -> str:
        return "~".join([self.name, *(f"{b}.{q}.{c}" for b, (q, c) in self.lines.items())])


class BasketHandler(VisitorHandler):
    def basket(self) -> Basket:
        return Basket.read(self.get_cookie(COOKIE))

    def keep(self, basket: Basket) -> None:
        """Store the basket in the visitor's cookie. Scripts may read it: they show its size."""
        self.know_visitor()  # whose secret makes the key
        self.set_cookie(COOKIE, basket.text(), max_age=KEPT_S, **self.cookie_options)

    def typed(self, but: str = "") -> list[dict[str, int]]:
        """Return the lines of the form with the quantities typed into it; lines of quantity 0 are
        left out, and so is one of the books."""
        lines = []
        for text in self.fields("line"):
            book, _, cost = text.partition(".")
            quantity = self.form(_QUANTITY + book).strip()
            if book != but and not _NONE.fullmatch(quantity):
                lines.append(line(book=book, quantity=quantity, cost=cost))
        return lines

    def put_typed(self, basket: Basket, typed: Iterable[Mapping[str, int]]) -> None:
        """Have the basket hold what is typed of the books of the form. Raises BadRequest."""
        for text in self.fields("line"):
            basket.lines.pop(BOOK_ID.typed(text.partition(".")[0], "line"), None)
        for one in typed:
            basket.put(**one)


def _row(number: int, wanted: int, seen: int, book: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return a line as it is now: how many copies can be bought, and at what price."""
    quantity = min(wanted, available(book)) if book else 0
    return {"number": number, "book": book, "wanted": wanted, "quantity": quantity, "seen": seen}


class BasketPage(BasketHandler):
    @forms.BASKET_PAGE
    async def get(self) -> None:
        basket = self.basket()
        books = await self._books(list(basket.lines))
        rows = [_row(book, *line, books.get(book)) for book, line in basket.lines.items()]
        for_sale = [row for row in rows if row["quantity"]]
        total = sum(row["quantity"] * row["book"]["cost"] for row in for_sale)
        self.paint(
            "basket.html",
            title="Your basket",
            rows=rows,
            key=basket.name,
            bought=None if rows else self._bought(),
            total=total,
            summed=self.query(SUMMED) is not None,
            for_sale=len(for_sale),
            most=MAX_QUANTITY,
        )

    def _bought(self) -> str | None:
        """Return the order that the last basket has become, if that was just now."""
        return next((one.order for one in self.bought() if one.what == OF_BASKET), None)

    async def _books(self, numbers: list[int]) -> dict[int, dict[str, Any]]:
        """Return those of the books that exist, as they are now."""
        if not numbers:
            return {}
        found = await self.read({"op": "books", "books": numbers})
        return {book["id"]: book for book in found["books"]}

    @forms.CHANGE_BASKET
    async def post(self) -> None:
        basket = self.basket()
        self.retry = "/basket", self.all_fields()
        match self.form("do"):
            case "add":
                added = line(**{name: self.form(name) for name in LINE})
                if self.comes_back():
                    return
                before, _ = basket.lines.get(added["book"], (0, 0))
                added["quantity"] = min(before + added["quantity"], MAX_QUANTITY)
                basket.put(**added)
            case "update":
                self.put_typed(basket, self.typed())
            case "new":
                basket.name = new_name()
            case remove if remove.startswith("remove-"):
                book = remove.removeprefix("remove-")
                basket.lines.pop(BOOK_ID.typed(book, "do"), None)
                with contextlib.suppress(BadRequest):  # what can't be read is as it was
                    self.put_typed(basket, self.typed(but=book))
            case _:
                raise BadRequest("do: must be add, update, new or remove-<book>")
        self.keep(basket)
        self.go("/basket")


class BasketBuyHandler(BasketHandler):
    """Buys what the form shows, not what the cookie holds by then. Where the copies that are typed
    cost another sum than its button says, it shows that first."""

    @forms.BUY_ALL
    async def post(self) -> None:
        name = IDEMPOTENCY_KEY.typed(self.form("key"), KEY.name)
        typed = self.typed()
        basket = self.basket()
        total = sum(one["quantity"] * one["cost"] for one in typed)
        said = [TOTAL.typed(text, "total") for text in self.fields("total")]
        if basket.name == name and (not typed or said not in ([], [total])):
            self.put_typed(basket, typed)
            self.keep(basket)
            self.go(f"/basket?{SUMMED}=1")
            return
        if not typed:
            self.go("/basket")
            return
        lines = BASKET({"lines": typed}, "body")["lines"]
        self.retry = "/basket/buy", self.all_fields()
        is_key = _KEY.fullmatch(name) is not None
        key = name if is_key else self.own_key(name)
        try:
            answer = await self.buy({"key": key, "lines": lines})
        except (NotFound, Retired, OutOfStock, PriceChanged):
            if basket.name == name:
                self.put_typed(basket, lines)
                self.keep(basket)
            self.go("/basket")  # which shows what is there, and present stock and prices
            return
        if basket.name == name:
            self._go_on(basket, lines)
        if not is_key:
            self.remember(answer["order_id"], name, OF_BASKET)
        self.go(f"{ORDERS_PATH}/{answer['order_id']}")

    def _go_on(self, basket: Basket, bought: Iterable[Mapping[str, int]]) -> None:
        """Keep what another window has put into the basket meanwhile: another purchase."""
        before = dict(basket.lines)
        self.put_typed(basket, ())
        for one in bought:
            had, cost = before.get(one["book"], (0, 0))
            if had > one["quantity"]:
                basket.put(one["book"], had - one["quantity"], cost)
        if basket.lines:
            basket.name = new_name()
            self.keep(basket)
        else:
            self.clear_cookie(COOKIE)
