"""What a disk may hold after a power cut, by hand; and that the shim sees what a process does."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
import unittest

from tests.cluster.power.disk import Disk, Lying, Names, State, Sync, Unfaithful, look
from tests.cluster.power.recording import Event, Kind, build_shim, compiler, read_logs, recorded
from tests.files import FilesTestCase

DATA, FILE = 1, 2  # inodes
ONE = "data/one"
SECTOR = 512


class Story:
    """What happens to a disk with an empty directory `data`, one thing after the other."""

    def __init__(self, without: Sync | None = None) -> None:
        self.disk = Disk(without)
        self.disk.adopt([Lying(".", 0, None), Lying("data", DATA, None)])
        self.time = 0

    def happens(self, kind: Kind, inode: int = 0, began: int | None = None, **rest: object) -> int:
        """When it ended."""
        self.time += 10
        fields = {"began": self.time - 5 if began is None else began, "ended": self.time, **rest}
        self.disk.feed(Event(kind, inode=inode, **fields))  # type: ignore[arg-type]
        return self.time

    def make(self, path: str = ONE, inode: int = FILE) -> None:
        self.happens(Kind.OPEN, inode, path=path, flags=os.O_CREAT)

    def write(self, data: bytes, offset: int = 0, inode: int = FILE) -> int:
        return self.happens(Kind.WRITE, inode, data=data, offset=offset)

    def sync(self, inode: int = FILE, began: int | None = None) -> None:
        self.happens(Kind.SYNC, inode, began)

    def states(self, model: Names, tries: int = 400) -> list[State]:
        return [self.disk.state(random.Random(seed), model) for seed in range(tries)]

    def contents(self, model: Names = Names.JOURNAL, path: str = ONE) -> set[bytes | None]:
        """All that this file may hold; None where it may not be there."""
        return {state.get(path) for state in self.states(model)}


class ContentTest(unittest.TestCase):
    def written(self, without: Sync | None = None) -> Story:
        """A file that is durable, and empty."""
        story = Story(without)
        story.make()
        story.sync()
        story.sync(DATA)
        return story

    def test_what_was_synced_is_there(self) -> None:
        for model in Names:
            story = self.written()
            story.write(b"old!")
            story.sync()
            self.assertEqual(story.contents(model), {b"old!"})

    def test_what_was_not_may_be_there_or_not(self) -> None:
        for model in Names:
            story = self.written()
            story.write(b"new!")
            self.assertLessEqual({b"", b"new!"}, story.contents(model))

    def test_a_sync_covers_what_had_ended_when_it_began(self) -> None:
        story = self.written()
        story.write(b"old!")
        began = story.time
        story.write(b"new!")
        story.sync(began=began)
        self.assertEqual(story.contents(), {b"old!", b"new!"})

    def test_writes_to_one_sector_come_in_their_order(self) -> None:
        story = self.written()
        story.write(b"aaaa")
        story.sync()
        story.write(b"bb")
        story.write(b"c", offset=1)
        story.write(b"d", offset=3)
        self.assertEqual(story.contents(), {b"aaaa", b"bbaa", b"bcaa", b"bcad"})

    def test_writes_to_two_sectors_come_in_any_order(self) -> None:
        story = self.written()
        story.write(bytes(2 * 4096))
        story.sync()
        story.write(b"a")
        story.write(b"b", offset=4096)
        seen = {(held[:1], held[4096:4097]) for held in story.contents() if held is not None}
        self.assertEqual(seen, {(a, b) for a in (b"\0", b"a") for b in (b"\0", b"b")})

    def test_a_large_write_may_be_torn_between_sectors_and_not_within(self) -> None:
        story = self.written()
        story.write(bytes(2 * SECTOR))
        story.sync()
        story.write(b"x" * 2 * SECTOR)
        zeros, xs = bytes(SECTOR), b"x" * SECTOR
        torn = {first + second for first in (zeros, xs) for second in (zeros, xs)}
        self.assertEqual(story.contents(), torn)

    def test_a_file_may_have_grown_without_its_content(self) -> None:
        story = self.written()
        story.write(b"new!")
        self.assertEqual(story.contents(), {b"", b"new!", bytes(4)})

    def test_a_file_is_cut_off_whole_or_not_at_all(self) -> None:
        story = self.written()
        story.write(b"old!")
        story.sync()
        story.happens(Kind.TRUNCATE, FILE, offset=1)
        self.assertEqual(story.contents(), {b"old!", b"o"})
        story.write(b"new", offset=2)
        self.assertLessEqual({b"o\0new", b"o", b"o\0\0\0\0", b"old!"}, story.contents())
        self.assertNotIn(b"o\0\0\0", story.contents())
        story.happens(Kind.TRUNCATE, FILE, offset=1)
        story.sync()
        self.assertEqual(story.contents(), {b"o"})

    def test_opening_may_truncate(self) -> None:
        story = self.written()
        story.write(b"old!")
        story.sync()
        story.happens(Kind.OPEN, FILE, path=ONE, flags=os.O_WRONLY | os.O_TRUNC)
        self.assertLessEqual({b"old!", b""}, story.contents())

    def test_a_sync_can_be_taken_away(self) -> None:
        story = Story(Sync.REACHED)
        story.make("data/one.db-reached")
        story.write(b"new!")
        story.sync()
        self.assertIn(b"", story.contents(path="data/one.db-reached"))


class NamesTest(unittest.TestCase):
    def test_a_new_name_is_durable_with_its_directory(self) -> None:
        for model in Names:
            story = Story()
            story.make()
            self.assertIn(None, story.contents(model))
            story.sync(DATA)
            self.assertNotIn(None, story.contents(model))

    def test_a_journal_has_it_when_the_file_is_synced(self) -> None:
        story = Story()
        story.make()
        story.sync()
        self.assertIn(None, story.contents(Names.POSIX))
        self.assertNotIn(None, story.contents(Names.JOURNAL))

    def test_a_journal_keeps_the_order(self) -> None:
        story = Story()
        story.make()
        story.make("data/two", FILE + 1)
        both = {frozenset(state) for state in story.states(Names.JOURNAL)}
        self.assertEqual(both, {frozenset(), frozenset({ONE}), frozenset({ONE, "data/two"})})
        self.assertIn(frozenset({"data/two"}), map(frozenset, story.states(Names.POSIX)))

    def test_one_that_is_replaced_is_the_old_or_the_new(self) -> None:
        for model in Names:
            story = Story()
            for path, inode, content in ((ONE, FILE, b"old!"), ("data/new", FILE + 1, b"new!")):
                story.make(path, inode)
                story.write(content, inode=inode)
                story.sync(inode)
            story.sync(DATA)
            story.happens(Kind.RENAME, path="data/new", other=ONE)
            self.assertEqual(story.contents(model), {b"old!", b"new!"})
            story.sync(DATA)
            self.assertEqual(story.contents(model), {b"new!"})

    def test_one_that_is_deleted_may_come_back(self) -> None:
        for model in Names:
            story = Story()
            story.make()
            story.sync(DATA)
            story.happens(Kind.UNLINK, path=ONE)
            self.assertLessEqual({None, b""}, story.contents(model))
            story.sync(DATA)
            self.assertEqual(story.contents(model), {None})

    def test_a_second_name_is_the_same_file(self) -> None:
        story = Story()
        story.make()
        story.happens(Kind.LINK, path=ONE, other="data/two")
        story.write(b"new!")
        story.sync()
        story.sync(DATA)
        self.assertEqual(story.states(Names.POSIX)[0], {ONE: b"new!", "data/two": b"new!"})

    def test_without_its_directory_nothing_is_there(self) -> None:
        disk = Disk()
        disk.adopt([Lying(".", 0, None)])
        story = Story()
        story.disk = disk
        story.happens(Kind.MKDIR, path="data")
        story.happens(Kind.OPEN, DATA, path="data")
        story.make()
        story.sync()
        story.sync(DATA)
        self.assertIn({}, story.states(Names.POSIX))
        self.assertNotIn({}, story.states(Names.JOURNAL))
        story.happens(Kind.OPEN, 0, path=".")
        story.sync(0)
        self.assertNotIn({}, story.states(Names.POSIX))

    def test_a_number_that_is_used_again_is_another_file(self) -> None:
        story = Story()
        story.make()
        story.write(b"old!")
        story.sync()
        story.happens(Kind.UNLINK, path=ONE)
        story.make("data/two", FILE)
        story.sync(DATA)
        self.assertEqual(story.contents(path="data/two"), {b""})

    def test_what_can_not_have_happened(self) -> None:
        for kind, fields in (
            (Kind.OPEN, {"path": ONE}),
            (Kind.WRITE, {"data": b"x"}),
            (Kind.SYNC, {}),
            (Kind.RENAME, {"path": ONE, "other": "data/two"}),
            (Kind.UNLINK, {"path": ONE}),
        ):
            with self.subTest(kind), self.assertRaises(Unfaithful):
                Story().happens(kind, FILE, **fields)


BUSY = """
import os, pathlib, sqlite3, sys
data = pathlib.Path(sys.argv[1]) / "data"
data.mkdir()
(data / "a").write_text("some text")
fd = os.open(data / "b", os.O_RDWR | os.O_CREAT | os.O_APPEND)
os.write(fd, b"x" * 5000)
os.write(fd, b"more")
os.fsync(fd)
os.ftruncate(fd, 4999)
os.close(fd)
fd = os.open(data / "c", os.O_RDWR | os.O_CREAT)
os.pwrite(fd, b"far", 10_000)
os.lseek(fd, 5, os.SEEK_SET)
os.write(fd, b"near")
(data / "d").hardlink_to(data / "c")
(data / "a").rename(data / "b")
(data / "b").write_text("less")
fd = os.open(data, os.O_RDONLY)
os.fsync(fd)
(data / "e").touch()
(data / "e").unlink()
database = sqlite3.connect(data / "f.db", isolation_level=None)
database.execute("PRAGMA journal_mode=WAL")
database.execute("CREATE TABLE t (x)")
for number in range(300):
    database.execute("INSERT INTO t VALUES (randomblob(4000))")
