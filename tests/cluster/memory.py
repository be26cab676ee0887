"""What customers were told, and whether it can be true.

    memory = Memory(shop, stock, kept)
    memory.saw(shown, began)       # and so on, for each answer
    await memory.check()           # raises Violation; nothing may be under way

Each check starts from the result of the last one. Where the catalog's files were put back, what was
told before is checked by itself, and the history begins anew with what those files hold.
"""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

from tests.cluster.client import Answer, Doors
from tests.cluster.cluster import until
from tests.cluster.moments import Kept, Moment, Sold
from tests.simulation.history import RETIRED, Book, Operation, Undecided, linearizable

ASKED_AGAIN = 3  # keys, at each check
# As long as an attempt may still arrive whose client has given up: what a cut link has kept TCP
# sends again after as long as the cut was, and longer.
LATE_S = 60.0
PASSING = (503, 504)


class Violation(AssertionError):
    """Something that must never be so. `history` shows it."""

    def __init__(self, what: str, history: Sequence[Any] = ()) -> None:
        super().__init__(what)
        self.history = history


@dataclass(eq=False, slots=True)
class Write:
    """A purchase, a cancellation or an update that a customer repeats until it is known."""

    key: str
    book: int
    kind: str  # as in an Operation
    argument: Any
    began: float = field(default_factory=time.monotonic)
    unheard_at: float = 0.0  # when an attempt was last given up unanswered, which may still go on
    order_id: str = ""  # of a cancellation, whose `argument` is how many copies come back

    @property
    def perhaps(self) -> Operation:
        """Return the write as an operation that may have happened, or not."""
        return Operation(self.kind, self.argument, self.began, inf, None, self.key)


