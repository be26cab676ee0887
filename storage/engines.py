"""The engine of each role, as the configuration chooses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from bazar.config import Config, NodeConfig
from bazar.replication.engine import Engine
from storage.catalog import Catalog, CatalogReader
from storage.moving import Source, Target
from storage.orders import OrderReader, Orders
from storage.sqlite.catalog import CatalogRows, SQLiteCatalogReader
from storage.sqlite.engine import SQLiteEngine
from storage.sqlite.moving import SQLitePlace
from storage.sqlite.orders import OrderRows, SQLiteOrderReader

if TYPE_CHECKING:
    from storage.postgresql.session import Servers

TABLES: Mapping[str, Mapping[str, str]] = {"catalog": Catalog.tables, "order": Orders.tables}
"""The tables of each replicated role, each with its key."""


def catalog_engine(config: Config, node: NodeConfig, *, has_led: bool) -> Engine[CatalogReader]:
    """Return where a catalog node keeps its state. `has_led` says that its group had a primary."""
    if config.engine.kind == "postgresql":
        # Here, as its driver is an extra: who does not use it does not need it.
        from storage.postgresql import catalog
        from storage.postgresql.engine import PostgreSQLEngine

        model, reader = catalog.CatalogRows(Catalog()), catalog.PostgreSQLCatalogReader
        return PostgreSQLEngine(
            *(config.engine, _servers(config, node.role), model, reader),
            lock_path=config.data_dir / f"{node.name}.pid",
        )
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
        return PostgreSQLEngine(
            *(config.engine, _servers(config, node.role), model, reader),
            lock_path=config.data_dir / f"{node.name}.pid",
        )
    return SQLiteEngine(config, node, OrderRows(Orders()), SQLiteOrderReader)


class Place(Source, Target, Protocol):
    """Where a whole shop is kept: it can be moved from there, or to there."""


def place_of(config: Config, token: str) -> Place:
    """Return where this cluster's shop is kept. `token` is the cluster's."""
    if config.engine.kind == "postgresql":
        from storage.postgresql import shop

        return shop.place(config, token)
    return SQLitePlace(config, {"catalog": CatalogRows(Catalog()), "order": OrderRows(Orders())})


def _servers(config: Config, role: str) -> Servers:
    from storage.postgresql.driver import open_servers

    return open_servers(config.engine.servers, config.engine.dsn.get(role, ""))
