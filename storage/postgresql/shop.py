"""A whole shop's databases, as an operator's commands reach them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bazar import clock
from bazar.config import Config
from bazar.errors import Unavailable
from bazar.replication.shared.hold import Tempo
from storage.catalog import Catalog
from storage.orders import Orders
from storage.postgresql import books, catalog, orders
from storage.postgresql.audit import GroupAudit
from storage.postgresql.driver import servers_of
from storage.postgresql.engine import cluster_id_of
from storage.postgresql.group_snapshot import GroupSnapshot, PostgreSQLSnapshot
from storage.postgresql.link import RUN_S, Link
from storage.postgresql.model import Model
from storage.postgresql.moving import PostgreSQLPlace
from storage.postgresql.session import Broken, Refused, Statement
from storage.postgresql.standbys import Standbys

COLUMNS = {"catalog": books.COLUMNS, "order": orders.COLUMNS}


def models_of() -> Mapping[str, Model]:
    """Return the model of each replicated role."""
    return {"catalog": catalog.CatalogRows(Catalog()), "order": orders.OrderRows(Orders())}


async def is_new(config: Config) -> bool:
    """Return whether no database has tables of a shop yet. Raises Unavailable."""
    for role, model in models_of().items():
        link = Link(servers_of(config, role), RUN_S)
        found = Statement(f"SELECT to_regclass('{model.schema}.meta') IS NOT NULL")
        try:
            reply = await link.run(found)
        except (Broken, Refused) as error:
            raise Unavailable(f"{link.server}: {error}") from error
        finally:
            await link.close()
        if reply.results[0].rows == ((True,),):
            return False
    return True


def place(config: Config, token: str) -> PostgreSQLPlace:
    """Return where the shop is kept, for a move. `token` is the cluster's."""
    models = {role: (model, COLUMNS[role]) for role, model in models_of().items()}
    return PostgreSQLPlace(
        {role: servers_of(config, role) for role in models},
        models,
        cluster_id_of(config.engine, token),
        Tempo(config.engine.primary_lease_s, config.engine.pause_s),
    )


def snapshot(config: Config, token: str, roles: Sequence[str]) -> PostgreSQLSnapshot:
    """Return what these groups hold at one moment, looked at in this order."""
    models, cluster_id = models_of(), cluster_id_of(config.engine, token)
    return PostgreSQLSnapshot(
        f"PostgreSQL at {', '.join(config.engine.servers)}",
        {
            role: GroupSnapshot(
                *(servers_of(config, role), models[role], COLUMNS[role], cluster_id)
            )
            for role in roles
        },
    )


def audits(config: Config, token: str) -> dict[str, GroupAudit]:
    """Return what looks into each group's database. `token` is the cluster's."""
    cluster_id = cluster_id_of(config.engine, token)
    return {
        role: GroupAudit(servers_of(config, role), model, COLUMNS[role], cluster_id)
        for role, model in models_of().items()
        if config.group(role)
    }


def standbys(config: Config) -> dict[str, Standbys]:
    """Return what looks at the servers of each database, by the roles that keep their state in
    it."""
    roles: dict[str, list[str]] = {}
    for role in models_of():
        if config.group(role):
            roles.setdefault(config.engine.dsn.get(role, ""), []).append(role)
    return {
        ", ".join(them): Standbys(servers_of(config, them[0]), clock.now) for them in roles.values()
    }
