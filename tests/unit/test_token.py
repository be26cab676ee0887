"""The cluster token: from the environment, or made once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest import mock

from bazar.config import Config, parse
from bazar.errors import ConfigError
from bazar.token import TOKEN_VARIABLE, cluster_token
from handlers import ROLES
from tests.unit.files import FilesTestCase


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

    def test_a_weak_or_unprintable_one_is_refused(self) -> None:
        for bad in ("", "short", "x" * 201, "é" * 16, "x" * 15 + "\n", "two words " * 3):
            with (
                mock.patch.dict(os.environ, {TOKEN_VARIABLE: bad}),
                self.subTest(bad),
                self.assertRaisesRegex(ConfigError, TOKEN_VARIABLE),
            ):
                cluster_token(self.config())

    def test_other_machines_want_an_explicit_one(self) -> None:
        for node in ({"bind": "0.0.0.0"}, {"host": "10.0.0.7"}):
            with self.assertRaisesRegex(ConfigError, TOKEN_VARIABLE):
                cluster_token(self.config(**node))
            with mock.patch.dict(os.environ, {TOKEN_VARIABLE: "x" * 16}):
                self.assertEqual(cluster_token(self.config(**node)), "x" * 16)

    def test_one_that_cannot_be_read_is_refused_with_its_path(self) -> None:
        Path(self.directory / "token").write_bytes(b"\xff")
        with self.assertRaisesRegex(ConfigError, "token: cannot be read"):
            cluster_token(self.config())

    def test_an_empty_file_is_no_token(self) -> None:
        for content in (b"", b"\n", b"short\n"):
            (self.directory / "token").write_bytes(content)
            with self.subTest(content), self.assertRaises(ConfigError):
                cluster_token(self.config())
