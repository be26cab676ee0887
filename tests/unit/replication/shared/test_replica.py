"""Who may lead, over a real database: what ends a primary, and its process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from bazar.config import EngineConfig, NodeConfig, ReplicationConfig
from bazar.replication.arbiter import Knock
from bazar.replication.messages import ArbiterId
from bazar.replication.part import Wiring
from bazar.replication.shared.replica import SharedReplica
from bazar.rpc.frames import dial
from storage.catalog import Catalog
from storage.postgresql.catalog import CatalogRows, PostgreSQLCatalogReader
from storage.postgresql.engine import PostgreSQLEngine
from tests.patience import PATIENCE_S
from tests.unit.storage.postgresql.database import DatabaseCase, servers_of


class LeadingTest(DatabaseCase):
    """One catalog, alone."""

    @contextlib.asynccontextmanager
    async def replica(self) -> AsyncIterator[SharedReplica]:
        self.fatal: list[str] = []
        wiring = Wiring(
            NodeConfig("catalog-1", "catalog"),
            [],
            ReplicationConfig(),
            token="token",
            dial=dial,
            run="run",
            clock=asyncio.get_running_loop().time,
            forward=lambda node, operation: self.fail("nobody to pass it on to"),
            knock=lambda node, knock: self.fail("nobody to ask"),
            on_commit=lambda entries: None,
            on_install=self.nothing,
            on_fatal=lambda error: self.fatal.append(str(error)),
        )
        servers = servers_of(self._conninfo)
        settings = EngineConfig("postgresql", tuple(servers.names), primary_lease_s=PATIENCE_S)
        engine = self.engine = PostgreSQLEngine(
            settings, servers, CatalogRows(Catalog()), PostgreSQLCatalogReader
        )
        replica = engine.part(wiring)
        await replica.start()
        try:
            yield replica
        finally:
            await replica._tasks.close()
            await replica._tenure.close()
            await engine.close()

    async def nothing(self) -> None:
        pass

    async def test_it_leaves_no_session_behind(self) -> None:
        async with self.replica() as replica:
            await asyncio.wait_for(replica.leading.wait(), PATIENCE_S)
            await self.engine.reader.info([4])
            self.assertGreater(await self.other_sessions(), 2)
        await self.until_others()

    async def test_a3_of_two_primaries_the_one_whose_log_is_shorter_ends_its_process(self) -> None:
        """Else it would lead again."""
        async with self.replica() as replica:
            await asyncio.wait_for(replica.leading.wait(), PATIENCE_S)
            theirs = Knock("catalog-2", ArbiterId("another", "a copy"), 1 << 60)
            answer = Knock.load(replica.knocked(theirs.plain()))
            self.assertIsNone(answer.leads)
            [why] = self.fatal
            self.assertIn("two clusters run by one configuration: catalog-1 with", why)
            self.assertIn("The log of catalog-2 is longer", why)
