"""What the keeper's pages can be asked, and what their forms carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bazar.errors import (
    BazarError,
    Conflict,
    Forbidden,
    ForeignHistory,
    KeyReused,
    NotFound,
    OutOfStock,
    PreconditionFailed,
)
from handlers.keeper.fields import AUTHOR, COST, COUNT, COUNT_ADD, ISBN, TITLE, TOPIC
from handlers.kinds import Choice, Kind, Object, Pattern, Plain
from handlers.operations import FORM, Answer, Body, Operation, Parameter
from handlers.parameters import AFTER, BEFORE, BOOK, ORDER
from handlers.storefront.forms import PAGE, SENT_ON, OneOf, page
from handlers.validation import BOOLEAN, ORDER_PLACE

BOOKS_PATH = "/keeper/books"
BOOKS_FILE = "/keeper/books.csv"
ORDERS_PATH = "/keeper/orders"
ORDERS_FILE = "/keeper/orders.csv"
COPIES = "copies-"
"""With a book's number: how many of its copies are cancelled."""
SURE = "sure"
"""That what its button does is meant: it takes a whole order back, or a book from sale."""
CHANGEABLE = (TITLE, AUTHOR, ISBN, TOPIC, COST)
NEW = (*CHANGEABLE, COUNT)
RETIRED = "retired"
"""The name of the filter of lists of books."""
WAS = "was-"
"""With a field's name: what the field had when the form was shown."""
TOKEN, TO = "keeper-token", "keeper-to"
"""The fields of the sign-in; all others are those of a form that was sent when a session had
ended."""

PLACE_HERE = Pattern("/keeper(?:[/?][!-~]*)?", "{value!r} is no page of the keeper's")
DONE = {
    "made": "The book is in the shop now.",
    "changed": "The change is saved.",
    "restocked": "The stock is changed.",
    "both": "The change is saved, and the stock is changed.",
    "retired": "It is retired: nobody finds it or buys it any more.",
    "returned": "It is on sale again.",
    "again": "That is done. It was asked for before, and was not done a second time.",
    "nothing": "Nothing was different, so nothing was changed.",
}
"""What may have been done with a book, and how its page says so."""
CANCELLED = {
    "cancelled": "It is cancelled, and the copies are in stock again.",
    "again": DONE["again"],
    "nothing": "That many are cancelled already, so nothing was changed.",
}
"""The same of an order."""

_ANY = Plain(type="string")
_DAY = Plain(anyOf=[{"const": ""}, {"type": "string", "format": "date"}])
_KEY = Pattern("[0-9a-f]{32}", "must be 32 hexadecimal digits")
TAG = Pattern('"[0-9a-f]{40}"', "must be a book's tag")
_TOUCHED = Plain(
    type="string",
    description="What a new book's form takes, where it differs from the `was-` of the same name.",
)
_OF_FORM = "What the form's request is named by: however often it is sent, it is done once."


def _form(name: str, fields: Mapping[str, Kind]) -> Object:
    """Return a form: what else a browser sends with it nobody reads."""
    return Object(name, fields, also={"additionalProperties": True})


def keyed_page(summary: str, *query: Parameter, **more: Any) -> Operation:
    """Return the operation of a page with a form. It leads to itself, with a name for what the
    form will do: so a reload and the back button lead to the same form."""
    keyed = [Parameter("key", _KEY, _OF_FORM), *query]
    return Operation(summary, [PAGE, SENT_ON], query=keyed, open_query=True, **more)


def keyed_form(summary: str, kind: Kind, *errors: type[BazarError], **more: Any) -> Operation:
    """Return the operation of such a form."""
    return Operation(
        summary,
        [SENT_ON],
        query=[Parameter("key", _KEY, _OF_FORM, required=True)],
        open_query=True,
        body=Body(kind, FORM),
        errors=(KeyReused, *errors),
        **more,
    )


