"""A shop on three machines: a front end, a catalog node, an order node and a database on each."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from tests.cluster.client import Answer, HTTPClient
from tests.cluster.cluster import ROOT, until
from tests.cluster.machines import database
from tests.cluster.machines.machine import Machine, Service
from tests.cluster.machines.network import Network, address
from tests.cluster.memory import Violation

COUNT = 3
NUMBERS = range(1, COUNT + 1)
ROLES = {"frontend": 8000, "catalog": 8010, "order": 8020}  # and their ports, before the number
REPLICATION = {"lease_s": 1.0, "ack_timeout_s": 0.3}
ENGINE = {"kind": "postgresql", "primary_lease_s": 3.0, "pause_s": 1.0}
NODES = "nodes"  # as their log is named
SETTLES_S = 120.0
READY_S = 1.0
STAYS_S = 3.0  # Patroni may think about a fault for a while after it is over


class Shop:
    """The machines, and the nodes on them as `Doors`."""

    def __init__(self, directory: Path, rng: random.Random, tell: Callable[[str], None]) -> None:
        self.directory = directory
        self.rng = rng
        self.tell = tell
        self.token = secrets.token_urlsafe(16)
        self.roles = {f"{role}-{number}": role for role in ROLES for number in NUMBERS}
        network = Network()
        self.machines = {number: self._machine(number, network) for number in NUMBERS}

    def _machine(self, number: int, network: Network) -> Machine:
        place = self.directory / f"machine-{number}"
        place.mkdir()
        services = database.services(number, COUNT, place)
        config = place / "cluster.json"
        config.write_text(json.dumps(self._config(number), indent=1), "utf-8")
        # One file for all, and each machine starts the nodes that are its own.
        command = [sys.executable, str(ROOT / "run.py"), "--config", str(config)]
        environment = {"BAZAR_TOKEN": self.token}
        services.append(Service(NODES, command, "root", environment, frozenset()))
        return Machine(number, place, network, services, self.tell)

    def _config(self, number: int) -> dict[str, Any]:
        """Return a machine's cluster.json. Each reads at its own server first."""
        servers = [f"{address(n)}:{database.PORT}" for n in (*NUMBERS[number - 1 :], *NUMBERS)]
        nodes = {
            f"{role}-{n}": {"role": role, "host": address(n), "port": port + n}
            for role, port in ROLES.items()
            for n in NUMBERS
        }
        return {
            "data_dir": "data",
            "replication": REPLICATION,
            "engine": {
                **ENGINE,
                "servers": list(dict.fromkeys(servers)),
                "dsn": f"user={database.USER} dbname=postgres",
            },
            "supervisor": {"hang_s": 10.0},
            "insecure": True,
            "nodes": nodes,
        }

    async def boot(self) -> None:
        for machine in self.machines.values():
            await machine.boot()

    async def keep(self) -> None:
        """Have every machine start again what ends by itself. Raises Violation."""
        try:
            await asyncio.gather(*(machine.keep() for machine in self.machines.values()))
        except AssertionError as error:
            raise Violation(str(error)) from error

    async def close(self) -> None:
        for machine in self.machines.values():
            await machine.close()

    # --- its nodes -------------------------------------------------------------------------------

    def group(self, role: str) -> list[str]:
        return [name for name, its in self.roles.items() if its == role]

    def machine_of(self, name: str) -> int:
        return int(name.rpartition("-")[2])

    def client(self, name: str, *, with_token: bool = False) -> HTTPClient:
        number = self.machine_of(name)
        port, token = ROLES[self.roles[name]] + number, self.token if with_token else None
        return HTTPClient(port, token, host=address(number))

    def logs(self) -> dict[str, str]:
        """Return what the nodes of each machine have written."""
        return {machine.name: machine.log(NODES) for machine in self.machines.values()}

    async def update(self, book: int, **fields: Any) -> None:
        """Change a book; repeat it until it is done."""
        key = secrets.token_hex(8)

        async def done() -> bool:
            async with self.client("catalog-1", with_token=True) as client:
                answer = await client.put(f"/catalog/update/{book}", fields, key=key)
            assert answer.status in (200, 503, 504), answer
            return answer.status == 200

        await until(done, f"book {book} is updated")

    async def leader(self, what: str) -> int:
        """Wait until there is a primary of the database, or of a group; return its machine."""
        if what == "database":
            number: int = await self.wait(lambda: database.primary(COUNT), "the database is led")
            return number
        return await self.primary(what)

    async def primary(self, role: str) -> int:
        """Wait until one node of the group leads; return its machine."""

        async def leading() -> int | None:
            shown = await asyncio.gather(*(self._ask(name, "/status") for name in self.group(role)))
            led = [answer.json for answer in shown if answer is not None and answer.status == 200]
            led = [status for status in led if "members" in status]
            newest = max(led, key=lambda status: int(status["epoch"]), default=None)
            return None if newest is None else self.machine_of(newest["node"])

        found: int = await self.wait(leading, f"{role} has a primary")
        return found

    async def _ask(self, name: str, path: str) -> Answer | None:
        try:
            async with self.client(name, with_token=True) as client:
                return await client.get(path, timeout_s=READY_S)
        except OSError:
            return None

    async def settle(self) -> None:
        """Wait until the database is whole, and stays so, and every node is ready. Raises
        Violation."""
        since: float | None = None

        async def stays_whole() -> bool:
            nonlocal since
            whole, now = await database.is_whole(COUNT), time.monotonic()
            since = (since or now) if whole else None
            return since is not None and now - since >= STAYS_S

        await self.wait(stays_whole, "the database is whole")
        for name in self.roles:

            async def ready() -> bool:
                answer = await self._ask(name, "/readyz")  # noqa: B023
                return answer is not None and answer.status == 200

            await self.wait(ready, f"{name} is ready")

    async def wait(self, condition: Callable[[], Any | Awaitable[Any]], what: str) -> Any:
        """Return the first true value. Raises Violation if there is none for too long."""
        try:
            return await until(condition, what, SETTLES_S)
        except AssertionError as error:
            if isinstance(error, Violation):
                raise
            raise Violation(f"{error}; Patroni says {await database.members(COUNT)}") from error

    async def lasts(self, low: float, high: float) -> None:
        """Wait for a fault's own duration."""
        await asyncio.sleep(self.rng.uniform(low, high))

    def others(self, number: int) -> Sequence[int]:
        return [other for other in NUMBERS if other != number]
