"""The engine of each role, as the configuration chooses it.

An engine is imported where it is chosen: the driver of PostgreSQL is an extra, and what another
role needs makes a start longer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from bazar.config import Config, NodeConfig
from bazar.replication.engine import Engine
from storage.catalog import Catalog, CatalogReader
from storage.moving import Origin, Source, Target
from storage.orders import OrderReader, Orders

if TYPE_CHECKING:
    from storage.sqlite.model import Model

TABLES: Mapping[str, Mapping[str, str]] = {"catalog": Catalog.tables, "order": Orders.tables}
"""The tables of each replicated role, each with its key."""


def catalog_engine(
    config: Config, node: NodeConfig, *, has_led: bool, empty: bool, now_ms: Callable[[], int]
) -> Engine[CatalogReader]:
    """Return where a catalog node keeps its state. `has_led` says that its group had a primary,
    `empty` that it begins without the samples, if this node is the one that begins it (S7), and
    `now_ms` is the time of day, in milliseconds since 1970."""
    decider = Catalog(empty=empty)
    if config.engine.kind == "postgresql":
        from storage.postgresql import catalog
        from storage.postgresql.driver import servers_of
        from storage.postgresql.engine import PostgreSQLEngine

        model, reader = catalog.CatalogRows(decider, now_ms), catalog.PostgreSQLCatalogReader
        return PostgreSQLEngine(
            *(config.engine, servers_of(config, node.role), model, reader),
            lock_path=config.data_dir / f"{node.name}.pid",
        )
    from storage.sqlite.catalog import CatalogRows, SQLiteCatalogReader
    from storage.sqlite.engine import SQLiteEngine

    return SQLiteEngine(
        *(config, node, CatalogRows(decider, now_ms), SQLiteCatalogReader),
        derived="order",
        has_led=has_led,
    )


async def is_new(config: Config) -> bool:
    """Return whether there is no shop yet where this cluster's is to be kept. Raises Unavailable
    where that can't be told."""
    if config.engine.kind == "postgresql":
        from storage.postgresql import shop

        return await shop.is_new(config)
    from storage.sqlite import founding

    return founding.is_new(config, TABLES)


def order_engine(config: Config, node: NodeConfig) -> Engine[OrderReader]:
    """Return where an order node keeps its state."""
    if config.engine.kind == "postgresql":
        from storage.postgresql import orders
        from storage.postgresql.driver import servers_of
        from storage.postgresql.engine import PostgreSQLEngine

        model, reader = orders.OrderRows(Orders()), orders.PostgreSQLOrderReader
        return PostgreSQLEngine(
            *(config.engine, servers_of(config, node.role), model, reader),
            lock_path=config.data_dir / f"{node.name}.pid",
        )
    from storage.sqlite.engine import SQLiteEngine
    from storage.sqlite.orders import OrderRows, SQLiteOrderReader

    return SQLiteEngine(config, node, OrderRows(Orders()), SQLiteOrderReader)


class Place(Source, Target, Protocol):
    """Where a whole shop is kept: it can be moved from there, or to there."""


def place_of(config: Config, token: str) -> Place:
    """Return where this cluster's shop is kept. `token` is the cluster's."""
    if config.engine.kind == "postgresql":
        from storage.postgresql import shop

        return shop.place(config, token)
    from storage.sqlite.moving import SQLitePlace

    return SQLitePlace(config, models_over_files())


def snapshot_of(config: Config, token: str, roles: Sequence[str]) -> Origin:
    """Return what these groups of the cluster hold at one moment, while nodes run or not. The
    orders come first, or their cursor could lie beyond the sales that are read."""
    roles = sorted(roles, key=list(TABLES).index, reverse=True)
    if config.engine.kind == "postgresql":
        from storage.postgresql import shop

        return shop.snapshot(config, token, roles)
    from storage.sqlite.snapshot import SQLiteSnapshot

    models = models_over_files()
    return SQLiteSnapshot(config, {role: models[role] for role in roles})


def models_over_files() -> Mapping[str, Model]:
    """Return what each replicated role keeps in its files."""
    from storage.sqlite.catalog import CatalogRows
    from storage.sqlite.orders import OrderRows

    return {"catalog": CatalogRows(Catalog()), "order": OrderRows(Orders())}
