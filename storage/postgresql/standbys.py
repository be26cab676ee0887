"""How the servers of a database stand to each other: who takes writes, and how far behind the
others are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from storage.postgresql.session import Broken, Refused, Servers, Session, Statement

LOOK_S = 2.0
AGAIN_S = 1.0  # between two looks of a node that is asked for them

STANDING = Statement(
    "SELECT pg_is_in_recovery(), (CASE WHEN pg_is_in_recovery()"
    " THEN COALESCE(pg_last_wal_replay_lsn(), '0/0')"
    " ELSE pg_current_wal_lsn() END - '0/0'::pg_lsn)::bigint,"
    " current_setting('synchronous_standby_names')"
)


@dataclass(frozen=True, slots=True)
class ServerStanding:
    """What one server says. `lag` is how many bytes of the log it has not shown yet, None where
    nobody takes writes; `waits_for` names the standbys that a commit waits for."""

    name: str
    writes: bool
    lag: int | None = None
    waits_for: str = ""
    trouble: str = ""

    def __str__(self) -> str:
        if self.trouble:
            return f"{self.name} does not answer: {self.trouble}"
        if self.writes:
            waits = f"; a commit waits for {self.waits_for}" if self.waits_for else ""
            return f"{self.name} takes writes{waits}"
        behind = "" if self.lag is None else f", {self.lag:,} bytes behind"
        return f"{self.name} is a standby{behind}"

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        shown = {"writes": self.writes, "lag": self.lag, "answers": not self.trouble}
        return {"name": self.name, **shown}


class Standbys:
    """Looks at all servers of a database, on sessions of its own."""

    def __init__(self, servers: Servers, clock: Callable[[], float]) -> None:
        self._servers = servers
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._seen: Sequence[ServerStanding] = ()
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    async def look(self) -> Sequence[ServerStanding]:
        """Return what each server says now."""
        said = await asyncio.gather(*map(self._ask, self._servers.names))
        # A standby may have gone on since the other was asked.
        ends = [at for writes, at, *_ in said if writes]
        end = max(ends, default=None)
        self._seen = [
            ServerStanding(
                *(name, writes),
                None if end is None or at is None else max(end - at, 0),
                waits_for,
                trouble,
            )
            for name, (writes, at, waits_for, trouble) in zip(
                self._servers.names, said, strict=True
            )
        ]
        return self._seen

    async def _ask(self, name: str) -> tuple[bool, Any, str, str]:
        try:
            session = self._sessions.get(name)
            if session is None or session.broken:
                session = self._sessions[name] = await self._servers.connect(name, LOOK_S)
            reply = await session.run(STANDING, timeout_s=LOOK_S)
        except (Broken, Refused) as error:
            return False, None, "", str(error)
        [(in_recovery, at, waits_for)] = reply.results[0].rows
        return not in_recovery, at, waits_for, ""

    def seen(self) -> Sequence[ServerStanding]:
        """Return what was seen lately, and have a look for the next who asks."""
        if self._looking is None and self._clock() >= self._looked_at + AGAIN_S:
            self._looking = asyncio.create_task(self._refresh())
        return self._seen

    async def _refresh(self) -> None:
        try:
            await self.look()
        finally:
            self._looked_at, self._looking = self._clock(), None

    async def close(self) -> None:
        """End all sessions."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        for session in self._sessions.values():
            await session.close()
