"""What is wrong with a replica's file by itself: each fault by its own name, and nothing else."""

from __future__ import annotations

import socket
import sqlite3

from bazar.errors import ConfigError
from storage.sqlite.integrity import faults_of, find_damage, refuse_foreign_wal
from storage.sqlite.replica_file import ReplicaFile, closing
from tests.unit.storage.sqlite.test_replicated_store import LogTest, Shelf, change, entries


class PutBackTest(LogTest):
    """A file that was put back, and what lies beside it."""

    async def test_one_beside_the_wal_of_a_later_state_is_refused(self) -> None:
        store = await self.open()
        await self.write(store, {"name": "a", "by": 1})
        await store.close()
        kept = self.path("one").read_bytes()
        beside = sorted(self.directory.iterdir())
        refuse_foreign_wal(self.path("one"))
        self.assertEqual(sorted(self.directory.iterdir()), beside)  # as it was

        store = await self.open()
        for _ in range(2):
            await self.write(store, {"name": "a", "by": 1})
        wal = self.directory / "one.db-wal"
        after_crash = self.path("one").read_bytes(), wal.read_bytes()
        await store.close()
        for database, refused in ((after_crash[0], False), (kept, True)):
            self.path("one").write_bytes(database)
            wal.write_bytes(after_crash[1])
            with self.subTest(refused=refused):
                if refused:
                    with self.assertRaisesRegex(ConfigError, "one.db-wal beside it goes on from"):
                        refuse_foreign_wal(self.path("one"))
                    self.assertEqual(wal.read_bytes(), after_crash[1])  # as it was: look, not touch
                    wal.unlink()
                refuse_foreign_wal(self.path("one"))

        self.assertEqual(await self.numbers(await self.open()), {"a": 1})

    async def test_one_that_is_cut_short_when_it_is_opened_or_closed_is_not(self) -> None:
        """The mark alone is in the WAL, or has gone from the file already."""
        store = await self.open()
        await self.write(store, {"name": "a", "by": 1})
        await store.database.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await store.database.writer.execute("PRAGMA application_id = 0")
        await store.database.writer.execute("PRAGMA wal_checkpoint(PASSIVE)")
        copy = self.path("copy")
        for suffix in ("", "-wal"):
            content = (self.directory / f"one.db{suffix}").read_bytes()
            copy.with_name(copy.name + suffix).write_bytes(content)
        self.assertGreater((self.directory / "copy.db-wal").stat().st_size, 0)
        refuse_foreign_wal(copy)

    def test_what_is_no_database_or_an_older_one_is_left_to_others(self) -> None:
        path = self.path("one")
        refuse_foreign_wal(path)
        (self.directory / "one.db-wal").write_bytes(b"no WAL")
        refuse_foreign_wal(path)
        for content in (b"", b"no database" * 1000):
            path.write_bytes(content)
            refuse_foreign_wal(path)


class FaultsTest(LogTest):
    """Several checks notice most damage; here each is alone, so that none can be missing."""

    async def asyncSetUp(self) -> None:
        store = await self.open()
        for value in range(1, 6):
            await self.write(store, {"name": f"number {value}", "by": value})
        await store.persist(store.last, entries(store.last, change("pending", 1)))
        await store.close()

    def change_file(self, sql: str) -> None:
        connection = sqlite3.connect(self.path("one"))
        connection.executescript(sql)
        connection.close()

    def faults(self) -> list[str]:
        with closing([file := ReplicaFile("one", self.path("one"))]):
            file.look()
            return list(faults_of(file, Shelf.tables))

    def test_none(self) -> None:
        self.assertEqual(self.faults(), [])

    def test_the_first_entry_follows_nothing_and_the_others_each_other(self) -> None:
        for seq, before in ((1, 0), (3, 2)):
            with self.subTest(seq):
                self.change_file(f"UPDATE log SET effects = '{{\"put\":{seq}}}' WHERE seq = {seq}")
                [fault] = [fault for fault in self.faults() if f"entry {seq} " in fault]
                self.assertIn(f"one: log entry {seq} does not follow {before}", fault)

    def test_a_gap_in_the_log(self) -> None:
        self.change_file("DELETE FROM log WHERE seq = 3")
        [fault] = self.faults()
        self.assertIn("log entry 4 does not follow 2", fault)

    def test_what_a_compacted_log_begins_with_cant_be_checked(self) -> None:
        self.change_file("DELETE FROM log WHERE seq < 3")
        self.assertEqual(self.faults(), [])

    def tail(self) -> tuple[int | None, int]:
        with closing([file := ReplicaFile("one", self.path("one"))]):
            file.look()
            epoch, last = file.tail()
            return epoch, last.seq

    def test_the_epoch_of_a_log_that_came_as_a_snapshot_is_in_its_history(self) -> None:
        self.change_file("INSERT INTO history VALUES (1, 'a', 0), (4, 'b', 2)")
        self.assertEqual(self.tail(), (1, 6))
        self.change_file("DELETE FROM log")
        self.assertEqual(self.tail(), (4, 5))

    def test_a_file_from_before_histories_is_no_damaged_one(self) -> None:
        self.change_file("DROP TABLE history; DELETE FROM log; DELETE FROM meta WHERE name='rows'")
        (self.directory / "one.db-reached").unlink()
        self.assertEqual(self.faults(), [])
        self.assertEqual(self.tail(), (None, 5))

    def test_the_committed_entry_is_the_one_that_is_logged(self) -> None:
        self.change_file("UPDATE meta SET value = 'other' WHERE name = 'committed_digest'")
        self.assertIn("one: log entry 5 is not what 5", self.faults()[0])

    def test_the_end_of_the_log_is_missing(self) -> None:
        self.change_file("DELETE FROM log WHERE seq = 6")
        [fault] = self.faults()
        self.assertRegex(fault, "one: the log ends at 5.*had reached entry 6")

    def test_without_a_log_the_committed_entry_is_its_end(self) -> None:
        self.change_file("DELETE FROM log")
        [fault] = self.faults()
        self.assertRegex(fault, "the log ends at 5")

    def test_rows_of_their_own(self) -> None:
        self.change_file("UPDATE numbers SET value = 9 WHERE name = 'number 1'")
        self.assertEqual(self.faults(), ["one: the rows are not those that were written"])

    def test_a_file_without_a_checksum_says_nothing_of_its_rows(self) -> None:
        self.change_file("UPDATE numbers SET value = 9; DELETE FROM meta WHERE name = 'rows'")
        self.assertEqual(self.faults(), [])

    def test_what_sqlite_finds(self) -> None:
        self.change_file(
            "CREATE TABLE other (x INT); INSERT INTO other VALUES (NULL);"
            "PRAGMA writable_schema = 1; UPDATE sqlite_schema"
            " SET sql = 'CREATE TABLE other (x INT NOT NULL)' WHERE name = 'other'"
        )
        self.assertEqual(self.faults(), ["one: NULL value in other.x"])

    def test_an_older_schema_is_left_to_its_migration(self) -> None:
        """Its rows have other columns: it would look damaged, and be put aside."""
        self.change_file("UPDATE numbers SET value = 9")
        self.assertIsNotNone(find_damage(self.path("one"), Shelf()))
        self.change_file("PRAGMA user_version = 1")
        self.assertIsNone(find_damage(self.path("one"), Shelf()))

    def test_what_cant_be_opened_is_not_damaged(self) -> None:
        """Whoever takes it for that puts a replica's only copy aside."""
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(self.path("two")))
        self.assertIsNone(find_damage(self.path("two"), Shelf()))
