"""What several operations have in their paths, queries and headers."""

from __future__ import annotations

from handlers.kinds import Choice, Integer
from handlers.operations import Parameter
from handlers.validation import (
    BOOK_ID,
    BOOLEAN,
    ENTITY_TAGS,
    IDEMPOTENCY_KEY,
    MAX_OFFSET,
    MAX_PAGE,
    ORDER_ID,
    PLACE,
    TEXT,
    WORDS,
)
from storage.searches import SORTS

BOOK = Parameter("id", BOOK_ID, "The number of a book.", example=4)
ORDER = Parameter("order_id", ORDER_ID, "What a purchase has answered as `order_id`.")

KEY = Parameter(
    "Idempotency-Key",
    IDEMPOTENCY_KEY,
    "The same key is the same request: it is done once, however often it is sent. Without one, a"
    " key is made here, and sent back.",
    example="9b58fa47593c86ce18041dbdce660626",
)
IF_MATCH = Parameter(
    "If-Match", ENTITY_TAGS, "Change the book only if this is its `ETag`.", example="*"
)
IF_NONE_MATCH = Parameter(
    "If-None-Match", ENTITY_TAGS, "Change it only if this is not its `ETag`.", example='"x"'
)
CONDITIONS = (IF_MATCH, IF_NONE_MATCH)

LIMIT = Parameter("limit", Integer(1, MAX_PAGE), "So many, at most.", default=MAX_PAGE)
OFFSET = Parameter("offset", Integer(0, MAX_OFFSET), "Leave out so many.", default=0)
AFTER = Parameter("after", PLACE, "Begin behind this place, which a `Link` names.")
PAGE_QUERY = (LIMIT, OFFSET, AFTER)
BEFORE = Parameter("before", PLACE, "End before this place.")
SORT = Parameter(
    "sort",
    Choice(*SORTS),
    "In which order: the best matches first, by title, by price, the dearest first, or the newest"
    " first. Without it words are answered by `fit`, and topics as the books were added.",
)
Q = Parameter("q", WORDS, "Words of title or author, or an ISBN.")
IN_STOCK = Parameter("in_stock", BOOLEAN, "Only books that are in stock.", default=False)
SEARCH_QUERY = (
    Parameter(
        "topic",
        TEXT,
        "What the topic contains, in any case; next to `q` just this topic.",
        example="distributed",
    ),
    Q,
    SORT,
    IN_STOCK,
    *PAGE_QUERY,
)
