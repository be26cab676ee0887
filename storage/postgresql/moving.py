"""A whole shop in PostgreSQL, as a move reads or writes it (`storage/moving.py`).

It is safe beside nodes by the same two rows as a primary. What is copied from, or to, is locked for
as long as that takes: the beat, so that nobody takes over, then the mark, so that nobody writes and
what an old primary has left in doubt is decided first (P3, P4). A place is only held after the beat
has stood still for as long as a candidate would wait; a new one must never have had an epoch. All
that is copied is one transaction of each group, which compares the beat with what it was, as a
take-over does, and ends with the beat released. So a candidate that waited at the lock finds
another beat than the one it has seen, and looks again.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from bazar import clock
from bazar.errors import BazarError, ConfigError, Conflict, FatalError, NotFound, Unavailable
from bazar.replication.messages import Entry
from bazar.replication.shared.database import Beat, Look
from bazar.replication.shared.hold import Tempo, Watch
from storage.images import Image
from storage.moving import Note, Rows, Standing, refuse_filled
from storage.postgresql.group_snapshot import highest_epoch, images
from storage.postgresql.link import Link
from storage.postgresql.model import Model
from storage.postgresql.schema import MOVED, migrate, version_of
from storage.postgresql.session import Broken, Refused, Reply, Row, Servers, Statement
from storage.postgresql.state_tables import Columns
from storage.postgresql.transaction import COMMIT, check_committed
from storage.tags import SEARCHES

LOOK_S = 0.1
LOCK_S = 30.0  # that a batch in doubt may take to be decided
LONGEST_S = 4 * 3600.0  # of one statement: an index of all books is made in one
BEAT = "epoch, epoch_id, value, released, holder, over_ms"
ALL = Entry(0, 0, (SEARCHES,), {}, "")  # touches all searches: the words are indexed, too
LOCKED = "55P03"  # the row is locked by somebody else
NO_LIMIT = Statement("SET LOCAL idle_in_transaction_session_timeout = 0")  # others are copied


class PostgreSQLPlace:
    """A `Source` and a `Target`. Its groups may be in one database or in several."""

    def __init__(
        self,
        servers: Mapping[str, Servers],
        models: Mapping[str, tuple[Model, Mapping[str, Columns]]],
        cluster_id: str,
        tempo: Tempo,
    ) -> None:
        """All by role; of each model the columns of its tables."""
        self._groups = {
            role: _Group(servers[role], *models[role], cluster_id, tempo) for role in models
        }
        names = dict.fromkeys(name for one in servers.values() for name in one.names)
        self.name = f"PostgreSQL at {', '.join(names)}"

    @property
    def notes(self) -> Mapping[str, Note | None]:
        return {role: group.note for role, group in self._groups.items()}

    async def hold(self) -> None:
        holding = (group.hold() for group in self._groups.values())
        for result in await asyncio.gather(*holding, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def standing(self, role: str) -> Standing:
        return await self._groups[role].standing()

    def rows(self, role: str, table: str) -> Rows:
        return self._groups[role].rows(table)

    async def expect(self, roles: Collection[str], note: Note) -> None:
        for role in roles:  # all are looked at before any is written
            self._groups[role].refuse_filled()
        for role in roles:
            await self._groups[role].expect(note)

    async def put(self, role: str, table: str, rows: Sequence[Image]) -> None:
        await self._groups[role].put(table, rows)

    async def settle(self, role: str, standing: Standing) -> None:
        await self._groups[role].settle()

    async def finish(self, standings: Mapping[str, Standing], note: Note) -> None:
        for role, standing in standings.items():
            await self._groups[role].finish(standing, note)

    async def leave(self, note: Note | None) -> None:
        for group in self._groups.values():
            await group.leave(note)

    async def close(self) -> None:
        for group in self._groups.values():
            await group.close()


class _Group:
    """One group's tables, in a transaction that has the locks once it is held."""

    def __init__(
        self,
        servers: Servers,
        model: Model,
        columns: Mapping[str, Columns],
        cluster_id: str,
        tempo: Tempo,
    ) -> None:
        self._link, self._aside = Link(servers, LONGEST_S), Link(servers, LONGEST_S)
        self._locked = False
        self._model, self._columns, self._cluster_id = model, columns, cluster_id
        self._watch = Watch(tempo)
        self._schema = model.schema
        self._indexes: list[str] = []  # to be made once all rows are there
        self.note: Note | None = None
        self._beat: Beat | None = None  # None: there are no tables
        self._number = 0

    @property
    def _place(self) -> str:
        return f"{self._link.server}, schema {self._schema}"

    async def _run(self, *statements: Statement, timeout_s: float = LONGEST_S) -> Reply:
        """Run statements in the transaction that has the locks; one alone where there is none."""
        run = self._link.go_on if self._locked else self._link.run
        try:
            return await run(*statements, timeout_s=timeout_s)
        except (Broken, Refused) as error:
            raise self._trouble(error) from error

    def _trouble(self, error: Broken | Refused) -> BazarError:
        if isinstance(error, Refused) and error.sqlstate == LOCKED:
            return Conflict(f"{self._place}: a node takes it over, or another move")
        return Unavailable(f"{self._place}: {error}")

    async def _commit(self, *statements: Statement) -> None:
        try:
            check_committed(await self._run(*statements, COMMIT))
        except Broken as error:
            raise Unavailable(f"{self._place}: {error}: repeat the command") from error

    # --- keeping nodes out -----------------------------------------------------------------------

    async def hold(self) -> None:
        found = Statement(f"SELECT to_regclass('{self._schema}.meta') IS NOT NULL")
        if (await self._run(found)).results[0].rows == ((True,),):
            await self._stands_still()
            await self._lock()

    async def _stands_still(self) -> None:
        """Return once nobody can be primary any more (P3). Raises Conflict where somebody is."""
        look = f"SELECT {BEAT} FROM {self._schema}.beat"
        first: Beat | None = None
        while True:
            reply = await self._run(Statement(look), timeout_s=LOCK_S)
            beat, now = Beat(*reply.results[0].rows[0]), clock.now()
            if first is not None and beat != first:
                raise Conflict(
                    f"{self._place}: the shop runs, and {beat.holder} leads: stop all of its nodes"
                )
            # Released or not: a node that runs would take it over, or show that it lives.
            seen = dataclasses.replace(beat, released=False)
            over = self._watch.saw(Look(seen, self._link.number), now)
            first = beat
            if over or beat.epoch == 0:
                self._beat = beat
                return
            await asyncio.sleep(LOOK_S)

    async def _lock(self) -> None:
        """Begin the transaction that keeps nodes out. Raises Conflict where the beat is not what it
        was."""
        locked = f"SELECT {BEAT} FROM {self._schema}.beat"
        mark = f"SELECT number FROM {self._schema}.mark FOR UPDATE"
        meta = f"SELECT name, value FROM {self._schema}.meta"
        try:
            _, beat, number, known = await self._link.begin(
                *(NO_LIMIT, Statement(f"{locked} FOR UPDATE NOWAIT"), Statement(mark)),
                Statement(meta),
                timeout_s=LOCK_S,
            )
        except (Broken, Refused) as error:
            raise self._trouble(error) from error
        self._locked = True
        if self._beat not in (None, Beat(*beat.rows[0])):
            raise Conflict(f"{self._place}: a node has taken it over meanwhile: stop all nodes")
        self._beat = Beat(*beat.rows[0])
        [(self._number,)] = number.rows
        names: dict[str, str] = dict(known.rows)
        version = version_of(names, self._place, self._model, self._cluster_id)
        if version < len(self._model.migrations):
            raise ConfigError(
                f"{self._place}: has version {version}, and this program makes"
                f" {len(self._model.migrations)}: start the shop with this program first"
            )
        self.note = Note.of(names[MOVED]) if MOVED in names else None

    async def close(self) -> None:
        self._link.disconnect()  # what is not committed is undone
        await self._aside.close()

    # --- the place that a shop leaves ------------------------------------------------------------

    async def standing(self) -> Standing:
        if not self._number:
            raise NotFound(f"{self._link.server}: has no shop in {self._schema}")
        [(epoch,)] = await self._rows_of(highest_epoch(self._schema, self._columns))
        return Standing(epoch, self._number)

    def rows(self, table: str) -> AsyncIterator[Sequence[Image]]:
        return images(self._rows_of, self._model, table, list(self._columns[table]))

    async def _rows_of(self, statement: Statement) -> Sequence[Row]:
        return (await self._run(statement)).results[-1].rows

    async def leave(self, note: Note | None) -> None:
        await self._commit(*self._noted(note))

    def _noted(self, note: Note | None) -> list[Statement]:
        """Return what writes the note, or deletes it."""
        meta = f"{self._schema}.meta"
        noted = [Statement(f"DELETE FROM {meta} WHERE name = $1", (MOVED,))]
        if note is not None:
            insert = f"INSERT INTO {meta} (name, value) VALUES ($1, $2)"
            noted.append(Statement(insert, (MOVED, note.text)))
        return noted

    # --- the place that it comes to --------------------------------------------------------------

    def refuse_filled(self) -> None:
        """Raise Conflict unless this group has never begun."""
        if self._beat is not None and (self._beat.epoch or self._number):
            found = f"has a shop in {self._schema} already"
            then = f"name a database without one, or there: DROP SCHEMA {self._schema} CASCADE"
            refuse_filled(str(self._link.server), found, self.note, then)

    async def expect(self, note: Note) -> None:
        """Note that a shop arrives, and begin the transaction in which it does: it alone makes it
        one. What an interrupted move has written was never committed."""
        if self._beat is None:
            try:
                await migrate(await self._link.session(), self._model, self._cluster_id)
            except (Broken, Refused) as error:
                raise Unavailable(f"{self._place}: has no tables: {error}") from error
            await self._lock()
            self.refuse_filled()
        # Beside the transaction that has the locks: a candidate that waits for them gets none.
        try:
            await self._aside.whole(*self._noted(note))
        except (Broken, Refused) as error:
            raise Unavailable(f"{self._place}: {error}: repeat the command") from error
        await self._put_off_indexes()

    async def _put_off_indexes(self) -> None:
        """Drop the indexes that are made faster once all rows are there."""
        found = await self._run(
            Statement(
                "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index i"
                " JOIN pg_class c ON c.oid = indrelid WHERE relnamespace = $1::text::regnamespace"
                " AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)",
                (self._schema,),
            )
        )
        rows = found.results[0].rows
        self._indexes = [definition for _, definition in rows]
        for name, _ in rows:
            await self._run(Statement(f"DROP INDEX {name}"))

    async def put(self, table: str, rows: Sequence[Image]) -> None:
        entry = dataclasses.replace(ALL, effects={"put": {table: list(rows)}})
        try:
            await self._run(*self._model.writes([entry]))
        except Unavailable:
            key = self._model.tables[table]
            for row in rows:
                if any("\0" in value for value in row.values() if isinstance(value, str)):
                    raise FatalError(
                        f"{table} {row[key]!r}: has a NUL character, which PostgreSQL can't keep"
                    ) from None
            raise

    async def settle(self) -> None:
        for definition in self._indexes:
            await self._run(Statement(definition))
        for table in self._columns:
            await self._run(Statement(f"ANALYZE {self._schema}.{table}"))

    async def finish(self, standing: Standing, note: Note) -> None:
        newest = f"SELECT id FROM {self._schema}.history ORDER BY epoch DESC LIMIT 1"
        [*found] = (await self._run(Statement(newest))).results[0].rows
        newest_id = found[0][0] if found else ""
        beat = (
            f"UPDATE {self._schema}.beat SET epoch = $1, epoch_id = $2, value = $2, released = true"
            ", holder = NULL, over_ms = 0 WHERE epoch = 0 AND released"
        )
        reply = await self._run(Statement(beat, (standing.epoch, f"moved-{note.id}")))
        if reply.results[0].tag != "UPDATE 1":
            raise Conflict(f"{self._place}: a node has taken it over meanwhile")
        mark = f"UPDATE {self._schema}.mark SET epoch_id = $1, number = $2"
        await self._commit(Statement(mark, (newest_id, standing.number)), *self._noted(note))
