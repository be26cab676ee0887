"""Orders: a projection of the catalog's committed sales (S2).

The order primary reads the sales after its cursor and logs them together with the new cursor, so
each sale becomes exactly one order, whatever crashes when:

    {"op": "project", "after": cursor, "id", "changes": [
        {"order_id", "seq", "sold_at", "lines"} | {"order_id", "seq", "cancelled_at", "cancelled"}]}

An order that is cancelled, all of it or a part, changes and gets a number of its own for that, from
the same row of numbers (S6). So whoever follows the orders by their last number sees that, too.

A cursor is a position in the catalog's log; `id` is of the epoch of the last of these changes. At
an operator's command it goes back to the last sale that both have, whose order has the number
`behind` (S5); the orders after it are recorded as adopted:

    {"op": "adopt", "after": cursor, "to": cursor, "behind"}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bazar.errors import BazarError, Conflict
from bazar.replication.messages import Change, Entry
from bazar.replication.store import Answer, Operation, Outcome
from storage import history
from storage.books import copies, lines_of, moment
from storage.history import Position

MAX_SALES = 500  # that become orders in one step

_IF_CANCELLED = ("changed", "cancelled", "cancelled_at")  # what an order has, or else NULL

Place = tuple[int, int]
"""Where an order stands among all: when it was sold, in milliseconds since 1970, and its number."""


def order_key(order_id: str) -> str:
    """Return the cache key of one order."""
    return f"order_{order_id}"


@dataclass(slots=True)
class Projected:
    """How far the orders have come; each operation of a batch sees those before it (R1)."""

    cursor: Position
    known: dict[str, dict[str, Any]]  # the orders that exist, of those that the batch may put
    highest: int  # the highest number of an order, or of its change; 0: there is none
    first: int  # the number of the batch's first change


class Orders:
    """Decides the operations of the order group."""

    tables: Mapping[str, str] = {
        "orders": "order_id",
        "cursors": "name",
        "adoptions": "upto",
        **history.TABLES,
    }

    def seed(self) -> Sequence[Operation]:
        """Return nothing: a new group begins without orders (T0)."""
        return ()

    def wanted(self, operations: Sequence[Operation]) -> list[str]:
        """Return the ids of the orders that a batch may make, or change."""
        return [change["order_id"] for one in operations for change in one.get("changes", ())]

    def decide(self, work: Projected, operations: Sequence[Operation]) -> list[Outcome]:
        """Decide `operations` in order, each seeing those before it (R1)."""
        outcomes = []
        for operation in operations:
            try:
                outcomes.append(self._decide(work, operation))
            except BazarError as refusal:
                outcomes.append(Outcome(refusal))
        return outcomes

    def _decide(self, work: Projected, operation: Operation) -> Outcome:
        if operation["op"] == "begin":
            return Outcome({}, history.beginning(history.begun(operation, work.first)))
        if Position.of(operation["after"]) != work.cursor:
            raise Conflict(f"the cursor stands at {work.cursor}")
        if operation["op"] == "adopt":
            return self._adopt(work, operation)
        return self._project(work, operation)

    def _project(self, work: Projected, operation: Operation) -> Outcome:
        changes = operation["changes"]
        work.cursor = Position(changes[-1]["seq"], operation["id"])
        rows: dict[str, dict[str, Any]] = {}
        for change in changes:
            order_id = change["order_id"]
            order = work.known.get(order_id)
            number = max(change["seq"], work.highest + 1)
            if "cancelled" in change:
                if order is None:
                    continue  # S5: its sale was adopted away
                known = copies(json.loads(order["cancelled"] or "[]"))
                if (total := in_all(known, copies(change["cancelled"]))) == known:
                    continue  # S5: it was followed before
                order = {**order, "changed": number, "cancelled_at": change["cancelled_at"]}
                order["cancelled"] = _text(lines_of(total))
            elif order is not None:
                continue  # S5: the sale was lost, and has come back
            else:
                order = {"order_id": order_id, "seq": number, "sold_at": change["sold_at"]}
                order |= {"lines": _text(change["lines"]), **dict.fromkeys(_IF_CANCELLED)}
            work.highest = number
            rows.pop(order_id, None)  # in the order of their numbers
            rows[order_id] = work.known[order_id] = order
        put = {"orders": list(rows.values()), "cursors": [_cursor_row(work.cursor)]}
        tags = tuple(map(order_key, rows))
        return Outcome(_answer(work.cursor), Change(tags, {"put": put}))

    def _adopt(self, work: Projected, operation: Operation) -> Outcome:
        work.cursor = Position.of(operation["to"])
        adoption = {"upto": work.highest, "behind": operation["behind"]}
        put = {"cursors": [_cursor_row(work.cursor)], "adoptions": [adoption]}
        return Outcome(_answer(work.cursor), Change((), {"put": put}))


def _text(lines: Any) -> str:
    return json.dumps(lines, ensure_ascii=False)


def _cursor_row(cursor: Position) -> dict[str, Any]:
    return {"name": "sales", "seq": cursor.number, "id": cursor.id}


def projected_by(entry: Entry) -> tuple[list[str], Position | None]:
    """Return the ids of the orders that an entry puts, and the cursor that it sets, if any."""
    put = entry.effects.get("put", {})
    order_ids = [row["order_id"] for row in put.get("orders", ())]
    moved = [Position(row["seq"], row.get("id")) for row in put.get("cursors", ())]
    return order_ids, moved[-1] if moved else None


def _answer(cursor: Position) -> Answer:
    return {"cursor": cursor.plain}


def order_cost(lines: Sequence[Mapping[str, Any]]) -> int:
    """Return what an order costs in all, in cents."""
    return sum(line["quantity"] * line["unit_cost"] for line in lines)


def show_order(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an order as its buyer sees it."""
    lines = json.loads(row["lines"])
    shown = {
        "order_id": row["order_id"],
        "sold_at": moment(row["sold_at"]),
        "cost": order_cost(lines),
        "lines": lines,
    }
    if row["cancelled"] is not None:
        cancelled = json.loads(row["cancelled"])
        shown |= {"cancelled": cancelled, "refund": refund(lines, cancelled)}
        if row["cancelled_at"] is not None:
            shown["cancelled_at"] = moment(row["cancelled_at"])
    return shown


