"""A process id means something on its own machine alone."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import unittest
from pathlib import Path
from unittest import mock

from bazar.cli import Shop, join, restart
from bazar.cluster_file import parse
from bazar.errors import Unavailable
from bazar.node.status import Statuses, is_here, machine_id
from handlers import ROLES


class RestartTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        nodes = {"order-1": {"role": "order", "port": 1}}
        self.shop = Shop(parse({"nodes": nodes}, Path("/base"), ROLES))
        status = {"node": "order-1", "group": "order", "pid": os.getpid(), "machine": "another"}
        self.statuses: Statuses = {"order-1": status}

    async def restart(self, *nodes: str) -> int:
        async def ask_all(shop: Shop) -> Statuses:
            return self.statuses

        with (
            mock.patch.object(restart, "ask_all", ask_all),
            mock.patch.object(os, "kill", side_effect=AssertionError("another's process")),
        ):
            return await restart.run(self.shop, argparse.Namespace(nodes=list(nodes)))

    async def test_a_node_of_another_machine_is_left_alone(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertEqual(await self.restart(), 0)
        self.assertEqual(said.getvalue(), "order-1 runs on another machine, and is not restarted\n")

    async def test_one_that_is_named_is_refused(self) -> None:
        with self.assertRaisesRegex(Unavailable, "order-1 runs on another machine: restart it"):
            await self.restart("order-1")

    async def test_a_new_node_of_another_machine_is_not_waited_for(self) -> None:
        nodes = {"order-1": {"role": "order", "port": 1, "host": "192.0.2.1"}}  # of nobody
        shop = Shop(parse({"nodes": nodes}, Path("/base"), ROLES))

        async def ask_all(shop: Shop) -> Statuses:
            return {"order-1": None}

        with (
            mock.patch.object(join, "ask_all", ask_all),
            contextlib.redirect_stdout(io.StringIO()) as said,
        ):
            self.assertEqual(await join.run(shop, argparse.Namespace()), 0)
        self.assertIn("order-1 is to run on another machine (192.0.2.1)", said.getvalue())

    def test_what_is_here(self) -> None:
        self.assertTrue(is_here({"machine": machine_id()}))
        self.assertFalse(is_here({"machine": "another"}))
