"""What forms and addresses of pages carry, and what pages do with it."""

from __future__ import annotations

import re
from typing import Any

from bazar.errors import (
    BazarError,
    Conflict,
    ForeignHistory,
    KeyReused,
    NoCookie,
    NotBuyer,
    NotFound,
    TooLate,
)
from handlers.kinds import Integer, Kind, Object, Pattern, Plain, Schema, Schemas
from handlers.operations import FORM, HTML, Answer, Body, Operation, Parameter
from handlers.parameters import AFTER, BEFORE, BOOK, IN_STOCK, OFFSET, ORDER, SORT
from handlers.validation import AMOUNT, BOOK_ID, IDEMPOTENCY_KEY, MAX_QUANTITY

PAGE = Answer(Plain(type="string"), type=HTML)
SENT_ON = Answer(status=303, about="It goes on there.", headers=["Location"])
SENT_AGAIN = Answer(
    status=307, about="A new visitor has a cookie now: send it there.", headers=["Location"]
)
TOLD_WHERE = Answer(
    Object("SentOn", {"location": Plain(type="string")}),
    about="Where it goes on, for a script: it leads its visitor there by itself.",
)


class Typed(Integer):
    """A number that a person types, with spaces or zeros before it."""

    def typed(self, text: str, place: str) -> int:
        text = text.strip()
        return super().typed(text.lstrip("0") or text[-1:], place)


class OneOf(Plain):
    """One of several forms, which the page's own code tells apart."""

    def __init__(self, *kinds: Kind) -> None:
        super().__init__()
        self._kinds = kinds

    def schema(self, shared: Schemas) -> Schema:
        return {"oneOf": [kind.schema(shared) for kind in self._kinds]}


LINE: dict[str, Kind] = {
    "book": BOOK_ID,
    "quantity": Typed(1, MAX_QUANTITY),
    "cost": AMOUNT,
}
TOTAL = Integer(0, 10**18 - 1)
"""The sum that the button to buy a basket says, in cents: with it nothing is bought for another."""
KEEP = re.compile("keep-(0|[1-9][0-9]{0,17})", re.ASCII)
KEPT = Typed(0, MAX_QUANTITY)
KEY_NAME = Pattern("[!-~]{0,200}", "must be at most 200 visible ASCII characters")


def line(**typed: str) -> dict[str, int]:
    """Return one book as a form or an address has it. Raises BadRequest."""
    return {name: kind.typed(typed[name], name) for name, kind in LINE.items()}


def _form(name: str, fields: dict[str, Kind], **also: Any) -> Object:
    """Return a form: what else a browser sends with it nobody reads."""
    return Object(name, fields, also={"additionalProperties": True, **also})


_BOOKS_OF_BASKET = {
    "patternProperties": {"^quantity-": {"type": "string"}},
    "description": "Each `line` is `<book>.<cost>`, and has its `quantity-<book>`.",
}
_LINE_OF_BASKET = {"type": "string", "pattern": r"^(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,11})$"}
_LINES = {"line": Plain(type="array", items=_LINE_OF_BASKET)}


def page(summary: str, **more: Any) -> Operation:
    """Return the operation of a page."""
    return Operation(summary, [PAGE], open_query=True, **more)


def form(summary: str, kind: Kind, *errors: type[BazarError], **more: Any) -> Operation:
    """Return the operation of a form, which sends its visitor on."""
    known = {"answers": [SENT_ON], "open_query": True, "body": Body(kind, FORM), "errors": errors}
    return Operation(summary, **{**known, **more})


_ANY = Plain(type="string")

HOME = page("The home page")
RESULTS = page(
    "The books that a search finds",
    query=[
        Parameter("q", _ANY, "Words of title or author."),
        Parameter("topic", _ANY, "What the topic contains; next to words just this topic."),
        SORT,
        IN_STOCK,
        OFFSET,
        AFTER,
        BEFORE,
    ],
)
BOOK_PAGE = page("A book", path=[BOOK])
RECEIPT = page("An order, for its buyer", path=[ORDER])
ORDERS = page("The orders that the visitor's browser remembers")
CONFIRM = page(
    "What is about to be bought",
    query=[
        *(Parameter(name, kind, required=True) for name, kind in LINE.items()),
        Parameter("key", IDEMPOTENCY_KEY, "What the purchase is named by.", required=True),
    ],
    errors=[NotFound],
)
BASKET_PAGE = page("The visitor's basket")
BUY = form(
    "Buy copies of a book",
    _form("BuyForm", {**LINE, "key": KEY_NAME}),
    *(NoCookie, NotFound, KeyReused, ForeignHistory),
    answers=[SENT_ON, SENT_AGAIN, TOLD_WHERE],
)
CHANGE_BASKET = form(
    "Change the basket",
    OneOf(
        _form("AddForm", {"do": Plain(const="add"), **LINE}),
        _form("UpdateForm", {"do": Plain(const="update")}, **_BOOKS_OF_BASKET),
        _form("NewForm", {"do": Plain(const="new")}),
        _form("RemoveForm", {"do": Plain(type="string", pattern="^remove-(0|[1-9][0-9]{0,17})$")}),
    ),
    NoCookie,
    answers=[SENT_ON, SENT_AGAIN],
)
BUY_ALL = form(
    "Buy what the basket's form shows",
    Object(
        "BasketForm",
        {"key": IDEMPOTENCY_KEY, "total": TOTAL, **_LINES},
        optional=["line", "total"],
        also={"additionalProperties": True, **_BOOKS_OF_BASKET},
    ),
    *(NoCookie, KeyReused, ForeignHistory),
)
UNDO = form(
    "Undo an order, all of it or what is not to be kept",
    _form(
        "UndoForm",
        {},
        patternProperties={"^keep-": {"type": "string"}},
        description="`keep-<book>` is how many copies the order keeps, and without it all of them."
        " Without any, all of the order is undone.",
    ),
    *(NotBuyer, NotFound, Conflict, TooLate, NoCookie, ForeignHistory),
    path=[ORDER],
)
