"""Books, topics and sales: operations in, row images out, whatever keeps the rows.

An engine reads the rows that `Catalog.wanted` names into a `WorkingSet`, calls `Catalog.decide`,
and writes the images (`storage/sqlite/catalog.py`).

Rows are those of `storage/books.py`. Operations are JSON objects, validated where they come in
(`handlers/validation.py`):

    {"op": "sell",   "key", "lines": [{"book", "quantity", "cost"?}], "cursor"?}
    {"op": "update", "key", "book",
     "fields": {title | author | isbn | topic | cost | count | count_add | retired},
     "if_match"?: [tag, ...], "if_none_match"?: [tag, ...]}
    {"op": "create", "key",
     "books": [{"title", "author", "isbn"?, "topic", "cost", "count", "retired"?}]}
    {"op": "cancel", "key", "order_id", "lines": [{"book", "quantity"}],
     "buyer"?: {"key", "within_ms"}, "cursor"?}
    {"op": "seed",   "key", "samples": true | false}
    {"op": "remove_samples", "key"}

The `quantity` of a cancellation is how many copies of a book are cancelled in all (S6). The buyer,
who undoes a purchase, shows the sale's key, and has so much time for it (S6).

An update's conditions are tested against the row that it would change, in the order of the log:
between the test and the write there is no other write. `["*"]` is any book. `count_add` is added to
the stock that the row has then. A group begins by `seed` (T0), and `remove_samples` takes back what
that has brought (S7).

What comes from the orders brings their cursor, which is no part of the request (S4); nor is the
`buyer`. The first operation of an epoch, `{"op": "begin", "epoch", "id"}`, comes from the driver
(H1).

Each other operation carries a key (S1): the same key with the same operation gets the first answer
again, marked `replayed`; with another operation it is refused. Keys of sales are kept for ever,
those of other writes for a day.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from bazar.errors import (
    BazarError,
    Conflict,
    KeyReused,
    OutOfStock,
    PreconditionFailed,
    PriceChanged,
    Retired,
    TooLate,
)
from bazar.http.response import entity_tag, render
from bazar.replication.messages import Change
from bazar.replication.store import Answer, Operation, Outcome
from storage import history
from storage.books import (
    RETIRED,
    Row,
    cancellation_row,
    copies,
    lines_of,
    moment,
    offer,
    sale_answer,
    show_book,
)
from storage.history import Position
from storage.samples import SAMPLES, Sample
from storage.searches import Found, Search
from storage.working_set import WantedRows, WorkingSet

MAX_AMOUNT = 10**12  # of money, in cents, and of copies
KEYS_KEPT_MS = 24 * 3600 * 1000
MAX_TOPICS = 10_000  # in the list of topics
NOT_ASKED = ("key", "cursor", "buyer")  # what of an operation is no part of the request


class Catalog:
    """Decides the operations of the catalog's group."""

    samples: Mapping[int, Sample] = SAMPLES
    """The samples, by the numbers that are theirs alone."""

    tables: Mapping[str, str] = {
        "topics": "id",
        "books": "id",
        "sales": "order_id",
        "cancellations": "order_id",
        "earlier_cancellations": "seq",
        "answers": "key",
        **history.TABLES,
    }

    def __init__(
        self,
        new_order_id: Callable[[], str] = lambda: secrets.token_hex(16),
        *,
        empty: bool = False,
    ) -> None:
        """A new group begins with the samples, unless it is to begin `empty`."""
        self._new_order_id = new_order_id
        self._empty = empty

    def seed(self) -> Sequence[Operation]:
        """Return the operations with which a new group begins (T0): an empty one has an entry, too,
        by which everybody knows that it has begun so."""
        return [{"op": "seed", "key": "starting-stock", "samples": not self._empty}]

    def wanted(self, operations: Sequence[Operation]) -> WantedRows:
        """Name the rows that a batch of `operations` may need."""
        books: set[int] = set()
        topics: set[str] = set()
        titles: set[str] = set()
        operations = [operation for operation in operations if operation["op"] != "begin"]
        removes = any(operation["op"] == "remove_samples" for operation in operations)
        if removes:
            books.update(self.samples)
        cursors = [Position.of(one["cursor"]) for one in operations if "cursor" in one]
        for operation in operations:
            books.update(line["book"] for line in operation.get("lines", ()))
            if operation["op"] == "seed":
                topics.update(sample.topic for sample in self.samples.values())
            if operation["op"] == "update":
                books.add(operation["book"])
                if "topic" in operation["fields"]:
                    topics.add(operation["fields"]["topic"])
            for book in operation.get("books", ()):
                topics.add(book["topic"])
                titles.add(book["title"])
        return WantedRows(
            books=frozenset(books),
            topics=frozenset(topics),
            titles=frozenset(titles),
            keys=frozenset(operation["key"] for operation in operations),
            orders=frozenset(one["order_id"] for one in operations if one["op"] == "cancel"),
            # Each write deletes two old keys, so that the table never outgrows a day.
            forgets=2 * sum(operation["op"] != "sell" for operation in operations),
            since=min((cursor.epoch for cursor in cursors), default=None),
            first_sale=removes,
        )

    @staticmethod
    def kept_since(now_ms: int) -> int:
        """Return the moment before which the answers to writes may be forgotten."""
        return now_ms - KEYS_KEPT_MS

    def decide(self, work: WorkingSet, operations: Sequence[Operation]) -> list[Outcome]:
        """Decide `operations` in order, each seeing those before it (R1)."""
        outcomes = []
        for operation in operations:
            if operation["op"] == "begin":
                work.history.append(history.begun(operation, work.next_number))
                outcomes.append(Outcome({}, history.beginning(work.history[-1])))
                work.next_number += 1
                continue
            work.put, work.delete, work.tags = {}, {}, set()
            try:
                answer = self._answer(work, operation)
            except BazarError as refusal:
                outcomes.append(Outcome(refusal))
                continue
            change = None
            if work.put:
                effects: dict[str, Any] = {"put": work.put}
                if work.expired:
                    work.delete["answers"], work.expired = work.expired, []
                if work.delete:
                    effects["delete"] = work.delete
                change = Change(tuple(sorted(work.tags)), effects)
                work.next_number += 1
            outcomes.append(Outcome(answer, change))
        return outcomes

    def _answer(self, work: WorkingSet, operation: Operation) -> Answer:
        key = operation["key"]
        if "cursor" in operation:
            history.check(work.history, Position.of(operation["cursor"]), work.last_seq)
        request = json.dumps(
            {name: value for name, value in operation.items() if name not in NOT_ASKED},
            sort_keys=True,
            ensure_ascii=False,
        )
        if key in work.done:
            first, answer = work.done[key]
            if first != request:
                raise KeyReused(f"the key {key!r} was used for another request")
            if operation["op"] == "sell" and answer["order_id"] in work.cancelled:
                answer = {**answer, "cancelled": work.cancelled[answer["order_id"]]["cancelled"]}
            return {**answer, "replayed": True}
        decide = {
            **{"sell": self._sell, "cancel": self._cancel},
            **{"update": self._update, "create": self._create},
            **{"seed": self._seed, "remove_samples": self._remove_samples},
        }
        answer = decide[operation["op"]](work, operation, request)
        work.done[key] = (request, answer)
        if operation["op"] != "sell":
            row = {"key": key, "request": request, "answer": json.dumps(answer), "at": work.now_ms}
            work.put["answers"] = [row]
        return answer

    def _sell(self, work: WorkingSet, operation: Operation, request: str) -> Answer:
        """Sell all lines or none (S1). A line's `cost` is the price that the buyer saw. Raises
        NotFound, Retired (S8), OutOfStock or PriceChanged, and has changed nothing then (S4)."""
        sold: dict[int, dict[str, Any]] = {}
        lines = []
        gone: dict[int, str] = {}
        short: dict[int, str] = {}
        changed: dict[int, str] = {}
        for line in operation["lines"]:
            book = sold.get(line["book"]) or work.book(line["book"])
            if book["retired"]:
                gone[book["id"]] = f"book {book['id']}: is retired, and not sold any more"
            left = book["count"] - line["quantity"]
            if left < 0:
                wanted = f"{line['quantity']} wanted, {book['count']} in stock"
                short[book["id"]] = f"book {book['id']}: {wanted}"
            seen = line.get("cost", book["cost"])
            if seen != book["cost"]:
                changed[book["id"]] = f"book {book['id']}: costs {book['cost']} now, not {seen}"
            sold[book["id"]] = {**book, "count": left}
            lines.append(_sold_line(book, line["quantity"], left))
        for kind, refused in ((Retired, gone), (OutOfStock, short), (PriceChanged, changed)):
            if refused:
                books = [offer(work.book(number)) for number in refused]
                raise kind("; ".join(refused.values()), {"books": books})
        for row in sold.values():
            work.write_book(row)
        sale = {
            "order_id": self._new_order_id(),
            "key": operation["key"],
            "request": request,
            "sold_at": work.now_ms,
            "seq": work.next_number,
            "lines": json.dumps(lines, ensure_ascii=False),
        }
        work.put["sales"] = [sale]
        work.first_sale = work.first_sale or sale["order_id"]
        return sale_answer(sale)

    def _cancel(self, work: WorkingSet, operation: Operation, request: str) -> Answer:
        """Take copies of a sale back into stock, so many in all (S6). Raises NotFound; Conflict
        where more would be cancelled than was sold; NotBuyer or TooLate to a buyer (S6). Then
        nothing has changed."""
        buyer = operation.get("buyer")
        sale = work.sale(operation["order_id"], buyer and buyer["key"])
        sold = copies(sale["lines"])
        known = work.cancelled.get(sale["order_id"])
        total = {**dict.fromkeys(sold, 0), **({} if known is None else copies(known["cancelled"]))}
        back = []
        for book, quantity in copies(operation["lines"]).items():
            if quantity > sold.get(book, 0):
                raise Conflict(f"book {book}: this order has {sold.get(book, 0)}, not {quantity}")
            if quantity > total[book]:
                row, more = work.book(book), quantity - total[book]
                back.append({**row, "count": _restocked(row, more, "cancelled")})
                total[book] = quantity
        if known is not None and not back:
            return known
        if buyer is not None:
            _in_time(sale, buyer["within_ms"], work.now_ms)
        for row in back:
            work.write_book(row)
        if known is not None:
            work.put["earlier_cancellations"] = [cancellation_row(known)]
        cancelled = {
            "order_id": sale["order_id"],
            "seq": work.next_number,
            "cancelled_at": work.now_ms,
            "cancelled": lines_of(total),
        }
        work.put["cancellations"] = [cancellation_row(cancelled)]
        work.cancelled[sale["order_id"]] = cancelled
        return cancelled

    def _update(self, work: WorkingSet, operation: Operation, request: str) -> Answer:
        fields = dict(operation["fields"])
        before = work.book(operation["book"])
        _check(operation, before)
        if "count_add" in fields:
            fields["count"] = _restocked(before, fields.pop("count_add"), "count_add")
        if "topic" in fields:
            fields["catalog_id"] = work.topic(fields["topic"])
        if "retired" in fields:
            fields["retired"] = RETIRED if fields["retired"] else None
        after = {**before, **fields}
        work.write_book(after)
        return {"book": show_book(after)}

    def _create(self, work: WorkingSet, operation: Operation, request: str) -> Answer:
        """Make the books that do not exist yet; the others stay as they are. A book is the same if
        title, author and topic are, and the ISBN where both have one. An ISBN is not unique: new
        and used copies are different books, with different topics, say. One that is retired is the
        same book, too, and stays retired: the result says so (S8). None is given a sample's number
        (S7)."""
        results = []
        work.next_book = max(work.next_book, max(self.samples, default=0) + 1)
        for book in operation["books"]:
            topic = work.topic(book["topic"])
            same = work.same((book["title"], book["author"], topic), book.get("isbn"))
            if same is not None:
                known = {"retired": True} if same.is_retired else {}
                results.append({"id": same.id, "created": False, **known})
                continue
            results.append({"id": work.next_book, "created": True})
            newer = {"isbn": book.get("isbn"), "retired": RETIRED if book.get("retired") else None}
            work.write_book({"id": work.next_book, **book, **newer, "catalog_id": topic})
            work.next_book += 1
        return {"books": results}

    def _seed(self, work: WorkingSet, operation: Operation, request: str) -> Answer:
        """Write what the group begins with: the samples, or no book (T0)."""
        for number, sample in self.samples.items() if operation["samples"] else ():
            work.write_book(sample.row(number, work.topic(sample.topic)))
        return {}

    def _remove_samples(self, work: WorkingSet, operation: Operation, request: str) -> Answer:
        """Take the samples away, but for those that have become other books (S7). Raises Conflict
        where there are some, and anything was sold, and has changed nothing then."""
        there = [work.books[number] for number in self.samples if number in work.books]
        removed = [book for book in there if self.samples[book["id"]].is_still(book)]
        if removed and work.first_sale is not None:
            raise Conflict(f"the samples stay, as something was sold: order {work.first_sale}")
        for book in removed:
            work.delete_book(book)
        kept = [book for book in there if book not in removed]
        return {"removed": [*map(show_book, removed)], "kept": [*map(show_book, kept)]}


