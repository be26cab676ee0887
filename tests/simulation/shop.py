"""The shop's rows in one flat dict, for a simulated disk and for the all-knowing observer: what a
batch loads of them, and what a read shows. How the rows change is decided by the product's own
code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bazar.replication.messages import Entry
from bazar.replication.store import Answer, Operation, Outcome
from storage.books import change_answer, fold, show_book
from storage.catalog import Catalog
from storage.history import Epoch, Position, check, epochs, id_of
from storage.letters import sort_key
from storage.orders import Orders, Projected, show_order
from storage.paging import UNRANKED, By, Place
from storage.reconciliation import SOLD
from storage.samples import Sample
from storage.searches import Count, Found, Search
from storage.working_set import WorkingSet

Row = Mapping[str, Any]
State = dict[tuple[str, Any], Row]  # (table, primary key) -> row

TOPICS = ("Distributed Systems", "Undergraduate School")


def touched(state: State, effects: Mapping[str, Any], tables: Mapping[str, str]) -> None:
    """Put an entry's row images into `state`."""
    for table, rows in effects.get("put", {}).items():
        for row in rows:
            state[table, row[tables[table]]] = row
    for table, keys in effects.get("delete", {}).items():
        for key in keys:
            state.pop((table, key), None)


def applied(state: State, entries: Iterable[Entry], tables: Mapping[str, str]) -> State:
    """Return the rows as they are after `entries`."""
    after = dict(state)
    for entry in entries:
        touched(after, entry.effects, tables)
    return after


def rows(state: State, table: str) -> list[Row]:
    return [row for (name, _), row in state.items() if name == table]


# --- deciding ------------------------------------------------------------------------------------


class SimulatedCatalog(Catalog):
    """The product's catalog with a small stock of its own, with which it begins in any case. The
    samples come behind it."""

    def __init__(
        self,
        books: int,
        stock: int,
        new_order_id: Callable[[], str],
        samples: int = 0,
        *,
        empty: bool = False,
    ) -> None:
        super().__init__(new_order_id, empty=empty)
        first = {
            number: Sample(f"first {number}", TOPICS[number % 2], 100, stock)
            for number in range(1, books + samples + 1)
        }
        self.stocked = {number: first.pop(number) for number in range(1, books + 1)}
        self.samples = first

    def _seed(self, work: WorkingSet, operation: Operation, request: str) -> Answer:
        for number, book in self.stocked.items():
            work.write_book(book.row(number, work.topic(book.topic)))
        return super()._seed(work, operation, request)


def decide_catalog(
    catalog: Catalog, state: State, operations: Sequence[Operation], first: int, now_ms: int
) -> list[Outcome]:
    """Load the rows that the product's catalog needs, and let it decide."""
    wanted = catalog.wanted(operations)
    names = {row["id"]: row["name"] for row in rows(state, "topics")}
    books = [
        {**row, "topic": names[row["catalog_id"]]}
        for row in rows(state, "books")
        if row["id"] in wanted.books
    ]
    answers = rows(state, "answers")
    since = catalog.kept_since(now_ms)
    old = sorted((row["at"], row["key"]) for row in answers if row["at"] < since)
    sold = [
        row
        for row in rows(state, "sales")
        if row["key"] in wanted.keys or row["order_id"] in wanted.orders
    ]
    work = WorkingSet.of(
        books=books,
        topics=[row for row in rows(state, "topics") if row["name"] in wanted.topics],
        alike=[row for row in rows(state, "books") if row["title"] in wanted.titles],
        sales=sold,
        cancellations=[
            state["cancellations", row["order_id"]]
            for row in sold
            if ("cancellations", row["order_id"]) in state
        ],
        answers=[row for row in answers if row["key"] in wanted.keys],
        expired=[key for _, key in old[: wanted.forgets]],
        highest_book=max((row["id"] for row in rows(state, "books")), default=0),
        highest_topic=max(names, default=0),
        history=history(state),
        first=first,
        now_ms=now_ms,
        first_sale=[row["order_id"] for row in rows(state, "sales")] if wanted.first_sale else (),
    )
    return catalog.decide(work, operations)


def decide_orders(
    orders: Orders, state: State, operations: Sequence[Operation], first: int
) -> list[Outcome]:
    highest = max(map(last_change, rows(state, "orders")), default=0)
    known = {
        order_id: dict(state["orders", order_id])
        for order_id in orders.wanted(operations)
        if ("orders", order_id) in state
    }
    return orders.decide(Projected(cursor(state), known, highest, first), operations)


def last_change(order: Row) -> int:
    """Return the number by which an order was made, or changed last."""
    return int(order["changed"] or order["seq"])


