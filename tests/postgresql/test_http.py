"""What any shop answers, asked of one whose state is in PostgreSQL."""

from __future__ import annotations

from typing import Any
from unittest import mock

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from storage.history import EPOCH_SHIFT
from storage.postgresql import catalog, learning
from storage.postgresql.session import Session
from tests.http import (
    test_baskets,
    test_caching,
    test_catalog,
    test_metrics,
    test_orders,
    test_own_orders,
    test_samples,
    test_search,
    test_verify,
)
from tests.http.shop import TOKEN, ShopTestCase
from tests.http.test_frontend import book
from tests.patience import until

# COMMIT is as far as a batch of updates gets: its session ends then.
AT_COMMIT = b"""
    CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER leaves AFTER UPDATE ON bazar_catalog.books
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION leave()
"""
ANOTHER = b"UPDATE bazar_catalog.meta SET value = 'another version' WHERE name = 'words'"
OF_FILES: Any = None  # in place of a test that looks into them
ODD_CANCELLATIONS = "cancellations of other copies than were sold, or that do not grow"


class OverPostgreSQL(ShopTestCase):
    """Gives a shop a database of its own."""

    @pytest.fixture(autouse=True)
    def _database(self, postgresql_database: str) -> None:
        dsn = conninfo_to_dict(postgresql_database)
        server = f"{dsn.pop('host')}:{dsn.pop('port')}"
        engine = {
            "kind": "postgresql",
            "servers": [server],
            "dsn": " ".join(f"{name}={value}" for name, value in dsn.items()),
            # As the leases of these shops: how fast the machine is must not show.
            "primary_lease_s": 60.0,
            "pause_s": 0.0,
        }
        self.settings = {**type(self).settings, "engine": engine}  # type: ignore[misc]

    def execute_in_catalog(self, sql: bytes) -> None:
        """Write into the catalog's database past all of the product."""
        engine = self.shop.config.engine
        host, _, port = engine.servers[0].rpartition(":")
        with psycopg.connect(engine.dsn["catalog"], host=host, port=port) as database:
            database.execute(sql)


class ReadingTest(OverPostgreSQL, test_catalog.ReadingTest):
    pass


class UpdateTest(OverPostgreSQL, test_catalog.UpdateTest):
    pass


class ConditionsTest(OverPostgreSQL, test_catalog.ConditionsTest):
    pass


class EmptyTest(OverPostgreSQL, test_samples.EmptyTest):
    pass


class RemovingTest(OverPostgreSQL, test_samples.RemovingTest):
    pass


class OrderTest(OverPostgreSQL, test_orders.OrderTest):
    pass


class OwnOrdersTest(OverPostgreSQL, test_own_orders.ListTest):
    pass


class UndoTest(OverPostgreSQL, test_own_orders.UndoTest):
    pass


class WordSearchTest(OverPostgreSQL, test_search.WordSearchTest):
    def test_a_node_answers_once_its_index_is_made(self) -> None:
        """By the primary, beside its batches, and then no more."""
        made: list[bool] = []

        async def learn(session: Session, epoch_id: str) -> bool:
            made.append(await learning.learn(session, epoch_id))
            return made[-1]

        async def restart() -> None:
            for name in ("catalog-1", "catalog-2"):
                await self.shop.stop_node(name)
            self.execute_in_catalog(ANOTHER)
            for name in ("catalog-1", "catalog-2"):
                await self.shop.start_node(name)
            await until(lambda: True in made, "it is made")
            await self.shop.ready()

        with (
            mock.patch.object(learning, "SLICE_BOOKS", 3),
            mock.patch.object(catalog, "learn", learn),
        ):
            self.io_loop.run_sync(restart)
            for node in test_search.NODES:
                self.assertEqual(self.get("/search?q=cook", node), [book(4)])
            for cost in range(1, 5):
                self.update(4, cost=cost)
        self.assertEqual(made, [False, False, True])


class CachingTest(OverPostgreSQL, test_caching.CachingTest):
    test_both_databases_hold_the_same_rows_after_a_purchase = OF_FILES


class MetricsTest(OverPostgreSQL, test_metrics.MetricsTest):
    pass


class InDoubtTest(OverPostgreSQL):
    def test_r5_who_waits_is_told_as_soon_as_the_commit_is_in_doubt(self) -> None:
        """And not once its time is over."""
        self.execute_in_catalog(AT_COMMIT)
        leader = self.shop.catalog(1).replica.leader
        assert leader is not None
        fields = {"cost": 999}
        answer = self.ask("/update/5", "PUT", fields, node=leader.name, token=TOKEN)
        error = self.assert_error(answer, 504, "unknown")["error"]
        self.assertIn(f"{leader.name} stopped while it was written", error)
        self.assertIn("is in doubt", error)


class BasketTest(OverPostgreSQL, test_baskets.BasketTest):
    test_a_basket_is_one_order_and_one_entry_of_the_log = OF_FILES


class VerifyTest(OverPostgreSQL, test_verify.VerifyTest):
    def test_what_is_wrong_with_a_group_is_counted_there(self) -> None:
        keys = "SELECT key, request, '', 0 FROM sales ORDER BY key LIMIT 2"
        self.execute("catalog", f"INSERT INTO answers (key, request, answer, at) {keys}")
        catalog = self.faulty().partition("catalog: ")[2].splitlines()
        self.assertEqual(
            catalog[1:3], ["  2 sales with the key of another write", "  NOT as it must be"]
        )
        self.assertEqual(self.faulty().count("with the key of another write"), 1)

    def test_cancellations_are_looked_at_as_sales_are(self) -> None:
        order_id, copy = self.bought[0], '[{"book": 4, "quantity": 1}]'
        for number, cancelled, fault in (
            ("seq + 1000", copy, "1 cancellations of an entry that was never committed"),
            (
                f"seq >> {EPOCH_SHIFT} << {EPOCH_SHIFT}",
                copy,
                "1 cancellations that lie before the beginning",
            ),
            ("seq", copy, "1 cancellations with the number of a sale"),
            *(
                (
                    "seq + 1",
                    wrong,
                    f"{ODD_CANCELLATIONS}, 1: {order_id}",
                )
                for wrong in (
                    copy.replace("1", "2"),
                    copy.replace("4", "5"),
                    "[]",
                    "nothing that can be read",
                )
            ),
        ):
            with self.subTest(number, cancelled=cancelled):
                self.execute(
                    "catalog",
                    "DELETE FROM cancellations; INSERT INTO cancellations"
                    f" SELECT order_id, {number}, 0, '{cancelled}' FROM sales"
                    f" WHERE order_id = '{order_id}'",
                )
                self.assertIn(f"  {fault}", self.faulty().partition("catalog: ")[2])

    def test_what_is_cancelled_of_a_sale_grows(self) -> None:
        order_id, copy = self.bought[0], '[{"book": 4, "quantity": 1}]'
        self.execute(
            "catalog",
            f"INSERT INTO cancellations SELECT order_id, seq + 2, 0, '{copy}' FROM sales"
            f" WHERE order_id = '{order_id}'; INSERT INTO earlier_cancellations"
            " SELECT seq - 1, order_id, 0, cancelled FROM cancellations",
        )
        self.assertIn(
            f"{ODD_CANCELLATIONS}, 1: {order_id}",
            self.faulty(),
        )

    def test_titles_that_are_in_no_order(self) -> None:
        self.execute("catalog", "DELETE FROM titles WHERE book < 3")
        self.assertIn("  2 books whose title is in no order\n", self.faulty())
