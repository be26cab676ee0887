"""What a request asks for and what its answer shows, where several roles share it: searches and
purchases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bazar.errors import BadRequest
from bazar.replication.store import Answer
from handlers.base import Handler


def search_query(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the search that a query asks for, as an item to read: by topic, or by words."""
    topic, q = given["topic"], given["q"]
    if topic is not None and q is not None:
        raise BadRequest("topic, q: one of them, not both")
    part = {"limit": given["limit"], **where_to_begin(given)}
    if q is not None:
        return {"op": "find", "q": q, **part}
    if topic is None:
        raise BadRequest("topic: is missing (or q, for words of title or author)")
    return {"op": "search", "topic": topic, **part}


def where_to_begin(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the wanted part of a list begins, as the query says."""
    return {"skip": given["offset"], "after": given["after"]}


def search_key(search: Mapping[str, Any]) -> str:
    """Return the cache key of a search's answer."""
    wanted = search["topic"] if search["op"] == "search" else search["q"]
    part = [search.get(name) for name in ("limit", "skip", "after", "before")]
    return f"{search['op']}_{'_'.join(map(str, part))}_{wanted}"


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