class Memory:
    """The memory of all customers of one shop. `stock` is how many copies of each book there are at
    first."""

    def __init__(self, shop: Doors, stock: Mapping[int, int], kept: Kept) -> None:
        self.shop = shop
        self.stock = dict(stock)
        self.kept = kept
        self.sold: dict[str, Sold] = {}  # by key: all that must be there
        self.cancelled: dict[str, int] = {}  # by order, copies that must be back
        self.open: dict[str, Write] = {}  # not answered yet
        self.orders: deque[Sold] = deque(maxlen=100)  # acknowledged: every customer sees them
        self.counts: Counter[str] = Counter()
        self.known_at: list[float] = []  # of acknowledged purchases
        self.read_at: list[float] = []
        self.catalog_since = 0.0  # when its files were put back
        self.orders_since = 0.0
        self._readable_since = 0.0  # an earlier read may have seen what is lost
        self._refused: set[str] = set()
        self._late: deque[Write] = deque(maxlen=10_000)  # settled, but an attempt may still go on
        self._perhaps: dict[str, Write] = {}  # may happen unasked
        self._kept: frozenset[str] = frozenset()  # the keys of what had happened by then
        self._replaced: set[str] = set()  # orders of sales in files that were replaced
        self._histories: dict[int, list[Operation]] = {book: [] for book in stock}
        self._shown: dict[int, Book] = {}  # at the last check

    def start(self) -> None:
        """Begin with the books as they are, with `stock` of each."""
        self._shown = {
            number: book._replace(copies=self.stock[number])
            for number, book in self.kept.books().items()
        }

    # --- what they are told ----------------------------------------------------------------------

    def acknowledge(self, write: Write, sold: Sold) -> None:
        self.sold[write.key] = sold
        self.known_at.append(time.monotonic())
        self.counts["purchases"] += 1
        self._settle(write, sold.new_count)

    def ordered(self, write: Write, sold: Sold) -> None:
        """Note that the buyer was told of an order, too."""
        if write.began >= self.orders_since:
            self.orders.append(sold)

    def refuse(self, write: Write, code: str) -> None:
        """Note that nothing was sold. An attempt of before, of which nobody has heard, may sell
        yet: a refusal leaves no trace (S1)."""
        self._refused.add(write.key)
        self.counts[f"refused: {code}"] += 1
        self._settle(write, RETIRED if code == RETIRED else None)
        if write.unheard_at:
            self._perhaps[write.key] = write
            self._may_happen([write])

    def _may_happen(self, writes: Iterable[Write]) -> None:
        for write in writes:
            self._histories[write.book].append(write.perhaps)

    def cancel(self, write: Write) -> None:
        self.cancelled[write.order_id] = write.argument
        self.counts["cancellations"] += 1
        self._settle(write, ())

    def forget(self, write: Write) -> bool:
        """Give up a cancellation whose sale was lost with files that were replaced. Return whether
        it was."""
        if any(sold.order_id == write.order_id for sold in self.sold.values()):
            return False
        del self.open[write.key]
        return True

    def update(self, write: Write) -> None:
        self.counts["updates"] += 1
        self._settle(write, ())

    def _settle(self, write: Write, result: Any) -> None:
        del self.open[write.key]
        if write.unheard_at:
            self._late.append(write)
        if write.key not in self._kept:
            heard = write.perhaps._replace(end=time.monotonic(), result=result)
            self._histories[write.book].append(heard)

    def saw(self, shown: Mapping[str, Any], began: float) -> None:
        if began >= self._readable_since:
            retired = shown.get("retired", False)
            found = Book(shown["title"], shown["topic"], shown["count"], retired)
            self._read(shown["id"], found, began)

    def missed(self, books: Iterable[int], began: float) -> None:
        """Note that a search of everything did not show these."""
        for book in books if began >= self._readable_since else ():
            gone = Operation("gone", None, began, time.monotonic(), None)
            self._histories[book].append(gone)

    def _read(self, book: int, found: Book, began: float) -> None:
        operation = Operation("read", None, began, time.monotonic(), found)
        self._histories[book].append(operation)

    # --- files that are put back -----------------------------------------------------------------

    def check_kept(self, kept: Moment) -> None:
        """Check that what was acknowledged is in the files that are kept now. Raises Violation."""
        for key, sold in self.sold.items():
            if kept.sold.get(key) != sold:
                raise Violation(f"{key} was acknowledged as {sold}; kept is {kept.sold.get(key)}")
        for order_id, copies in self.cancelled.items():
            if kept.cancelled.get(order_id) != copies:
                raise Violation(f"{copies} of {order_id} were cancelled, and are not in the copy")

    def end_history(self) -> None:
        """Check what was told so far against the files of the catalog, of which no node runs,
        before they are replaced. Raises Violation."""
        self._may_happen(self.open.values())
        self._must_be_linearizable()
        self._replaced |= self.kept.ever_sold()

    def begin_history(self, kept: Moment, were_open: Iterable[Write]) -> None:
        """Begin with the files of that moment, at which some writes were open. Those may still
        happen, and so may others of which a front end that runs on has not learned. What is under
        way is asked again, because its answer may be of the lost history."""
        self.catalog_since = time.monotonic()
        self._readable_since = inf
        self.sold, self.cancelled = dict(kept.sold), dict(kept.cancelled)
        self._shown = dict(kept.books)
        self._kept = kept.updated.union(kept.sold)
        for write in self.open.values():
            write.began = self.catalog_since
        late = (one for one in self._late if one.unheard_at + LATE_S > self.catalog_since)
        known = self._kept | self.open.keys()
        self._perhaps = {
            write.key: replace(write, began=self.catalog_since)
            for write in (*self._perhaps.values(), *were_open, *late)
            if write.key not in known
        }
        self._may_happen(self._perhaps.values())

    def readable(self) -> None:
        """Note that a read of the new history was answered: from now on no customer sees the lost
        one."""
        self._readable_since = time.monotonic()

    def put_back_orders(self) -> None:
        """Note that the orders have earlier files: the missing ones are yet to be made again."""
        self.orders_since = time.monotonic()
        self.orders.clear()

    # --- whether it can be true ------------------------------------------------------------------

    async def check(self) -> None:
        """Check everything, while all customers rest and all nodes are well. Raises Violation."""
        began = time.monotonic()
        for role in ("catalog", "order"):
            await self.kept.same_everywhere(role)
        done = self.kept.times()  # before what is checked now: what is late may come meanwhile
        self._check_sales()
        await self._check_orders()
        books = self.kept.books()
        for book in self._histories:
            for name in self.shop.group("catalog"):
                self.saw(await self._shown_by(name, book), began)
            self._read(book, books[book], began)
        self._must_be_linearizable()
        self._shown = books
        since = time.monotonic() - LATE_S
        late = (write for write in self._perhaps.values() if write.unheard_at > since)
        self._perhaps = {write.key: write for write in late if write.key not in done}
        self._may_happen(self._perhaps.values())
        await self._ask_again()
        self.counts["checks"] += 1

    async def _shown_by(self, name: str, book: int) -> Any:
        """Return what a node shows of a book, as soon as it does."""

        async def shown() -> Answer | None:
            async with self.shop.client(name) as client:
                answer = await client.get(f"/info/{book}")
            return answer if answer.status not in PASSING else None

        answer = await until(shown, f"{name} shows book {book}")
        if answer.status != 200:
            raise Violation(f"{name} was asked for book {book}, and answered {answer}")
        return answer.json

    def _must_be_linearizable(self) -> None:
        times = self.kept.times()
        for book, history in self._histories.items():
            try:
                explained = linearizable(history, self._shown[book], times)
            except Undecided:
                self.counts["histories undecided"] += 1
                history.clear()
                continue
            if not explained:
                ordered = sorted(history, key=lambda operation: operation.start)
                raise Violation(
                    f"no order of these {len(history)} operations on book {book}, which was "
                    f"{self._shown[book]}, explains their results",
                    [operation._asdict() for operation in ordered],
                )
            self.counts["operations checked"] += len(history)
            history.clear()

    def _check_sales(self) -> None:
        in_file = self.kept.sales()
        for key, write in self._perhaps.items():
            if key in in_file and (in_file[key].book, in_file[key].quantity) == (
                write.book,
                write.argument,
            ):
                self.sold[key] = in_file[key]
        cancelled = self.kept.cancelled()
        for write in self._perhaps.values():
            if cancelled.get(write.order_id) == write.argument:
                self.cancelled[write.order_id] = write.argument
        if cancelled != self.cancelled:
            wrong = cancelled.items() ^ self.cancelled.items()
            raise Violation(f"what is cancelled is not what was acknowledged: {sorted(wrong)}")
        for key, sold in self.sold.items():
            if key not in in_file:
                raise Violation(f"the acknowledged sale {key} ({sold}) is missing")
            if in_file[key] != sold:
                raise Violation(f"the sale {key} was acknowledged as {sold}, but is {in_file[key]}")
        for key in in_file:
            if key not in self.sold:
                raise Violation(f"the sale {key} is known to nobody{self._told(key)}")
        if len({sold.order_id for sold in in_file.values()}) != len(in_file):
            raise Violation("an order is sold twice")
        gone: Counter[int] = Counter()
        for sold in self.sold.values():
            gone[sold.book] += sold.quantity - cancelled.get(sold.order_id, 0)
        for number, book in self.kept.books().items():
            if book.copies + gone[number] != self.stock[number]:
                raise Violation(
                    f"book {number}: {gone[number]} sold and {book.copies} left of"
                    f" {self.stock[number]}"
                )

    def _told(self, key: str) -> str:
        return ", and was refused" if key in self._refused else ""

    async def _check_orders(self) -> None:
        """Check that each sale has one order, and that the other orders lost theirs with files that
        were replaced."""
        wanted = {sold.order_id for sold in self.sold.values()}
        try:
            await until(lambda: wanted <= self.kept.orders(), "every sale has its order")
        except AssertionError as error:
            raise Violation(str(error)) from error
        if strangers := self.kept.orders() - wanted - self._replaced:
            raise Violation(f"there are orders that were never sold: {sorted(strangers)}")
        if unsold := self.kept.unsold():
            raise Violation(f"orders have lost their sale, and nobody has said so: {unsold}")
        try:
            await until(self._orders_show_it, "orders show what is cancelled of them")
        except AssertionError as error:
            raise Violation(str(error)) from error
        await self.kept.same_everywhere("order")

    def _orders_show_it(self) -> bool:
        shown, lost = self.kept.shown_cancelled(), self.kept.named_as_lost()
        return all(
            shown.get(order_id) == copies or (order_id in lost and shown[order_id] > copies)
            for order_id, copies in self.cancelled.items()
        )

    async def _ask_again(self) -> None:
        """Check that a key that is used again gets its first answer, with what is cancelled since;
        and that what is cancelled is not cancelled again, under another key."""
        keys = list(self.sold)
        for key in keys[:: max(len(keys) // ASKED_AGAIN, 1)]:
            sold = self.sold[key]
            path, body = f"/purchase/{sold.book}", {"quantity": sold.quantity}

            async def replay() -> Answer | None:
                async with self.shop.client(self._door) as client:
                    answer = await client.put(path, body, key=key)  # noqa: B023
                return answer if answer.status not in PASSING else None

            answer = await until(replay, f"{key} is answered again")
            told = answer.json if answer.status == 200 else {}
            back = self.cancelled.get(sold.order_id, 0)
            shown = sum(line["quantity"] for line in told.get("cancelled", ()))
            if (told.get("order_id"), told.get("new_count"), told.get("replayed"), shown) != (
                sold.order_id,
                sold.new_count,
                True,
                back,
            ):
                raise Violation(f"asked again, the sale {key} ({sold}) was answered {answer}")

    @property
    def _door(self) -> str:
        return self.shop.group("frontend")[0]


def write_history(path: Path, violation: Violation) -> None:
    """Write what shows the violation, one JSON value per line."""
    lines = [json.dumps(one, default=str, ensure_ascii=False) for one in violation.history]
    path.write_text("\n".join([str(violation), *lines, ""]), "utf-8")
