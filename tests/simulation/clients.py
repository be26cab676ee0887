"""The users of the shop: buyers and keepers, who send again with their key, and readers.

Every answer is checked at once against the truth, and kept for the history of its book.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Any

from tests.simulation.history import Book, Operation, Undecided, linearizable
from tests.simulation.invariants import items
from tests.simulation.requests import COST, Read, Write
from tests.simulation.shop import TOPICS, rows
from tests.simulation.shopworld import Group, ShopWorld
from tests.world.world import Excused, Violation

KEY_LENGTH = 200


class Clients:
    """All clients of one shop, and their answers."""

    def __init__(self, world: ShopWorld, catalog: Group, orders: Group | None) -> None:
        self.world = world
        self.catalog = catalog
        self.orders = orders
        self.books = world.profile.books
        self.first = {  # how each book's history begins
            book: Book(f"first {book}", TOPICS[book % 2], world.profile.stock)
            for book in range(1, self.books + 1)
        }
        self.running = True
        self.history: dict[int, list[Operation]] = {book: [] for book in range(1, self.books + 1)}
        self.refused: set[str] = set()  # keys of writes that surely never happened
        self.denied: dict[str, str] = {}  # keys of purchases that were refused: by which rule
        self.bought: dict[str, Any] = {}  # key -> the answer to its buyer
        self.done: list[Write] = []
        self.open: dict[Write, None] = {}  # writes whose outcome is not known yet
        self.unknown: list[Write] = []  # writes whose outcome no client will learn
        self.tried: list[Write] = []  # answered, but an earlier attempt may still go on
        self.cancellations: list[Write] = []
        self._before_put_back: frozenset[str] = frozenset()  # keys that the files had then
        self.cancelled: dict[str, dict[int, int]] = {}  # by order: what was acknowledged, in all
        self.tape = world.client_tape
        self._keys = 0
        retires = bool(world.profile.retires)
        self._items = items(self.books, finds=retires or world.profile.finds, retires=retires)
        for item in self._items:
            catalog.truth.watch(item)

    def start(self, buyers: int, keepers: int, readers: int) -> None:
        for begin, count in ((self._buy, buyers), (self._update, keepers), (self._look, readers)):
            for _ in range(count):
                self.again(begin)

    def crowd(self, size: int) -> None:
        """Start keepers that never pause: a batch waits whenever one is done."""
        for _ in range(size):
            self._hurry()

    def _hurry(self) -> None:
        if self.running:
            Write(self, self.update(), self._hurry, hurried=True)

    def again(self, then: Callable[[], None]) -> None:
        # A silent draw is 0: then there is no hurry.
        pause_s = self.world.profile.think_s * 2.0 * (self.tape.random() or 4.0)
        self.world.after(pause_s, None, then)

    def book(self) -> int:
        return 1 + self.tape.below(self.books)

    def key(self) -> str:
        """Return a new key. Some differ from others only in their last letter, or in its case."""
        self._keys += 1
        number, variant = divmod(self._keys, 3)
        if not self.world.profile.long_keys:
            return f"k{self._keys}"
        stem = f"k{number}".ljust(KEY_LENGTH - 1, "x")
        return (stem + "b", stem + "B", stem)[variant]

    # --- files that are put back -----------------------------------------------------------------

    def before_put_back(self, group: Group) -> None:
        """End the histories: what clients were told so far belongs to the old files."""
        if group is self.catalog:
            self.must_be_linearizable()

    def put_back(self, group: Group, pending: Iterable[Write]) -> None:
        """Begin new histories, in which any of `pending` may happen."""
        if group is not self.catalog:
            return
        state = group.truth.state
        names = {row["id"]: row["name"] for row in rows(state, "topics")}
        for book in self.first:
            row = state["books", book]
            shown = row["title"], names[row["catalog_id"]], row["count"], bool(row["retired"])
            self.first[book] = Book(*shown)
            self.history[book].clear()
        self.done = [write for write in self.done if write.key in group.truth.keys]
        self.cancelled.clear()
        self._before_put_back = frozenset(group.truth.keys)
        for one in self.cancellations:
            one.end = inf
        # A write that was once on a disk may be in the next backup, too, whatever was answered
        # since.
        self.unknown = list(dict.fromkeys([*self.unknown, *pending]))
        for write in dict.fromkeys([*self.unknown, *self.tried, *self.open]):
            if write.key not in group.truth.keys:
                if write.before is not None:
                    # That answer belongs to an old history, which may come back as well.
                    write.before, write.unsure = None, True
                write.note_unknown()

    def must_be_linearizable(self) -> None:
        for write in self.open:
            write.note_unknown()
        places = {key: place for place, key in enumerate(self.catalog.truth.keys)}
        for book, operations in self.history.items():
            try:
                found = linearizable(
                    [*operations, *self._came_back(book)], self.first[book], places
                )
            except Undecided as error:
                raise Excused(f"the history of book {book}: {error}") from error
            if not found:
                raise Violation(f"I4: the history of book {book} is not linearizable")

    def _came_back(self, book: int) -> Iterable[Operation]:
        """Yield what cancellations have done to a book: how many copies that is depends on those
        before it, and the log knows."""
        for one in self.cancellations:
            many = self.catalog.truth.back.get(one.key, {}).get(book, 0)
            if many and one.key not in self._before_put_back:
                yield Operation("back", many, one.start, one.end, None, one.key)

    # --- what they want --------------------------------------------------------------------------

    def _buy(self) -> None:
        if self.running:
            again, tape = None, self.tape
            cancels = self.world.profile.cancels
            if self.done and tape.chance(self.world.profile.repeats):
                again = self.done[tape.below(len(self.done))]
            if again is not None:
                self._repeat(again)
            elif cancels and self._cancellable() and tape.chance(cancels):
                Write(self, self.cancellation(), self._buy)
            else:
                Write(self, self.sale(), self._buy)

    def _repeat(self, before: Write) -> None:
        """Send the key of an answered write again, with the same request or another one."""
        operation = dict(before.operation)
        if self.tape.chance(0.3):
            if "lines" in operation:
                lines = operation["lines"]
                last = {**lines[-1], "quantity": lines[-1]["quantity"] + 1}
                operation["lines"] = [*lines[:-1], last]
            else:
                operation["fields"] = {"title": "another"}
        Write(self, operation, self._buy, before=before)

    def _update(self) -> None:
        if self.running:
            Write(self, self.update(), self._update)

    def sale(self) -> dict[str, Any]:
        tape = self.tape
        line: dict[str, Any] = {"book": self.book(), "quantity": 1 + tape.chance(0.2)}
        if not self.world.profile.finds and tape.chance(0.1):
            line["cost"] = COST + tape.chance(0.5)
        lines = [line]
        if self.books > 1 and tape.chance(0.2):
            lines.append({"book": line["book"] % self.books + 1, "quantity": 1})
        return {"op": "sell", "key": self.key(), "lines": lines}

    def _cancellable(self) -> list[tuple[str, Any]]:
        """Return the purchases that were acknowledged, and are known to both groups, each with its
        key."""
        truth, orders = self.catalog.truth, self.orders
        return [
            (key, answer)
            for key, answer in self.bought.items()
            if ("sales", answer["order_id"]) in truth.state
            and (orders is None or ("orders", answer["order_id"]) in orders.truth.state)
        ]

    def cancellation(self) -> dict[str, Any]:
        """Cancel one of the last purchases: of some books so many copies in all; now and then more
        than there are."""
        tape, bought = self.tape, self._cancellable()
        key, answer = bought[-1 - tape.below(min(len(bought), 3))]
        lines = [
            {"book": line["book"], "quantity": 1 + tape.below(line["quantity"])}
            for line in answer["lines"]
            if tape.chance(0.7)
        ] or [{"book": answer["lines"][0]["book"], "quantity": 1}]
        if tape.chance(0.1):
            lines[0]["quantity"] += 5
        cancel = {
            **{"op": "cancel", "key": self.key(), "order_id": answer["order_id"], "lines": lines},
        }
        profile = self.world.profile
        if profile.undos and tape.chance(profile.undos):
            shown = key if tape.chance(0.9) else tape.choice(["nobody's", *self.bought])
            cancel["buyer"] = {"key": shown, "within_ms": self.world.walls_ms(profile.undo_s)}
        return cancel

    def update(self) -> dict[str, Any]:
        key = self.key()
        if self.world.profile.retires and self.tape.chance(self.world.profile.retires):
            retired = {"retired": self.tape.chance(0.5)}
            return {"op": "update", "key": key, "book": self.book(), "fields": retired}
        if self.world.profile.finds:
            return {"op": "update", "key": key, "book": self.book(), "fields": self._change()}
        fields: dict[str, Any] = {"title": f"title {self._keys}"}
        if self.world.profile.moves or self.tape.chance(0.5):
            fields["topic"] = self.tape.choice(TOPICS)
        if self.world.profile.restocks and self.tape.chance(self.world.profile.restocks):
            fields["count"] = self.world.profile.stock
        return {"op": "update", "key": key, "book": self.book(), "fields": fields}

    def _change(self) -> dict[str, Any]:
        """Return one change: most of them leave alone by what a book is found."""
        match self.tape.below(5):
            case 0:
                return {"title": f"first {self._keys}"}
            case 1 | 2:
                return {"cost": COST + self.tape.below(3)}
        return {"count": self.tape.below(2) * self.world.profile.stock}

    # --- reads -----------------------------------------------------------------------------------

    def _look(self) -> None:
        if not self.running:
            return
        tape, catalog = self.tape, self.catalog
        targets = catalog.caches if catalog.caches and tape.chance(0.7) else catalog.replicas
        target = targets[tape.below(len(targets))]
        item = self._items[tape.below(len(self._items))]
        if not self.world.profile.all_items and tape.chance(0.6):
            item = {"op": "info", "book": self.book()}
        Read(self, target, item, self._look)
