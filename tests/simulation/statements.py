"""The engine's statements on PostgreSQL about the shop's rows, answered by plain functions: for a
simulated database, and wherever there is no real one.

Each is found by its SQL text. The contract's tests run on these, too, as on real servers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from storage.history import EPOCH_SHIFT
from storage.paging import UNRANKED
from storage.postgresql import books, catalog, orders, search, search_index
from storage.postgresql.model import Model
from storage.postgresql.session import Row
from storage.postgresql.state_tables import StateTables
from storage.reconciliation import CANCELLED as CANCELLATIONS

Image = Mapping[str, Any]
Rows = Callable[[str], Iterable[Image]]  # of a table; of the protocol's, `mark` and `meta`
Read = Callable[[Rows, Sequence[Any]], list[Row]]


def columns(names: str, found: Iterable[Image]) -> list[Row]:
    return [tuple(row[name] for name in names.split()) for row in found]


def keyed(table: str, names: str, key: str) -> Read:
    """What reads the rows of some keys."""
    return lambda rows, params: columns(names, (r for r in rows(table) if r[key] in params[0]))


def highest(rows: Rows, table: str, column: str) -> int:
    return max((row[column] for row in rows(table)), default=0)


def _books(rows: Rows) -> list[dict[str, Any]]:
    names = {topic["id"]: topic["name"] for topic in rows("topics")}
    found = [{**book, "topic": names[book["catalog_id"]]} for book in rows("books")]
    return sorted(found, key=lambda book: book["id"])


def _on_sale(rows: Rows, retired: bool = False) -> list[dict[str, Any]]:
    return [book for book in _books(rows) if bool(book["retired"]) == retired]


def _by_id(rows: Rows, params: Sequence[Any]) -> list[Row]:
    return columns(BOOK, (book for book in _books(rows) if book["id"] in params[0]))


def _alike(rows: Rows, params: Sequence[Any]) -> list[Row]:
    found = (book for book in _books(rows) if book["title"] in params[0])
    return columns("id title author catalog_id isbn retired", found)


def _expired(rows: Rows, params: Sequence[Any]) -> list[Row]:
    old = sorted((row["at"], row["key"]) for row in rows("answers") if row["at"] < params[0])
    return [(key,) for _, key in old[: params[1]]]


def _epochs(rows: Rows, params: Sequence[Any]) -> list[Row]:
    newest = highest(rows, "history", "epoch")
    known = sorted(rows("history"), key=lambda row: int(row["epoch"]))
    since = [row for row in known if row["epoch"] >= params[0] or row["epoch"] == newest]
    return columns("epoch id behind", since)


def _topics(rows: Rows, params: Sequence[Any]) -> list[Row]:
    used = {book["catalog_id"] for book in _on_sale(rows)}
    topics = sorted(rows("topics"), key=lambda topic: str(topic["name"]))
    return columns("id name", [t for t in topics if t["id"] in used][: params[0]])


def _list(forwards: bool, retired: bool) -> Read:
    def read(rows: Rows, params: Sequence[Any]) -> list[Row]:
        edge, limit, skip, *folded = params
        names = {t["id"] for t in rows("topics") if not folded or folded[0] in t["folded"]}
        found = [book for book in _on_sale(rows, retired) if book["catalog_id"] in names]
        if forwards:
            found = [book for book in found if book["id"] > edge]
        else:
            found = [book for book in reversed(found) if book["id"] < edge]
        return columns(BOOK, found[skip : skip + limit])

    return read


def _count(retired: bool) -> Read:
    def read(rows: Rows, params: Sequence[Any]) -> list[Row]:
        most, *folded = params
        names = {t["id"] for t in rows("topics") if not folded or folded[0] in t["folded"]}
        found = [book for book in _on_sale(rows, retired) if book["catalog_id"] in names]
        return [(min(len(found), most),)]

    return read


def behind(table: str, names: str) -> Read:
    """What reads rows behind a number, in order."""

    def read(rows: Rows, params: Sequence[Any]) -> list[Row]:
        found = sorted(rows(table), key=lambda row: int(row["seq"]))
        return columns(names, [row for row in found if row["seq"] > params[0]][: params[1]])

    return read


def _cancelled(rows: Rows, params: Sequence[Any]) -> list[Row]:
    sold = {row["order_id"] for row in rows("sales") if row["key"] in params[0]}
    found = (row for row in rows("cancellations") if row["order_id"] in sold)
    return columns(CANCELLED, found)


def _changes(rows: Rows, params: Sequence[Any]) -> list[Row]:
    """Each with whether it is a cancellation."""
    sold = behind("sales", "seq order_id sold_at lines")(rows, params)
    every = [(*row, False) for row in sold]
    for table in CANCELLATIONS:
        cancelled = behind(table, "seq order_id cancelled_at cancelled")(rows, params)
        every += [(*row, True) for row in cancelled]
    return sorted(every, key=lambda row: int(row[0]))[: params[1]]


def _orders_behind(rows: Rows, params: Sequence[Any]) -> list[Row]:
    """Those that were made or changed behind a number, in the order of that."""
    found = sorted(rows("orders"), key=_last_change)
    return columns(ORDER, [row for row in found if _last_change(row) > params[0]][: params[1]])


def _sold(rows: Rows, params: Sequence[Any]) -> list[Row]:
    """Those of a time, newest first; with two more parameters only those with ids between them."""
    since, *before, limit = params[:4]
    first, last = params[4:] or ("", "\U0010ffff")
    found = [
        row
        for row in rows("orders")
        if row["sold_at"] >= since
        and [row["sold_at"], row["seq"]] < before
        and first <= row["order_id"] <= last
    ]
    found.sort(key=lambda row: (-row["sold_at"], -row["seq"]))
    return columns(ORDER, found[:limit])


def _last_change(order: Image) -> int:
    return int(order["changed"] or order["seq"])


def _newest(rows: Rows, params: Sequence[Any]) -> list[Row]:
    ids = {row["epoch"]: row["id"] for row in rows("history")}
    found = sorted(rows("sales"), key=lambda row: -int(row["seq"]))
    sales = [row for row in found if row["seq"] < params[0]][: params[1]]
    return [(row["order_id"], row["seq"], ids.get(row["seq"] >> EPOCH_SHIFT)) for row in sales]


# --- searching by words --------------------------------------------------------------------------


class _Looked:
    """Books in some order, of which so many are looked at."""

    def __init__(self, books: Iterable[Image], looked: int, *, in_stock: bool) -> None:
        found = list(islice(books, looked + 1))
        self.stopped = found[looked - 1] if len(found) > looked else None
        self.books = [book for book in found[:looked] if book["count"] or not in_stock]

    def counted(self, counted: int) -> tuple[int, bool]:
        """How many these are, and whether there may be more."""
        many = len(self.books) > counted
        return min(len(self.books), counted), many or self.stopped is not None


def _find(rows: Rows, params: Sequence[Any]) -> list[Row]:
    queries, ranks, patterns, topic, in_stock, *bounds, edge, begin, sign, skip, wanted = params
    most, counted, looked = bounds
    width = len(patterns) // len(queries) if queries else 0
    books = [book for book in _books(rows) if topic in (None, book["topic"])]

    def matches(at: int) -> list[Image]:
        asked = patterns[at * width : (at + 1) * width]
        return list(_matching(rows, books, queries[at], asked)) if queries else []

    everything = matches(len(queries) - 1)
    places: dict[int, tuple[int, int, int]] = {}
    for at, rank in enumerate(ranks):
        best = _Looked(matches(at), looked if in_stock else most, in_stock=in_stock)
        for book in best.books[:most]:
            if len(places) < most:
                places.setdefault(book["id"], (rank, len(book["title"]), book["id"]))
    ranked = sorted(places.values())
    has_others = len(places) == most or (in_stock and len(everything) > looked)
    stopped, others = None, []
    if has_others and begin is not None:
        behind = [one for one in everything[::sign] if sign * one["id"] >= sign * begin]
        look = _Looked(behind, looked, in_stock=in_stock)
        others = [one["id"] for one in look.books if one["id"] not in places]
        stopped = look.stopped
    beyond = [
        place for place in ranked if (place > tuple(edge) if sign > 0 else place < tuple(edge))
    ]
    if sign < 0 and stopped is not None:
        beyond = []
    listed = sorted([*beyond, *((UNRANKED, 0, number) for number in others)], reverse=sign < 0)
    page = listed[skip : skip + wanted]
    if not has_others:
        count = (min(len(ranked), counted), len(ranked) > counted)
    elif in_stock:
        count = _Looked(everything, looked, in_stock=True).counted(counted)
    else:
        count = (min(len(everything), counted), len(everything) > counted)
    by_id = {book["id"]: book for book in books}
    [made_by] = [row["value"] for row in rows("meta") if row["name"] == "words"]
    head = (made_by, *count, None, None if stopped is None else stopped["id"])
    found = [(*head, *place[:2], *columns(BOOK, [by_id[place[2]]])[0]) for place in page]
    return found or [(*head, *[None] * 11)]


def _listed(rows: Rows, params: Sequence[Any]) -> list[Row]:
    query, patterns, topic, in_stock, by, sign, edge, number, counted, looked, skip, wanted = params
    found: list[Image]
    if query is None:
        folded = {one["id"]: one["folded"] for one in rows("topics")}
        found = [book for book in _on_sale(rows) if topic in folded[book["catalog_id"]]]
    else:
        named = [book for book in _books(rows) if topic in (None, book["topic"])]
        found = list(_matching(rows, named, query, patterns))
    titles = {row["book"]: row["key"] for row in rows("titles")}
    keys: Mapping[str, Callable[[Image], tuple[Any, int]]] = {
        "title": lambda book: (titles[book["id"]], book["id"]),
        "cost": lambda book: (book["cost"], book["id"]),
        "number": lambda book: (0, book["id"]),
    }
    key = keys[by]
    edge_of = (int(edge) if by == "cost" else edge if by == "title" else 0, number)

    def behind(books: Iterable[Image]) -> list[Image]:
        ordered = sorted(books, key=key, reverse=sign < 0)
        return [one for one in ordered if (key(one) > edge_of if sign > 0 else key(one) < edge_of)]

    is_listed = query is not None and by == "number"
    is_all = query is None and not topic
    if is_listed or (len(found) <= looked and not is_all):
        look = _Looked(behind(found), looked, in_stock=in_stock)
        page = look.books
    else:
        look = _Looked(behind(_on_sale(rows)), looked, in_stock=in_stock)
        right = {book["id"] for book in found}
        page = [book for book in look.books if book["id"] in right]
    stopped = look.stopped if len(page) < skip + wanted else None
    if not in_stock:
        count = (min(len(found), counted), len(found) > counted)
    elif query is not None or (len(found) <= looked and not is_all):
        count = _Looked(found, looked, in_stock=True).counted(counted)
    else:
        seen = _Looked(_on_sale(rows), looked, in_stock=True)
        seen.books = [book for book in seen.books if book in found]
        count = seen.counted(counted)
    [made_by] = [row["value"] for row in rows("meta") if row["name"] == "words"]
    end = (None, None) if stopped is None else (str(key(stopped)[0]), stopped["id"])
    head = (made_by, *count, *end)
    return [(*head, *row) for row in columns(BOOK, page[skip : skip + wanted])] or [
        (*head, *[None] * 9)
    ]


def _matching(
    rows: Rows, books: Iterable[Image], query: str, patterns: Sequence[str]
) -> Iterator[Image]:
    """Those that have the keys and all the patterns."""
    index = {row["book"]: row for row in rows("words")}
    for book in books:
        row = index[book["id"]]
        if _has(row, query) and all(re.search(one, row["terms"]) for one in patterns):
            yield book


def _has(row: Image, query: str) -> bool:
    """Return whether a row has what a tsquery asks for: an empty one finds nothing."""
    return bool(query) and bool(_query(query)(_keys(row["keys"])))


@lru_cache(maxsize=4096)
def _keys(keys: str) -> frozenset[str]:
    return frozenset(re.findall("'([^']*)'", keys))


@lru_cache(maxsize=64)
def _query(query: str) -> Callable[[frozenset[str]], bool]:
    """A tsquery of our own making, quoted keys, `&`, `|` and brackets, as a function of keys."""
    known = re.sub("'([^']*)'", lambda key: f"({key[1]!r} in keys)", query)
    function: Callable[[frozenset[str]], bool] = eval(
        f"lambda keys: {known.replace(' & ', ' and ').replace(' | ', ' or ')}"
    )
    return function


BOOK = "id title topic cost count catalog_id author isbn retired"
SALE = "key request order_id seq sold_at lines"
CANCELLED = "order_id seq cancelled_at cancelled"
ORDER = "order_id seq sold_at lines changed cancelled cancelled_at"

READS: Mapping[str, Read] = {
    books.BOOKS_BY_ID: _by_id,
    catalog.BOOKS_SHOWN: _by_id,
    catalog.TOPICS_BY_NAME: keyed("topics", "id name", "name"),
    catalog.ALIKE: _alike,
    catalog.SALES_BY_KEY: keyed("sales", SALE, "key"),
    catalog.SALES_BY_ID: keyed("sales", SALE, "order_id"),
    catalog.CANCELLED_BY_KEY: _cancelled,
    catalog.CANCELLED_BY_ID: keyed("cancellations", CANCELLED, "order_id"),
    catalog.ANSWERS_BY_KEY: keyed("answers", "key request answer", "key"),
    catalog.HIGHEST: lambda rows, _: [
        (highest(rows, "books", "id"), highest(rows, "topics", "id"))
    ],
    catalog.EXPIRED: _expired,
    catalog.EPOCHS_SINCE: _epochs,
    catalog.ALL_TOPICS.sql: _topics,
    catalog.END.sql: lambda rows, _: columns("number", rows("mark")),
    catalog.CHANGES: _changes,
    catalog.NEWEST: _newest,
    catalog.FIRST_SALE.sql: lambda rows, _: columns(
        "order_id", sorted(rows("sales"), key=lambda row: int(row["seq"]))[:1]
    ),
    **{
        sql: read
        for (forwards, retired), lists in catalog.LISTS.items()
        for sql, read in (
            *((sql, _list(forwards, retired)) for sql in (lists.page, lists.page_of_topics)),
            *((sql, _count(retired)) for sql in (lists.size, lists.size_of_topics)),
        )
    },
    search.FIND: _find,
    search.LISTED: _listed,
    orders.CURSOR.sql: lambda rows, _: columns("seq id", rows("cursors")),
    orders.HIGHEST.sql: lambda rows, _: [(max(map(_last_change, rows("orders")), default=0),)],
    orders.KNOWN: keyed("orders", ORDER, "order_id"),
    orders.CHANGES: _orders_behind,
    orders.NUMBERS: keyed("orders", "order_id seq", "order_id"),
    orders.COUNT: lambda rows, params: [
        (sum(_last_change(row) > params[0] for row in rows("orders")),)
    ],
    orders.ORDER: lambda rows, params: keyed("orders", ORDER, "order_id")(rows, [params]),
    orders.SOLD: _sold,
    orders.SOLD_AS: _sold,
    orders.SOLD_AND_CANCELLED: lambda rows, params: _sold(
        lambda table: (row for row in rows(table) if row["cancelled"] is not None), params
    ),
}
"""What each statement reads."""


Write = Callable[[Sequence[Any]], dict[tuple[str, Any], Image | None]]
"""What is left of rows, by table and key."""


def _put(table: str, key: str) -> Write:
    return lambda params: {(table, row[key]): row for row in json.loads(params[0])}


def _delete(table: str) -> Write:
    cascade = [table]
    if table == "books":
        cascade += ["words", "titles"]  # as the product's tables have it
    return lambda params: {(table, key): None for key in params[0] for table in cascade}


def writes(model: Model, named: Mapping[str, Any]) -> dict[str, Write]:
    """Return what each statement of a model writes; `named` are the columns of its tables."""
    tables = StateTables(model.schema, model.tables, named)
    return {
        **{tables.puts[table]: _put(table, key) for table, key in model.tables.items()},
        **{tables.deletes[table]: _delete(table) for table in model.tables},
        search_index.PUT: _put("words", "book"),
        search_index.PUT_TITLES: _put("titles", "book"),
        search_index.DELETE_TITLES: _delete("titles"),
    }
