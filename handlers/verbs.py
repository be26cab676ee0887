"""What is done by more than one role, or between nodes: each operation, once."""

from __future__ import annotations

from bazar.errors import (
    Conflict,
    ForeignHistory,
    KeyRequired,
    KeyReused,
    NotFound,
    OutOfStock,
    PreconditionFailed,
    PriceChanged,
    Retired,
)
from bazar.node.server import MAX_INTERNAL_BODY_BYTES
from handlers import answers
from handlers.kinds import MAX_ID, Choice, Integer, Kind, ListOf, Object, Plain, Unread
from handlers.moments import MOMENT
from handlers.operations import HTML, PLAIN, Answer, Body, Operation, Parameter
from handlers.parameters import BOOK, CONDITIONS, KEY, ORDER, PAGE_QUERY, SEARCH_QUERY, Q
from handlers.validation import (
    BASKET,
    BOOK_CHANGES,
    BOOLEAN,
    CANCELLATION,
    LISTED,
    NEW_BOOK,
    ORDER_PLACE,
    PURCHASE,
    WORDS,
)
from storage.paging import LOOKED

MAX_IMPORT_BOOKS = 1000
MAX_IMPORT_BYTES = 4 << 20
MAX_DELAY_MS = 2000

_ANY, _TEXT = Plain(), Plain(type="string")
_ORDERED = ("get_orders_by_order_id", "order_id", "order_id")
_WRITES = (KeyReused,)
_BUYS = (Retired, OutOfStock, PriceChanged, KeyRequired, ForeignHistory, *_WRITES)
_ALONE = Parameter("alone", _TEXT, "Ask this process alone, and not the front end's others.")

SHOW_BOOK = Operation("Show a book", [Answer(answers.BOOK)], path=[BOOK])
SEARCH = Operation(
    "Find books by their topic, or by words",
    [
        Answer(
            answers.BOOKS,
            headers=["Link", "X-Total-Count"],
            about="The books, in pages that are linked. A page may have fewer than `limit`, even"
            f" none, and a `Link` all the same: no page looks at more than {LOOKED:,}.",
        )
    ],
    query=SEARCH_QUERY,
)
LIST_RETIRED = Operation(
    "List the books that are retired, by number; or find some of them by words",
    [
        Answer(
            answers.BOOKS,
            headers=["Link", "X-Total-Count"],
            about="The books, in pages that are linked.",
        )
    ],
    query=(Q, *PAGE_QUERY),
)
LIST_TOPICS = Operation("List the topics, by name", [Answer(answers.TOPICS)])
BUY_BOOK = Operation(
    "Buy copies of a book",
    [Answer(answers.PURCHASED, leads_to=[_ORDERED])],
    path=[BOOK],
    headers=[KEY],
    body=Body(PURCHASE, required=False),
    errors=_BUYS,
)
BUY_BASKET = Operation(
    "Buy several books as one order",
    [Answer(answers.BOUGHT, leads_to=[_ORDERED])],
    headers=[KEY],
    body=Body(BASKET),
    errors=(NotFound, *_BUYS),
)
SHOW_ORDER = Operation("Show an order", [Answer(answers.ORDER)], path=[ORDER])
CANCEL_ORDER = Operation(
    "Cancel an order, all of it or a part",
    [Answer(answers.CANCELLED, leads_to=[_ORDERED])],
    path=[ORDER],
    headers=[KEY],
    body=Body(CANCELLATION, required=False),
    errors=(Conflict, ForeignHistory, *_WRITES),
)
LIST_ORDERS = Operation(
    "List the orders of a time, the newest first; or all, in the order of their last change",
    [Answer(answers.ORDERS, headers=["Link"], about="The orders, in pages that are linked.")],
    query=[
        Parameter("since", MOMENT, "Those that were sold then or later."),
        Parameter("until", MOMENT, "Those that were sold before."),
        Parameter(
            "q",
            WORDS,
            "Words of a title, as it was sold; the number of a book; or an order's id, or the first"
            " 8 digits of it or more.",
        ),
        Parameter("cancelled", BOOLEAN, "Those of which something is cancelled, or nothing is."),
        Parameter("before", ORDER_PLACE, "Begin behind this place, which a `Link` names."),
        Parameter("after", Integer(0, MAX_ID), "Follow the changes behind this `change`."),
        Parameter("limit", LISTED, "So many, at most.", default=100),
    ],
)

