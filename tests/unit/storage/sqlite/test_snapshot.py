"""An open shop is read from a member that has committed whatever was acknowledged before."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from unittest import mock

from bazar.cluster_file import parse
from bazar.config import Config
from bazar.errors import BazarError, ConfigError, Conflict, FatalError, NotFound
from bazar.replication.file_arbiter import FileArbiter, lock_exclusively
from bazar.replication.messages import Member, Membership
from storage.moving import GONE, Note
from storage.sqlite import notes, snapshot
from storage.sqlite.replica_file import ReplicaFile
from storage.sqlite.replicated_store import ReplicatedStore
from storage.sqlite.snapshot import SQLiteSnapshot
from tests.files import FilesTestCase
from tests.patience import until
from tests.unit.storage.sqlite.test_replicated_store import Shelf, change, entries

ROLES = ("catalog", "frontend", "order")
NODES: dict[str, dict[str, object]] = {
    f"catalog-{number}": {"role": "catalog", "port": number} for number in (1, 2, 3)
}


class SnapshotTest(FilesTestCase):
    """A group of three, the first of which leads."""

    async def asyncSetUp(self) -> None:
        plain = {
            "data_dir": "data",
            "nodes": {"frontend-1": {"role": "frontend", "port": 9}, **NODES},
        }
        self.config: Config = parse(plain, self.directory, ROLES)
        self.data_dir = self.config.data_dir
        self.data_dir.mkdir()
        self.stores: dict[str, ReplicatedStore] = {}
        for name in NODES:
            store = await ReplicatedStore.open(self.data_dir / f"{name}.db", Shelf(), 100)
            self.addAsyncCleanup(store.close)
            self.stores[name] = store
            await self.log(name, 1)
            await store.apply(store.last)
        self.arbiter_file = self.data_dir / "catalog.members"
        self.arbiter = FileArbiter(self.data_dir, "catalog")
        self.assertTrue(self.arbiter.try_acquire())
        self.addCleanup(self.arbiter.release)
        self.addCleanup(os.close, lock_exclusively(self.data_dir / "catalog-1.pid"))
        await self.members(*NODES)

    async def log(self, name: str, value: int) -> None:
        """Have a node's log go on by an entry, which is pending."""
        store = self.stores[name]
        await store.persist(store.last, entries(store.last, change("number", value)))

    async def members(self, *names: str) -> None:
        found = frozenset(Member(name, self.stores[name].store_id) for name in names)
        self.arbiter.read()
        await self.arbiter.record(Membership(3, found, 1.0))

    async def read(self, meanwhile: Callable[[], Awaitable[object]] | None = None) -> int:
        """Return the number that a snapshot holds, which has to wait until `meanwhile` is done.
        That is not begun before the snapshot has looked once."""
        shot = SQLiteSnapshot(self.config, {"catalog": Shelf()})
        try:
            if meanwhile is None:
                await shot.hold()
            else:
                with mock.patch.object(
                    ReplicaFile, "look", autospec=True, side_effect=ReplicaFile.look
                ) as look:
                    holding = asyncio.create_task(shot.hold())
                    await until(lambda: look.called, "the snapshot looks at a file")
                    self.assertFalse(holding.done())
                    await asyncio.gather(holding, meanwhile())
            self.node = shot._files["catalog"].node
            self.assertEqual((await shot.standing("catalog")).epoch, 3)
            [[row]] = [rows async for rows in shot.rows("catalog", "numbers")]
            return int(row["value"])
        finally:
            await shot.close()

    async def refused(self, kind: type[BazarError]) -> str:
        with (
            mock.patch.object(snapshot, "FOLLOWER_S", 0.0),
            mock.patch.object(snapshot, "TAKEOVER_S", 0.0),
            self.assertRaises(kind) as caught,
        ):
            await self.read()
        return str(caught.exception)

    async def test_a_follower_is_read(self) -> None:
        self.assertEqual(await self.read(), 1)
        self.assertEqual(self.node, "catalog-2")

    async def test_only_what_is_read_is_kept_from_shortening_its_wal(self) -> None:
        await self.members("catalog-1", "catalog-2")
        shot = SQLiteSnapshot(self.config, {"catalog": Shelf()})
        await shot.hold()
        busy = {}
        for name, store in self.stores.items():
            writer = store.database.writer
            await writer.execute("PRAGMA busy_timeout = 0")
            [row] = await writer.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
            busy[name] = bool(row[0])
        await shot.close()
        self.assertEqual(busy, {"catalog-1": False, "catalog-2": True, "catalog-3": False})

    async def test_what_a_follower_has_in_its_log_is_waited_for(self) -> None:
        """It was acknowledged as soon as all members had it; whether it is committed a follower is
        told later."""
        for name in NODES:
            await self.log(name, 2)
        primary, follower = self.stores["catalog-1"], self.stores["catalog-2"]
        await primary.apply(primary.last)
        with mock.patch.object(snapshot, "FOLLOWER_S", 60.0):
            self.assertEqual(await self.read(lambda: follower.apply(follower.last)), 2)
        self.assertEqual(self.node, "catalog-2")

    async def test_the_primary_is_read_where_no_follower_is_told(self) -> None:
        for name in NODES:
            await self.log(name, 2)
        primary = self.stores["catalog-1"]
        await primary.apply(primary.last)
        with mock.patch.object(snapshot, "FOLLOWER_S", 0.0):
            self.assertEqual(await self.read(), 2)
        self.assertEqual(self.node, "catalog-1")

    async def test_what_is_cut_off_is_not_waited_for(self) -> None:
        for name in NODES:
            await self.log(name, 2)
        follower = self.stores["catalog-2"]
        self.assertEqual(await self.read(lambda: follower.persist(follower.committed, ())), 1)

    async def test_what_nobody_commits_is_refused(self) -> None:
        for name in NODES:
            await self.log(name, 2)
        said = await self.refused(Conflict)
        self.assertIn("catalog-2.db: has entries in its log that no primary has committed", said)

    async def test_who_is_no_member_is_not_read(self) -> None:
        await self.members("catalog-1", "catalog-3")
        self.assertEqual(await self.read(), 1)
        self.assertEqual(self.node, "catalog-3")
        await self.members("catalog-1")
        self.assertEqual(await self.read(), 1)
        self.assertEqual(self.node, "catalog-1")

    async def test_rows_that_are_not_what_was_written_are_not_read(self) -> None:
        self.spoil("catalog-2", "UPDATE numbers SET value = 7")
        self.assertEqual(await self.read(), 1)
        self.assertEqual(self.node, "catalog-3")
        for name in ("catalog-1", "catalog-3"):
            self.spoil(name, "UPDATE numbers SET value = 7")
        self.assertIn("its rows are not those that were written", await self.refused(FatalError))

    async def test_a_file_that_cannot_be_read_is_passed_over(self) -> None:
        for name, sql in (
            ("catalog-2", "DELETE FROM meta WHERE name = 'store_id'"),
            ("catalog-3", "UPDATE log SET effects = '{', keys = '{'"),
        ):
            self.spoil(name, sql)
            self.assertEqual(await self.read(), 1)
        self.assertEqual(self.node, "catalog-1")
        self.spoil("catalog-1", "DROP TABLE log")
        self.assertIn("catalog-1.db: no such table: log", await self.refused(Conflict))

    async def test_a_log_that_has_lost_its_end_is_not_read(self) -> None:
        """What it had was acknowledged, and is in the others'."""
        for name in NODES:
            await self.log(name, 2)
        for name in ("catalog-1", "catalog-3"):
            await self.stores[name].apply(self.stores[name].last)
        self.spoil("catalog-2", "DELETE FROM log WHERE seq = 2")
        self.assertEqual(await self.read(), 2)
        self.assertEqual(self.node, "catalog-3")

    def spoil(self, name: str, sql: str) -> None:
        with closing(sqlite3.connect(self.data_dir / f"{name}.db")) as connection:
            connection.execute(sql)
            connection.commit()

    async def test_files_that_are_not_here(self) -> None:
        for path in self.data_dir.glob("catalog-*.db"):
            path.unlink()
        self.assertIn("no file of the catalog group can be read", await self.refused(Conflict))
        self.arbiter_file.unlink()
        self.assertIn("on the machine where its nodes run", await self.refused(NotFound))

    async def test_a_shop_that_was_moved_away(self) -> None:
        notes.write(self.data_dir, Note("move-1", GONE, "another place"))
        self.assertIn("this shop was moved to another place", await self.refused(ConfigError))

    async def test_what_is_written_later_is_not_in_it(self) -> None:
        shot = SQLiteSnapshot(self.config, {"catalog": Shelf()})
        await shot.hold()
        try:
            for name, store in self.stores.items():
                await self.log(name, 2)
                await store.apply(store.last)
            [[row]] = [rows async for rows in shot.rows("catalog", "numbers")]
            self.assertEqual(row["value"], 1)
            self.assertEqual((await shot.standing("catalog")).number, 1)
        finally:
            await shot.close()
