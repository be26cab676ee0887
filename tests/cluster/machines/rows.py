"""What the databases of the machines keep."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from tests.cluster.cluster import TABLES, until
from tests.cluster.machines import database
from tests.cluster.memory import Violation
from tests.cluster.moments import Row, Sold, cancelled_of, sales_of
from tests.postgresql.directory import wait_for
from tests.simulation.history import Book


class Rows:
    """A `Kept`: one server is primary, and the others follow it."""

    def __init__(self, count: int) -> None:
        self._count = count

    def _ask(self, sql: str) -> list[Row]:
        """Ask the server that takes writes. Raises Violation if there is none for too long."""
        found: list[list[Row]] = []
        trouble: dict[int, str] = {}

        def answered() -> bool:
            for number in range(1, self._count + 1):
                try:
                    if database.ask(number, "SELECT pg_is_in_recovery()") == [(False,)]:
                        found.append(database.ask(number, sql))
                        return True
                    trouble[number] = "is a standby"
                except psycopg.Error as error:
                    trouble[number] = str(error)
            return False

        try:
            wait_for(answered, "a database server takes writes")
        except AssertionError as error:
            raise Violation(f"{error}: {trouble}") from error
        return found[-1]

    def books(self) -> dict[int, Book]:
        rows = self._ask(
            "SELECT b.id, b.title, t.name, b.count, b.retired IS NOT NULL"
            " FROM bazar_catalog.books b JOIN bazar_catalog.topics t ON t.id = catalog_id"
        )
        return {book: Book(*known) for book, *known in rows}

    def sales(self) -> Mapping[str, Sold]:
        return sales_of(self._ask("SELECT key, order_id, lines FROM bazar_catalog.sales"))

    def cancelled(self) -> Mapping[str, int]:
        return cancelled_of(
            self._ask("SELECT order_id, cancelled FROM bazar_catalog.cancellations")
        )

    def shown_cancelled(self) -> Mapping[str, int]:
        shown = "SELECT order_id, cancelled FROM bazar_order.orders WHERE cancelled IS NOT NULL"
        return cancelled_of(self._ask(shown))

    def named_as_lost(self) -> set[str]:
        return set()  # nothing is put back

    def times(self) -> Mapping[str, int]:
        sales, answers = "bazar_catalog.sales", "bazar_catalog.answers"
        rows = self._ask(
            f"SELECT key, sold_at FROM {sales} UNION ALL SELECT key, at FROM {answers}"
        )
        return {key: int(at) for key, at in rows}

    def orders(self) -> set[str]:
        return {order_id for (order_id,) in self._ask("SELECT order_id FROM bazar_order.orders")}

    def unsold(self) -> set[str]:
        """Return the orders without a sale: nothing is put back here, so none may be lost."""
        orders = self.orders()  # before the sales, so that each has its sale
        return orders - self.ever_sold()

    def ever_sold(self) -> set[str]:
        return {sale.order_id for sale in self.sales().values()}

    async def same_everywhere(self, role: str) -> None:
        """Wait until every server has the same rows. Raises Violation."""
        digests = ", ".join(
            f"(SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM bazar_{role}.{table} t)"
            for table in ("mark", *TABLES[role])
        )

        def equal() -> bool:
            try:
                shown = [database.ask(n, f"SELECT {digests}") for n in range(1, self._count + 1)]
            except psycopg.Error:
                return False
            return all(one == shown[0] for one in shown)

        try:
            await until(equal, f"the databases have the same rows of {role}")
        except AssertionError as error:
            raise Violation(str(error)) from error