def _in_time(sale: Answer, within_ms: int, now_ms: int) -> None:
    """Raise TooLate if the time in which a purchase can be undone is over (S6)."""
    passed_ms = max(now_ms - sale["sold_at"], 0)  # the clock of another primary may be ahead
    if passed_ms >= within_ms:
        until = moment(sale["sold_at"] + within_ms)
        message = f"order {sale['order_id']} could be undone until {until}"
        raise TooLate(message, {"until": until})


def _sold_line(book: Row, quantity: int, left: int) -> dict[str, Any]:
    """Return a line of a sale, with the `left` that the stock has after it."""
    return {
        "book": book["id"],
        "title": book["title"],
        "quantity": quantity,
        "unit_cost": book["cost"],
        "new_count": left,
    }


def _check(operation: Operation, book: Row) -> None:
    """Test the writer's conditions on the book that it changes (RFC 9110 section 13.1); If-Match
    compares strongly. Raises PreconditionFailed."""
    etag = entity_tag(render(show_book(book)))
    fitting = {"*", etag}
    if fitting.isdisjoint(operation.get("if_match", fitting)):
        name = "If-Match"
    elif fitting & {one.removeprefix("W/") for one in operation.get("if_none_match", ())}:
        name = "If-None-Match"
    else:
        return
    raise PreconditionFailed(f"{name}: book {book['id']} is {etag} now", {"etag": etag})


