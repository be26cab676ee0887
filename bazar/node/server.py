"""A service -> a tornado Application on its port, with its start and its stop."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import re
import secrets
import socket
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from tornado.escape import url_unescape
from tornado.httputil import HTTPServerRequest
from tornado.web import Application

from bazar import clock
from bazar.config import Config, NodeConfig
from bazar.errors import Misdirected
from bazar.http.access_log import AccessLog
from bazar.http.handler import LeanHandler
from bazar.http.known_targets import KnownTarget, KnownTargets
from bazar.http.rate_limit import RateLimit
from bazar.http.response import HEADERS
from bazar.http.served_request import ServedRequest
from bazar.http.server import HTTPServer
from bazar.http.state import MAX_CONNECTIONS, Limits, ServerState
from bazar.http.traffic import ASTRAY, CUSTOMERS, NODES, Kind, kind_of
from bazar.metrics.figures import Figures
from bazar.node.listening import listen, secured
from bazar.rpc.links import Links

log = logging.getLogger(__name__)

PUBLIC = "public"
INTERNAL = "internal"
METRICS_PATH = "/metrics"

MAX_BODY_BYTES = 64 << 10
MAX_INTERNAL_BODY_BYTES = 16 << 20
DRAIN_S = 5.0
STOP_S = 12.0
METRICS_CONNECTIONS = 64
_OPTIONAL = re.compile(r".\?")
_GROUP = re.compile(r"\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Route:
    """One path: a pattern without its service's prefix, and its callers: all, or nodes."""

    pattern: str
    handler: type[LeanHandler]
    access: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """Return what its requests are counted as: `/info/*`, say."""
        name = _GROUP.sub("*", _OPTIONAL.sub("", self.pattern))
        ours = self.access == PUBLIC and self.handler.counts
        return kind_of(name, CUSTOMERS if ours else NODES)


