"""One node's engine over PostgreSQL: what it opens, refuses, and leaves."""

from __future__ import annotations

import asyncio
import math
import os
import tempfile
import unittest
from pathlib import Path
from typing import Any

from bazar.config import EngineConfig, NodeConfig, ReplicationConfig
from bazar.errors import BazarError, ConfigError
from bazar.replication.part import Wiring
from bazar.replication.shared.hold import Tempo
from bazar.rpc.frames import dial
from storage.catalog import Catalog
from storage.postgresql.catalog import CatalogRows, PostgreSQLCatalogReader
from storage.postgresql.engine import PostgreSQLEngine, cluster_id_of, id_of_cluster
from tests.unit.storage.postgresql.scripted import ScriptedServers

LEASE_S, PAUSE_S = 1.0, 0.5
SHORTEST_S = Tempo(pause_s=PAUSE_S).shortest_s(LEASE_S)


class EngineTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.lock_path = Path(directory.name) / "catalog-1.pid"

    def engine(
        self, primary_lease_s: float = SHORTEST_S, lock_path: Path | None = None
    ) -> PostgreSQLEngine[PostgreSQLCatalogReader]:
        servers = ScriptedServers(["one:1"], lambda server, statement: [])
        settings = EngineConfig(
            "postgresql", ("one:1",), primary_lease_s=primary_lease_s, pause_s=PAUSE_S
        )
        model = CatalogRows(Catalog())
        return PostgreSQLEngine(settings, servers, model, PostgreSQLCatalogReader, lock_path)

    def part(self, engine: PostgreSQLEngine[PostgreSQLCatalogReader]) -> None:
        nobody: Any = None
        engine.part(
            Wiring(
                NodeConfig("catalog-1", "catalog"),
                [],
                ReplicationConfig(lease_s=LEASE_S),
                token="token",
                dial=dial,
                run="run",
                clock=asyncio.get_running_loop().time,
                forward=nobody,
                knock=nobody,
                on_commit=nobody,
                on_install=nobody,
                on_fatal=nobody,
            )
        )

    async def test_a_primarys_lease_is_as_long_as_those_of_its_readers_need(self) -> None:
        self.part(self.engine(SHORTEST_S))
        with self.assertRaisesRegex(ConfigError, "engine.primary_lease_s: .* too short"):
            self.part(self.engine(math.nextafter(SHORTEST_S, 0)))

    async def test_a_node_runs_once_on_a_machine(self) -> None:
        one, other = (self.engine(lock_path=self.lock_path) for _ in range(2))
        self.part(one)
        self.assertTrue(await one.open())
        self.assertEqual(self.lock_path.read_text("utf-8").strip(), str(os.getpid()))
        with self.assertRaisesRegex(BazarError, "catalog-1 runs already"):
            await other.open()
        await one.close()
        self.part(other)
        await other.open()
        await other.close()

    async def test_one_that_keeps_no_lock_opens_and_ends(self) -> None:
        engine = self.engine()
        self.part(engine)
        self.assertTrue(await engine.open())
        await engine.close()


def test_databases_know_a_shop_by_its_token_unless_it_was_told_another_id() -> None:
    """What they know was written by the programs of years: another id would lock each shop out."""
    made = "84e2d1c6f59a63f07a84a1d555d83c88"
    assert id_of_cluster("token") == made
    assert cluster_id_of(EngineConfig("postgresql"), "token") == made
    assert cluster_id_of(EngineConfig("postgresql", cluster_id="known"), "token") == "known"
