"""A primary's batches in PostgreSQL: each one transaction, which holds the mark's lock (P4)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bazar.errors import FatalError, Unavailable
from bazar.replication.messages import Entry, Mark
from bazar.replication.store import Extend, Operation, Outcome
from storage.history import number_of
from storage.postgresql.link import Link
from storage.postgresql.model import Model
from storage.postgresql.session import Broken, Refused, Result, Statement
from storage.postgresql.transaction import COMMIT, check_committed

log = logging.getLogger(__name__)

NOWHERE = Mark(-1, "")  # no database is there
TRIES = 2
BEGIN_S = 2.0  # then it is begun again, over another connection


class PostgreSQLStore:
    """The `SharedStore` of one node, on a connection of its own."""

    def __init__(self, link: Link, model: Model) -> None:
        self._link = link
        self._model = model
        self._mark = NOWHERE  # what this primary has written last
        self.keep_from: int | None = None
        mark = f"{model.schema}.mark"
        lock = f"SELECT epoch_id, number FROM {mark} FOR NO KEY UPDATE"
        self._lock = Statement(lock, prepared=True)
        self._set = f"UPDATE {mark} SET number = $1 WHERE epoch_id = $2 AND number = $3"

    def seed(self) -> Sequence[Operation]:
        return self._model.seed()

    def begin_epoch(self, mark: Mark) -> None:
        """Go on from the mark that the take-over has confirmed (P4)."""
        self._mark = mark
        self._link.disconnect()  # the server may have forgotten this one, or another leads now

    async def execute(
        self, operations: Sequence[Operation], epoch: int, extend: Extend
    ) -> tuple[list[Outcome], tuple[Entry, ...]]:
        """Lock the mark, decide `operations` behind it, and write what they come to. Raises
        FatalError (P4), or Unavailable where the database is out of reach."""
        loads = self._model.loads(operations)
        [locked, *loaded] = await self._begin(self._lock, *loads)
        found = [Mark(number, epoch_id) for epoch_id, number in locked.rows]
        if found != [self._mark]:
            raise FatalError(f"the database is at {found}, and this primary has left {self._mark}")
        first = number_of(epoch, self._mark.seq + 1)
        rows = [result.rows for result in loaded]
        outcomes = self._model.execute(operations, rows, first)
        entries = extend(outcomes)
        if entries:
            await self._append(entries)
        else:
            await self.rollback()
        return outcomes, entries

    async def _begin(self, *statements: Statement) -> Sequence[Result]:
        """Begin a transaction. Nobody has heard of it yet, so it may be begun again, whatever for:
        a deadlock, or a session that is gone. Raises Unavailable."""
        for turn in range(TRIES):
            try:
                return await self._link.begin(*statements, timeout_s=BEGIN_S)
            except (Broken, Refused) as error:
                if turn + 1 == TRIES:
                    raise Unavailable(str(error)) from error
                log.info("a batch is begun again: %s", error)
        raise AssertionError("unreachable")

    async def _append(self, entries: tuple[Entry, ...]) -> None:
        """Write the batch's rows and the next mark."""
        mark = entries[-1].mark
        marks = mark.seq, self._mark.digest, self._mark.seq
        after = Statement(self._set, marks, prepared=True)
        try:
            reply = await self._link.go_on(*self._model.writes(entries), after)
        except Broken as error:
            raise Unavailable(str(error)) from error
        if reply.results[-1].tag != "UPDATE 1":
            raise FatalError(f"the database is not at {self._mark} any more")

    async def rollback(self) -> None:
        """Undo the open transaction, if there is one."""
        await self._link.roll_back()

    async def commit(self, mark: Mark) -> None:
        """Commit up to `mark`. Raises FatalError unless that is confirmed (P5)."""
        try:
            check_committed(await self._link.go_on(COMMIT))
        except (Broken, Refused) as error:
            raise FatalError(f"entry {mark.seq} is in doubt: {error}") from error
        self._mark = mark

    def disconnect(self) -> None:
        """Give up what is under way, at once."""
        self._link.disconnect()
