"""`verify`, of a shop that runs: what is whole, and each fault by its name."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sqlite3
from unittest import mock

import psycopg

from bazar.cli import Shop, verify
from bazar.node.token import TOKEN_VARIABLE
from tests.http.shop import NODES, TOKEN, ShopTestCase


class VerifyTest(ShopTestCase):
    def verify(self) -> tuple[int, str]:
        """What the command returns, and prints."""
        shop, flags = Shop(self.shop.config), argparse.Namespace(file=None)
        with (
            contextlib.redirect_stdout(io.StringIO()) as printed,
            mock.patch.dict(os.environ, {TOKEN_VARIABLE: TOKEN}),
        ):
            code = self.io_loop.run_sync(lambda: verify.run(shop, flags))
        return code, printed.getvalue()

    def execute(self, role: str, sql: str) -> None:
        """Change a group's rows past all of the product."""
        config = self.shop.config
        if config.engine.kind == "postgresql":
            host, _, port = config.engine.servers[0].rpartition(":")
            with psycopg.connect(config.engine.dsn[role], host=host, port=port) as database:
                database.execute(f"SET search_path = bazar_{role}; {sql}".encode())
            return
        for name in (name for name in NODES if NODES[name] == role):
            file = config.data_dir / f"{name}.db"
            with contextlib.closing(sqlite3.connect(file)) as connection, connection:
                connection.execute(sql)

    def setUp(self) -> None:
        super().setUp()
        self.bought = [self.buy(book)["order_id"] for book in (4, 5, 6)]
        self.settle()

    def test_a_shop_that_is_whole(self) -> None:
        lines = [{"book": 4, "quantity": 2}]
        bought = self.ask("/purchase", "POST", {"lines": lines})
        order_id = json.loads(bought.body)["order_id"]
        for copies in (1, 2):  # two cancellations of one sale
            body = {"lines": [{"book": 4, "quantity": copies}]}
            answer = self.ask(f"/orders/{order_id}/cancel", "POST", body, token=TOKEN)
            self.assertEqual(answer.code, 200, answer.body)
        self.settle()
        code, printed = self.verify()
        self.assertEqual(code, 0, printed)
        self.assertIn("sales and orders: entry ", printed)
        self.assertIn("each sale has its order", printed)
        self.assertNotIn("NOT", printed)

    def faulty(self) -> str:
        code, printed = self.verify()
        self.assertEqual(code, 1, printed)
        self.assertIn("NOT", printed)
        return printed

    def test_a_sale_that_has_lost_its_order(self) -> None:
        self.execute("order", f"DELETE FROM orders WHERE order_id = '{self.bought[1]}'")
        self.assertIn(f"sales without an order, 1: {self.bought[1]}", self.faulty())

    def test_an_order_that_has_lost_its_sale(self) -> None:
        self.execute("catalog", f"DELETE FROM sales WHERE order_id = '{self.bought[1]}'")
        self.assertIn(f"orders without a sale, 1: {self.bought[1]}", self.faulty())

    def test_what_the_orders_are_yet_to_follow_is_no_fault(self) -> None:
        """As it is for a moment while a shop sells: here the cursor and all behind it are gone."""
        first = f"(SELECT seq FROM orders WHERE order_id = '{self.bought[0]}')"
        self.execute("order", f"UPDATE cursors SET seq = {first}")
        self.execute("order", f"DELETE FROM orders WHERE seq > {first}")
        _, printed = self.verify()
        told = printed.partition("sales and orders: ")[2].splitlines()[1:]
        self.assertEqual(
            told,
            [
                "  sales and cancellations that the orders are yet to follow, which they do within"
                " a moment while the shop runs: 2",
                "  each other sale has its order",
            ],
        )

    def test_orders_that_follow_another_history(self) -> None:
        self.execute("order", "UPDATE cursors SET id = 'another'")
        self.assertIn("is not on the catalog's history", self.faulty())

    def test_what_an_operator_has_chosen_is_no_fault(self) -> None:
        """The second order alone is of those that `adopt` has given up (S5)."""
        first, second = (
            f"(SELECT seq FROM orders WHERE order_id = '{order}')" for order in self.bought[:2]
        )
        self.execute("order", f"INSERT INTO adoptions (behind, upto) VALUES ({first}, {second})")
        self.execute("catalog", "DELETE FROM sales")
        printed = self.faulty()
        self.assertIn(f"as an operator has chosen, 1: {self.bought[1]}\n", printed)
        others = ", ".join(sorted([self.bought[0], self.bought[2]]))
        self.assertIn(f"orders without a sale, 2: {others}\n", printed)