def show_listed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an order as lists have it: with its number, `seq`, and that of its last `change`."""
    return {**show_order(row), "seq": row["seq"], "change": row["changed"] or row["seq"]}


def in_all(known: Mapping[int, int], cancelled: Mapping[int, int]) -> dict[int, int]:
    """Return how many copies of each book an order shows as cancelled that has shown those that are
    `known`, and follows a cancellation: what the catalog has lost since stays (S5). The books come
    in the cancellation's order.

    >>> in_all({1: 3}, {2: 1, 1: 1})
    {2: 1, 1: 3}
    """
    books = {**cancelled, **known}
    return {book: max(known.get(book, 0), cancelled.get(book, 0)) for book in books}


def shows(order: Mapping[str, Any], cancelled: Iterable[Mapping[str, int]]) -> bool:
    """Return whether an order, as it is shown, has at least these copies cancelled."""
    known = copies(order.get("cancelled", ()))
    return all(one["quantity"] <= known.get(one["book"], 0) for one in cancelled)


def kept(order: Mapping[str, Any]) -> dict[int, int]:
    """Return how many copies of each book of an order are not cancelled."""
    cancelled = copies(order.get("cancelled", ()))
    return {book: many - cancelled.get(book, 0) for book, many in copies(order["lines"]).items()}


def refund(lines: Sequence[Mapping[str, Any]], cancelled: Sequence[Mapping[str, int]]) -> int:
    """Return what was paid for the copies that are cancelled, in cents."""
    costs = {line["book"]: line["unit_cost"] for line in lines}
    return sum(one["quantity"] * int(costs[one["book"]]) for one in cancelled)


class OrderReader(Protocol):
    """Reads the orders' committed state."""

    async def cursor(self) -> Position:
        """Return the position in the catalog's log up to which every sale has its order."""

    async def order(self, order_id: str) -> dict[str, Any] | None:
        """Return the order of this id, None if there is none."""

    async def known(self, order_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the orders of these ids that exist, by id."""

    async def numbers(self, order_ids: Iterable[str]) -> dict[str, int]:
        """Return the number of each order that exists, by id."""

    async def count(self, after: int) -> int:
        """Return how many orders were made or changed behind the number `after`."""

    async def changed(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Return the orders that were made or changed behind the number `after`, in the order of
        that, each with its `seq` and the number of its last `change`."""

    async def sold(
        self, since: int, before: Place, limit: int, *, beginning: str = "", cancelled: bool = False
    ) -> list[dict[str, Any]]:
        """Return the rows of the orders that were sold at `since`, in milliseconds since 1970, or
        later, and stand before a place, the newest first: only those whose ids have this beginning,
        or else only those of which something is `cancelled`. It costs what it returns, or what has
        the beginning."""
