"""Simulated servers as the lab of `tests.facts`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from storage.postgresql.session import Servers, Statement
from tests.facts.lab import PATIENCE_S
from tests.world.database.database import Database
from tests.world.database.wire import Wire
from tests.world.lab import Lab
from tests.world.world import Process


class SimulatedLab:
    """A database of two servers, reached by one process."""

    def __init__(self, lab: Lab, process: Process) -> None:
        self.database = Database(lab, ("one", "two"), ("two",))
        self.servers: Servers = self.database.reached_by(process)
        self._process = process

    async def freeze(self, server: str) -> None:
        self.database.freeze(server)

    async def thaw(self, server: str) -> None:
        self.database.thaw(server)

    async def promote(self, server: str) -> None:
        self.database.promote(server)

    async def demand(self, server: str, *standbys: str) -> None:
        self.database[server].demand(*standbys)

    async def cancel_waits(self, server: str) -> None:
        self.database.cancel_waits(server)

    async def unsynced(self, server: str, *statements: Statement) -> Callable[[], None]:
        wire = Wire(self.database, self._process, self.database[server])
        await wire.session.open(PATIENCE_S)
        command = self.database.command
        wire.send(tuple((command(one.sql), one.params) for one in statements))
        return wire.session.abort

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not await condition():
                await asyncio.sleep(0.005)


def show(seed: int, fact: Callable[[SimulatedLab], Awaitable[Any]]) -> Lab:
    """Run something against simulated servers, to its end."""
    errors: list[BaseException] = []
    done: list[None] = []
    with Lab(seed) as lab:

        async def run(process: Process) -> None:
            try:
                await fact(SimulatedLab(lab, process))
            except BaseException as error:
                errors.append(error)
            done.append(None)

        lab.start(run)
        lab.run(1000.0)
        if errors:
            raise errors[0]
        assert done, "it never comes to an end"
    return lab
