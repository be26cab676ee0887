"""A file that does not hold what was written to it is noticed, and not served."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from bazar.errors import ConfigError, FatalError
from bazar.replication.messages import GENESIS, Mark, Snapshot
from storage.checksum import checksum
from storage.sqlite.database import Database
from storage.sqlite.errors import Damaged, translated_errors
from storage.sqlite.files import set_aside
from storage.sqlite.integrity import find_damage
from storage.sqlite.log_table import SCHEMA
from storage.sqlite.reached import Reached
from storage.sqlite.replicated_store import ReplicatedStore
from tests.files import FilesTestCase, syncs
from tests.unit.storage.sqlite.test_replicated_store import (
    LogTest,
    Shelf,
    behind,
    change,
    entries,
)


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


class CheckTest(LogTest):
    """`one.db` as a killed process leaves it, or one that ended in order."""

    def found(self, name: str = "one") -> str | None:
        return find_damage(self.path(name), Shelf())

    def change_file(self, sql: str) -> None:
        connection = sqlite3.connect(self.path("one"))
        connection.execute(sql)
        connection.commit()
        connection.close()

    async def closed(self) -> None:
        """A file with numbers, a log and a pending entry, closed."""
        store = await self.open()
        for value in range(1, 30):
            await self.write(store, {"name": f"number {value}", "by": value})
        await store.persist(store.last, entries(store.last, change("pending", 1)))
        await store.close()

    async def test_whatever_is_written_the_checksum_holds(self) -> None:
        store = await self.open()
        self.assertIsNone(self.found())
        await self.write(store, {"name": "a", "by": 1}, {"name": "b", "by": 2})
        await self.write(store, {"name": "a", "by": 0})  # deleted
        await self.write(store, {"name": "a", "by": 3}, {"name": "a", "by": 4})
        self.assertIsNone(self.found())
        made = entries(store.last, change("c", 5), change("a", 6))
        await store.persist(store.last, made)
        await store.apply(made[0].mark)
        self.assertIsNone(self.found())
        await store.persist(made[0].mark, ())
        self.assertIsNone(self.found())
        await store.execute([{"name": "d", "by": 1}], 0, behind(store.committed))
        await store.rollback()
        await self.write(store, {"name": "e", "by": 1})
        self.assertIsNone(self.found())
        chunks = [chunk async for chunk in store.snapshot()]
        for chunk in chunks[:1]:  # a snapshot that breaks off
            await store.install(chunk)
        await self.write(store, {"name": "f", "by": 1})
        self.assertIsNone(self.found())

        other = await self.open("two")
        await self.write(other, {"name": "gone", "by": 1})
        for chunk in chunks:
            await other.install(chunk)
        self.assertIsNone(self.found("two"))
        await other.install(Snapshot(GENESIS, {}, first=True, final=True))
        self.assertIsNone(self.found("two"))

    async def test_it_survives_a_crash(self) -> None:
        store = await self.open()
        await self.write(store, {"name": "a", "by": 1})
        again = await self.reopen()
        await self.write(again, {"name": "a", "by": 1})
        self.assertIsNone(find_damage(again.database.path, Shelf()))

    async def test_a_file_without_a_checksum_gets_one(self) -> None:
        await self.closed()
        self.change_file("DELETE FROM meta WHERE name = 'rows'")
        self.assertIsNone(self.found())
        await (await self.open()).close()
        self.assertIsNone(self.found())
        self.change_file("UPDATE numbers SET value = 0 WHERE name = 'number 1'")
        self.assertIsNotNone(self.found())

    async def test_no_file_is_no_damage(self) -> None:
        self.assertIsNone(self.found())

    async def test_a_file_of_an_older_schema_is_left_to_its_migration(self) -> None:
        sqlite3.connect(self.path("one")).close()
        self.assertIsNone(self.found())

    async def test_what_sqlite_does_not_notice(self) -> None:
        await self.closed()
        content = self.path("one").read_bytes()
        # The last copy is the row's own; those of the log are found by their digests.
        for name in (b"number 1", b"number 17"):
            for place in (content.find(name), content.rfind(name)):
                with self.subTest(name, place=place):
                    flip(self.path("one"), place + 7)
                    self.assertIsNotNone(self.found())
                    flip(self.path("one"), place + 7)
                    self.assertIsNone(self.found())

    async def test_rows_of_another_moment(self) -> None:
        for sql in (
            "UPDATE numbers SET value = value + 1 WHERE name = 'number 3'",
            "DELETE FROM numbers WHERE name = 'number 3'",
            "INSERT INTO numbers VALUES ('one more', 1)",
            "UPDATE meta SET value = value - 1 WHERE name = 'committed_seq'",
            "UPDATE meta SET value = 'another' WHERE name = 'store_id'",
            "UPDATE log SET effects = replace(effects, 'number 4', 'number 5')",
            "UPDATE log SET effects = 'no JSON' WHERE seq = 3",
            "DELETE FROM meta WHERE name = 'committed_digest'",
            "DROP TABLE numbers",
        ):
            with self.subTest(sql):
                await self.closed()
                self.assertIsNone(self.found())
                self.change_file(sql)
                self.assertIsNotNone(self.found())
                set_aside(self.path("one"))

    async def test_text_that_is_none(self) -> None:
        await self.closed()
        self.change_file("UPDATE numbers SET name = CAST(x'ff' AS TEXT) WHERE name = 'number 3'")
        self.assertIsNotNone(self.found())

    async def test_every_byte_of_the_file(self) -> None:
        """Noticed, or without consequence: then the rows are what they were."""
        await self.closed()
        whole = self.path("one").read_bytes()
        wanted = self.rows()
        noticed = 0
        for place in range(0, len(whole), 97):
            flip(self.path("one"), place)
            if self.found() is None and self.opens():
                self.assertEqual(self.rows(), wanted, place)
            else:
                noticed += 1
            self.path("one").write_bytes(whole)
        self.assertGreater(noticed, 20)

    def opens(self) -> bool:
        with sqlite3.connect(self.path("one")) as connection:
            [version] = connection.execute("PRAGMA user_version").fetchone()
        connection.close()
        return bool(version == 2)  # any other is refused

    def rows(self) -> list[tuple[object, ...]]:
        with sqlite3.connect(self.path("one")) as connection:
            rows = connection.execute("SELECT * FROM numbers ORDER BY name").fetchall()
        connection.close()
        return rows

    async def test_a_wal_that_has_lost_its_tail(self) -> None:
        def cut(size: int) -> Callable[[Path], None]:
            return lambda wal: os.truncate(wal, size)

        store = await self.open()
        for value in range(1, 9):
            await self.write(store, {"name": "a", "by": value})
        size = self.path("one").with_name("one.db-wal").stat().st_size
        for act in (
            *(cut(size - 1), cut(size // 2)),
            lambda wal: flip(wal, size // 2),
            lambda wal: flip(wal, size - 5),
        ):
            crashed = self.crashed()
            self.assertIsNone(find_damage(crashed, Shelf()))
            act(crashed.with_name("one.db-wal"))
            self.assertRegex(find_damage(crashed, Shelf()) or "", "had reached entry 8")

    def crashed(self) -> Path:
        copy = self.directory / "crashed"
        copy.mkdir(exist_ok=True)
        for path in copy.iterdir():
            path.unlink()
        for suffix in ("", "-wal", "-reached"):
            source = self.directory / f"one.db{suffix}"
            (copy / source.name).write_bytes(source.read_bytes())
        return copy / "one.db"

    async def test_a_start_that_ends_before_its_file_is_checked_forgets_nothing(self) -> None:
        await self.closed()
        reached = Reached(self.path("one"))
        reached.note(31)
        reached.close()
        store = await ReplicatedStore.open(self.path("one"), Shelf(), 1000)
        await store.close()
        self.assertRegex(self.found() or "", "had reached entry 31")

    async def test_a_note_of_another_file_says_nothing_of_a_new_one(self) -> None:
        reached = Reached(self.path("one"))
        reached.note(31)
        reached.close()
        store = await self.open()
        self.assertEqual(Reached.read(self.path("one")), 0)
        await self.write(store, {"name": "a", "by": 1})
        self.assertIsNone(self.found())

    async def test_what_was_put_away_by_half_is_still_damaged(self) -> None:
        await self.closed()
        self.path("one").with_name("one.db-wal").touch()
        whole = {path.name: path.read_bytes() for path in self.directory.glob("one.db*")}
        reached = Reached(self.path("one"))
        move = Path.rename
        for many in range(1, 4):
            reached.note(31)
            moved: list[Path] = []

            def rename(path: Path, to: Path, many: int = many, moved: list[Path] = moved) -> Path:
                if len(moved) == many:
                    raise KeyboardInterrupt
                moved.append(path)
                return move(path, to)

            with mock.patch.object(Path, "rename", rename), contextlib.suppress(KeyboardInterrupt):
                set_aside(self.path("one"))
            self.assertEqual(len(moved), many)
            if self.path("one").exists():
                self.assertRegex(self.found() or "", "had reached entry 31")
            for name, content in whole.items():
                (self.directory / name).write_bytes(content)
        reached.close()

    async def test_a_log_may_be_ahead_of_what_was_noted_but_not_behind(self) -> None:
        await self.closed()
        reached = Reached(self.path("one"))
        reached.note(3)
        self.assertIsNone(self.found())
        reached.note(30)
        self.assertIsNone(self.found())
        reached.note(31)
        self.assertIsNotNone(self.found())
        reached.close()

    async def test_a_shortened_log_is_noted(self) -> None:
        store = await self.open()
        await self.write(store, {"name": "a", "by": 1})
        more = entries(store.last, change("b", 1), change("c", 1))
        await store.persist(store.last, more)
        self.assertEqual(Reached.read(self.path("one")), 3)
        await store.persist(store.committed, ())
        self.assertEqual(Reached.read(self.path("one")), 1)
        await store.install(Snapshot(Mark(9, "d"), {}, first=True, final=True))
        self.assertEqual(Reached.read(self.path("one")), 9)

    async def test_a_lower_note_is_on_the_disk_before_the_log_is_cut_back(self) -> None:
        """Else a power cut leaves the cut log with the old note, and an intact file is taken for
        damaged."""
        ends: list[int] = []

        def look(path: Path) -> None:
            with contextlib.closing(sqlite3.connect(self.path("one"))) as connection:
                ends.extend(connection.execute("SELECT max(seq) FROM log").fetchone())

        store = await self.open()
        with syncs(look) as names:
            await self.write(store, {"name": "a", "by": 1})
            await store.persist(store.last, entries(store.last, change("b", 1), change("c", 1)))
            self.assertEqual(names, [])  # a higher one may lag behind
            await store.persist(store.committed, ())
            self.assertEqual((names, ends), (["one.db-reached"], [3]))
            await store.install(Snapshot(GENESIS, {}, first=True, final=True))
            self.assertEqual((names, ends), (["one.db-reached"] * 2, [3, 1]))

    async def test_a_note_of_another_file_is_gone_before_there_is_a_new_one(self) -> None:
        reached = Reached(self.path("one"))
        reached.note(31)
        reached.close()
        made: list[bool] = []
        with syncs(lambda path: made.append(self.path("one").exists())) as names:
            await self.open()
        self.assertEqual((names, made), (["one.db-reached"], [False]))

    async def test_a_file_that_has_just_been_made_is_whole(self) -> None:
        """Whatever comes after its schema may not come, if the power fails."""
        await (await Database.open(self.path("one"), (SCHEMA, *Shelf.migrations))).close()
        self.assertIsNone(self.found())
        first = await self.open()
        self.assertNotEqual(first.store_id, (await self.open("two")).store_id)
        self.assertEqual((await self.reopen()).store_id, first.store_id)

    async def test_a_file_of_a_newer_program_is_refused_and_not_damaged(self) -> None:
        await self.closed()
        self.change_file("UPDATE meta SET value = 'x' WHERE name = 'rows'")
        self.change_file("PRAGMA user_version = 9")
        self.assertIsNone(self.found())
        with self.assertRaisesRegex(ConfigError, "has schema 9; this program knows 3"):
            await self.open()

    async def test_a_damaged_note_says_nothing(self) -> None:
        await self.closed()
        note = self.path("one").with_name("one.db-reached")
        for content in (b"", b"nonsense", note.read_bytes().replace(b"3", b"9")):
            note.write_bytes(content)
            self.assertEqual(Reached.read(self.path("one")), 0)
            self.assertIsNone(self.found())

    async def test_a_store_says_that_it_is_damaged(self) -> None:
        await self.closed()
        self.change_file("UPDATE meta SET value = 'x' WHERE name = 'rows'")
        with self.assertRaises(Damaged):
            await ReplicatedStore.open(self.path("one"), Shelf(), 1000)


class SetAsideTest(FilesTestCase):
    def test_all_of_it_goes_and_nothing_is_written_over(self) -> None:
        for number in (1, 2):
            for suffix in ("", "-wal", "-shm", "-reached"):
                (self.directory / f"one.db{suffix}").write_text(f"{number}{suffix}")
            aside = set_aside(self.directory / "one.db")
            self.assertEqual(aside.name, f"one.db.damaged-{number}")
            self.assertFalse(list(self.directory.glob("one.db-*")))
            for suffix in ("", "-wal", "-shm", "-reached"):
                self.assertEqual(
                    aside.with_name(aside.name + suffix).read_text(), f"{number}{suffix}"
                )

    def test_it_is_on_the_disk_and_the_note_goes_last(self) -> None:
        """Whatever a power cut leaves of it is still found damaged."""
        for suffix in ("", "-wal", "-reached"):
            (self.directory / f"one.db{suffix}").touch()
        here: list[bool] = []
        note = self.directory / "one.db-reached"
        with syncs(lambda path: here.append(note.exists())) as names:
            set_aside(self.directory / "one.db")
        directory = self.directory.name
        self.assertEqual(names, ["one.db-wal", "one.db", directory, "one.db-reached", directory])
        self.assertEqual(here, [True, True, True, True, False])

    def test_on_a_disk_of_its_own(self) -> None:
        disk = self.directory / "disk"
        disk.mkdir()
        (disk / "one.db").write_text("x")
        (self.directory / "one.db").symlink_to(disk / "one.db")
        self.assertEqual(set_aside(self.directory / "one.db"), disk / "one.db.damaged-1")
        self.assertTrue((self.directory / "one.db").is_symlink())


class TellingApartTest(FilesTestCase):
    def test_a_failing_disk_is_no_damage(self) -> None:
        for code, kind in (
            (sqlite3.SQLITE_FULL, FatalError),
            (sqlite3.SQLITE_IOERR_FSYNC, FatalError),
            (sqlite3.SQLITE_CORRUPT, Damaged),
            (sqlite3.SQLITE_NOTADB, Damaged),
            (sqlite3.SQLITE_CANTOPEN, sqlite3.OperationalError),
        ):
            error = sqlite3.OperationalError("as it is")
            error.sqlite_errorcode = code
            with self.assertRaises(Exception) as caught, translated_errors(Path("one.db")):
                raise error
            self.assertIs(type(caught.exception), kind)

    def test_the_checksum_knows_rows_and_their_table_but_no_order(self) -> None:
        rows = [(1, "a", None), (2, "b", 3)]
        self.assertEqual(checksum("t", rows), checksum("t", rows[::-1]))
        self.assertNotEqual(checksum("t", rows), checksum("u", rows))
        self.assertNotEqual(checksum("t", rows), checksum("t", [(1, "a", 3), (2, "b", None)]))
        self.assertEqual(checksum("t", []), 0)
