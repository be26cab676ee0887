"""The cluster token: from the environment, or made once."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

from bazar.cluster_file import parse
from bazar.config import Config
from bazar.durable import atomic_write
from bazar.errors import ConfigError
from bazar.node.token import TOKEN_VARIABLE, cluster_token, cluster_tokens, durable_tokens
from handlers import ROLES
from tests.files import FilesTestCase, syncs


class TokenTest(FilesTestCase):
    def setUp(self) -> None:
        super().setUp()
        environment = {k: v for k, v in os.environ.items() if k != TOKEN_VARIABLE}
        patch = mock.patch.dict(os.environ, environment, clear=True)
        patch.start()
        self.addCleanup(patch.stop)

    def config(self, **node: Any) -> Config:
        nodes = {"order-1": {"role": "order", "port": 8002, **node}}
        return parse({"nodes": nodes, "data_dir": "."}, self.directory, ROLES)

    def test_it_is_made_once_for_its_owner_alone(self) -> None:
        tokens = {cluster_token(self.config()) for _ in range(3)}
        self.assertEqual(len(tokens), 1)
        self.assertGreaterEqual(len(tokens.pop()), 32)
        path = self.directory / "token"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual([one.name for one in self.directory.iterdir()], ["token"])

    def test_two_shops_have_two_tokens(self) -> None:
        first = cluster_token(self.config())
        (self.directory / "token").unlink()
        self.assertNotEqual(cluster_token(self.config()), first)

    def test_the_environment_comes_first(self) -> None:
        with mock.patch.dict(os.environ, {TOKEN_VARIABLE: "x" * 16}):
            self.assertEqual(cluster_token(self.config()), "x" * 16)
        self.assertFalse((self.directory / "token").exists())

    def test_several_are_taken_and_the_first_is_sent(self) -> None:
        (self.directory / "token").write_text(f"{'a' * 16}\n{'b' * 16}\n")
        self.assertEqual(cluster_tokens(self.config()), ("a" * 16, "b" * 16))
        self.assertEqual(cluster_token(self.config()), "a" * 16)
        with mock.patch.dict(os.environ, {TOKEN_VARIABLE: f"{'c' * 16} {'d' * 16}"}):
            self.assertEqual(cluster_tokens(self.config()), ("c" * 16, "d" * 16))
        (self.directory / "token").write_text(" ".join("abcd"[n] * 16 for n in range(4)))
        with self.assertRaisesRegex(ConfigError, "token: has 4 tokens"):
            cluster_tokens(self.config())

    def test_a_weak_or_unprintable_one_is_refused(self) -> None:
        for bad in ("", "short", "x" * 201, "é" * 16, "x" * 15 + "\n", "two words " * 3):
            with (
                mock.patch.dict(os.environ, {TOKEN_VARIABLE: bad}),
                self.subTest(bad),
                self.assertRaisesRegex(ConfigError, TOKEN_VARIABLE),
            ):
                cluster_token(self.config())

    def test_on_several_machines_somebody_brings_it(self) -> None:
        several = self.config(host="192.0.2.1")  # of nobody
        with self.assertRaisesRegex(ConfigError, "order-1 is on another machine: copy it"):
            cluster_token(several)
        self.assertFalse((self.directory / "token").exists())
        with mock.patch.dict(os.environ, {TOKEN_VARIABLE: "x" * 16}):
            self.assertEqual(cluster_token(several), "x" * 16)
        made = cluster_token(self.config(bind="0.0.0.0"))
        self.assertEqual(cluster_token(several), made)

    def test_one_that_cannot_be_read_is_refused_with_its_path(self) -> None:
        Path(self.directory / "token").write_bytes(b"\xff")
        with self.assertRaisesRegex(ConfigError, "token: cannot be read"):
            cluster_token(self.config())

    def test_one_that_is_another_users_is_refused_with_its_path(self) -> None:
        (self.directory / "token").mkdir()  # which not even root can read
        for read in (cluster_token, durable_tokens):
            with self.assertRaisesRegex(ConfigError, "token: cannot be read"):
                read(self.config())

    def test_what_is_no_token_is_refused(self) -> None:
        for content in (b"\n", b"short\n", b"\0short"):
            (self.directory / "token").write_bytes(content)
            with self.subTest(content), self.assertRaises(ConfigError):
                cluster_token(self.config())

    def test_a_file_that_a_power_cut_has_left_empty_is_made_anew(self) -> None:
        path = self.directory / "token"
        for content in (b"", b"\0" * 44):
            path.write_bytes(content)
            token = cluster_token(self.config())
            self.assertGreaterEqual(len(token), 32)
            self.assertEqual(path.read_text(), f"{token}\n")
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)

    def test_it_is_on_the_disk_before_it_is_used(self) -> None:
        with syncs() as names:
            cluster_token(self.config())
        self.assertEqual(names, [f"token.{os.getpid()}.new", self.directory.name])

    def test_whoever_serves_does_not_rely_on_another_to_have_synced_it(self) -> None:
        (self.directory / "token").write_text("x" * 32)
        with syncs() as names:
            self.assertEqual(cluster_token(self.config()), "x" * 32)
            self.assertEqual(names, [])  # commands do, also while the disk hangs
            self.assertEqual(durable_tokens(self.config()), ("x" * 32,))
        self.assertEqual(names, [self.directory.name])

    def test_whoever_comes_second_takes_what_the_first_has_made(self) -> None:
        path = self.directory / "token"
        path.touch()
        waiting = threading.Event()
        with path.open() as file, ThreadPoolExecutor() as pool:
            fcntl.flock(file, fcntl.LOCK_EX)
            with mock.patch.object(time, "sleep", lambda s: waiting.set()):
                second = pool.submit(cluster_token, self.config())
                self.assertTrue(waiting.wait(10.0))
                atomic_write(path, b"x" * 32 + b"\n")
                file.close()
                self.assertEqual(second.result(10.0), "x" * 32)

    def test_a_process_that_never_ends_making_it_is_not_waited_for(self) -> None:
        path = self.directory / "token"
        with path.open("w") as file, mock.patch("bazar.node.token.MAKING_S", 0):
            fcntl.flock(file, fcntl.LOCK_EX)
            with self.assertRaisesRegex(ConfigError, "another process"):
                cluster_token(self.config())
