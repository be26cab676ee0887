"""What is made durable: content first, then its name."""

from __future__ import annotations

import os

from bazar.cluster_file import parse
from bazar.durable import atomic_write, make_directory
from bazar.node.data_directory import prepare_data_dir
from handlers import ROLES
from tests.files import FilesTestCase, syncs


class DurableTest(FilesTestCase):
    def test_a_directory_is_synced_into_what_it_lies_in_and_so_on(self) -> None:
        with syncs() as names:
            make_directory(self.directory / "one" / "two" / "three")
        self.assertTrue((self.directory / "one" / "two" / "three").is_dir())
        self.assertEqual(sorted(names), sorted([self.directory.name, "one", "two"]))

    def test_one_that_is_there_may_have_been_made_just_now(self) -> None:
        (self.directory / "one").mkdir()
        with syncs() as names:
            make_directory(self.directory / "one")
        self.assertEqual(names, [self.directory.name])

    def test_the_data_directory_is_made_durably(self) -> None:
        nodes = {"nodes": {"order-1": {"role": "order", "port": 8002}}, "data_dir": "a/data"}
        with syncs() as names:
            prepare_data_dir(parse(nodes, self.directory, ROLES))
        self.assertEqual(sorted(names), sorted(["a", self.directory.name]))

    def test_a_file_is_replaced_whole(self) -> None:
        path = self.directory / "file"
        for content in (b"first", b"", b"second" * 10_000):
            atomic_write(path, content)
            self.assertEqual(path.read_bytes(), content)
        atomic_write(path, b"x", mode=0o600)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual([one.name for one in self.directory.iterdir()], ["file"])

    def test_its_content_is_synced_before_it_has_its_name_and_then_the_name(self) -> None:
        path = self.directory / "file"
        named: list[bool] = []
        with syncs(lambda synced: named.append(path.exists())) as names:
            atomic_write(path, b"x")
        self.assertEqual(names, [f"file.{os.getpid()}.new", self.directory.name])
        self.assertEqual(named, [False, True])
