"""A whole shop in this process: real files, real feeds, real sockets on free ports."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sqlite3
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tornado.httpclient import HTTPResponse
from tornado.netutil import bind_sockets
from tornado.testing import AsyncHTTPTestCase
from tornado.web import Application

from bazar import clock
from bazar.cluster_file import parse
from bazar.config import Config, NodeConfig
from bazar.node.server import Context, Server, ServiceApplication
from bazar.replication.shared.replica import SharedReplica
from handlers import ROLES
from handlers.base import NoRoute
from handlers.catalog.service import CatalogService
from handlers.frontend.service import FrontEndService
from handlers.orders.service import OrderService
from handlers.replicated import ReplicatedService
from tests.patience import PATIENCE_S, until

TOKEN = "the-token-of-this-shop"
PATIENT = {  # how fast the machine is must not show: leases don't lapse, no call is given up
    "replication": {"lease_s": 30.0, "ack_timeout_s": 10.0},
    "pool": {
        **{"read_attempt_s": 30.0, "read_deadline_s": 60.0},
        **{"write_attempt_s": 30.0, "write_deadline_s": 60.0},
    },
    "hosts": ["a"],  # what tests call it that write their requests by hand
}
NODES = {
    "frontend-1": "frontend",
    "catalog-1": "catalog",
    "catalog-2": "catalog",
    "order-1": "order",
    "order-2": "order",
}


class Shop:
    """All nodes of one cluster, on one clock that `pass_time` moves on. `settings` go on top of
    PATIENT ones; it begins `empty`, or with the samples."""

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, Any] | None = None,
        *,
        empty: bool = False,
    ) -> None:
        self.empty = empty
        # Each port is taken before it is written down: nobody else can come in between.
        self._sockets = {name: bind_sockets(0, "127.0.0.1") for name in NODES}
        nodes = {
            name: {"role": role, "port": self._sockets[name][0].getsockname()[1]}
            for name, role in NODES.items()
        }
        self.config: Config = parse(
            {**PATIENT, **(settings or {}), "nodes": nodes}, directory, ROLES
        )
        self.config.data_dir.mkdir(parents=True)
        self.servers: dict[str, Server] = {}
        self.fatal: list[BaseException] = []
        self._passed_s = self._wall_s = 0.0

    def now(self) -> float:
        return clock.now() + self._passed_s

    def wall(self) -> float:
        return time.time() + self._passed_s + self._wall_s

    def pass_time(self, seconds: float) -> None:
        """Move every node's clock on; each notices in time, as if it had been paused."""
        self._passed_s += seconds

    def set_time_of_day_on(self, seconds: float) -> None:
        """Move the time of day alone on: no lease ends by it, so nothing has to be won again."""
        self._wall_s += seconds

    def node(self, name: str) -> NodeConfig:
        return self.config.nodes[name]

    def url(self, name: str, path: str) -> str:
        return self.node(name).url + path

    # --- its services ----------------------------------------------------------------------------

    @property
    def frontend(self) -> FrontEndService:
        service = self.servers["frontend-1"].service
        assert isinstance(service, FrontEndService)
        return service

    def catalog(self, number: int) -> CatalogService:
        service = self.servers[f"catalog-{number}"].service
        assert isinstance(service, CatalogService)
        return service

    def order(self, number: int) -> OrderService:
        service = self.servers[f"order-{number}"].service
        assert isinstance(service, OrderService)
        return service

    def write_logs(self) -> None:
        """Now, and not when a batch is full."""
        for server in self.servers.values():
            server.http.state.log.flush()

    def rows(self, name: str, table: str) -> list[tuple[Any, ...]]:
        """The committed rows of one replica's own file, or of its database, read past all of the
        product."""
        engine = self.config.engine
        if engine.kind == "postgresql":
            import psycopg  # here, as `demo` runs without it

            role = NODES[name]
            host, _, port = engine.servers[0].rpartition(":")
            with psycopg.connect(engine.dsn[role], host=host, port=port) as database:
                sql = f"SELECT * FROM bazar_{role}.{table} ORDER BY 1"
                return database.execute(sql.encode()).fetchall()
        connection = sqlite3.connect(self.config.data_dir / f"{name}.db")
        try:
            return connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
        finally:
            connection.close()

    # --- its life --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Every node is up and in sync, and the stock is on the shelves."""
        for name in NODES:
            await self.start_node(name)
        await self.ready()

    async def start_node(self, name: str) -> None:
        node = self.node(name)
        clocks: Any = {"clock": self.now, "wall": self.wall}
        context = Context(
            *(self.config, node, TOKEN, self.fatal.append), empty=self.empty, **clocks
        )
        service = ROLES[node.role](context)
        assert isinstance(service, FrontEndService | ReplicatedService)
        service.client.dial_s = PATIENCE_S
        server = Server(service, NoRoute)
        sockets = self._sockets.pop(name, None) or bind_sockets(node.port, node.bind)
        try:
            await server.start(sockets)
        except BaseException:
            for one in sockets:
                one.close()
            raise
        self.servers[name] = server

    async def stop_node(self, name: str) -> None:
        await self.servers.pop(name).stop()

    async def stop(self) -> None:
        """Callers before those they call, as `run.py` stops them."""
        for role in ROLES:
            for name in [name for name in self.servers if NODES[name] == role]:
                await self.stop_node(name)
        for unused in self._sockets.values():
            for one in unused:
                one.close()
        assert not self.fatal, self.fatal

    async def ready(self) -> None:
        """Return when all nodes that run are in sync."""
        await until(lambda: all(self._is_ready(name) for name in self.servers), "all are in sync")

    def _is_ready(self, name: str) -> bool:
        service = self.servers[name].service
        try:
            service.ready()
        except Exception:
            return False
        if not isinstance(service, ReplicatedService):
            return True
        if NODES[name] == "catalog" and not service.replica.core.committed.seq:
            return False
        return self.in_sync(name)

    def in_sync(self, name: str) -> bool:
        """Whether this replica is in its group's set and has all that is committed."""
        role = NODES[name]
        group = [s.service for n, s in self.servers.items() if NODES[n] == role]
        replicas = {
            service.context.node.name: service.replica
            for service in group
            if isinstance(service, ReplicatedService)
        }
        for replica in replicas.values():
            if replica.primary is not None:
                members = {member.node for member in replica.primary.membership.members}
                if isinstance(replica, SharedReplica):  # where nobody else keeps anything
                    feeds = replica.primary.feeds.values()
                    members |= {feed.hello.node for feed in feeds if feed.joined}
                own = replicas[name].core.committed
                return name in members and own == replica.primary.committed
        return False


