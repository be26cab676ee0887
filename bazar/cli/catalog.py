"""The catalog of a shop, as commands write to it: one that runs, or one that begins."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from math import inf
from typing import Any

from bazar import clock
from bazar.cli import Shop
from bazar.config import NodeConfig
from bazar.errors import BazarError, Unavailable
from bazar.node.parent import PARENT_VARIABLE
from bazar.node.status import STATUS_PATH
from bazar.rpc.pool import ReplicaPool
from storage.samples import SAMPLES

ATTEMPT_S = 10.0
DEADLINE_S = 30.0
READY_PATH = "/readyz"
ASK_S = 2.0
POLL_S = 0.1
BEGIN_S = 60.0


class CatalogWriter:
    """Writes to whichever node of the catalog answers, each write once."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._nodes = shop.config.group("catalog")
        self._pool = ReplicaPool(self._nodes, shop.config.pool, clock.now)

    async def write(self, path: str, body: Any = None, *, method: str | None = None) -> Any:
        """Return the answer of `path`. Raises its refusal; Unavailable or Indeterminate."""
        key = secrets.token_hex(16)

        async def attempt(node: NodeConfig) -> Any:
            client = self._shop.client
            return await client.call(node, path, body, ATTEMPT_S, key=key, method=method)

        return await self._pool.call(attempt, DEADLINE_S, begun_within_s=inf)

    async def has_samples(self) -> bool:
        """Return whether the first sample is there, as it was at first: as far as that shows,
        nothing was sold. Where no node answers it is not known to be there."""
        number, sample = next(iter(SAMPLES.items()))

        async def attempt(node: NodeConfig) -> Any:
            return await self._shop.client.call(node, f"/info/{number}", None, ATTEMPT_S)

        try:
            found: dict[str, Any] = await self._pool.call(attempt, DEADLINE_S)
        except BazarError:
            return False
        return asdict(sample).items() <= found.items() and "retired" not in found


@contextlib.asynccontextmanager
async def beginning(shop: Shop) -> AsyncIterator[None]:
    """Begin the catalog of a shop that is none yet, empty, by one node of this machine, which runs
    meanwhile. Raises Unavailable where it can't: it has said why by then."""
    node = shop.config.find("catalog", None)
    command = [sys.executable, "-m", "bazar", "serve", "--role", "catalog", "--empty"]
    command += ["--port", str(node.port), "--config", str(shop.config.path)]
    command += ["--log-level", "warning"]
    parent = {PARENT_VARIABLE: str(os.getpid())}
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **parent})
    try:
        await _ready(shop, node, process)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _ready(shop: Shop, node: NodeConfig, process: asyncio.subprocess.Process) -> None:
    """Return once this process serves reads as the node: its port may be another one's."""
    deadline = clock.now() + BEGIN_S
    while process.returncode is None and clock.now() < deadline:
        with contextlib.suppress(BazarError):
            status = await shop.client.call(node, STATUS_PATH, None, ASK_S)
            if status["pid"] == process.pid:
                await shop.client.call(node, READY_PATH, None, ASK_S)
                return
        await asyncio.sleep(POLL_S)
    raise Unavailable("the catalog can't begin. Nothing was sent")