class Activity:
    """The requests under way at one node, so that it can leave without losing one."""

    def __init__(self) -> None:
        self.draining = False
        self._requests: set[object] = set()
        self._leaving = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def enter(self, request: object) -> None:
        self._requests.add(request)
        self._idle.clear()

    def leave(self, request: object) -> None:
        self._requests.discard(request)
        if not self._requests:
            self._idle.set()

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """Count a request as one that is under way, as long as the block lasts."""
        one = object()
        self.enter(one)
        try:
            yield
        finally:
            self.leave(one)

    async def unless_leaving(self, wait: Coroutine[Any, Any, bool]) -> bool:
        """Return what `wait` returns, but False as soon as the node is to leave."""
        waiting = asyncio.create_task(wait)
        leaving = asyncio.create_task(self._leaving.wait())
        try:
            await asyncio.wait([waiting, leaving], return_when=asyncio.FIRST_COMPLETED)
            return waiting.done() and waiting.result()
        finally:
            waiting.cancel()
            leaving.cancel()

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is under way; what comes now is told to go elsewhere."""
        self.draining = True
        self._leaving.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()


@dataclass(frozen=True, slots=True)
class Context:
    """What a service is made of. `token` is sent to other nodes, and `other_tokens` are taken from
    them as well; `on_fatal` ends the process; `siblings` are the other processes of the same front
    end; `has_led` says that the node's group had a primary before this process, and `empty` that a
    catalog which this node begins is to have no samples. `wall` is the time of day, as seconds
    since 1970: for what other machines must understand, and people."""

    config: Config
    node: NodeConfig
    token: str
    on_fatal: Callable[[BaseException], None]
    siblings: tuple[NodeConfig, ...] = ()
    has_led: bool = False
    empty: bool = False
    other_tokens: tuple[str, ...] = ()
    clock: Callable[[], float] = clock.now
    wall: Callable[[], float] = time.time
    run: str = field(default_factory=lambda: secrets.token_hex(8))
    activity: Activity = field(default_factory=Activity)
    log: AccessLog = field(init=False)
    links: Links = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "log", AccessLog(self.node.name))
        object.__setattr__(self, "links", Links(self.node.name))

    @property
    def tokens(self) -> tuple[str, ...]:
        """Return the tokens that are taken, first the one that is sent."""
        return self.token, *self.other_tokens

    def is_token(self, sent: str) -> bool:
        """Return whether this is the cluster's token: that takes the same time however much of it
        is right."""
        given = sent.encode("utf-8", "replace")
        return any(hmac.compare_digest(given, one.encode()) for one in self.tokens)


class Service(Protocol):
    """One role at work in one node."""

    context: Context
    prefix: str
    """A regular expression: the prefixes its paths may have, or none."""
    max_body_bytes: int
    """What its port reads of any body; each handler has a bound of its own."""
    for_nodes: bool
    """Whether, with TLS, only those are its clients who have a certificate of the shop's CA."""
    known: KnownTargets
    """Requests that it answers without a handler."""
    limit: RateLimit | None
    """How often each client may ask, if that is limited."""

    def routes(self) -> Sequence[Route]: ...
    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Leave the cluster; no request is under way any more."""

    def ready(self) -> None:
        """Raise Unavailable while this node is not fit to serve."""

    def status(self) -> dict[str, Any]:
        """Return what an operator wants to know, as JSON."""

    def measure(self, figures: Figures) -> None:
        """Tell what is counted here, beside requests."""


class ServiceApplication(Application):
    """The paths of one service, all or some, on the port of `node`. `fallback` answers what has no
    route, or is for another host."""

    def __init__(
        self,
        service: Service,
        fallback: type[LeanHandler],
        routes: Iterable[Route] | None = None,
        node: NodeConfig | None = None,
    ) -> None:
        super().__init__(
            log_function=lambda handler: None,  # handlers write their own line
            cross_origin_protection=True,  # by Sec-Fetch-Site, or else Origin
        )
        context = service.context
        self.arrivals = context.config.arrivals(node or context.node)
        self.service = service
        self.log = context.log
        self.limit = service.limit
        self._nothing = fallback, ASTRAY, {"service": service, "access": PUBLIC}
        self._routes = [
            (
                re.compile(service.prefix + route.pattern),
                route.handler,
                route.kind,
                {"service": service, "access": route.access, **route.options},
            )
            for route in (service.routes() if routes is None else routes)
        ]

    def __call__(self, request: HTTPServerRequest) -> asyncio.Task[None]:
        """Have the request answered in a task of its own: where Tornado's rules ask three routers
        for a delegate, and that for a handler, its route is found in one pass."""
        assert isinstance(request, ServedRequest)
        request = self.arrivals.seen(request)
        made, kind, options, parts = self._find(request)
        handler = made(self, request, **options)
        handler.kind = kind
        return asyncio.create_task(handler._execute([], *parts))

    def _find(
        self, request: ServedRequest
    ) -> tuple[type[LeanHandler], Kind, dict[str, Any], Sequence[bytes]]:
        """Return the handler's class, what the request is counted as, the handler's options, and
        what of the path it is told."""
        nothing, unknown, options = self._nothing
        if not self.arrivals.hosts.own(request.host):
            name = request.host[:100]
            refusal = Misdirected(f"Host: {name!r} is not served here; cluster.json lists `hosts`")
            return nothing, unknown, {**options, "refusal": refusal}, ()
        for pattern, handler, kind, known in self._routes:
            match = pattern.fullmatch(request.path)
            if match is not None:
                parts = [url_unescape(part, None, plus=False) for part in match.groups()]
                return handler, kind, known, parts
        return nothing, unknown, options, ()


def _nothing(target: bytes) -> KnownTarget | None:
    """Know no target: the application answers all there is here."""
    return None


class Server:
    """One node: its service behind an HTTP server, which may hold so many `connections`; and
    another one that tells everybody its figures, if the node has a port for that."""

    def __init__(
        self,
        service: Service,
        fallback: type[LeanHandler],
        *,
        connections: int = MAX_CONNECTIONS,
    ) -> None:
        self.service = service
        application = ServiceApplication(service, fallback)
        find = service.known.find
        self.http = _http(application, find, min(connections, MAX_CONNECTIONS))
        node = service.context.node
        metrics = [
            replace(route, access=PUBLIC)
            for route in service.routes()
            if route.pattern == METRICS_PATH
        ]
        there = replace(node, bind=node.metrics_bind)
        application = ServiceApplication(service, fallback, metrics, there)
        self.metrics = _http(application, _nothing, METRICS_CONNECTIONS)

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        await self.service.start()
        node, for_nodes = self.service.context.node, self.service.for_nodes
        for one, context in secured(node, sockets, for_nodes=for_nodes):
            is_for_metrics = one.getsockname()[1] == node.metrics_port
            (self.metrics if is_for_metrics else self.http).add_sockets([one], context)

    async def stop(self) -> None:
        """Leave in order, within a bound."""
        self.metrics.stop()
        self.http.stop()
        await self.http.close_gracefully()
        await self.service.context.activity.drain(DRAIN_S)
        await self.service.stop()
        await self.metrics.close_all_connections()
        await self.http.close_all_connections()


def _http(
    application: ServiceApplication,
    find: Callable[[bytes], KnownTarget | None],
    connections: int,
) -> HTTPServer:
    state = ServerState(
        application,
        find,
        arrivals=application.arrivals,
        log=application.log,
        limit=application.limit,
        headers=HEADERS,
        max_body_bytes=application.service.max_body_bytes,
        clock=application.service.context.clock,
        limits=Limits(connections=connections),
    )
    return HTTPServer(state)


async def serve(servers: Sequence[Server], shutdown: asyncio.Event) -> None:
    """Run `servers` until `shutdown`, then stop them in this order."""
    sockets = [listen(server.service.context.node) for server in servers]
    started: list[Server] = []
    try:
        for server, bound in zip(servers, sockets, strict=True):
            await server.start(bound)
            started.append(server)
            node = server.service.context.node
            log.info("%s listens on %s:%d", node.name, node.bind, node.port)
        await shutdown.wait()
    finally:
        async with asyncio.timeout(STOP_S):
            for server in started:
                await server.stop()