"""
UNSEEN = 'fd = os.open(data / "c", os.O_WRONLY); os.writev(fd, [b"unseen"])'


@unittest.skipIf(compiler() is None, "needs a C compiler")
class ShimTest(FilesTestCase):
    def recorded(self, program: str) -> list[Event]:
        shim, root = build_shim(self.directory), self.directory / "root"
        root.mkdir()
        environment = {**os.environ, **recorded(shim, root, self.directory / "logs")}
        program += "\nos.kill(os.getpid(), 9)"
        subprocess.run([sys.executable, "-c", program, str(root)], env=environment, timeout=60)
        return read_logs(self.directory / "logs", root)

    def replay(self, events: list[Event]) -> Disk:
        disk = Disk()
        disk.adopt([Lying(".", 0, None)])
        for event in events:
            disk.feed(event)
        disk.check(self.directory / "root")
        return disk

    def test_it_sees_everything_that_a_process_does(self) -> None:
        events = self.recorded(textwrap.dedent(BUSY))
        self.assertEqual({event.kind for event in events}, set(Kind))
        self.replay(events)
        # A shop that begins with these files begins with this disk.
        lying = look(self.directory / "root")
        disk = Disk()
        disk.adopt(lying)
        disk.check(self.directory / "root")
        self.assertIn(b"less", {one.content for one in lying})

    def test_what_it_does_not_see_is_noticed(self) -> None:
        with self.assertRaisesRegex(Unfaithful, "data/c: holds something else"):
            self.replay(self.recorded(textwrap.dedent(BUSY) + UNSEEN))

    def test_a_file_that_nobody_wrote_is_noticed(self) -> None:
        events = self.recorded(textwrap.dedent(BUSY))
        (self.directory / "root" / "data" / "g").touch()
        with self.assertRaisesRegex(Unfaithful, "data/g: is not recorded"):
            self.replay(events)
        (self.directory / "root" / "data" / "g").unlink()
        (self.directory / "root" / "data" / "d").unlink()
        with self.assertRaisesRegex(Unfaithful, "data/d: is not there"):
            self.replay(events)
