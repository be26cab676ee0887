"""Whether a shop's databases hold what they must: each group by itself, and orders with the sales
they follow. There is one copy of each row, so nothing is compared but that; whether a server's
disk gives back what was written is its own to say (data checksums, `pg_amcheck`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from bazar.errors import ConfigError, NotFound, Unavailable
from storage import letters
from storage.history import EPOCH_SHIFT, is_on
from storage.postgresql import catalog, orders
from storage.postgresql.books import SCHEMA
from storage.postgresql.history import epochs
from storage.postgresql.link import Link
from storage.postgresql.model import Model
from storage.postgresql.orders import CURSOR, cursor_of
from storage.postgresql.reading import BEGIN
from storage.postgresql.schema import version_of
from storage.postgresql.session import Broken, Refused, Row, Servers, Statement
from storage.reconciliation import Numbered, Reconciliation, reconcile

PAGE_ROWS = 5000
LONGEST_S = 3600.0
SEQ = f"& {(1 << EPOCH_SHIFT) - 1}"

ADOPTIONS = Statement(f"SELECT upto, behind FROM {orders.SCHEMA}.adoptions")
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
    "sales of an entry that was never committed": (
        f"SELECT count(*) FROM {SCHEMA}.sales WHERE seq {SEQ} > (SELECT number FROM {SCHEMA}.mark)"
    ),
    "sales that lie before the beginning of their epoch": (
        f"SELECT count(*) FROM {SCHEMA}.sales s JOIN {SCHEMA}.history h"
        f" ON h.epoch = s.seq >> {EPOCH_SHIFT} WHERE s.seq {SEQ} <= h.behind"
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


class GroupAudit:
    """One group's tables, read as they are at one moment."""

    def __init__(self, servers: Servers, model: Model, cluster_id: str) -> None:
        self._link = Link(servers, LONGEST_S)
        self._model = model
        self._cluster_id = cluster_id
        self.number = 0
        self.epoch_id = ""

    async def look(self) -> None:
        """Begin to read. Raises NotFound where there is no group, ConfigError where it is another
        shop's, or newer than this program."""
        schema = self._model.schema
        found = Statement(f"SELECT to_regclass('{schema}.meta') IS NOT NULL")
        if (await self._run(found)) != ((True,),):
            raise NotFound(f"{self._link.server}: has no shop in {schema}")
        await self._run(BEGIN)
        [(self.number, self.epoch_id)] = await self._run(
            Statement(f"SELECT number, epoch_id FROM {schema}.mark")
        )
        known: dict[str, str] = dict(
            await self._run(Statement(f"SELECT name, value FROM {schema}.meta"))
        )
        place = f"{self._link.server}, schema {schema}"
        if version_of(known, place, self._model, self._cluster_id) < len(self._model.migrations):
            raise ConfigError(f"{place}: is of an older version: start the shop first")

    async def faults(self) -> AsyncIterator[str]:
        """Yield what is wrong with the group by itself."""
        own = OF_CATALOG if self._model.schema == SCHEMA else {}
        of_any = {what: sql.format(s=self._model.schema) for what, sql in OF_ANY.items()}
        for what, sql in {**of_any, **own}.items():
            [(count,)] = await self._run(Statement(sql))
            if count:
                yield f"{count} {what}"

    async def _run(self, statement: Statement) -> tuple[Row, ...]:
        try:
            reply = await self._link.run(statement, timeout_s=LONGEST_S)
        except (Broken, Refused) as error:
            raise Unavailable(f"{self._link.server or 'the database'}: {error}") from error
        return reply.results[-1].rows

    async def numbered(self, table: str) -> AsyncIterator[tuple[Row, ...]]:
        """Yield id and number of all rows, in pages, in the order of their ids."""
        ordered = f"SELECT order_id, seq FROM {self._model.schema}.{table} ORDER BY order_id"
        await self._run(Statement(f"DECLARE numbered NO SCROLL CURSOR FOR {ordered}"))
        while rows := await self._run(Statement(f"FETCH {PAGE_ROWS} FROM numbered")):
            yield rows

    async def rows(self, statement: Statement) -> tuple[Row, ...]:
        return await self._run(statement)

    async def close(self) -> None:
        await self._link.close()


async def reconciled(sold: GroupAudit, ordered: GroupAudit) -> Reconciliation:
    """Compare orders with sales. `ordered` was looked at first, so that the sale of each order is
    there."""
    cursor = cursor_of(await ordered.rows(CURSOR))
    known = epochs(await sold.rows(Statement(catalog.EPOCHS_SINCE, (0,))))
    adopted = [range(behind + 1, upto + 1) for upto, behind in await ordered.rows(ADOPTIONS)]
    loop = asyncio.get_running_loop()

    def each(pages: AsyncIterator[tuple[Row, ...]]) -> Iterator[Numbered]:
        """Yield rows in another thread than the one that reads them."""

        async def page() -> tuple[Row, ...]:
            async for rows in pages:
                return rows
            return ()

        while rows := asyncio.run_coroutine_threadsafe(page(), loop).result():
            yield from rows

    return await asyncio.to_thread(
        reconcile,
        *(cursor, each(sold.numbered("sales")), each(ordered.numbered("orders"))),
        follows=is_on(known, cursor, sold.number),
        adopted=adopted,
    )
