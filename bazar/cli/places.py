"""What the commands hold that carry a whole shop."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Protocol, TypeVar

from bazar.config import Config
from bazar.errors import ConfigError, NotFound
from bazar.modes import make_private
from bazar.node.token import cluster_token
from storage.engines import TABLES, Place, place_of, snapshot_of
from storage.moving import Origin


class Held(Protocol):
    """A `Place` or an `Origin`."""

    async def hold(self) -> None: ...

    async def close(self) -> None: ...


Some = TypeVar("Some", bound=Held)


@contextlib.asynccontextmanager
async def held(one: Some) -> AsyncIterator[Some]:
    """Hold it meanwhile."""
    try:
        await one.hold()
        yield one
    finally:
        await one.close()


def check_whole(config: Config) -> None:
    """Raise ConfigError where a role of the shop has no nodes."""
    for role in TABLES:
        if not config.group(role):
            raise ConfigError(f"{config.path}: has no {role} node, and a shop is carried whole")


def place(config: Config) -> Place:
    """Return where this cluster's shop is kept, or is to be. Files that are made from now on are
    their owner's only."""
    make_private()
    return place_of(config, cluster_token(config))


def snapshot(config: Config, roles: Sequence[str]) -> Origin:
    """Return what these groups have at one moment, while they go on. Raises NotFound."""
    if config.engine.kind == "sqlite" and not config.data_dir.is_dir():
        raise NotFound(f"{config.data_dir}: is not on this machine: run it where the nodes run")
    needless = config.engine.kind == "sqlite" or config.engine.cluster_id
    return snapshot_of(config, "" if needless else cluster_token(config), roles)
