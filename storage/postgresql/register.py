"""The beat and the mark of a group, as rows of PostgreSQL (P1, P3, P7)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bazar.errors import FatalError, Unavailable
from bazar.replication.messages import Mark
from bazar.replication.shared.database import Beat, Look, Word
from storage.postgresql.link import Link
from storage.postgresql.session import Broken, Refused, Reply, Statement
from storage.postgresql.transaction import BEGIN, COMMIT, check_committed

SHORTEST_S = 0.01


class PostgreSQLRegister:
    """A `Register` on a connection of its own: no batch delays a beat."""

    def __init__(self, link: Link, schema: str, node: str) -> None:
        self._link = link
        self._node = node
        self._turn = asyncio.Lock()  # a release comes beside a beat
        beat = "epoch, epoch_id, value, released, holder"
        self._look = f"SELECT pg_is_in_recovery(), {beat} FROM {schema}.beat"
        self._beat = f"UPDATE {schema}.beat SET value = $1 WHERE epoch_id = $2 AND NOT released"
        self._words = f"SELECT node, value, hears FROM {schema}.waiting"
        self._take_beat = (
            f"UPDATE {schema}.beat SET epoch = $1, epoch_id = $2, value = $3, released = false,"
            " holder = $4 WHERE epoch_id = $5 AND value = $6 AND released = $7"
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
        async with self._turn:
            reply = await self._run("the beat can't be read", Statement(self._look))
            [(in_recovery, *beat)] = reply.results[0].rows
            if in_recovery:
                self._link.disconnect()
                raise Unavailable("the database server has become a standby")
            return Look(Beat(*beat), self._link.number)

    async def take_over(self, seen: Beat, epoch: int, epoch_id: str) -> Mark | None:
        """Begin an epoch, if the beat is still the one that was `seen` (P3)."""
        what = "the take-over"
        async with self._turn:
            new = (epoch, epoch_id, f"{epoch_id}:0", self._node)
            old = (seen.epoch_id, seen.value, seen.released)
            reply = await self._run(what, *BEGIN, Statement(self._take_beat, (*new, *old)))
            if reply.results[-1].tag != "UPDATE 1":
                await self._link.roll_back()
                return None
            reply = await self._run(what, Statement(self._take_mark, (epoch_id,)))
            [(number,)] = reply.results[0].rows
            tell = Statement(self._tell, (epoch, epoch_id, number))
            await self._commit(what, tell, COMMIT)
            return Mark(number, epoch_id)

    async def beat(self, epoch_id: str, value: str, timeout_s: float) -> Sequence[Word]:
        """Set the beat of our epoch, and return what candidates say. Raises FatalError if the epoch
        is over."""
        async with self._turn:
            set_beat = Statement(self._beat, (value, epoch_id))
            words = Statement(self._words)
            reply = await self._commit(
                "the beat", *BEGIN, set_beat, words, COMMIT, timeout_s=max(timeout_s, SHORTEST_S)
            )
            changed, found, _ = reply.results[-3:]
            if changed.tag != "UPDATE 1":
                raise FatalError(f"{self._node}: another primary has taken over")
            return [Word(*row) for row in found.rows]

    async def release(self, epoch_id: str) -> None:
        """Say that the epoch is over, and its leases, too (T5)."""
        async with self._turn:
            release = Statement(self._release, (epoch_id,))
            await self._commit("the hand-over", *BEGIN, release, COMMIT)

    async def leave_word(self, word: Word) -> None:
        """Leave word for the primary (P7)."""
        async with self._turn:
            leave = Statement(self._leave, (word.node, word.value, word.hears))
            await self._run("no word can be left", leave)

    def disconnect(self) -> None:
        """Give up what is under way, at once, and connect anew next time."""
        self._link.disconnect()

    async def _commit(
        self, what: str, *statements: Statement, timeout_s: float | None = None
    ) -> Reply:
        """Run the rest of a transaction, and return once it is confirmed (P5)."""
        reply = await self._run(what, *statements, timeout_s=timeout_s)
        try:
            check_committed(reply)
        except Broken as error:
            self._link.disconnect()
            raise Unavailable(f"{what}: {error}") from error
        return reply

    async def _run(
        self, what: str, *statements: Statement, timeout_s: float | None = None
    ) -> Reply:
        bound = {} if timeout_s is None else {"timeout_s": timeout_s}
        try:
            return await self._link.run(*statements, **bound)
        except (Broken, Refused) as error:
            raise Unavailable(f"{what}: {error}") from error
