"""Simulated servers as the lab of `tests.facts`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from storage.postgresql.session import Servers, Session, Statement
from tests.facts.lab import PATIENCE_S
from tests.facts.schedules import played
from tests.world.database.database import Database
from tests.world.database.wire import SimulatedServers, Wire
from tests.world.lab import Lab
from tests.world.world import Process

LOOK_S = 0.005


class FactsServers(SimulatedServers):
    """Some facts show what becomes of a pipeline that begins no transaction: so the sessions, which
    refuse to send one, don't look."""

    async def connect(self, server: str, timeout_s: float) -> Session:
        session = await super().connect(server, timeout_s)
        session.check_begin = lambda statements: None  # type: ignore[attr-defined]
        return session


class SimulatedLab:
    """A database with another, asynchronous standby "three", reached by one process."""

    def __init__(self, world: Lab, process: Process) -> None:
        self.world = world
        self.process = process
        self.database = Database(world, ("one", "two", "three"), ("two",))
        self.servers: Servers = FactsServers(self.database, process)

    async def freeze(self, server: str) -> None:
        self.database.freeze(server)

    async def thaw(self, server: str) -> None:
        self.database.thaw(server)

    async def crash(self, server: str) -> None:
        self.database.crash(server)
        self.database.restart(server)

    async def promote(self, server: str) -> None:
        self.database.promote(server)

    async def demand(self, server: str, *standbys: str) -> None:
        self.database[server].demand(*standbys)

    async def cancel_waits(self, server: str) -> None:
        self.database.cancel_waits(server)

    async def end_sessions(self, server: str) -> None:
        self.database.end_sessions(server)

    async def unsynced(self, server: str, *statements: Statement) -> Callable[[], None]:
        wire = Wire(self.database, self.process, self.database[server])
        await wire.session.open(PATIENCE_S)
        command = self.database.command
        wire.send(tuple((command(one.sql), one.params) for one in statements))
        return wire.session.abort

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        for _ in range(int(PATIENCE_S / LOOK_S)):
            if await condition():
                return
            await asyncio.sleep(LOOK_S)
        raise AssertionError("it never holds")


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

        lab.start(run, "node")
        lab.run(1000.0)
        if errors:
            raise errors[0]
        assert done, "it never comes to an end"
    return lab


def simulated(seed: int, world: int = 0) -> list[str]:
    """Return what comes of a schedule (`tests.facts.schedules`) here, in any world."""
    told: list[str] = []

    async def play(lab: SimulatedLab) -> None:
        told.extend(await played(lab, seed))

    show(world, play)
    return told
