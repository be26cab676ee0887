"""Whether sales and orders belong together: each sale has its order, each order its sale, and both
say the same of what is cancelled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from storage.books import copies
from storage.history import Position
from storage.orders import in_all

SHOWN = 5
CANCELLED = ("cancellations", "earlier_cancellations")
SOLD = ("sales", *CANCELLED)
"""The tables of which each row is an entry of its own (S1, S6)."""


class Numbered(NamedTuple):
    """A sale, or an order: its id, its number, and what is cancelled of it, with the number of
    that."""

    order_id: str
    number: int
    changed: int | None
    cancelled: str | None

    def was_cancelled_by(self, adopted: range) -> bool:
        """Return whether an order that was there when these numbers were adopted may show what the
        catalog had lost by then. It keeps that when it changes again (S5)."""
        return self.number < adopted.stop and (self.changed or 0) >= adopted.start


@dataclass(slots=True)
class Sample:
    """How many ids there are of a kind, and the first SHOWN of them."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def note(self, name: str) -> None:
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(name)

    def __str__(self) -> str:
        more = [f"… and {self.count - SHOWN} more"] if self.count > SHOWN else []
        return f"{self.count}: {', '.join([*self.first, *more])}"


@dataclass(slots=True)
class Reconciliation:
    """The sales and orders that lack each other, and why."""

    cursor: Position
    follows: bool
    unordered: Sample = field(default_factory=Sample)
    """Sales before the cursor that have no order."""
    unsold: Sample = field(default_factory=Sample)
    """Orders without a sale."""
    adopted: Sample = field(default_factory=Sample)
    """Orders without a sale, as an operator has chosen (S5)."""
    differing: Sample = field(default_factory=Sample)
    """Sales of which something else is cancelled than their orders say."""
    waiting: int = 0
    """How many sales and cancellations come after the cursor, and no order shows them yet."""

    def note_sale(self, sale: Numbered) -> None:
        """Note a sale that has no order."""
        if self.follows and sale.number > self.cursor.number:
            self.waiting += 1
        else:
            self.unordered.note(sale.order_id)

    def note_both(self, sale: Numbered, order: Numbered, adopted: Sequence[range]) -> None:
        """Note what is cancelled of a sale that has its order."""
        if sale.cancelled == order.cancelled:
            return
        said, shown = (_copies(one.cancelled or "[]") for one in (sale, order))
        if said is None or shown is None:
            self.differing.note(sale.order_id)
            return
        if said == shown:
            return
        if self.follows and (sale.changed or 0) > self.cursor.number:
            self.waiting += 1
        elif in_all(shown, said) == shown and any(order.was_cancelled_by(one) for one in adopted):
            self.adopted.note(order.order_id)
        else:
            self.differing.note(sale.order_id)

    @property
    def faults(self) -> Iterator[str]:
        """Yield a sentence for each kind of fault that was found."""
        if not self.follows:
            yield (
                f"the orders' cursor, {self.cursor}, is not on the catalog's history:"
                " see `python -m bazar adopt`"
            )
        if self.unordered.count:
            yield f"sales without an order, {self.unordered}"
        if self.unsold.count:
            yield f"orders without a sale, {self.unsold}"
        if self.differing.count:
            yield f"orders that are cancelled otherwise than their sales, {self.differing}"


def may_be_cancelled(lines: str, before: str, cancelled: str) -> bool:
    """Return whether so much of a sale of these lines can be cancelled in all: of each book a copy
    at least, and no more than were sold; of no book less than was cancelled before, and in all some
    more (S6)."""
    sold, was, back = _copies(lines), _copies(before), _copies(cancelled)
    if sold is None or was is None or not back:
        return False
    grows = back != was and in_all(was, back) == back
    return grows and all(0 < many <= sold.get(book, 0) for book, many in back.items())


def _copies(lines: str) -> dict[int, int] | None:
    """Return how many copies of each book lines have, None where they can't be read."""
    try:
        found = copies(json.loads(lines))
    except (ValueError, TypeError, LookupError):
        return None
    return found if all(type(many) is int for many in found.values()) else None


def reconcile(
    cursor: Position,
    sales: Iterable[Numbered],
    orders: Iterable[Numbered],
    *,
    follows: bool,
    adopted: Sequence[range] = (),
) -> Reconciliation:
    """Compare sales and orders, both sorted by id. `follows` says whether the orders' `cursor` is
    on the catalog's history; orders with a number in one of `adopted` may lack their sale."""
    found = Reconciliation(cursor, follows)
    sold, ordered = chain(sales, [None]), chain(orders, [None])
    sale, order = next(sold), next(ordered)
    while sale is not None or order is not None:
        if order is None or (sale is not None and sale[0] < order[0]):
            assert sale is not None
            found.note_sale(sale)
            sale = next(sold)
        elif sale is None or order[0] < sale[0]:
            chosen = any(order[1] in one for one in adopted)
            (found.adopted if chosen else found.unsold).note(order[0])
            order = next(ordered)
        else:
            found.note_both(sale, order, adopted)
            sale, order = next(sold), next(ordered)
    return found
