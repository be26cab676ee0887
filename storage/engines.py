"""The engine of each role, as the configuration chooses it."""

from __future__ import annotations

from bazar.config import Config, NodeConfig
from bazar.replication.engine import Engine
from storage.catalog import Catalog, CatalogReader
from storage.orders import OrderReader, Orders
from storage.sqlite.catalog import CatalogRows, SQLiteCatalogReader
from storage.sqlite.engine import SQLiteEngine
from storage.sqlite.orders import OrderRows, SQLiteOrderReader


def catalog_engine(config: Config, node: NodeConfig, *, has_led: bool) -> Engine[CatalogReader]:
    """Return where a catalog node keeps its state. `has_led` says that its group had a primary."""
    catalog = Catalog()
    if config.engine.kind == "postgresql":
        # Its driver is an extra: who does not use it does not need it.
        from storage.postgresql import catalog as rows
        from storage.postgresql.engine import PostgreSQLEngine
        from storage.postgresql.servers import PostgreSQLServers

        servers = PostgreSQLServers(config.engine.servers, config.engine.dsn.get(node.role, ""))
        model = rows.CatalogRows(catalog)
        return PostgreSQLEngine(config.engine, servers, model, rows.PostgreSQLCatalogReader)
    return SQLiteEngine(
        *(config, node, CatalogRows(catalog), SQLiteCatalogReader),
        derived="order",
        has_led=has_led,
    )


def order_engine(config: Config, node: NodeConfig) -> Engine[OrderReader]:
    """Return where an order node keeps its state."""
    orders = Orders()
    if config.engine.kind == "postgresql":
        from storage.postgresql import orders as rows
        from storage.postgresql.engine import PostgreSQLEngine
        from storage.postgresql.servers import PostgreSQLServers

        servers = PostgreSQLServers(config.engine.servers, config.engine.dsn.get(node.role, ""))
        model = rows.OrderRows(orders)
        return PostgreSQLEngine(config.engine, servers, model, rows.PostgreSQLOrderReader)
    return SQLiteEngine(config, node, OrderRows(orders), SQLiteOrderReader)
