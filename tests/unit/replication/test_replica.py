"""Who may lead, on real files: a lock that is deleted, a disk that hangs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from unittest import mock

from bazar.config import NodeConfig, ReplicationConfig
from bazar.errors import FatalError
from bazar.replication.feed_client import FeedClient
from bazar.replication.file_arbiter import FileArbiter
from bazar.replication.messages import (
    GENESIS,
    REPLICA,
    WIRE_VERSION,
    Ack,
    Hello,
    Release,
    Renew,
    encode,
)
from bazar.replication.part import Wiring
from bazar.replication.replica import Replica
from bazar.rpc.frames import FrameConnection, dial
from storage.catalog import Catalog
from storage.sqlite.catalog import CatalogRows
from storage.sqlite.replicated_store import ReplicatedStore
from tests.files import FilesTestCase
from tests.patience import until

LEASE_S = 5.0  # a disk that works may take two of them
SHORT_LEASE_S = 0.2


class LeadingTest(FilesTestCase):
    """One catalog, alone."""

    @contextlib.asynccontextmanager
    async def replica(
        self, store: ReplicatedStore, lease_s: float = LEASE_S
    ) -> AsyncIterator[Replica]:
        self.fatal: list[str] = []
        loop = asyncio.get_running_loop()
        wiring = Wiring(
            NodeConfig("catalog-1", "catalog"),
            [],
            ReplicationConfig(lease_s, ack_timeout_s=0.1),
            token="token",
            dial=dial,
            run="run",
            clock=loop.time,
            forward=lambda node, operation: self.fail("nobody to pass it on to"),
            knock=lambda node, knock: self.fail("nobody to ask"),
            on_commit=lambda entries: None,
            on_install=self.nothing,
            on_fatal=lambda error: self.fatal.append(str(error)),
        )
        arbiter = FileArbiter(self.directory, "catalog")
        replica = Replica(wiring, store, arbiter, founding=self.nothing)
        await replica.start()
        try:
            yield replica
        finally:
            await replica._tasks.close()

    async def nothing(self) -> None:
        pass

    @contextlib.asynccontextmanager
    async def store(self) -> AsyncIterator[ReplicatedStore]:
        path = self.directory / "catalog-1.db"
        store = await ReplicatedStore.open(path, CatalogRows(Catalog()), 1000)
        try:
            yield store
        finally:
            await store.close()

    async def test_l5_a_primary_leaves_when_its_lock_is_deleted(self) -> None:
        async with self.store() as store, self.replica(store) as replica:
            await replica.leading.wait()
            (self.directory / "catalog.lock").unlink()
            await until(lambda: self.fatal, "the primary has noticed")
            self.assertIn("is not the file this primary has locked", self.fatal[0])

    async def test_t0_a_primary_makes_its_deleted_membership_anew(self) -> None:
        members = self.directory / "catalog.members"
        async with self.store() as store, self.replica(store) as replica:
            await replica.leading.wait()
            await until(members.exists, "it is recorded")
            recorded = members.read_bytes()
            members.unlink()
            await until(members.exists, "it is made anew")
            self.assertEqual(members.read_bytes(), recorded)
            self.assertEqual(self.fatal, [])

    async def test_r8_a_node_leaves_when_its_file_is_replaced(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            async with self.store() as store, self.replica(store) as replica:
                await replica.leading.wait()
                file = self.directory / f"catalog-1.db{suffix}"
                whole = file.read_bytes()
                file.unlink()
                file.write_bytes(whole)  # as a backup that is put back
                await until(lambda: self.fatal, "the node has noticed")
                self.assertIn(f"{file}: has been replaced while it was open", self.fatal[0])
            for left in self.directory.iterdir():
                left.unlink()

    async def test_r8_nothing_is_acknowledged_that_is_in_a_deleted_file(self) -> None:
        async with self.store() as store:
            (self.directory / "catalog-1.db").unlink()
            with self.assertRaisesRegex(FatalError, "is not there any more"):
                await store.probe()

    async def test_a_follower_whose_feed_fails_leaves(self) -> None:
        """Instead of following nobody, and saying nothing."""

        async def fail(client: FeedClient) -> None:
            raise ValueError("a fault of the program")

        other = FileArbiter(self.directory, "catalog")
        self.assertTrue(other.try_acquire())
        self.addCleanup(other.release)
        with mock.patch.object(FeedClient, "run", fail):
            async with self.store() as store, self.replica(store):
                await until(lambda: self.fatal, "the node leaves")
        self.assertEqual(self.fatal, ["a fault of the program"])

    async def test_j1_one_that_does_not_lead_answers_a_hello_and_nothing_else(self) -> None:
        """What comes without a hello is of no feed: a primary ignores it as well."""
        other = FileArbiter(self.directory, "catalog")
        self.assertTrue(other.try_acquire())
        self.addCleanup(other.release)
        hello = Hello(WIRE_VERSION, REPLICA, "catalog-2", "run", "store", 0, GENESIS, GENESIS, "")
        async with self.store() as store, self.replica(store) as replica:
            connection = FrameConnection()
            feed = replica.open_feed(connection)
            for message in (Renew(1), Ack(GENESIS), Release()):
                replica.feed_message(feed, encode(message))
                self.assertFalse(connection.closed, message)
            replica.feed_message(feed, encode(hello))
            self.assertTrue(connection.closed)

    async def test_t1_a_disk_that_hangs_does_not_lead(self) -> None:
        async with self.store() as store:
            hangs = asyncio.Event()

            async def probe() -> None:
                await hangs.wait()

            store.probe = probe  # type: ignore[method-assign]
            async with self.replica(store, SHORT_LEASE_S) as replica:
                await until(lambda: self.fatal, "the node gives up")
                self.assertIn("the disk has not answered", self.fatal[0])
                self.assertIsNone(replica.primary)

    async def test_t1_a_member_leads_behind_a_write_that_is_on_its_disk(self) -> None:
        async with self.store() as store:
            rows = await store.database.read("SELECT * FROM meta WHERE name = 'probed_at'")
            self.assertEqual(rows, [])
            async with self.replica(store) as replica:
                await replica.leading.wait()
                rows = await store.database.read("SELECT * FROM meta WHERE name = 'probed_at'")
                self.assertEqual(len(rows), 1)