# --- reading -------------------------------------------------------------------------------------


def look(state: State, item: Mapping[str, Any]) -> Answer | None:
    """Return the answer of a replica with these rows to a read; None if it finds nothing."""
    match item:
        case {"op": "info", "book": book}:
            found = _books(state, lambda row: row["id"] == book)
            return {"book": found[0]} if found else None
        case {"op": "books", "books": wanted}:
            return {"books": _books(state, lambda row: row["id"] in wanted)}
        case {"op": "search" | "find"}:
            return search(state, Search.of(item)).plain()
        case {"op": "topics"}:
            used = {row["catalog_id"] for row in rows(state, "books") if not row["retired"]}
            topics = [
                {"catalog_id": row["id"], "topic": row["name"]}
                for row in rows(state, "topics")
                if row["id"] in used
            ]
            return {"topics": sorted(topics, key=lambda topic: topic["topic"])}
        case {"op": "order", "order_id": order_id}:
            order = state.get(("orders", order_id))
            return None if order is None else {"order": show_order(dict(order))}
        case {"op": "orders", "order_ids": order_ids}:
            return {"orders": list(known(state, order_ids).values())}
    raise LookupError(f"no such read: {item}")


def known(state: State, order_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the orders of these ids that exist, by id."""
    orders = {order_id: state.get(("orders", order_id)) for order_id in order_ids}
    return {order_id: show_order(row) for order_id, row in orders.items() if row is not None}


def shown(state: State, item: Mapping[str, Any]) -> Any:
    """Return what a caller is shown of that: the answer's first field, None if there is none."""
    found = look(state, item)
    return None if found is None else next(iter(found.values()))


def search(state: State, wanted: Search) -> Found:
    """Return a page of what is searched for; here the best matches come by number."""
    found = _books(state, lambda row: _is_found(row, wanted))
    by, sign = wanted.order.by, wanted.sign
    places = sorted(((_place(by, book), book) for book in found), key=lambda row: row[0])
    edge = wanted.edge
    if edge is not None:
        places = [row for row in places if (row[0] > edge if sign > 0 else row[0] < edge)]
    rows = places[::sign][wanted.skip : wanted.skip + wanted.limit + 1]
    return Found.within(wanted, rows, Count.upto(len(found)))


def _place(by: By, book: Row) -> Place:
    match by:
        case By.TITLE:
            return sort_key(book["title"]), book["id"]
        case By.COST:
            return book["cost"], book["id"]
    return UNRANKED, 0, book["id"]


def _is_found(row: Row, wanted: Search) -> bool:
    if bool(row["retired"]) != wanted.retired or (wanted.in_stock and not row["count"]):
        return False
    if wanted.q is None:
        return fold(wanted.topic or "") in fold(row["topic"])
    return wanted.topic in (None, row["topic"]) and _has(row, fold(wanted.q).split())


def _has(row: Row, words: Sequence[str]) -> bool:
    text = fold(f"{row['title']} {row['author'] or ''}").split()
    return all(any(one.startswith(word) for one in text) for word in words)


def _books(state: State, wanted: Callable[[Row], bool]) -> list[dict[str, Any]]:
    names = {row["id"]: row["name"] for row in rows(state, "topics")}
    books = [{**row, "topic": names[row["catalog_id"]]} for row in rows(state, "books")]
    return [show_book(row) for row in sorted(books, key=lambda row: row["id"]) if wanted(row)]


def changes(
    state: State, after: Position, last_seq: int, limit: int
) -> tuple[list[Answer], str | None]:
    """Return the committed sales and cancellations after `after`, in their order."""
    known = history(state)
    check(known, after, last_seq)
    every = (row for table in SOLD for row in rows(state, table))
    behind = [row for row in every if row["seq"] > after.number]
    page = sorted(behind, key=lambda row: int(row["seq"]))[:limit]
    return [change_answer(row) for row in page], id_of(known, page[-1]["seq"]) if page else None


def newest(state: State, before: int, limit: int) -> list[dict[str, Any]]:
    """Return the sales before this number, newest first."""
    known = history(state)
    found = [
        {"order_id": row["order_id"], "seq": row["seq"], "id": id_of(known, row["seq"])}
        for row in rows(state, "sales")
        if row["seq"] < before
    ]
    return sorted(found, key=lambda sale: -int(sale["seq"]))[:limit]


def history(state: State) -> tuple[Epoch, ...]:
    return epochs(sorted(rows(state, "history"), key=lambda row: int(row["epoch"])))


def cursor(state: State) -> Position:
    """Return the last sale that the orders have."""
    row = state.get(("cursors", "sales"))
    return Position() if row is None else Position(row["seq"], row["id"])
