"""An edge over a small application, and a client that says exactly what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, cast
from unittest import IsolatedAsyncioTestCase, mock

from tornado.httputil import HTTPHeaders
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from bazar import trace_context
from bazar.http.access_log import AccessLog
from bazar.http.connection import Connection
from bazar.http.forwarded import Arrivals, Hosts, Proxies
from bazar.http.handshakes import NewContext
from bazar.http.known_targets import KnownTarget, Note
from bazar.http.response import HEADERS, RawResponse, entity_of
from bazar.http.server import HTTPServer
from bazar.http.state import Limits, ServerState
from bazar.http.traffic import CUSTOMERS, kind_of
from tests.patience import PATIENCE_S, until

CACHED = b'{"from": "the cache"}\n'
KIND = kind_of("/cached", CUSTOMERS)
PAGE_HEADERS = {**HEADERS, "X-Cache": "hit", "X-Replica": "catalog-1"}
START_WALL = 1_000_000_000.25  # Sun, 09 Sep 2001 01:46:40 GMT


class Echo(RequestHandler):
    """Answers what the application has seen of a request."""

    SUPPORTED_METHODS = (*RequestHandler.SUPPORTED_METHODS, "BREW")

    def set_default_headers(self) -> None:
        self.clear_header("Server")

    async def get(self) -> None:
        request = self.request
        self.application.settings["seen"].append(request.uri)
        seen = {
            "method": request.method,
            "uri": request.uri,
            "version": request.version,
            "headers": sorted(request.headers.get_all()),
            "body": request.body.decode("latin-1"),
            "ip": request.remote_ip,
        }
        self.finish(seen)

    put = post = delete = patch = options = head = get


class CachedHandler(Echo):
    """What `find` knows, where it is asked for in some way that `find` is not for."""

    async def get(self) -> None:
        self.application.settings["seen"].append(self.request.uri)
        self.application.settings["failed"].append(getattr(self.request, "failed", None))
        self.application.settings["spent"].append(self.request.request_time())
        for name, value in PAGE_HEADERS.items():
            self.set_header(name, value)
        self.finish(CACHED)

    head = get


class Waits(Echo):
    """Answers when the test lets it."""

    async def get(self) -> None:
        self.application.settings["waiting"].set()
        await self.application.settings["let"].wait()
        self.finish("let\n")

    def on_connection_close(self) -> None:
        self.application.settings["left"].set()


class Events(Echo):
    """A stream of what the test puts into a queue; None ends it."""

    async def get(self) -> None:
        settings = self.application.settings
        self.set_header("Content-Type", "text/event-stream")
        await self.flush()
        while (event := await settings["events"].get()) is not None:
            self.write(event)
            await self.flush()
            settings["flushed"] += 1
        self.finish()

    def on_connection_close(self) -> None:
        self.application.settings["left"].set()


class Lies(Echo):
    """Promises another length than it sends."""

    async def get(self) -> None:
        self.set_header("Content-Length", self.get_query_argument("length"))
        self.finish("12345")


class Parrot(asyncio.Protocol):
    """Another protocol: says back what it is told."""

    def __init__(self, transport: asyncio.Transport, lost: asyncio.Event) -> None:
        self.transport, self.lost = transport, lost
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()


class Leaves(Echo):
    """Leaves the connection to another protocol, once the test lets it."""

    async def get(self) -> None:
        settings = self.application.settings
        settings["waiting"].set()
        await settings["let"].wait()
        try:
            transport, received = cast(tuple[asyncio.Transport, bytes], self.detach())
        except StreamClosedError:
            settings["left"].set()
            return
        transport.write(b"hello ")
        Parrot(transport, settings["left"]).data_received(received)


def application() -> Application:
    return Application(
        [
            *(("/cached", CachedHandler), ("/waits", Waits), ("/events", Events)),
            *(("/lies", Lies), ("/leaves", Leaves)),
        ],
        default_handler_class=Echo,
        log_function=lambda handler: None,
        seen=[],
        waiting=asyncio.Event(),
        let=asyncio.Event(),
        left=asyncio.Event(),
        events=asyncio.Queue(),
        flushed=0,
        failed=[],
        spent=[],
    )


@dataclass
class Answer:
    status: int
    headers: HTTPHeaders
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class RawClient:
    """A connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, HTTPHeaders]:
        async with asyncio.timeout(PATIENCE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
        line, _, lines = head.decode("latin-1").partition("\r\n")
        return int(line.split(" ")[1]), HTTPHeaders.parse(lines)

    async def chunk(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            return (await self.reader.readexactly(size + 2))[:-2]

    async def answer(self, method: str = "GET") -> Answer:
        status, headers = await self.head()
        body = b""
        async with asyncio.timeout(PATIENCE_S):
            if method == "HEAD" or status in (100, 304):
                pass
            elif "Content-Length" in headers:
                body = await self.reader.readexactly(int(headers["Content-Length"]))
            elif "Transfer-Encoding" in headers:
                while piece := await self.chunk():
                    body += piece
            else:
                body = await self.reader.read()
        return Answer(status, headers, body)

    async def hits(self, count: int) -> None:
        """So many answers from the cache, read as quickly as that goes."""
        for begun in range(0, count, 100):  # an event loop that is debugged takes long for a timer
            async with asyncio.timeout(PATIENCE_S):
                for _ in range(begun, min(begun + 100, count)):
                    await self.reader.readuntil(CACHED)

    async def rest(self) -> bytes:
        """All that comes until the server closes."""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE_S):
                return await self.reader.read()
        return b""

    def read_quickly(self) -> None:
        """Let its kernel take more: a long answer through a small buffer lasts for minutes."""
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class Door:
    """The server on a free port, with TLS if it has a `context`. Time stands still unless
    `pass_time` moves it; a handshake's goes on. What it knows of /cached is `rendered`, or else is
    `fetched`; it knows nothing where that is None, too."""

    def __init__(
        self,
        limits: Limits | None = None,
        max_body_bytes: int = 1000,
        context: NewContext | None = None,
    ) -> None:
        self._context = context
        self.now = 1000.0
        self.application = application()
        self.settings = self.application.settings
        self.rendered: RawResponse | None = RawResponse.of(
            entity_of(CACHED), PAGE_HEADERS, "data is cached", KIND
        )
        self.fetched: asyncio.Future[RawResponse] | None = None
        self.fetching, self.traced = asyncio.Event(), ""
        state = ServerState(
            self.application,
            self._find,
            arrivals=Arrivals(Hosts(["shop", "a", "%41"]), Proxies(())),
            log=AccessLog("frontend-1"),
            headers=HEADERS,
            max_body_bytes=max_body_bytes,
            clock=lambda: self.now,
            wall=lambda: START_WALL + self.now - 1000,
            limits=limits,
        )
        self.server = HTTPServer(state)
        self._clients: list[RawClient] = []

    def _find(self, target: bytes) -> KnownTarget | None:
        known = self.rendered is not None or self.fetched is not None
        return self if known and target == b"/cached" else None

    def find(self, now: float) -> RawResponse | None:
        assert now == self.now
        return self.rendered

    async def fetch(self, note: Note) -> RawResponse:
        """Return what the test says, once it says so."""
        assert self.fetched is not None
        note("asks a replica")
        self.traced = trace_context.current.get()
        self.fetching.set()
        return await asyncio.shield(self.fetched)

    async def __aenter__(self) -> Door:
        sockets = bind_sockets(0, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        self.server.add_sockets(sockets, self._context)
        return self

    async def __aexit__(self, *error: object) -> None:
        for client in self._clients:
            await client.close()
        self.server.stop()
        await self.server.close_all_connections()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.server.sweep()

    async def client(
        self, receive_buffer: int | None = None, context: ssl.SSLContext | None = None
    ) -> RawClient:
        """`receive_buffer`: how much its kernel takes before it reads, about. `context`: what it
        speaks TLS with."""
        one = socket.socket()
        if receive_buffer is not None:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        one.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(one, ("127.0.0.1", self.port))
        except OSError:
            one.close()
            raise
        secured: dict[str, Any] = (
            {} if context is None else {"ssl": context, "server_hostname": "localhost"}
        )
        client = RawClient(*await asyncio.open_connection(sock=one, limit=1 << 16, **secured))
        self._clients.append(client)
        return client

    async def connection(self) -> Connection:
        """The edge's end of the only client, which may be connected before the edge knows."""
        await until(lambda: self.server.connections, "it is connected")
        [connection] = self.server.connections
        return connection

    async def ask(self, request: bytes, method: str = "GET") -> Answer:
        """One request on a connection of its own, and the answer to it."""
        client = await self.client()
        client.send(request)
        answer = await client.answer(method)
        await client.close()
        return answer

    async def talk(self, pieces: bytes | Iterable[bytes]) -> bytes:
        """All that is answered until the edge closes. Each piece arrives by itself."""
        client = await self.client()
        read, received = asyncio.Event(), Connection.data_received

        def hear(connection: Connection, data: bytes) -> None:
            read.set()
            received(connection, data)

        with mock.patch.object(Connection, "data_received", hear):
            for piece in [pieces] if isinstance(pieces, bytes) else pieces:
                client.send(piece)
                async with asyncio.timeout(PATIENCE_S):
                    await read.wait()
                read.clear()
            answer = await client.rest()
        await client.close()
        return answer


def get(target: str = "/cached", *lines: str, version: str = "1.1") -> bytes:
    return request("GET", target, *lines, version=version)


def request(
    method: str, target: str, *lines: str, version: str = "1.1", body: bytes = b""
) -> bytes:
    head = [f"{method} {target} HTTP/{version}", "Host: shop", *lines, "", ""]
    return "\r\n".join(head).encode("latin-1") + body


class EdgeTestCase(IsolatedAsyncioTestCase):
    limits: ClassVar[Limits | None] = None

    async def asyncSetUp(self) -> None:
        self.door = await self.enterAsyncContext(Door(self.limits))

    def assert_refused(self, answer: Answer, status: int, code: str) -> None:
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.json["code"], code)
        self.assertEqual(answer.json["request_id"], answer.headers["X-Request-Id"])
        self.assertTrue(answer.json["error"])
        self.assertEqual(answer.headers["Connection"], "close")
        self.assertEqual(answer.headers["Content-Type"], "application/json; charset=utf-8")
        self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(answer.headers["Cache-Control"], "no-cache")
        self.assertNotIn("Server", answer.headers)
