"""The engine of each role, as the configuration chooses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bazar.config import Config, NodeConfig
from bazar.replication.engine import Engine
from storage.catalog import Catalog, CatalogReader
from storage.orders import OrderReader, Orders
from storage.sqlite.catalog import CatalogRows, SQLiteCatalogReader
from storage.sqlite.engine import SQLiteEngine
from storage.sqlite.orders import OrderRows, SQLiteOrderReader

if TYPE_CHECKING:
    from storage.postgresql.session import Servers


def catalog_engine(config: Config, node: NodeConfig, *, has_led: bool) -> Engine[CatalogReader]:
    """Return where a catalog node keeps its state. `has_led` says that its group had a primary."""
    if config.engine.kind == "postgresql":
        # Here, as its driver is an extra: who does not use it does not need it.
        from storage.postgresql import catalog
        from storage.postgresql.engine import PostgreSQLEngine

        model, reader = catalog.CatalogRows(Catalog()), catalog.PostgreSQLCatalogReader
        return PostgreSQLEngine(config.engine, _servers(config, node.role), model, reader)
    return SQLiteEngine(
        *(config, node, CatalogRows(Catalog()), SQLiteCatalogReader),
        derived="order",
        has_led=has_led,
    )


def order_engine(config: Config, node: NodeConfig) -> Engine[OrderReader]:
    """Return where an order node keeps its state."""
    if config.engine.kind == "postgresql":
        from storage.postgresql import orders
        from storage.postgresql.engine import PostgreSQLEngine

        model, reader = orders.OrderRows(Orders()), orders.PostgreSQLOrderReader
        return PostgreSQLEngine(config.engine, _servers(config, node.role), model, reader)
    return SQLiteEngine(config, node, OrderRows(Orders()), SQLiteOrderReader)


def _servers(config: Config, role: str) -> Servers:
    from storage.postgresql.driver import open_servers

    return open_servers(config.engine.servers, config.engine.dsn.get(role, ""))
