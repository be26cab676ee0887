"""The check that the sales add up: nothing lost, nothing sold twice, nothing oversold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sold:
    """What the replicas of a shop hold, by node."""

    faults: Sequence[str]
    """What `bazar verify` finds."""
    sales: Mapping[str, Mapping[str, Mapping[int, int]]]
    """At each catalog replica: order id -> book -> quantity."""
    stock: Mapping[str, Mapping[int, int]]
    """At each catalog replica: book -> how many are left."""
    orders: Mapping[str, frozenset[str]]
    """At each order replica: order ids."""


def faults(
    sold: Sold, acknowledged: Sequence[str], unknown: int, before: Mapping[int, int]
) -> Iterator[str]:
    """Yield what does not add up in a shop that had sold nothing before and had `before` in stock.
    `acknowledged` are the order ids that buyers got; `unknown` is how many purchases were sent
    whose outcome is unknown."""
    yield from sold.faults
    told = frozenset(acknowledged)
    if len(told) < len(acknowledged):
        yield f"{len(acknowledged) - len(told)} buyers were told an order that another has"
    for node, sales in sold.sales.items():
        lost = len(told - sales.keys())
        if lost:
            yield f"{node}: {lost} acknowledged purchases are not sold"
        if len(sales) > len(told) + unknown:
            yield f"{node}: {len(sales) - len(told) - unknown} sales that nobody asked for"
        gone: Counter[int] = Counter()
        for lines in sales.values():
            gone.update(lines)
        for book, count in before.items():
            left = sold.stock[node].get(book)
            if left is None or left < 0 or left != count - gone[book]:
                yield f"{node}: book {book}: {count} before, {gone[book]} sold, {left} left"
        for other, orders in sold.orders.items():
            if orders != sales.keys():
                yield f"{other}: {len(orders)} orders, {len(sales)} sales at {node}"
