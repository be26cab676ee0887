"""The orders' rows in PostgreSQL: how far they have come, and what callers read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bazar.replication.messages import Entry
from bazar.replication.store import Operation, Outcome
from storage.history import Position
from storage.orders import Orders, Place, Projected, order_key, show_listed, show_order
from storage.postgresql import history
from storage.postgresql.session import Row, Session, Statement
from storage.postgresql.snapshots import Snapshots
from storage.postgresql.state_tables import StateTables

SCHEMA = "bazar_order"

COLUMNS = {
    "orders": {
        **{"order_id": "text", "seq": "bigint", "sold_at": "bigint", "lines": "text"},
        **{"changed": "bigint", "cancelled": "text", "cancelled_at": "bigint"},
    },
    "cursors": {"name": "text", "seq": "bigint", "id": "text"},
    "adoptions": {"upto": "bigint", "behind": "bigint"},
    "history": history.COLUMNS,
}

TABLES = (
    f"""CREATE TABLE {SCHEMA}.orders (
        order_id text COLLATE "C" PRIMARY KEY, seq bigint NOT NULL UNIQUE, sold_at bigint NOT NULL,
        lines text NOT NULL)""",
    f"""CREATE TABLE {SCHEMA}.cursors (
        name text COLLATE "C" PRIMARY KEY, seq bigint NOT NULL, id text) WITH (fillfactor = 10)""",
    f"CREATE TABLE {SCHEMA}.adoptions (upto bigint PRIMARY KEY, behind bigint NOT NULL)",
)
# An order that has never changed has the number by which it was made.
CANCELLED = (
    f"ALTER TABLE {SCHEMA}.orders ADD COLUMN changed bigint, ADD COLUMN cancelled text",
    f"CREATE UNIQUE INDEX orders_by_change ON {SCHEMA}.orders ((COALESCE(changed, seq)))",
)
BY_TIME = (
    f"CREATE INDEX orders_by_time ON {SCHEMA}.orders (sold_at, seq)",
    f"CREATE INDEX orders_cancelled ON {SCHEMA}.orders (sold_at, seq) WHERE cancelled IS NOT NULL",
)
# When something of it was cancelled last.
CANCELLED_AT = (f"ALTER TABLE {SCHEMA}.orders ADD COLUMN cancelled_at bigint",)

CURSOR = Statement(f"SELECT seq, id FROM {SCHEMA}.cursors WHERE name = 'sales'")
HIGHEST = Statement(f"SELECT COALESCE(max(COALESCE(changed, seq)), 0) FROM {SCHEMA}.orders")
NUMBERS = f"SELECT order_id, seq FROM {SCHEMA}.orders WHERE order_id = ANY($1::text[])"
COUNT = f"SELECT count(*) FROM {SCHEMA}.orders WHERE COALESCE(changed, seq) > $1"

_ORDER = tuple(COLUMNS["orders"])
_ORDERS = f"SELECT {', '.join(_ORDER)} FROM {SCHEMA}.orders"
ORDER = f"{_ORDERS} WHERE order_id = $1"
KNOWN = f"{_ORDERS} WHERE order_id = ANY($1::text[])"
CHANGES = f"{_ORDERS} WHERE COALESCE(changed, seq) > $1 ORDER BY COALESCE(changed, seq) LIMIT $2"
_SOLD = (
    "sold_at >= $1 AND (sold_at, seq) < ($2::bigint, $3::bigint)"
    " ORDER BY sold_at DESC, seq DESC LIMIT $4"
)
SOLD = f"{_ORDERS} WHERE {_SOLD}"
SOLD_AND_CANCELLED = f"{_ORDERS} WHERE cancelled IS NOT NULL AND {_SOLD}"
# Those that are named so are found first, and not by going through the index by time.
SOLD_AS = (
    f"WITH named AS MATERIALIZED ({_ORDERS} WHERE order_id BETWEEN $5 AND $6)"
    f" SELECT * FROM named WHERE {_SOLD}"
)


def cursor_of(rows: Iterable[Row]) -> Position:
    """Return the position in the rows of `CURSOR`."""
    return next((Position(number, name) for number, name in rows), Position())


class OrderRows:
    """The `Model` of the order group."""

    schema = SCHEMA
    migrations: Sequence[Sequence[str]] = (TABLES, CANCELLED, BY_TIME, CANCELLED_AT)

    def __init__(self, orders: Orders) -> None:
        self.tables = orders.tables
        self._orders = orders
        self._state = StateTables(SCHEMA, self.tables, COLUMNS)

    def seed(self) -> Sequence[Operation]:
        return self._orders.seed()

    def loads(self, operations: Sequence[Operation]) -> tuple[Statement, ...]:
        return CURSOR, HIGHEST, Statement(KNOWN, (self._orders.wanted(operations),))

    def execute(
        self, operations: Sequence[Operation], results: Sequence[Sequence[Row]], first: int
    ) -> list[Outcome]:
        cursor, [(highest,)], known = results
        orders = {order["order_id"]: order for order in map(_order, known)}
        work = Projected(cursor_of(cursor), orders, highest, first)
        return self._orders.decide(work, operations)

    async def derive(self, session: Session, epoch_id: str) -> bool:
        return True

    def writes(self, entries: Iterable[Entry]) -> list[Statement]:
        return self._state.writes(self._state.last_images(entries))


class PostgreSQLOrderReader:
    """An `OrderReader`. Every method reads once: one moment."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots

    async def cursor(self) -> Position:
        """Return the position in the catalog's log up to which every sale has its order."""
        [rows] = await self._snapshots.read(None, CURSOR)
        return cursor_of(rows)

    async def order(self, order_id: str) -> dict[str, Any] | None:
        """Return the order of this id, None if there is none."""
        tags = frozenset({order_key(order_id)})
        [rows] = await self._snapshots.read(tags, Statement(ORDER, (order_id,)))
        return show_order(_order(rows[0])) if rows else None

    async def known(self, order_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the orders of these ids that exist, by id."""
        wanted = list(order_ids)
        tags = frozenset(map(order_key, wanted))
        [rows] = await self._snapshots.read(tags, Statement(KNOWN, (wanted,)))
        return {order["order_id"]: show_order(order) for order in map(_order, rows)}

    async def numbers(self, order_ids: Iterable[str]) -> dict[str, int]:
        """Return the number of each order that exists, by id."""
        wanted = list(order_ids)
        tags = frozenset(map(order_key, wanted))
        [rows] = await self._snapshots.read(tags, Statement(NUMBERS, (wanted,)))
        return dict(rows)

    async def count(self, after: int) -> int:
        """Return how many orders were made or changed behind the number `after`."""
        [[(count,)]] = await self._snapshots.read(None, Statement(COUNT, (after,)))
        return int(count)

    async def changed(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Return the orders that were made or changed behind the number `after`, in the order of
        that, each with its `seq` and the number of its last `change`."""
        [rows] = await self._snapshots.read(None, Statement(CHANGES, (after, limit)))
        return [show_listed(order) for order in map(_order, rows)]

    async def sold(
        self, since: int, before: Place, limit: int, *, beginning: str = "", cancelled: bool = False
    ) -> list[dict[str, Any]]:
        """Return the rows of the orders that were sold at `since`, in milliseconds since 1970, or
        later, and stand before a place, the newest first: only those whose ids have this beginning,
        or else only those of which something is `cancelled`. It costs what it returns, or what has
        the beginning."""
        asked = Statement(SOLD_AND_CANCELLED if cancelled else SOLD, (since, *before, limit))
        if beginning:
            named = (beginning, f"{beginning}\U0010ffff")
            asked = Statement(SOLD_AS, (*asked.params, *named))
        [rows] = await self._snapshots.read(None, asked)
        return [_order(row) for row in rows]


def _order(row: Row) -> dict[str, Any]:
    return dict(zip(_ORDER, row, strict=True))
