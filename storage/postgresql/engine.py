"""One node's engine over PostgreSQL: it keeps nothing on its own disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from bazar.config import EngineConfig
from bazar.errors import ConfigError
from bazar.replication.file_arbiter import lock_exclusively
from bazar.replication.messages import ArbiterId
from bazar.replication.part import Wiring
from bazar.replication.shared.hold import Tempo
from bazar.replication.shared.replica import SharedReplica
from storage.postgresql.database import PostgreSQLDatabase
from storage.postgresql.model import Model
from storage.postgresql.reading import LinearizableSnapshots, ReadSessions
from storage.postgresql.session import Servers
from storage.postgresql.snapshots import Snapshots
from storage.postgresql.standbys import Standbys

R = TypeVar("R")


class PostgreSQLEngine(Generic[R]):
    """The `Engine` of a group whose nodes may be on many machines."""

    reader: R

    def __init__(
        self,
        settings: EngineConfig,
        servers: Servers,
        model: Model,
        reader: Callable[[Snapshots], R],
        lock_path: Path | None = None,
    ) -> None:
        """`lock_path` is that of the node's name on this machine."""
        self._settings = settings
        self._lock_path = lock_path
        self._alone: int | None = None
        self._servers = servers
        self._model = model
        self._reader = reader

    async def open(self) -> bool:
        """Lock the node's name for this process: an operator finds that by it. Return True: nothing
        is kept here that could be damaged. Raises ConfigError."""
        if self._lock_path is not None:
            self._alone = lock_exclusively(self._lock_path)
        return True

    def part(self, wiring: Wiring) -> SharedReplica:
        """Return this node's part in its group. Raises ConfigError where no lease would fit into
        the primary's (P2)."""
        settings, lease_s = self._settings, wiring.settings.lease_s
        tempo = Tempo(settings.primary_lease_s, settings.pause_s)
        if tempo.primary_lease_s < tempo.shortest_s(lease_s):
            raise ConfigError(
                f"engine.primary_lease_s: {tempo.primary_lease_s:g} is too short for a lease_s of"
                f" {lease_s:g} and a pause_s of {tempo.pause_s:g}: at least"
                f" {tempo.shortest_s(lease_s):.2f}"
            )
        cluster_id = cluster_id_of(settings, wiring.token)
        self._database = PostgreSQLDatabase(
            *(self._servers, self._model, wiring.me.name, cluster_id, tempo.primary_lease_s),
            may_lose_commits=settings.may_lose_commits,
            standbys=Standbys(self._servers, wiring.clock),
        )
        home = ArbiterId(cluster_id, ", ".join(self._servers.names))
        replica = SharedReplica(wiring, self._database, tempo, home)
        self._reading = ReadSessions(self._servers, self._model.schema)
        self.reader = self._reader(LinearizableSnapshots(replica.shown, self._reading))
        return replica

    async def check(self) -> None:
        """Return at once."""

    async def close(self) -> None:
        """End all sessions."""
        await self._reading.close()
        await self._database.close()
        if self._alone is not None:
            os.close(self._alone)


def cluster_id_of(settings: EngineConfig, token: str) -> str:
    """Return by what the databases know this shop (P6)."""
    return settings.cluster_id or id_of_cluster(token)


def id_of_cluster(token: str) -> str:
    """Return the id that all nodes of one shop have in common, and no others (P6)."""
    return hashlib.blake2b(token.encode(), digest_size=16, person=b"bazar cluster").hexdigest()
