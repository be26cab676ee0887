"""bazar's SQLite files: pragmas, readers, migrations."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from bazar.errors import ConfigError, FatalError
from storage.sqlite.database import Database
from storage.sqlite.errors import Damaged
from storage.sqlite.wal import IN_USE, lacks_wal, refuse_copy, rewrite_wal, take_as_whole
from tests.files import FilesTestCase

FIRST = "CREATE TABLE a (id INTEGER PRIMARY KEY)"
SECOND = "CREATE TABLE b (id INTEGER PRIMARY KEY); INSERT INTO b VALUES (7)"


class DatabaseTest(FilesTestCase):
    async def open(self, *migrations: str) -> Database:
        database = await Database.open(self.directory / "one.db", migrations)
        self.addAsyncCleanup(database.close)
        return database

    def tables(self) -> Sequence[str]:
        connection = sqlite3.connect(self.directory / "one.db")
        try:
            found = connection.execute("SELECT name FROM sqlite_master ORDER BY name").fetchall()
        finally:
            connection.close()
        return [name for (name,) in found]

    async def test_a_commit_is_fsynced_before_it_returns(self) -> None:
        database = await self.open(FIRST)
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2)):
            [[found]] = await database.writer.execute_fetchall(f"PRAGMA {pragma}")
            self.assertEqual(found, value)

    async def test_a_wal_that_is_found_is_written_anew(self) -> None:
        """Its own fsync may have failed, and it is to be believed from now on."""
        first = await self.open(FIRST)
        await first.writer.execute("INSERT INTO a VALUES (1)")
        wal = self.directory / "one.db-wal"
        self.assertGreater(wal.stat().st_size, 0)
        copy = self.directory / "copy.db"  # as a crash leaves it
        for suffix in ("", "-wal"):
            name = f"copy.db{suffix}"
            copy.with_name(name).write_bytes((self.directory / f"one.db{suffix}").read_bytes())
        rewrite_wal(copy)
        self.assertFalse((self.directory / "copy.db-wal").exists())
        refuse_copy(copy)  # it lacks nothing
        second = await Database.open(copy, (FIRST,))
        self.addAsyncCleanup(second.close)
        self.assertEqual(len(await second.read("SELECT * FROM a")), 1)

    async def test_a_wal_that_somebody_reads_is_not_passed_over(self) -> None:
        database = await self.open(FIRST)
        await database.writer.execute("INSERT INTO a VALUES (1)")
        path = self.directory / "copy.db"
        for suffix in ("", "-wal"):
            path.with_name(f"copy.db{suffix}").write_bytes(
                (self.directory / f"one.db{suffix}").read_bytes()
            )
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM a").fetchall()
            with self.assertRaisesRegex(FatalError, "another process reads it"):
                rewrite_wal(path, patience_s=0.01)
        rewrite_wal(path)

    async def test_what_is_no_database_is_left_for_others_to_find(self) -> None:
        path = self.directory / "one.db"
        rewrite_wal(path)
        self.assertFalse(path.exists())
        path.write_bytes(b"no database" * 1000)
        rewrite_wal(path)
        self.assertEqual(path.read_bytes(), b"no database" * 1000)

    def copy(self, *suffixes: str) -> Path:
        """What `cp` makes of the files with these suffixes, as they are now."""
        self.copies = getattr(self, "copies", 0) + 1
        path = self.directory / f"copy-{self.copies}.db"
        for suffix in suffixes:
            there = self.directory / f"one.db{suffix}"
            path.with_name(path.name + suffix).write_bytes(there.read_bytes())
        return path

    async def test_a_copy_without_its_wal_is_refused(self) -> None:
        database = await self.open(FIRST)
        for number in range(3):
            copy = self.copy("")
            self.assertTrue(lacks_wal(copy))
            with self.assertRaisesRegex(ConfigError, f"{copy.name}: is a copy .* without its WAL"):
                refuse_copy(copy)
            # Whoever looks into it leaves an empty WAL beside it.
            with contextlib.closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as reader:
                reader.execute("SELECT * FROM sqlite_master").fetchall()
            self.assertTrue(lacks_wal(copy))
            await database.writer.execute(f"INSERT INTO a VALUES ({number})")
            if number:  # a checkpoint takes no mark away
                await database.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    async def test_what_a_crash_leaves_is_no_copy(self) -> None:
        database = await self.open(FIRST)
        await database.writer.execute("INSERT INTO a VALUES (1)")
        self.assertFalse(lacks_wal(self.directory / "one.db"))
        self.assertFalse(lacks_wal(self.copy("", "-wal")))
        # Somebody has looked into it after that, and was the last to close it: its WAL is gone, and
        # the note of how far its log had reached tells whether anything is missing.
        await database.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (self.directory / "one.db-reached").touch()
        self.assertFalse(lacks_wal(self.copy("", "-reached")))

    async def test_a_copy_of_what_was_closed_in_order_is_whole(self) -> None:
        database = await self.open(FIRST)
        await database.writer.execute("INSERT INTO a VALUES (1)")
        await database.close()
        copy = self.copy("")
        refuse_copy(copy)
        again = await Database.open(copy, (FIRST,))
        self.addAsyncCleanup(again.close)
        self.assertEqual(len(await again.read("SELECT * FROM a")), 1)

    async def test_a_copy_may_be_taken_as_whole(self) -> None:
        await self.open(FIRST)
        copy = self.copy("")
        take_as_whole(copy)
        refuse_copy(copy)

    async def test_no_file_and_no_database_are_no_copies(self) -> None:
        path = self.directory / "two.db"
        refuse_copy(path)
        for content in (b"", b"no database", b"no database" * 100):
            path.write_bytes(content)
            refuse_copy(path)

    async def test_it_is_marked_before_anybody_writes(self) -> None:
        """Or a copy made in between would pass for a whole one."""
        database = await self.open()
        self.assertTrue(lacks_wal(self.copy("")))
        await database.close()
        self.assertFalse(lacks_wal(self.copy("")))

    async def test_it_is_marked_although_it_is_checked_for_long(self) -> None:
        for closed in (True, False):
            first = await self.open(FIRST)
            path = self.copy("", "-wal") if not closed else self.directory / "one.db"
            await first.close()
            rewrite_wal(path)
            self.assertFalse(lacks_wal(path))  # should it end here
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as check:
                check.execute("BEGIN")
                check.execute("SELECT * FROM a").fetchall()
                database = await Database.open(path, (FIRST,))
                (self.directory / "taken.db").write_bytes(path.read_bytes())
                self.assertTrue(lacks_wal(self.directory / "taken.db"))
            await database.close()

    async def test_one_that_is_read_when_it_is_closed_keeps_its_mark(self) -> None:
        database = await self.open(FIRST)
        path = self.directory / "one.db"
        await database.writer.execute("PRAGMA busy_timeout = 1")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM a").fetchall()
            await database.writer.execute("INSERT INTO a VALUES (1)")
            await database.close()
            self.assertTrue(lacks_wal(self.copy("")))
            reader.execute("ROLLBACK")
            [(mark,)] = reader.execute("PRAGMA application_id")
            self.assertEqual(mark, IN_USE)

    async def test_to_look_for_a_mark_leaves_the_locks(self) -> None:
        """Without them the next to close the file would take its WAL away."""
        database = await self.open(FIRST)
        await database.writer.execute("INSERT INTO a VALUES (1)")
        self.assertFalse(lacks_wal(self.directory / "one.db"))
        look = (
            "import sqlite3, sys; one = sqlite3.connect(sys.argv[1]);"
            " one.execute('SELECT * FROM a').fetchall(); one.close()"
        )
        command = (sys.executable, "-c", look, str(self.directory / "one.db"))
        process = await asyncio.create_subprocess_exec(*command)
        self.assertEqual(await process.wait(), 0)
        self.assertTrue((self.directory / "one.db-wal").exists())

    async def test_the_wal_of_a_linked_file_is_where_that_is(self) -> None:
        await self.open(FIRST)
        elsewhere = self.directory / "elsewhere.db"
        elsewhere.symlink_to(self.copy("", "-wal"))
        refuse_copy(elsewhere)

    async def test_readers_cannot_write_nor_checkpoint(self) -> None:
        database = await self.open(FIRST)
        reader = await database.connect_reader()
        self.addAsyncCleanup(reader.close)
        with self.assertRaises(sqlite3.OperationalError):
            await reader.execute("INSERT INTO a VALUES (1)")
        [[pages]] = await reader.execute_fetchall("PRAGMA wal_autocheckpoint")
        self.assertEqual(pages, 0)
        with self.assertRaises(sqlite3.OperationalError):
            await database.read("DELETE FROM a")

    async def test_a_reader_sees_commits_and_never_an_open_transaction(self) -> None:
        database = await self.open(FIRST)
        await database.writer.execute("BEGIN IMMEDIATE")
        await database.writer.execute("INSERT INTO a VALUES (1)")
        for _ in range(4):  # each of the readers
            self.assertEqual(await database.read("SELECT * FROM a"), [])
        await database.writer.execute("COMMIT")
        for _ in range(4):
            [row] = await database.read("SELECT * FROM a")
            self.assertEqual(row["id"], 1)

    async def test_migrations_run_once_and_in_order(self) -> None:
        first = await Database.open(self.directory / "one.db", (FIRST,))
        await first.close()
        self.assertEqual(self.tables(), ["a"])
        for _ in range(2):
            second = await Database.open(self.directory / "one.db", (FIRST, SECOND))
            [[version]] = await second.writer.execute_fetchall("PRAGMA user_version")
            self.assertEqual(version, 2)
            self.assertEqual(len(await second.read("SELECT * FROM b")), 1)
            await second.close()

    async def test_a_migration_that_fails_leaves_nothing(self) -> None:
        with self.assertRaises(ConfigError):
            await Database.open(self.directory / "one.db", (FIRST + "; nonsense",))
        self.assertEqual(self.tables(), [])

    async def test_a_newer_schema_is_refused(self) -> None:
        newer = await Database.open(self.directory / "one.db", (FIRST, SECOND))
        await newer.close()
        with self.assertRaisesRegex(ConfigError, "has schema 2; this program knows 1"):
            await Database.open(self.directory / "one.db", (FIRST,))

    async def test_what_is_no_database_is_refused_with_its_path(self) -> None:
        path = self.directory / "one.db"
        path.write_bytes(b"this is no database, and long enough to see it" * 100)
        with self.assertRaisesRegex(Damaged, "one.db"):
            await Database.open(path, (FIRST,))
        with self.assertRaisesRegex(ConfigError, "nowhere"):
            await Database.open(self.directory / "nowhere" / "one.db", (FIRST,))

    async def test_one_that_cannot_be_opened_leaves_no_thread(self) -> None:
        """It would tell an event loop that may be closed by then."""
        path = self.directory / "nowhere" / "one.db"
        for _ in range(20):
            with self.assertRaises(ConfigError):
                await Database.open(path, (FIRST,))
            names = [one.name for one in threading.enumerate()]
            self.assertEqual([name for name in names if "_connection_worker_thread" in name], [])
