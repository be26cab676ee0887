"""Random schedules: what comes of the same statements, in the same order, on any servers.

One session runs a statement at a time, until it is done or waits for a lock. While one waits no
other one may begin to wait: who comes first then would be a matter of chance, on real servers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random

from storage.postgresql.session import Refused, Reply, Session
from tests.facts.lab import Lab, do, opened, prepare, rows

SESSIONS = 3
STEPS = 60
BLOCKED = "SELECT pid FROM pg_locks WHERE NOT granted"


class Actor:
    """One session of a schedule, and what it does."""

    def __init__(self, name: str, session: Session) -> None:
        self.name = name
        self.session = session
        self.in_block = False
        self.sql = ""
        self.running: asyncio.Task[Reply] | None = None

    def begin(self, sql: str) -> None:
        self.sql = sql
        self.running = asyncio.get_running_loop().create_task(do(self.session, sql))

    async def outcome(self) -> str:
        """Return what its statement has come to."""
        assert self.running is not None
        [answer] = await asyncio.gather(self.running, return_exceptions=True)
        self.running = None
        if isinstance(answer, Refused):
            return f"{self.name}: {self.sql} -> {answer.sqlstate}"
        if isinstance(answer, BaseException):
            raise answer
        result = answer.results[0]
        self.in_block = (self.in_block or result.tag == "BEGIN") and (
            result.tag not in ("COMMIT", "ROLLBACK")
        )
        return f"{self.name}: {self.sql} -> {result.tag} {sorted(result.rows)}"


class Schedule:
    """What a seed decides."""

    def __init__(self, table: str, seed: int) -> None:
        self._table = table
        self._random = Random(seed)
        self._next_id = 3
        """Inserted next. A row that is deleted is never inserted anew."""

    def actor(self, actors: list[Actor]) -> Actor:
        return self._random.choice([actor for actor in actors if actor.running is None])

    def statement(self, actor: Actor, *, may_wait: bool) -> str:
        random = self._random
        if actor.in_block and random.random() < 0.25:
            return random.choice(("COMMIT", "COMMIT", "ROLLBACK"))
        if not actor.in_block and random.random() < 0.8:
            return random.choice(("BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ"))
        options = self._writes() if may_wait else self._reads(" NOWAIT")
        return random.choice([*self._reads("" if may_wait else " NOWAIT"), *options])

    def _where(self) -> str:
        random = self._random
        row = random.randrange(1, self._next_id + 1)
        if random.random() < 0.7:
            return f"WHERE id = {row}"
        return f"WHERE id = {row} AND n < {random.randrange(40)}"

    def _reads(self, wait: str) -> Iterator[str]:
        yield f"SELECT id, n FROM {self._table}"
        for strength in ("KEY SHARE", "SHARE", "NO KEY UPDATE", "UPDATE"):
            yield f"SELECT id, n FROM {self._table} {self._where()} FOR {strength}{wait}"

    def _writes(self) -> Iterator[str]:
        table, more = self._table, self._random.randrange(1, 9)
        for _ in range(3):
            yield f"UPDATE {table} SET n = n + {more} {self._where()} RETURNING n"
        if self._random.random() < 0.3:
            yield f"DELETE FROM {table} {self._where()} RETURNING id"
        if self._random.random() < 0.3:
            self._next_id += 1
        insert = f"INSERT INTO {table} (id, n) VALUES ({self._next_id}, {more})"
        yield insert
        yield f"{insert} ON CONFLICT DO NOTHING"
        yield f"{insert} ON CONFLICT (id) DO UPDATE SET n = excluded.n + {table}.n RETURNING n"


async def played(lab: Lab, seed: int) -> list[str]:
    """Return what comes of a schedule: the outcome of each statement, in the order in which they
    are known."""
    table = f"schedule_{seed}"
    await prepare(lab, table)
    schedule, told = Schedule(table, seed), []
    async with opened(lab, *["one"] * (SESSIONS + 1)) as (watcher, *sessions):
        actors = [Actor(name, session) for name, session in zip("ABC", sessions, strict=True)]

        async def settled() -> bool:
            """Return whether all that runs waits for a lock that somebody holds."""
            running = sum(not one.running.done() for one in actors if one.running)
            return len(await rows(watcher, BLOCKED)) == running

        for step in range(STEPS):
            waits = any(one.running for one in actors)
            actor = schedule.actor(actors)
            ends = step >= STEPS - 2 * SESSIONS and actor.in_block
            actor.begin("ROLLBACK" if ends else schedule.statement(actor, may_wait=not waits))
            await lab.until(settled)
            for one in actors:
                if one.running is not None and one.running.done():
                    told.append(await one.outcome())
                elif one is actor:
                    told.append(f"{one.name}: {one.sql} waits")
        told.append(str(await rows(watcher, f"SELECT id, n FROM {table} ORDER BY id")))
        for actor in actors:
            actor.session.abort()
        await asyncio.gather(
            *(actor.running for actor in actors if actor.running), return_exceptions=True
        )
    return told