class ShopTestCase(AsyncHTTPTestCase):
    """Tests against a fresh shop; `fetch(path)` goes to its front end's own server."""

    settings: ClassVar[dict[str, Any]] = {}
    empty: ClassVar[bool] = False
    shop: Shop

    def get_app(self) -> Application:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.shop = Shop(Path(directory.name) / "shop", self.settings, empty=self.empty)
        self.io_loop.run_sync(self.shop.start)
        return ServiceApplication(self.shop.frontend, NoRoute)

    def tearDown(self) -> None:
        self.io_loop.run_sync(self.shop.stop)
        super().tearDown()

    def get_url(self, path: str) -> str:
        return self.shop.url("frontend-1", path)

    def settle(self) -> None:
        """Until the followers have applied what was acknowledged: it is in their logs already."""
        self.io_loop.run_sync(self.shop.ready)

    # --- asking ----------------------------------------------------------------------------------

    def fetch(self, path: str, raise_error: bool = False, **options: Any) -> HTTPResponse:
        """Tornado's own, with more patience."""
        options |= {"connect_timeout": PATIENCE_S, "request_timeout": PATIENCE_S}
        url = path if path.startswith("http") else self.get_url(path)
        response: HTTPResponse = self.io_loop.run_sync(
            lambda: self.http_client.fetch(url, raise_error=raise_error, **options)
        )
        return response

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: Any = None,
        *,
        node: str = "frontend-1",
        token: str | None = None,
        **headers: str,
    ) -> HTTPResponse:
        """One request; `body` is bytes, or a value to send as JSON; `_` in a header's name
        stands for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        if method in ("PUT", "POST") and body is None:
            body = b""
        response = self.fetch(
            self.shop.url(node, path),
            method=method,
            headers=sent,
            body=body if body is None or isinstance(body, bytes) else json.dumps(body).encode(),
            allow_nonstandard_methods=True,
        )
        self.shop.write_logs()
        return response

    def get(self, path: str, node: str = "frontend-1") -> Any:
        """The JSON of an answer that must be 200."""
        response = self.ask(path, node=node)
        self.assertEqual(response.code, 200, response.body)
        return json.loads(response.body)

    def buy(self, book: int, **options: Any) -> Any:
        response = self.ask(f"/purchase/{book}", "PUT", **options)
        self.assertEqual(response.code, 200, response.body)
        return json.loads(response.body)

    def update(self, book: int, node: str = "catalog-1", **fields: Any) -> Any:
        response = self.ask(f"/update/{book}", "PUT", fields, node=node, token=TOKEN)
        self.assertEqual(response.code, 200, response.body)
        return json.loads(response.body)

    def assert_error(self, response: HTTPResponse, status: int, code: str | None = None) -> Any:
        """It is an error as the contract has it."""
        self.assertEqual(response.code, status, response.body)
        body = json.loads(response.body)
        self.assertIsInstance(body["error"], str)
        self.assertTrue(body["error"])
        self.assertEqual(body["request_id"], response.headers["X-Request-Id"])
        self.assertIn("application/json", response.headers["Content-Type"])
        self.assertNotIn("Traceback", response.body.decode())
        if code is not None:
            self.assertEqual(body["code"], code)
        else:
            self.assertRegex(body["code"], "^[a-z_]+$")
        return body

    def raw(self, request: bytes, node: str = "frontend-1", *, one: bool = False) -> bytes:
        """All that a node answers to these bytes until it closes the connection; or `one` answer,
        where it keeps it."""

        async def first(reader: asyncio.StreamReader) -> bytes:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
            assert length is not None
            return head + await reader.readexactly(int(length[1]))

        async def talk() -> bytes:
            port = self.shop.node(node).port
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request)
                async with asyncio.timeout(PATIENCE_S):
                    return await (first(reader) if one else reader.read())
            except ConnectionError:
                return b""
            finally:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

        answer: bytes = self.io_loop.run_sync(talk)
        self.shop.write_logs()
        return answer
