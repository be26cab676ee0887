"""Who may open what lies in the data directory."""

from __future__ import annotations

import os
from pathlib import Path

from bazar.cluster_file import parse
from bazar.durable import atomic_write, make_directory
from bazar.modes import narrow
from bazar.node.data_directory import prepare_data_dir
from bazar.replication.file_arbiter import FileArbiter, lock_exclusively
from handlers import ROLES
from tests.files import FilesTestCase

OURS = ("catalog-1.db", "catalog-1.db-wal", "catalog-1.db.damaged-1", "catalog.lock", "token")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


class ModesTest(FilesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(os.umask, os.umask(0o022))
        self.data = self.directory / "data"

    def open_to_all(self) -> None:
        self.data.mkdir()
        for name in (*OURS, "notes.txt"):
            (self.data / name).touch()

    def test_what_is_made_is_its_owners_alone(self) -> None:
        make_directory(self.data)
        atomic_write(self.data / "token", b"x")
        os.close(lock_exclusively(self.data / "catalog-1.pid"))
        arbiter = FileArbiter(self.data, "catalog")
        arbiter.try_acquire()
        arbiter.release()
        self.assertEqual(mode(self.data), 0o700)
        self.assertEqual({mode(path) for path in self.data.iterdir()}, {0o600})

    def test_an_older_directory_is_narrowed_with_a_line_in_the_log(self) -> None:
        self.open_to_all()
        plain = {"nodes": {"catalog-1": {"role": "catalog", "port": 1}}}
        config = parse(plain, self.directory, ROLES, self.directory / "cluster.json")
        with self.assertLogs("bazar.modes", "WARNING") as logs:
            prepare_data_dir(config)
        self.assertIn("data, catalog-1.db, catalog-1.db-wal", logs.output[0])
        self.assertEqual(mode(self.data), 0o700)
        self.assertEqual({mode(self.data / name) for name in OURS}, {0o600})
        self.assertEqual(mode(self.data / "notes.txt"), 0o644)  # no file of ours
        with self.assertNoLogs("bazar.modes"):
            prepare_data_dir(config)

    def test_a_directory_that_is_not_ours_alone_keeps_its_mode(self) -> None:
        self.open_to_all()
        with self.assertLogs("bazar.modes", "WARNING"):
            narrow(self.data, shared=True)
        self.assertEqual(mode(self.data), 0o755)
        self.assertEqual(mode(self.data / "catalog.lock"), 0o600)

    def test_a_link_to_nothing_is_left(self) -> None:
        self.data.mkdir(0o700)
        (self.data / "catalog-1.db").symlink_to("nowhere")
        narrow(self.data, shared=False)