def _restocked(book: Row, more: int, why: str) -> int:
    """Return the stock with `more` copies, or fewer if negative. Raises OutOfStock or Conflict."""
    count: int = book["count"] + more
    if count < 0:
        message = f"{why}: book {book['id']} has {book['count']}, {-more} can't be taken away"
        raise OutOfStock(message, {"books": [offer(book)]})
    if count > MAX_AMOUNT:
        raise Conflict(f"{why}: book {book['id']} would have {count}, over {MAX_AMOUNT}")
    return count


class CatalogReader(Protocol):
    """Reads the catalog's committed state. Every answer is of one moment."""

    async def info(self, books: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Return the books of these ids that exist, by id."""

    async def search(self, search: Search) -> Found:
        """Return a page of what is searched for."""

    async def topics(self) -> list[dict[str, Any]]:
        """Return the topics that have books on sale, ordered by name: `catalog_id` and `topic`."""

    async def changes(self, after: Position, limit: int) -> tuple[list[Answer], str | None]:
        """Return the sales and cancellations after a position, in the order of their commits, and
        the id of the last one's epoch. Raises ForeignHistory where the position is not on the
        history here (H2)."""

    async def newest(self, before: int, limit: int) -> list[dict[str, Any]]:
        """Return sales before a number, newest first: `order_id`, `seq`, and the epoch's `id`."""
