"""A backup is read as it was written, or refused with what is wrong, and where."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gzip
import hashlib
import os
import stat
import unittest
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import orjson

from bazar.errors import Conflict, FatalError, NotFound
from storage.backup import COLUMNS, VERSION, BadBackup, writing
from storage.backup.checking import faults_of
from storage.backup.parts import Part, PartWriter, read_parts
from storage.backup.reading import Backup
from storage.backup.writing import NewBackup
from storage.engines import TABLES
from storage.images import Image
from storage.moving import compare, copy
from storage.postgresql import shop
from storage.reconciliation import CANCELLED
from tests.files import FilesTestCase, syncs
from tests.invented import EPOCH, NUMBER, ROWS, Invented


async def write(path: Path, origin: Any = None) -> None:
    target = NewBackup(path, "2026-11-29T12:00:00+00:00")
    try:
        await target.hold()
        await copy(
            origin=origin or Invented(),
            target=target,
            tables=TABLES,
            name="backup-1",
            say=lambda line: None,
        )
    finally:
        await target.close()


def held(path: Path) -> Backup:
    backup = Backup(path)
    asyncio.run(backup.hold())
    return backup


class BackupTest(FilesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = self.directory / "shop.bazar"

    def refused(self, content: bytes) -> str:
        """Return why a file with this content is refused."""
        self.path.write_bytes(content)
        with self.assertRaises(BadBackup) as caught:
            held(self.path)
        self.assertIn(str(self.path), str(caught.exception))
        return str(caught.exception)

    def parts(self) -> list[Part]:
        with self.path.open("rb") as file:
            return list(read_parts(file))

    def written(self) -> bytes:
        asyncio.run(write(self.path))
        return self.path.read_bytes()


class FileTest(BackupTest):
    def test_every_row_is_read_as_it_was_written(self) -> None:
        self.written()
        backup = held(self.path)
        self.assertEqual((backup.id, backup.origin), ("backup-1", "nowhere"))
        self.assertEqual(backup.made_at, "2026-11-29T12:00:00+00:00")
        for role, tables in TABLES.items():
            self.assertEqual(backup.standings[role], (EPOCH, NUMBER))
            for table, key in tables.items():
                rows = [row for chunk in backup.read(role, table) for row in chunk]
                self.assertEqual(rows, ROWS[role][table])
                same = asyncio.run(compare(Invented(), backup, role, table, key))
                self.assertEqual(same, backup.counts[role][table])

    def test_many_rows_are_many_parts(self) -> None:
        class Large(Invented):
            async def rows(self, role: str, table: str) -> AsyncIterator[Sequence[Image]]:
                if table != "answers":
                    yield ROWS[role][table]
                    return
                for number in range(0, 30_000, 1000):
                    yield [
                        {"key": f"{key:06}", "request": "x" * 100, "answer": "{}", "at": key}
                        for key in range(number, number + 1000)
                    ]

        asyncio.run(write(self.path, Large()))
        backup = held(self.path)
        chunks = list(backup.read("catalog", "answers"))
        self.assertGreater(len(chunks), 2)
        self.assertEqual([row["at"] for rows in chunks for row in rows], list(range(30_000)))
        self.assertEqual(list(backup.read("order", "orders")), [ROWS["order"]["orders"]])

    def test_the_shop_that_is_empty(self) -> None:
        class Empty(Invented):
            async def rows(self, role: str, table: str) -> AsyncIterator[Sequence[Image]]:
                return
                yield

        asyncio.run(write(self.path, Empty()))
        backup = held(self.path)
        self.assertEqual(list(backup.read("catalog", "books")), [])

    def test_its_columns_are_those_of_both_engines(self) -> None:
        """A further one is another version of the format (CONTRIBUTING.md)."""
        kinds = {"bigint": int, "text": str}
        found = {
            role: {
                table: {name: kinds[kind] for name, kind in columns.items()}
                for table, columns in tables.items()
            }
            for role, tables in shop.COLUMNS.items()
        }
        self.assertEqual(found, COLUMNS)
        for role, tables in TABLES.items():
            self.assertEqual(
                {table: next(iter(columns)) for table, columns in COLUMNS[role].items()}, tables
            )

    def test_it_is_its_owners_only_and_has_no_other_file_beside(self) -> None:
        self.written()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(list(self.directory.iterdir()), [self.path])

    def test_it_is_synced_before_it_has_its_name_and_its_name_behind(self) -> None:
        before = []
        with syncs(lambda path: before.append(self.path.exists())) as synced:
            self.written()
        self.assertEqual(synced, [f"shop.bazar.{os.getpid()}.new", self.directory.name])
        self.assertEqual(before, [False, True])

    def test_a_disk_without_links_and_one_whose_names_cannot_be_synced(self) -> None:
        unknown = OSError(errno.EPERM, "Operation not permitted")
        with mock.patch.object(os, "link", side_effect=unknown):
            self.written()
            held(self.path)
            self.assertEqual(list(self.directory.iterdir()), [self.path])
            with self.assertRaisesRegex(Conflict, "exists already"):
                asyncio.run(write(self.path))
        self.path.unlink()
        failing = OSError(errno.EIO, "Input/output error")
        with (
            mock.patch.object(writing, "sync_path", side_effect=failing),
            self.assertRaisesRegex(FatalError, "Input/output error. Nothing is left of it"),
        ):
            asyncio.run(write(self.path))
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_a_link_to_nothing_is_a_file_of_that_name(self) -> None:
        self.path.symlink_to(self.directory / "nowhere")
        with self.assertRaisesRegex(Conflict, "exists already"):
            asyncio.run(write(self.path))

    def test_it_is_written_over_nothing(self) -> None:
        before = self.written()
        with self.assertRaisesRegex(Conflict, "shop.bazar: exists already"):
            asyncio.run(write(self.path))
        self.assertEqual(self.path.read_bytes(), before)

    def test_what_ends_before_its_end_leaves_nothing(self) -> None:
        class Broken(Invented):
            async def rows(self, role: str, table: str) -> AsyncIterator[Sequence[Image]]:
                yield ROWS[role][table]
                if table == "sales":
                    raise FatalError("the disk is gone")

        with self.assertRaisesRegex(FatalError, "the disk is gone"):
            asyncio.run(write(self.path, Broken()))
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_what_is_interrupted_leaves_nothing(self) -> None:
        begun = asyncio.Event()

        class Endless(Invented):
            async def rows(self, role: str, table: str) -> AsyncIterator[Sequence[Image]]:
                while True:  # and nothing in it waits
                    begun.set()
                    yield ROWS[role][table]

        async def interrupted() -> None:
            writing = asyncio.create_task(write(self.path, Endless()))
            await begun.wait()
            self.assertEqual(len(list(self.directory.iterdir())), 1)
            writing.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await writing

        asyncio.run(interrupted())
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_a_place_where_nothing_can_be_written(self) -> None:
        with self.assertRaisesRegex(FatalError, "cannot be written: No such file or directory"):
            asyncio.run(write(self.directory / "nowhere" / "shop.bazar"))


class DamageTest(BackupTest):
    def test_whatever_bit_is_turned_is_noticed(self) -> None:
        """In the last part there are bits that mean nothing: when, and by whom, it was
        compressed."""
        content = self.written()
        *_, last = self.parts()
        for place in range(len(content)):
            damaged = bytearray(content)
            damaged[place] ^= 1 << place % 8
            if place < last.at:
                self.refused(bytes(damaged))
                continue
            self.path.write_bytes(damaged)
            with contextlib.suppress(BadBackup):
                held(self.path)
                self.assertEqual(self.parts()[-1]._lines, last._lines)
                self.assertEqual(self.parts()[-1].head, last.head)

    def test_wherever_it_ends_is_noticed(self) -> None:
        content = self.written()
        for length in range(len(content)):
            self.refused(content[:length])

    def test_it_says_where(self) -> None:
        content = self.written()
        parts = self.parts()
        part = parts[4]
        self.assertIn("cut off", self.refused(content[: part.at]))
        self.assertIn(
            f"cut off: it ends within the part that begins at byte {part.at}",
            self.refused(content[: part.at + 40]),
        )
        damaged = bytearray(content)
        damaged[part.at + 30] ^= 1
        said = self.refused(bytes(damaged))
        self.assertIn(f"damaged: the part that begins at byte {part.at}:", said)
        missing = content[: part.at] + content[part.end :]
        self.assertIn(f"what lies before byte {part.at} is not", self.refused(missing))
        other = {**part.head, "rows": 1}
        del other["before"]
        forged = gzip.compress(orjson.dumps({**other, "before": part.head["before"]}) + b"\n[1]\n")
        said = self.refused(content[: part.at] + forged + content[part.end :])
        self.assertIn("is not what was written", said)
        self.assertIn(f"before byte {len(content)}", self.refused(content + content))

    def test_what_is_no_backup(self) -> None:
        for content in (b"", b"SQLite format 3\0", gzip.compress(b"hello"), gzip.compress(b"{}\n")):
            self.refused(content)
        self.assertIn("is no backup", self.refused(b"SQLite format 3\0"))
        with self.assertRaisesRegex(NotFound, "nothing.bazar: cannot be read"):
            held(self.directory / "nothing.bazar")


class ForgedTest(BackupTest):
    """Files whose checksums are right."""

    HEAD: ClassVar = {"bazar": "backup", "version": VERSION, "id": "i", "made_at": "", "origin": ""}

    def forged(self, *parts: tuple[dict[str, Any], Sequence[bytes]]) -> bytes:
        with (self.directory / "forged").open("wb") as file:
            writer = PartWriter(file)
            for head, rows in parts:
                writer.write(head, rows)
        return (self.directory / "forged").read_bytes()

    def test_a_newer_format_is_refused(self) -> None:
        said = self.refused(self.forged(({**self.HEAD, "version": VERSION + 1}, ())))
        self.assertIn(f"is of format {VERSION + 1}, and this program knows {VERSION}", said)
        self.refused(self.forged(({**self.HEAD, "version": 0}, ())))

    def of_version(self, version: int, *lacking: str, **columns: int) -> Backup:
        """Return the shop as a file of an older version that lacks some tables, and has of others
        so many columns."""
        self.written()
        parts = []
        for part in self.parts():
            head: dict[str, Any] = dict(part.head)
            rows = list(part._lines)
            if "version" in head:
                head["version"] = version
            if "groups" in head:
                for table in lacking:
                    head["groups"]["catalog"]["rows"].pop(table)
            most = columns.get(head.get("table", ""))
            rows = [orjson.dumps(orjson.loads(row)[:most]) for row in rows]
            if head.get("table") not in lacking:
                parts.append((head, rows))
        self.path.write_bytes(self.forged(*parts))
        return held(self.path)

    def test_a_file_of_version_2_has_the_last_cancellations_alone(self) -> None:
        backup = self.of_version(2, "earlier_cancellations")
        self.assertEqual(list(backup.read("catalog", "earlier_cancellations")), [])
        [cancellations] = backup.read("catalog", "cancellations")
        self.assertEqual(cancellations, ROWS["catalog"]["cancellations"])
        self.assertEqual(list(faults_of(backup)), [])

    def test_a_file_of_version_1_lacks_what_came_later(self) -> None:
        """Its rows are those that a shop from then has once it is opened."""
        backup = self.of_version(1, *CANCELLED, orders=4, books=7)
        for table in CANCELLED:
            self.assertEqual(list(backup.read("catalog", table)), [])
        unchanged = dict.fromkeys(("changed", "cancelled", "cancelled_at"))
        [orders] = backup.read("order", "orders")
        self.assertEqual(orders, [{**row, **unchanged} for row in ROWS["order"]["orders"]])
        [books] = backup.read("catalog", "books")
        self.assertEqual(books, [{**row, "retired": None} for row in ROWS["catalog"]["books"]])

    def test_a_table_that_does_not_belong_there(self) -> None:
        books = {"role": "catalog", "table": "books"}, [b"[1,2,3,4,5,6,7]"]
        topics = {"role": "catalog", "table": "topics"}, [b"[1,2,3]"]
        unknown = {"role": "catalog", "table": "secrets"}, [b"[1]"]
        for parts in ([books, topics], [unknown]):
            said = self.refused(self.forged((self.HEAD, ()), *parts))
            self.assertIn("has rows that do not belong there", said)

    def test_an_end_that_does_not_fit(self) -> None:
        ends: list[dict[str, Any]] = [{"groups": {}}, {"groups": None}]
        for end in ends:
            said = self.refused(self.forged((self.HEAD, ()), (end, ())))
            self.assertIn("its end does not fit", said)

    def test_something_behind_its_end(self) -> None:
        self.written()
        parts = [(dict(part.head), part._lines) for part in self.parts()]
        said = self.refused(self.forged(*parts, (self.HEAD, ())))
        self.assertIn("something follows its end, at byte", said)

    def test_a_part_that_lacks_rows(self) -> None:
        before = hashlib.sha256().hexdigest()
        for rows in (b"", b"[1]\n[2]\n", b"[1]"):
            head = orjson.dumps({**self.HEAD, "rows": 1, "before": before})
            said = self.refused(gzip.compress(head + b"\n" + rows))
            self.assertIn("at byte 0: a part has other rows than it says", said)

    def test_rows_of_another_width(self) -> None:
        content = self.written()
        parts = [(dict(part.head), part._lines) for part in self.parts()]
        index = next(i for i, (head, _) in enumerate(parts) if head.get("table") == "cursors")
        parts[index] = parts[index][0], [b'["sales",1]']
        self.path.write_bytes(self.forged(*parts))
        backup = held(self.path)
        with self.assertRaisesRegex(BadBackup, "shop.bazar: at byte .*: cursors: "):
            list(backup.read("order", "cursors"))
        self.assertNotEqual(content, self.path.read_bytes())

    def test_a_part_that_would_fill_the_memory(self) -> None:
        bomb = gzip.compress(bytes(65 << 20))
        self.assertIn("a part has more than", self.refused(bomb))

    def test_the_digest_is_of_all_bytes_before(self) -> None:
        content = self.written()
        for part in self.parts():
            self.assertEqual(part.head["before"], hashlib.sha256(content[: part.at]).hexdigest())


if __name__ == "__main__":
    unittest.main()
