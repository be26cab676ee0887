"""What a request asks for and what its answer shows, where several roles share it: searches,
purchases, and changes of books."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from bazar.errors import BadRequest, Conflict, Indeterminate, Retired, Unavailable
from bazar.http.response import next_page
from bazar.replication.store import Answer
from handlers.base import Handler
from storage.books import offer
from storage.order_pages import MOST_LOOKED_AT
from storage.searches import Search


def search_query(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the search that a query asks for, as an item to read: by topic, or by words. Raises
    BadRequest."""
    if given["topic"] is None and given["q"] is None:
        raise BadRequest("topic: is missing (or q, for words of title or author)")
    return search_item(given["q"], given["topic"], {**given, "skip": given["offset"]})


def search_item(q: str | None, topic: str | None, part: Mapping[str, Any]) -> dict[str, Any]:
    """Return a search as an item to read, of those fields of `part` that a search has. Raises
    BadRequest where they do not go together."""
    words = {"op": "find", "q": q} if q is not None else {"op": "search"}
    item = {**words, **({} if topic is None else {"topic": topic})}
    item |= {name: part[name] for name in ("limit", "skip", "after")}
    # As before there were these: a node of an older version knows what is asked without them.
    newer = ("before", "sort", "in_stock", "retired")
    item |= {name: part[name] for name in newer if part.get(name)}
    Search.of(item)
    return item


def retired_query(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the search among the books that are retired that a query asks for, as an item to read:
    by words, or all of them. Raises BadRequest."""
    part = {**given, "skip": given["offset"], "retired": True}
    return search_item(given["q"], "" if given["q"] is None else None, part)


def show_books(handler: Handler, search: Mapping[str, Any], found: Answer) -> None:
    """Answer with a page of what a search has found, how many there are, and a `Link` to the next
    page."""
    if found["after"] is not None:
        handler.set_header("Link", next_page(handler.link_behind(search), found["after"]))
    for name, value in total(found).items():
        handler.set_header(name, value)
    handler.answer(found["books"])


def search_key(search: Mapping[str, Any]) -> str:
    """Return the cache key of a search's answer."""
    return f"search_{json.dumps(search)}"


def total(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return the header that says how many books a search has found."""
    more = "+" if answer["more"] else ""
    return {"X-Total-Count": f"{answer['count']}{more}"}


def purchased(handler: Handler, answer: Answer) -> Answer:
    """Return what the buyer of one book is told."""
    [line] = answer["lines"]
    return {
        "message": f"Purchased book {line['book']}",
        "new_count": line["new_count"],
        "order_id": answer["order_id"],
        "quantity": line["quantity"],
        "cost": answer["cost"],
        "key": answer["key"],
        **_once_more(handler, answer),
    }


def _once_more(handler: Handler, answer: Answer) -> Answer:
    """Return whether the buyer may have had this answer before, and what was cancelled since. If
    the key was made here, the buyer has not: only we sent that purchase again."""
    replayed = bool(answer["replayed"]) and "Idempotency-Key" in handler.request.headers
    cancelled = {"cancelled": answer["cancelled"]} if "cancelled" in answer else {}
    return {"replayed": replayed, **cancelled}


def purchase_item(handler: Handler, book: int) -> dict[str, Any]:
    """Return the purchase that a request asks for."""
    return {"key": handler.key, "lines": [{"book": book, **handler.json_body()}]}


def basket_item(handler: Handler) -> dict[str, Any]:
    """Return the purchase of several books that a request asks for."""
    return {"key": handler.key, "lines": handler.json_body()["lines"]}


def bought(handler: Handler, answer: Answer) -> Answer:
    """Return what the buyer of several books is told."""
    lines, shown = answer["lines"], ("order_id", "lines", "cost", "key")
    copies = sum(line["quantity"] for line in lines)
    what = "1 book" if copies == 1 else f"{copies} books"
    told = {"message": f"Purchased {what}", **{name: answer[name] for name in shown}}
    return {**told, **_once_more(handler, answer)}


def cancellation_item(handler: Handler, order: str) -> dict[str, Any]:
    """Return the cancellation that a request asks for: without `lines`, of the whole order."""
    return {"key": handler.key, "order_id": order, **handler.json_body()}


def cancelled(handler: Handler, answer: Answer) -> Answer:
    """Return what is told of a cancellation."""
    shown = ("order_id", "cost", "refund", "lines", "key")
    told = {name: answer[name] for name in shown}
    copies = sum(line["quantity"] for line in answer["cancelled"])
    message = f"Cancelled in all: {copies} of {sum(one['quantity'] for one in answer['lines'])}"
    return {"message": message, **told, **_once_more(handler, answer)}


OF_TIME = ("since", "until", "q", "cancelled", "before")
LISTS_ORDERS = f"""\
Lists the orders of a time, newest first, where `since`, `until`, `q`, `cancelled` or `before` is
given. For words of a `q` one page looks at {MOST_LOOKED_AT:,} orders at most: it may be short,
or empty, and still have a `Link`, which looks further. Without any of these it follows all
orders, in the order of their last change, behind the `change` of the last one seen."""


def list_of_orders(handler: Handler) -> dict[str, Any]:
    """Return the page of orders that a request asks for, as an item to list. Raises BadRequest."""
    given = {name: value for name, value in handler.given.items() if value is not None}
    of_time = [name for name in OF_TIME if name in given]
    if not of_time:
        return {"op": "changed", "after": 0, **given}
    if "after" in given:
        raise BadRequest(f"after, {of_time[0]}: one of them, not both: the first follows changes")
    return {"op": "sold", **given}


def show_orders(handler: Handler, page: Answer) -> None:
    """Answer with a page of orders, and a `Link` to the next one."""
    for name in ("before", "after"):
        if page.get(name) is not None:
            asked = {one: handler.query(one) for one in handler.given if one != name}
            asked = {one: text for one, text in asked.items() if text is not None}
            link = f"{handler.request.path}?{urlencode({**asked, name: ''})}"
            handler.set_header("Link", next_page(link, page[name]))
    handler.answer(page["orders"])


def update_operation(handler: Handler, book: int) -> dict[str, Any]:
    """Return the change of a book that a request asks for."""
    change = {"op": "update", "key": handler.key, "book": book, "fields": handler.json_body()}
    return {**change, **handler.conditions()}


def create_operation(handler: Handler) -> dict[str, Any]:
    """Return the making of a book that a request asks for."""
    return {"op": "create", "key": handler.key, "books": [handler.json_body()]}


async def answer_made(
    handler: Handler, written: Answer, read: Callable[[dict[str, Any]], Awaitable[Answer]]
) -> None:
    """Answer with the book that was made, as `read` finds it. Raises Conflict if it was there
    before, Retired if it is retired, and Indeterminate if it is not to be shown now."""
    [made] = written["books"]
    same = f"book {made['id']} has this title, author and topic already"
    if "retired" in made:
        found = await read({"op": "info", "book": made["id"]})
        message = f"{same}, and is retired: bring it back by PUT /update/{made['id']}"
        raise Retired(message, {"books": [offer(found["book"])]})
    if not made["created"]:
        raise Conflict(same)
    try:
        found = await read({"op": "info", "book": made["id"]})
    except Unavailable as error:
        raise Indeterminate(
            f"book {made['id']} is made, but not to be shown now: {error}"
        ) from error
    handler.set_header("Location", f"/info/{made['id']}")
    handler.answer(found["book"], status=201)
