"""Whether a shop's databases hold what they must: each group by itself, and orders with the sales
they follow. There is one copy of each row, so nothing is compared but that; whether a server's
disk gives back what was written is its own to say (data checksums, `pg_amcheck`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from storage import letters, terms
from storage.history import EPOCH_SHIFT, Position, is_on
from storage.postgresql import catalog, orders
from storage.postgresql.books import SCHEMA
from storage.postgresql.group_snapshot import GroupSnapshot, fetched
from storage.postgresql.history import epochs
from storage.postgresql.orders import CURSOR, cursor_of
from storage.postgresql.session import Statement
from storage.reconciliation import (
    CANCELLED,
    SOLD,
    Numbered,
    Reconciliation,
    Sample,
    may_be_cancelled,
    reconcile,
)

SEQ = f"& {(1 << EPOCH_SHIFT) - 1}"

ADOPTIONS = Statement(f"SELECT upto, behind FROM {orders.SCHEMA}.adoptions")
SALES = (
    f"SELECT s.order_id, s.seq, c.seq, c.cancelled FROM {SCHEMA}.sales s LEFT JOIN"
    f" {SCHEMA}.cancellations c ON c.order_id = s.order_id ORDER BY s.order_id"
)
EVERY_CANCELLATION = " UNION ALL ".join(
    f"SELECT order_id, seq, cancelled FROM {SCHEMA}.{table}" for table in CANCELLED
)
TOTALS = (
    f"SELECT order_id, s.lines, c.cancelled FROM ({EVERY_CANCELLATION}) c"
    f" JOIN {SCHEMA}.sales s USING (order_id) ORDER BY order_id, c.seq"
)
ORDERS = f"SELECT order_id, seq, changed, cancelled FROM {orders.SCHEMA}.orders ORDER BY order_id"
# What should count no row, and what it is when it does.
OF_CATALOG = {
    "books of a topic that is not there": (
        f"SELECT count(*) FROM {SCHEMA}.books b"
        f" WHERE NOT EXISTS (SELECT 1 FROM {SCHEMA}.topics t WHERE t.id = b.catalog_id)"
    ),
    "books that no word finds": (
        f"SELECT count(*) FROM {SCHEMA}.books b"
        f" WHERE NOT EXISTS (SELECT 1 FROM {SCHEMA}.words w WHERE w.book = b.id)"
        f" AND (SELECT value FROM {SCHEMA}.meta WHERE name = 'words') = '{letters.VERSION}'"
    ),
    "books whose title is in no order": (
        f"SELECT count(*) FROM {SCHEMA}.books b WHERE b.retired IS NULL"
        f" AND NOT EXISTS (SELECT 1 FROM {SCHEMA}.titles t WHERE t.book = b.id)"
        f" AND (SELECT value FROM {SCHEMA}.meta WHERE name = 'words') = '{letters.VERSION}'"
    ),
    "retired books that are found among those on sale": (
        f"SELECT count(*) FROM {SCHEMA}.books b JOIN {SCHEMA}.words w ON w.book = b.id"
        f" LEFT JOIN {SCHEMA}.titles o ON o.book = b.id WHERE b.retired IS NOT NULL"
        f" AND (o.book IS NOT NULL OR w.terms !~ '^( {terms.RETIRED}[^ ]+)+ $')"
        f" AND (SELECT value FROM {SCHEMA}.meta WHERE name = 'words') = '{letters.VERSION}'"
    ),
    **{
        f"{table} of an entry that was never committed": (
            f"SELECT count(*) FROM {SCHEMA}.{table}"
            f" WHERE seq {SEQ} > (SELECT number FROM {SCHEMA}.mark)"
        )
        for table in SOLD
    },
    **{
        f"{table} that lie before the beginning of their epoch": (
            f"SELECT count(*) FROM {SCHEMA}.{table} s JOIN {SCHEMA}.history h"
            f" ON h.epoch = s.seq >> {EPOCH_SHIFT} WHERE s.seq {SEQ} <= h.behind"
        )
        for table in SOLD
    },
    "cancellations with the number of a sale": (
        f"SELECT count(*) FROM ({EVERY_CANCELLATION}) c JOIN {SCHEMA}.sales USING (seq)"
    ),
    "cancellations of what was never sold": (
        f"SELECT count(*) FROM ({EVERY_CANCELLATION}) c"
        f" WHERE NOT EXISTS (SELECT 1 FROM {SCHEMA}.sales s WHERE s.order_id = c.order_id)"
    ),
    "sales with the key of another write": (
        f"SELECT count(*) FROM {SCHEMA}.sales JOIN {SCHEMA}.answers USING (key)"
    ),
}
OF_ANY = {
    "constraints that were not checked": (
        "SELECT count(*) FROM pg_constraint"
        " WHERE connamespace = '{s}'::regnamespace AND NOT convalidated"
    ),
    "indexes that are not valid": (
        "SELECT count(*) FROM pg_index JOIN pg_class c ON c.oid = indrelid"
        " WHERE relnamespace = '{s}'::regnamespace AND NOT (indisvalid AND indisready)"
    ),
    "epochs that begin before the one before them": (
        "SELECT count(*) FROM (SELECT behind - lag(behind) OVER (ORDER BY epoch) AS went"
        " FROM {s}.history) h WHERE went < 0"
    ),
    "epochs beyond the end, or beyond the beat": (
        "SELECT count(*) FROM {s}.history, {s}.mark, {s}.beat"
        " WHERE behind > number OR history.epoch > beat.epoch"
    ),
    "marks that are not of the newest epoch": (
        "SELECT count(*) FROM {s}.mark WHERE epoch_id <> coalesce("
        "(SELECT id FROM {s}.history ORDER BY epoch DESC LIMIT 1), epoch_id)"
    ),
}


class GroupAudit(GroupSnapshot):
    """One group's tables as they are at one moment, and what is wrong with them."""

    async def faults(self) -> AsyncIterator[str]:
        """Yield what is wrong with the group by itself."""
        own = OF_CATALOG if self._model.schema == SCHEMA else {}
        of_any = {what: sql.format(s=self._model.schema) for what, sql in OF_ANY.items()}
        for what, sql in {**of_any, **own}.items():
            [(count,)] = await self.rows_of(Statement(sql))
            if count:
                yield f"{count} {what}"
        if own:
            wrong = Sample()
            before: dict[str, str] = {}  # what is cancelled of the last sale
            async for rows in fetched(self.rows_of, TOTALS):
                for order_id, lines, cancelled in rows:
                    if not may_be_cancelled(lines, before.get(order_id, "[]"), cancelled):
                        wrong.note(order_id)
                    before = {order_id: cancelled}
            if wrong.count:
                yield f"cancellations of other copies than were sold, or that do not grow, {wrong}"

    async def numbered(self, select: str) -> AsyncIterator[list[Numbered]]:
        """Yield all rows of `SALES` or `ORDERS`, in pages."""
        async for rows in fetched(self.rows_of, select):
            yield [Numbered(*row) for row in rows]


async def reconciled(sold: GroupAudit, ordered: GroupAudit) -> Reconciliation:
    """Compare orders with sales. `ordered` was looked at first, so that the sale of each order is
    there."""
    cursor = cursor_of(await ordered.rows_of(CURSOR))
    since = Statement(catalog.EPOCHS_SINCE, (Position().epoch,))
    known = epochs(await sold.rows_of(since))
    adopted = [range(behind + 1, upto + 1) for upto, behind in await ordered.rows_of(ADOPTIONS)]
    loop = asyncio.get_running_loop()

    def each(pages: AsyncIterator[list[Numbered]]) -> Iterator[Numbered]:
        """Yield rows in another thread than the one that reads them."""

        async def page() -> list[Numbered]:
            return await anext(pages, [])

        while rows := asyncio.run_coroutine_threadsafe(page(), loop).result():
            yield from rows

    return await asyncio.to_thread(
        reconcile,
        *(cursor, each(sold.numbered(SALES)), each(ordered.numbered(ORDERS))),
        follows=is_on(known, cursor, sold.number),
        adopted=adopted,
    )
