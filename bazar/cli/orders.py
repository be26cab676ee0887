"""List the orders of a time, newest first: as a table, or as rows for a spreadsheet.

They are asked of the running shop page by page, and printed as they come: it takes no more memory
for a million of them than for one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bazar import clock
from bazar.cli import Shop
from bazar.cli.importing.report import money
from bazar.cli.status import closed, is_open
from bazar.rpc.pool import ReplicaPool
from handlers.moments import MOMENT
from handlers.paths import LISTING_PATH
from handlers.validation import MAX_LISTED, WORDS
from storage import exports

Order = Mapping[str, Any]

ATTEMPT_S = 10.0
DEADLINE_S = 30.0
_HEAD = ("sold at (UTC)", "order", "copies", "cost", "refund", "books")
_LINE = "{:19}  {:32}  {:>6}  {:>12}  {:>12}  {}"


def add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--since",
        metavar="MOMENT",
        help="only what was sold then or later: a date, which begins in UTC, or with an offset, as"
        " 2026-11-29+01:00; or a moment, as 2026-11-29T18:30Z",
    )
    add("--until", metavar="MOMENT", help="only what was sold before")
    add(
        "--words",
        nargs="+",
        metavar="WORD",
        help="only orders with a title that has these; or the number of a book; or an order's id,"
        " or its first 8 digits",
    )
    add(
        "--cancelled",
        action=argparse.BooleanOptionalAction,
        help="only orders of which something is cancelled, or nothing",
    )
    add(
        "--csv",
        action="store_true",
        help="a row for each line of an order; the totals go to stderr",
    )


async def run(shop: Shop, flags: argparse.Namespace) -> int:
    """Print the orders, and what they come to."""
    wanted = _wanted(flags)
    if not await is_open(shop, "order"):
        raise closed(shop, "order")
    rows: Callable[[Sequence[Order]], bytes] = _orders
    head = _table([_HEAD])
    if flags.csv:
        rows = exports.as_csv(exports.LINE, for_spreadsheets=True)
        head = exports.head(exports.LINE)
    totals, out = Totals(), sys.stdout.buffer
    async for orders in _pages(shop, wanted):
        out.write(head + rows(orders))
        out.flush()
        head = b""
        totals.add(orders)
    print(totals, file=sys.stderr if flags.csv else sys.stdout)
    return 0


def _wanted(flags: argparse.Namespace) -> dict[str, Any]:
    """Return what is asked of the shop. Raises BadRequest."""
    wanted: dict[str, Any] = {"op": "sold", "limit": MAX_LISTED}
    for name in ("since", "until"):
        if (given := getattr(flags, name)) is not None:
            wanted[name] = MOMENT(given, f"--{name}")
    if flags.cancelled is not None:
        wanted["cancelled"] = flags.cancelled
    if flags.words is not None:
        wanted["q"] = WORDS(" ".join(flags.words), "--words")
    return wanted


async def _pages(shop: Shop, wanted: dict[str, Any]) -> AsyncIterator[Sequence[Order]]:
    """Yield the orders page by page; where little is found some are empty."""
    pool = ReplicaPool(shop.config.group("order"), shop.config.pool, clock.now)
    while True:
        page = await pool.call(
            lambda node: shop.client.submit(node, LISTING_PATH, wanted, ATTEMPT_S), DEADLINE_S
        )
        yield page["orders"]
        if page["before"] is None:
            return
        wanted["before"] = page["before"]


def _orders(orders: Sequence[Order]) -> bytes:
    return _table(
        (
            order["sold_at"][:19].replace("T", " "),
            order["order_id"],
            sum(line["quantity"] for line in order["lines"]),
            money(order["cost"]),
            money(order["refund"]) if "refund" in order else "-",
            ", ".join(f"{line['quantity']} × {line['title']}" for line in order["lines"]),
        )
        for order in orders
    )


def _table(rows: Iterable[Sequence[Any]]) -> bytes:
    """Return rows as lines. How wide the widest cell will be is not known yet: a wider one moves
    the rest of its line."""
    lines = "".join(f"{_LINE.format(*row)}\n" for row in rows)
    # Titles have letters of any script, which a terminal need not have.
    return lines.encode(sys.stdout.encoding, "backslashreplace")


@dataclass(slots=True)
class Totals:
    """What orders come to; money in cents."""

    orders: int = 0
    copies: int = 0
    cost: int = 0
    cancelled: int = 0  # copies
    refund: int = 0

    def add(self, orders: Sequence[Order]) -> None:
        self.orders += len(orders)
        for order in orders:
            self.copies += sum(line["quantity"] for line in order["lines"])
            self.cost += order["cost"]
            self.cancelled += sum(line["quantity"] for line in order.get("cancelled", ()))
            self.refund += order.get("refund", 0)

    def __str__(self) -> str:
        return (
            f"orders: {self.orders:,}; copies: {self.copies:,}; cost: {money(self.cost)};"
            f" cancelled copies: {self.cancelled:,}; refund: {money(self.refund)}"
        )
