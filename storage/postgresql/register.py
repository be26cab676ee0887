"""The beat and the mark of a group, as rows of PostgreSQL (P1, P3, P7)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from bazar.errors import FatalError, Unavailable
from bazar.replication.messages import Mark
from bazar.replication.shared.database import Beat, Look, Word
from storage.postgresql.link import Link
from storage.postgresql.session import Broken, Refused, Statement
from storage.postgresql.transaction import COMMIT, check_committed

SHORTEST_S = 0.01


class PostgreSQLRegister:
    """A `Register` on a connection of its own: no batch delays a beat."""

    def __init__(self, link: Link, schema: str, node: str) -> None:
        self._link = link
        self._node = node
        self._turn = asyncio.Lock()  # a release comes beside a beat
        beat = "epoch, epoch_id, value, released, holder, over_ms"
        self._look = f"SELECT pg_is_in_recovery(), {beat} FROM {schema}.beat"
        self._beat = f"UPDATE {schema}.beat SET value = $1 WHERE epoch_id = $2 AND NOT released"
        self._number = f"SELECT number FROM {schema}.mark"
        self._words = f"SELECT node, value, hears FROM {schema}.waiting"
        self._take_beat = (
            f"UPDATE {schema}.beat SET epoch = $1, epoch_id = $2, value = $3, released = false,"
            " over_ms = $4, holder = $5 WHERE epoch_id = $6 AND value = $7 AND released = $8"
        )
        # RETURNING shows the newest number, after the wait for a batch that is in doubt; a
        # sub-select beside it, or a snapshot from before the wait, would show an older one (P3).
        self._take_mark = f"UPDATE {schema}.mark SET epoch_id = $1 RETURNING number"
        self._tell = f"INSERT INTO {schema}.history (epoch, id, behind) VALUES ($1, $2, $3)"
        self._release = f"UPDATE {schema}.beat SET released = true WHERE epoch_id = $1"
        self._leave = (
            f"INSERT INTO {schema}.waiting (node, value, hears) VALUES ($1, $2, $3)"
            " ON CONFLICT (node) DO UPDATE SET value = excluded.value, hears = excluded.hears"
        )

    async def look(self) -> Look:
        """Return the beat as a writable server shows it, and over which connection."""
        async with self._turn, self._doubting("the beat can't be read"):
            reply = await self._link.run(Statement(self._look, prepared=True))
            [(in_recovery, *beat)] = reply.results[0].rows
            if in_recovery:
                self._link.disconnect()
                raise Unavailable("the database server has become a standby")
            return Look(Beat(*beat), self._link.number)

    async def take_over(
        self, seen: Beat, new: Beat, before_commit: Callable[[], None]
    ) -> Mark | None:
        """Begin an epoch with the beat `new`, if the beat is still the one that was `seen` (P3)."""
        async with self._turn, self._doubting("the take-over"):
            beat = (new.epoch, new.epoch_id, new.value, new.over_ms, new.holder)
            old = (seen.epoch_id, seen.value, seen.released)
            [changed] = await self._link.begin(Statement(self._take_beat, (*beat, *old)))
            if changed.tag != "UPDATE 1":
                await self._link.roll_back()
                return None
            reply = await self._link.go_on(Statement(self._take_mark, (new.epoch_id,)))
            [(number,)] = reply.results[0].rows
            tell = Statement(self._tell, (new.epoch, new.epoch_id, number))
            before_commit()
            check_committed(await self._link.go_on(tell, COMMIT))
            return Mark(number, new.epoch_id)

    async def beat(
        self, epoch_id: str, value: str, committed: int, timeout_s: float
    ) -> Sequence[Word]:
        """Set the beat of our epoch, and return what candidates say. Raises FatalError if the epoch
        is over, or the database has lost what was committed in it (P4)."""
        async with self._turn, self._doubting("the beat"):
            set_beat = Statement(self._beat, (value, epoch_id), prepared=True)
            changed, mark, found = await self._link.whole(
                set_beat,
                Statement(self._number, prepared=True),
                Statement(self._words, prepared=True),
                timeout_s=max(timeout_s, SHORTEST_S),
            )
            if changed.tag != "UPDATE 1":
                raise FatalError(f"{self._node}: another primary has taken over")
            [(number,)] = mark.rows
            if number < committed:
                raise FatalError(f"{self._node}: the database has lost the entries behind {number}")
            return [Word(*row) for row in found.rows]

    async def release(self, epoch_id: str) -> None:
        """Say that the epoch is over, and its leases, too (T5)."""
        async with self._turn, self._doubting("the hand-over"):
            await self._link.whole(Statement(self._release, (epoch_id,)))

    async def leave_word(self, word: Word) -> None:
        """Leave word for the primary (P7)."""
        async with self._turn, self._doubting("no word can be left"):
            await self._link.run(Statement(self._leave, (word.node, word.value, word.hears)))

    def disconnect(self) -> None:
        """Give up what is under way, at once, and connect anew next time."""
        self._link.disconnect()

    @contextlib.asynccontextmanager
    async def _doubting(self, what: str) -> AsyncIterator[None]:
        """Raise Unavailable where the database has not confirmed it: it is in doubt (P5)."""
        try:
            yield
        except (Broken, Refused) as error:
            self._link.disconnect()
            raise Unavailable(f"{what}: {error}") from error