def _table(summary: str, *query: Parameter) -> Operation:
    """Return the operation of a table for a spreadsheet."""
    return Operation(summary, [Answer(_ANY, type="text/csv")], query=query, open_query=True)


SIGN_IN_PAGE = Operation("Sign in", [PAGE, SENT_ON], open_query=True, errors=[Forbidden])
SIGN_IN = Operation(
    "Begin a session with the token",
    [SENT_ON, Answer(PAGE.kind, type=PAGE.type, about="It goes on with what was typed before.")],
    open_query=True,
    body=Body(_form("SignInForm", {TOKEN: _ANY, TO: PLACE_HERE}), FORM),
)
SIGN_OUT = Operation(
    "End the session",
    [SENT_ON],
    open_query=True,
    body=Body(_form("SignOutForm", {}), FORM, required=False),
)
HOME = Operation("The keeper's pages", [SENT_ON], open_query=True)
_OF_BOOKS = [
    Parameter("q", _ANY, "Words of title or author, an ISBN, or a book's number."),
    Parameter(RETIRED, BOOLEAN, "Those that are retired, and not those on sale.", default=False),
]
FIND_BOOKS = page(
    "The books that a search finds, or all",
    query=[*_OF_BOOKS, AFTER, BEFORE],
)
BOOKS_TABLE = _table("The same as a table for a spreadsheet", *_OF_BOOKS)
NEW_BOOK_PAGE = keyed_page("The form for a new book")
MAKE_BOOK = keyed_form(
    "Make a book", _form("NewBookForm", {one.name: one.kind for one in NEW}), Conflict
)
BOOK_PAGE = keyed_page(
    "A book, and the forms that change it",
    Parameter("did", Choice(*DONE), "What has been done."),
    path=[BOOK],
)
CHANGE_BOOK = keyed_form(
    "Change a book, restock it, retire it, or bring it back",
    OneOf(
        _form(
            "ChangeForm",
            {
                "do": Plain(const="change"),
                "etag": TAG,
                COUNT_ADD.name: COUNT_ADD.kind,
                **{one.name: _TOUCHED for one in CHANGEABLE},
                **{f"{WAS}{one.name}": _ANY for one in CHANGEABLE},
            },
        ),
        _form("RetireForm", {"do": Plain(const="retire"), SURE: Plain(const=SURE)}),
        _form("ReturnForm", {"do": Plain(const="return")}),
    ),
    *(NotFound, Conflict, OutOfStock, PreconditionFailed),
    path=[BOOK],
)

_OF_TIME = [
    Parameter("since", _DAY, "The first day, as 2026-11-29, in UTC."),
    Parameter("until", _DAY, "The last day."),
    Parameter("q", _ANY, "Words of a title, a book's number, or an order's id."),
    Parameter("cancelled", Choice("", "some", "none"), "What must be cancelled of it."),
]
LIST_ORDERS = page(
    "The orders of a time",
    query=[*_OF_TIME, Parameter("before", ORDER_PLACE, "Begin behind this place.")],
)
ORDERS_TABLE = _table("The same as a table for a spreadsheet", *_OF_TIME)
ORDER_PAGE = keyed_page(
    "An order, and the forms that cancel it",
    Parameter("did", Choice(*CANCELLED), "What has been done."),
    path=[ORDER],
)
CANCEL_ORDER = keyed_form(
    "Cancel an order, all of it or a part",
    OneOf(
        _form("CancelAllForm", {"do": Plain(const="all"), SURE: Plain(const=SURE)}),
        Object(
            "CancelPartForm",
            {"do": Plain(const="part")},
            also={
                "additionalProperties": True,
                "patternProperties": {f"^(?:{WAS})?{COPIES}": {"type": "string"}},
                "description": f"`{COPIES}<book>` is how many of a line are cancelled in all, and"
                f" `{WAS}{COPIES}<book>` how many were when the form was shown.",
            },
        ),
    ),
    *(NotFound, Conflict, ForeignHistory),
    path=[ORDER],
)
