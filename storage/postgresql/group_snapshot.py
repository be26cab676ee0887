"""One group's tables as of one moment, whatever is written meanwhile; and the whole shop's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from bazar.errors import ConfigError, NotFound, Unavailable
from storage.history import EPOCH_SHIFT
from storage.images import Image
from storage.moving import Note, Standing
from storage.postgresql.link import Link
from storage.postgresql.model import Model
from storage.postgresql.reading import BEGIN
from storage.postgresql.schema import MOVED, VERSION, version_of
from storage.postgresql.session import Broken, Refused, Row, Servers, Statement
from storage.postgresql.state_tables import Columns

PAGE_ROWS = 1000
LONGEST_S = 3600.0
CONFIRM_S = 5.0

Run = Callable[[Statement], Awaitable[Sequence[Row]]]


class GroupSnapshot:
    """One group's tables, read as they are at one moment of the server that takes writes. Once it
    was looked at it has the `number` and the `epoch_id` of the mark, and the `note` of a move."""

    number: int
    epoch_id: str
    note: Note | None

    def __init__(
        self, servers: Servers, model: Model, columns: Mapping[str, Columns], cluster_id: str
    ) -> None:
        self._link = Link(servers, LONGEST_S)
        self._aside = Link(servers, LONGEST_S, beside=self._link)
        self._model, self._columns, self._cluster_id = model, columns, cluster_id

    @property
    def place(self) -> str:
        return f"{self._link.server}, schema {self._model.schema}"

    async def look(self) -> None:
        """Begin to read. Raises NotFound where there is no group, ConfigError where it is another
        shop's, or newer than this program."""
        schema = self._model.schema
        found = Statement(f"SELECT to_regclass('{schema}.meta') IS NOT NULL")
        if (await self.rows_of(found)) != ((True,),):
            raise NotFound(f"{self._link.server}: has no shop in {schema}")
        await self.rows_of(BEGIN)
        # Whoever reads several groups is silent in one of them for long.
        await self.rows_of(Statement("SET LOCAL idle_in_transaction_session_timeout = 0"))
        [(self.number, self.epoch_id)] = await self.rows_of(
            Statement(f"SELECT number, epoch_id FROM {schema}.mark")
        )
        known: dict[str, str] = dict(
            await self.rows_of(Statement(f"SELECT name, value FROM {schema}.meta"))
        )
        version = version_of(known, self.place, self._model, self._cluster_id)
        if version < len(self._model.migrations):
            raise ConfigError(f"{self.place}: is of an older version: start the shop first")
        self.note = Note.of(known[MOVED]) if MOVED in known else None

    async def confirm(self) -> None:
        """Return once a write that changes nothing was confirmed: then no other server took writes
        when this one was looked at, and all that was acknowledged is in what is read (P5). Raises
        Unavailable."""
        nothing = f"UPDATE {self._model.schema}.meta SET value = value WHERE name = $1"
        try:
            await self._aside.whole(Statement(nothing, (VERSION,)), timeout_s=CONFIRM_S)
        except (Broken, Refused) as error:
            raise Unavailable(
                f"{self.place}: confirms no write, and may lack what another server has: {error}"
            ) from error

    async def standing(self) -> Standing:
        """Return how far the group has come."""
        schema = self._model.schema
        if not self.number:
            raise NotFound(f"{self._link.server}: has no shop in {schema} that has begun")
        [(epoch,)] = await self.rows_of(highest_epoch(schema, self._columns))
        return Standing(epoch, self.number)

    async def rows_of(self, statement: Statement) -> tuple[Row, ...]:
        """Return what a statement finds. Raises Unavailable."""
        try:
            reply = await self._link.run(statement, timeout_s=LONGEST_S)
        except (Broken, Refused) as error:
            raise Unavailable(f"{self._link.server or 'the database'}: {error}") from error
        return reply.results[-1].rows

    def rows(self, table: str) -> AsyncIterator[Sequence[Image]]:
        """Yield all rows of a table, in chunks, in the order of its key."""
        columns = list(self._columns[table])
        return images(self.rows_of, self._model, table, columns)

    async def close(self) -> None:
        await self._link.close()
        await self._aside.close()


class PostgreSQLSnapshot:
    """An `Origin`: a shop in PostgreSQL, while its nodes run, or while none does."""

    def __init__(self, name: str, groups: Mapping[str, GroupSnapshot]) -> None:
        """`name` says where that is. `groups` by role, in the order in which they are looked at:
        what is derived from another group's log comes before that."""
        self.name = name
        self._groups = groups

    async def hold(self) -> None:
        for group in self._groups.values():
            await group.look()
            await group.confirm()
            if group.note is not None:
                group.note.check(group.place)

    async def standing(self, role: str) -> Standing:
        return await self._groups[role].standing()

    def rows(self, role: str, table: str) -> AsyncIterator[Sequence[Image]]:
        return self._groups[role].rows(table)

    async def close(self) -> None:
        for group in self._groups.values():
            await group.close()


def highest_epoch(schema: str, columns: Mapping[str, Columns]) -> Statement:
    """Return what finds the highest epoch that a group's tables know of."""
    numbers = [
        f"(SELECT max(seq) >> {EPOCH_SHIFT} FROM {schema}.{table})"
        for table, its in columns.items()
        if "seq" in its
    ]
    begun = f"(SELECT epoch FROM {schema}.beat)"
    newest = f"(SELECT max(epoch) FROM {schema}.history)"
    return Statement(f"SELECT greatest({', '.join([begun, newest, *numbers])})")


async def images(
    run: Run, model: Model, table: str, columns: Sequence[str]
) -> AsyncIterator[Sequence[Image]]:
    """Yield these columns of all rows of a table, in chunks, in the order of its key. `run` runs a
    statement in the transaction that is open."""
    select = f"SELECT {', '.join(columns)} FROM {model.schema}.{table}"
    async for rows in fetched(run, f"{select} ORDER BY {model.tables[table]}"):
        yield [dict(zip(columns, row, strict=True)) for row in rows]


async def fetched(run: Run, select: str) -> AsyncIterator[Sequence[Row]]:
    """Yield the rows of a statement in chunks. `run` runs one in the transaction that is open."""
    await run(Statement(f"DECLARE fetched NO SCROLL CURSOR FOR {select}"))
    while rows := await run(Statement(f"FETCH {PAGE_ROWS} FROM fetched")):
        yield rows
    await run(Statement("CLOSE fetched"))