UPDATE_BOOK = Operation(
    "Change a book",
    [Answer(answers.BOOK)],
    path=[BOOK],
    headers=[KEY, *CONDITIONS],
    body=Body(BOOK_CHANGES),
    errors=(Conflict, OutOfStock, PreconditionFailed, *_WRITES),
)
CREATE_BOOK = Operation(
    "Make a book",
    [
        Answer(
            answers.BOOK,
            201,
            headers=["Location"],
            leads_to=[("get_info_by_id", "id", "id")],
        )
    ],
    headers=[KEY],
    body=Body(NEW_BOOK),
    errors=(Conflict, Retired, *_WRITES),
)
IMPORT_BOOKS = Operation(
    "Make many books",
    [Answer(answers.IMPORTED)],
    headers=[KEY],
    body=Body(
        Object("NewBooks", {"books": ListOf(Unread(NEW_BOOK), 1, MAX_IMPORT_BOOKS)}),
        max_bytes=MAX_IMPORT_BYTES,
    ),
    errors=_WRITES,
)
REMOVE_SAMPLES = Operation(
    "Take the samples away, while nothing was sold",
    [Answer(answers.SAMPLES_REMOVED)],
    headers=[KEY],
    errors=(Conflict, *_WRITES),
)
INVALIDATE = Operation(
    "Drop a cached book", [Answer(answers.INVALIDATED)], path=[BOOK], query=[_ALONE]
)

CHECK_HEALTH = Operation("Ask whether the node answers", [Answer(answers.HEALTHY)])
CHECK_READINESS = Operation("Ask whether the node serves reads", [Answer(answers.READY)])
SHOW_STATUS = Operation("Show the state of the node", [Answer(answers.STATUS)])
SHOW_STATUS_OF_ALL = Operation(
    "Show the state of all its processes", [Answer(answers.STATUS)], query=[_ALONE]
)
SHOW_FIGURES = Operation(
    "Tell what the node has counted, as Prometheus reads it", [Answer(_TEXT, type=PLAIN)]
)
SHOW_FIGURES_OF_ALL = Operation(
    "Tell what all its processes have counted, as Prometheus reads it; of one `alone`, as JSON",
    [Answer(_TEXT, type=PLAIN), Answer(_ANY)],
    query=[_ALONE],
)
ANSWER_ITEMS = Operation(
    "Answer a batch of items, each by itself",
    [Answer(answers.ITEMS_ANSWERED)],
    body=Body(Object("Items", {"items": ListOf(_ANY)}), max_bytes=MAX_INTERNAL_BODY_BYTES),
)
OPEN_FRAMES = Operation(
    "Make a connection of frames of this connection",
    [Answer(status=101, about="From here on frames go both ways.")],
)
SHOW_FILE = Operation(
    "Load what a page needs",
    [Answer(_TEXT, type=kind) for kind in ("text/css", "text/javascript", "image/svg+xml")],
    path=[Parameter("name", _TEXT, "The name of a file.")],
    open_query=True,
)
IMPAIRMENT: dict[str, Kind] = {
    "do": Choice("cut", "slow", "mend"),
    "delay_ms": Integer(1, MAX_DELAY_MS),
}
USUAL_DELAY = {"delay_ms": 100}
IMPAIR_LINK = Operation(
    "Cut, slow or mend this node's end of a link",
    [Answer(Object("Impaired", {"links": ListOf(Plain(type="object"))}))],
    path=[Parameter("name", _TEXT, "The name of the node at the other end.")],
    query=[_ALONE],
    body=Body(Object("Impairment", IMPAIRMENT, defaults=USUAL_DELAY)),
    errors=[NotFound],
)
DESCRIBE = Operation("Describe this node's API, in OpenAPI 3.1", [Answer(answers.DOCUMENT)])
SHOW_DESCRIPTION = Operation("Show the description to people", [Answer(_TEXT, type=HTML)])
