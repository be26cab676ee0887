"""Where a group may begin, and where an operator has to say so."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import shutil

from bazar.cli import Shop, promote, rebuild
from bazar.config import Config, NodeConfig
from bazar.replication.file_arbiter import FileArbiter
from bazar.replication.messages import Change, Member, Membership, chain
from storage.catalog import Catalog
from storage.sqlite.catalog import CatalogRows
from storage.sqlite.founding import why_not_begin
from storage.sqlite.replicated_store import ReplicatedStore
from storage.sqlite.wal import lacks_wal, refuse_copy
from tests.files import FilesTestCase
from tests.unit.storage.sqlite.test_replicated_store import behind


class FoundingTest(FilesTestCase):
    def setUp(self) -> None:
        super().setUp()
        nodes = (
            NodeConfig("catalog-1", "catalog", 8000),
            NodeConfig("catalog-2", "catalog", 8001),
            NodeConfig("order-1", "order", 8002),
        )
        self.config = Config(self.directory, {node.name: node for node in nodes})

    def why_not(self) -> str:
        return why_not_begin(self.config, "catalog", "order") or ""

    async def store(self, node: str, *, begun: bool) -> None:
        path = self.directory / f"{node}.db"
        store = await ReplicatedStore.open(path, CatalogRows(Catalog()), 1000)
        if begun:
            _, entries = await store.execute(store.seed(), 1, behind(store.last))
            await store.apply(entries[-1].mark)
        await store.close()

    async def test_a_copy_without_its_wal_may_be_promoted(self) -> None:
        """Nobody else could say so: rebuild is for a group whose membership is lost."""
        await self.store("catalog-1", begun=True)
        store = await ReplicatedStore.open(
            self.directory / "catalog-1.db", CatalogRows(Catalog()), 1000
        )
        copy = self.directory / "catalog-2.db"
        copy.write_bytes((self.directory / "catalog-1.db").read_bytes())
        await store.close()
        for file in self.directory.glob("catalog-1.db*"):
            file.unlink()
        arbiter = FileArbiter(self.directory, "catalog")
        self.addCleanup(arbiter.release)
        await self.record(arbiter, Membership(3, frozenset({Member("catalog-1", "lost")}), 1.0))
        for force in (False, True):
            self.assertTrue(lacks_wal(copy))
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                flags = argparse.Namespace(node="catalog-2", force=force)
                self.assertEqual(await promote.run(Shop(self.config), flags), 0 if force else 1)
            self.assertIn("a copy without its WAL", said.getvalue())
        refuse_copy(copy)

    async def test_so_may_one_whose_node_was_in_sync(self) -> None:
        """Its node does not start on it, whatever is on record."""
        await self.store("catalog-1", begun=True)
        path = self.directory / "catalog-1.db"
        store = await ReplicatedStore.open(path, CatalogRows(Catalog()), 1000)
        content, members = path.read_bytes(), [Member("catalog-1", store.store_id)]
        await store.close()
        for file in self.directory.glob("catalog-1.db*"):
            file.unlink()
        for node in ("catalog-1", "catalog-2"):  # of a membership that both are in
            (self.directory / f"{node}.db").write_bytes(content)
        members.append(dataclasses.replace(members[0], node="catalog-2"))
        arbiter = FileArbiter(self.directory, "catalog")
        self.addCleanup(arbiter.release)
        await self.record(arbiter, Membership(3, frozenset(members), 1.0))
        for force in (False, True):
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                flags = argparse.Namespace(node="catalog-1", force=force)
                self.assertEqual(await promote.run(Shop(self.config), flags), 0 if force else 1)
            self.assertIn("catalog-1's file is a copy without its WAL", said.getvalue())
            self.assertIn("catalog-2's file is a copy without its WAL, too", said.getvalue())
        refuse_copy(path)
        recorded = arbiter.read()
        assert recorded is not None
        self.assertEqual((recorded.epoch, recorded.members), (4, frozenset(members[:1])))

    async def test_what_anybody_has_committed_is_not_given_up_for_a_later_epoch(self) -> None:
        """catalog-1 has committed, in epoch 4, an entry that epoch 2 had left; nothing was written
        then. catalog-2 has in its place one that epoch 3 prepared, and never committed."""
        await self.store("catalog-1", begun=True)
        shutil.copy(self.directory / "catalog-1.db", self.directory / "catalog-2.db")
        for node, epoch, commits in (("catalog-1", 2, True), ("catalog-2", 3, False)):
            path = self.directory / f"{node}.db"
            store = await ReplicatedStore.open(path, CatalogRows(Catalog()), 1000)
            entry = chain(store.last, epoch, Change((), {"put": {}}))
            await store.persist(store.last, (entry,))
            if commits:
                await store.apply(entry.mark)
            await store.close()
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            flags = argparse.Namespace(role="catalog", force=True)
            self.assertEqual(await rebuild.run(Shop(self.config), flags), 0)
        self.assertIn("To be recorded as in sync: catalog-1, in epoch 4", said.getvalue())

    async def record(self, arbiter: FileArbiter, membership: Membership) -> None:
        arbiter.try_acquire()
        await arbiter.record(membership)
        arbiter.release()

    async def test_where_there_is_nothing_it_may(self) -> None:
        self.assertEqual(self.why_not(), "")
        await self.store("catalog-2", begun=False)
        await self.store("order-1", begun=False)
        (self.directory / "catalog-1.db").touch()
        self.assertEqual(self.why_not(), "")

    async def test_not_beside_a_log_of_its_own(self) -> None:
        await self.store("catalog-2", begun=True)
        self.assertRegex(self.why_not(), "catalog-2.db has a log.* bazar rebuild catalog")
        self.assertIsNone(why_not_begin(self.config, "order", None))

    async def test_not_beside_what_cannot_be_read(self) -> None:
        (self.directory / "catalog-2.db").write_bytes(b"no database" * 1000)
        self.assertRegex(self.why_not(), "catalog-2.db has a log")

    async def test_not_beside_what_follows_from_it(self) -> None:
        await self.store("order-1", begun=True)
        self.assertRegex(self.why_not(), "order-1.db has a log.* bazar found catalog")

    async def test_not_beside_a_membership_whose_databases_are_gone(self) -> None:
        arbiter = FileArbiter(self.directory, "order")
        self.addCleanup(arbiter.release)
        await self.record(arbiter, Membership(3, frozenset({Member("order-1", "store")}), 1.0))
        self.assertRegex(self.why_not(), "names order-1, which has no database here")
        await self.store("order-1", begun=False)
        self.assertEqual(self.why_not(), "")

    def test_not_where_a_node_is_on_another_machine(self) -> None:
        node = dataclasses.replace(self.config.nodes["catalog-2"], host="192.0.2.1")  # of nobody
        nodes = {**self.config.nodes, "catalog-2": node}
        self.config = dataclasses.replace(self.config, nodes=nodes)
        self.assertRegex(self.why_not(), "192.0.2.1 is no address of this machine.* bazar found")
