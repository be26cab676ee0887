"""A group's database, as one node reaches it: two connections to whichever server takes writes."""

from __future__ import annotations

from collections.abc import Mapping

from bazar.errors import ConfigError, Unavailable
from storage.postgresql.link import Link
from storage.postgresql.model import Model
from storage.postgresql.register import PostgreSQLRegister
from storage.postgresql.schema import migrate, upgrade
from storage.postgresql.session import Broken, Refused, Servers, Statement
from storage.postgresql.standbys import Standbys
from storage.postgresql.store import PostgreSQLStore

SYNCHRONOUS = Statement("SELECT current_setting('synchronous_standby_names')")


class PostgreSQLDatabase:
    """The `Database` of one node. `cluster_id` is that of its shop (P6); `silence_s` is how long a
    primary may be silent amid a batch."""

    def __init__(
        self,
        servers: Servers,
        model: Model,
        node: str,
        cluster_id: str,
        silence_s: float,
        *,
        may_lose_commits: bool,
        standbys: Standbys,
    ) -> None:
        self._servers = servers
        self._standbys = standbys
        self._model = model
        self._cluster_id = cluster_id
        self._may_lose_commits = may_lose_commits
        self._beats = Link(servers, silence_s)
        self._batches = Link(servers, silence_s, beside=self._beats)
        self._derives = Link(servers, silence_s, beside=self._beats)
        self.register = PostgreSQLRegister(self._beats, model.schema, node)
        self.store = PostgreSQLStore(self._batches, model)

    async def open(self) -> str:
        """Return the database's id once the group's tables are there. Raises Unavailable or
        ConfigError."""
        try:
            session = await self._batches.session()
            if len(self._servers.names) > 1 and not self._may_lose_commits:
                await self._refuse_asynchronous()
            return await migrate(session, self._model, self._cluster_id)
        except (Broken, Refused) as error:
            self._batches.disconnect()
            raise Unavailable(f"the database is not open: {error}") from error
        except ConfigError:
            await self.close()
            raise

    async def _refuse_asynchronous(self) -> None:
        """Raise ConfigError where a failover would lose what was acknowledged: then two servers
        could confirm the beats of two primaries."""
        reply = await self._batches.run(SYNCHRONOUS)
        if reply.results[0].rows == (("",),):
            raise ConfigError(
                f"{self._batches.server}: replicates asynchronously, so that a failover loses"
                " acknowledged sales: set synchronous_standby_names (Patroni: synchronous_mode and"
                ' synchronous_mode_strict), or say "may_lose_commits": true in `engine`'
            )

    async def upgrade(self, epoch_id: str) -> None:
        """Bring the tables up to this program's version, as the primary of this epoch."""
        try:
            await upgrade(await self._batches.session(), self._model, epoch_id)
        except (Broken, Refused) as error:
            self._batches.disconnect()
            raise Unavailable(f"the tables are not upgraded: {error}") from error

    async def derive(self, epoch_id: str) -> bool:
        """Make the next slice of what is derived from the rows, as the primary of this epoch."""
        try:
            return await self._model.derive(await self._derives.session(), epoch_id)
        except (Broken, Refused) as error:
            self._derives.disconnect()
            raise Unavailable(f"nothing is derived from the rows: {error}") from error

    def status(self) -> Mapping[str, object]:
        """Return what an operator wants to know of the servers, as JSON."""
        return {
            "servers": list(self._servers.names),
            "writes": self._beats.server,
            "standing": [one.plain() for one in self._standbys.seen()],
        }

    async def close(self) -> None:
        """End all sessions."""
        await self._beats.close()
        await self._batches.close()
        await self._derives.close()
        await self._standbys.close()
