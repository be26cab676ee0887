"""A shop behind the proxies of docs/deploy, which have its certificate."""

from __future__ import annotations

import asyncio
import http.client
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.certificates import Authority, caller
from tests.cluster import ports
from tests.cluster.client import Answer, HTTPClient
from tests.cluster.cluster import Cluster, until
from tests.cluster.load import PASSING, Load
from tests.cluster.proxies import NAME, serving
from tests.cluster.test_failures import STOCK, nothing_lost

ROLES = {"frontend": 2, "catalog": 2, "order": 2}
CUSTOMER, OTHER, LIED = "127.0.0.2", "127.0.0.3", "192.0.2.7"
BURST = 20
RATE = {"requests_per_s": 0.001, "requests_burst": BURST}  # no machine is too slow for that
HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')
HEADER = "Content-Type"
FORM = "application/x-www-form-urlencoded"
BAD_GATEWAY = 502  # what a proxy answers when a front end breaks off
TIMEOUT_S = 60.0
EVENTS = "/cluster/events"
STREAM = b"""HTTP/1.1 200 OK\r
Content-Type: text/event-stream; charset=utf-8\r
Cache-Control: no-cache, no-store, no-transform\r
X-Accel-Buffering: no\r
\r
data: {}\r
\r
"""

both = pytest.mark.parametrize("program", ["nginx", "caddy"])


class Proxy:
    """The one door of a shop. `http` is the port in the clear."""

    def __init__(self, http: int, https: int, tls: Mapping[str, str]) -> None:
        self.http, self.https, self.tls = http, https, tls
        self.context = caller(tls, shown=False)
        self.url = f"https://{NAME}:{https}"

    def group(self, role: str) -> list[str]:
        return ["proxy"] if role == "frontend" else []

    def client(self, name: str, *, with_token: bool = False) -> HTTPClient:
        return HTTPClient(self.https, context=self.context, host=NAME)

    async def ask(
        self,
        method: str,
        path: str,
        body: str | None = None,
        *,
        client: str = CUSTOMER,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask once, from an address of this machine."""
        return await asyncio.to_thread(self._ask, method, path, body, client, headers or {})

    def _ask(
        self, method: str, path: str, body: str | None, client: str, headers: Mapping[str, str]
    ) -> Answer:
        connection = http.client.HTTPSConnection(
            NAME, self.https, timeout=TIMEOUT_S, context=self.context, source_address=(client, 0)
        )
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    async def serves(self) -> bool:
        try:
            async with self.client("proxy") as client:
                await client.connect()
        except OSError:
            return False
        return True


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    tls = Authority(tmp_path / "public").sign("shop", f"DNS:{NAME}")
    one, other = ports.hold(2)
    with one, other:
        yield Proxy(ports.number(one), ports.number(other), tls)


@asynccontextmanager
async def served(
    program: str, proxy: Proxy, directory: Path, settings: Mapping[str, object]
) -> AsyncIterator[Cluster]:
    """A shop with two front ends behind this proxy."""
    behind = {"public_url": proxy.url, "trusted_proxies": ["127.0.0.1"], **settings}
    async with Cluster(directory / "shop", ROLES, settings=behind) as shop:
        doors = [shop.ports[name] for name in shop.group("frontend")]
        with serving(program, directory / program, (proxy.http, proxy.https), doors, proxy.tls):
            await shop.start_supervised()
            await until(proxy.serves, f"{program} serves")
            yield shop


@both
async def test_customers_are_served_as_by_the_shop_itself(
    program: str, proxy: Proxy, tmp_path: Path
) -> None:
    async with served(program, proxy, tmp_path, {}) as shop:
        page = await proxy.ask("GET", "/", headers={"Accept": "text/html"})
        assert (page.status, page.headers["content-type"].split(";")[0]) == (200, "text/html")
        assert (await proxy.ask("GET", "/info/4")).json["count"] == 7
        assert (await proxy.ask("PUT", "/purchase/4")).json["new_count"] == 6
        await until(lambda: f" {CUSTOMER} PUT /purchase/4 200" in shop.log("cluster"), "it is said")

        # Forms are the shop's own, but for those that other sites send.
        page = await proxy.ask("GET", "/confirm?book=4&quantity=1&cost=20&key=k")
        cookie = page.headers["set-cookie"]
        assert "; Secure" in cookie
        fields = urlencode(dict(HIDDEN.findall(page.body.decode())))
        for origin, status in ((proxy.url, 303), ("https://evil.example", 403)):
            sent = {"Cookie": cookie.partition(";")[0], HEADER: FORM, "Origin": origin}
            bought = await proxy.ask("POST", "/buy", fields, headers=sent)
            assert bought.status == status, bought
        assert (await proxy.ask("GET", "/info/4")).json["count"] == 5

        # The keeper's session is good at both front ends.
        fields = urlencode({"keeper-token": shop.token, "keeper-to": "/keeper/books"})
        sent = {HEADER: FORM, "Origin": proxy.url}
        begun = await proxy.ask("POST", "/keeper/sign-in", fields, headers=sent)
        cookie = begun.headers["set-cookie"]
        assert (begun.status, "; Secure" in cookie) == (303, True), begun
        for _ in range(4):
            seen = {"Cookie": cookie.partition(";")[0]}
            assert (await proxy.ask("GET", "/keeper/books", headers=seen)).status == 200

        async with HTTPClient(proxy.http, host=NAME) as client:  # in the clear it is led there
            led = await client.get("/info/4?a=b")
        assert (led.status, led.headers["location"]) == (308, f"https://{NAME}/info/4?a=b")
        assert b"text/event-stream" in await first_event(proxy)


async def first_event(proxy: Proxy) -> bytes:
    """Return the stream of /cluster up to its first event, while it goes on."""
    reader, writer = await asyncio.open_connection(NAME, proxy.https, ssl=proxy.context)
    writer.write(f"GET {EVENTS} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await reader.readuntil(b"data: {")
    finally:
        writer.transport.abort()


@both
async def test_the_real_client_has_the_limit_whatever_it_says(
    program: str, proxy: Proxy, tmp_path: Path
) -> None:
    async with served(program, proxy, tmp_path, {"rate_limit": RATE}) as shop:
        lies = {
            "X-Forwarded-For": LIED,
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Proto": "http",
            "Forwarded": f"for={LIED};host=evil.example",
        }
        for _ in range(2 * BURST + 1):  # each of the front ends counts for itself
            answer = await proxy.ask("GET", "/info/4", headers=lies)
            if answer.status != 200:
                break
        assert answer.status == 429
        assert answer.json["error"] == f"too many requests from {CUSTOMER}"
        assert "retry-after" in answer.headers
        assert (await proxy.ask("GET", "/info/4", client=OTHER)).status == 200
        await until(lambda: f" {OTHER} GET /info/4 200" in shop.log("cluster"), "it is said")
        assert LIED not in shop.log("cluster")


@both
async def test_purchases_through_it_are_sold_once_while_front_ends_are_killed(
    program: str, proxy: Proxy, tmp_path: Path
) -> None:
    async with served(program, proxy, tmp_path, {}) as shop:
        await shop.update(4, count=STOCK)
        async with Load(proxy, (*PASSING, BAD_GATEWAY)) as load:
            load.buy("proxy", 4)
            await load.flowing(0)
            for name in ("frontend-1", "frontend-2"):
                await shop.kill(name)
                await load.flowing(time.monotonic())
                await until(partial(shop.pid, name), f"{name} runs again")
                await shop.ready(name)
        await nothing_lost(shop, load)
        print(f"{len(load.bought)} bought; asked again {len(load.write_errors)} times")


class Breaking:
    """A front end that answers /well, says one thing of /cluster and then no more, and breaks off
    at any other request."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                self.heard.append(head.split(" HTTP")[0])
                if self.heard[-1] == f"GET {EVENTS}":
                    writer.write(STREAM)
                    await reader.read()
                if self.heard[-1] != "GET /well":
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def before(program: str, proxy: Proxy, directory: Path) -> AsyncIterator[Breaking]:
    """A proxy in front of two of these."""
    door, listening = Breaking(), [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    servers = [await asyncio.start_server(door.serve, sock=one) for one in listening]
    doors = [ports.number(one) for one in listening]
    try:
        with serving(program, directory / program, (proxy.http, proxy.https), doors, proxy.tls):
            await until(proxy.serves, f"{program} serves")
            yield door
    finally:
        for server in servers:
            server.close()


@both
async def test_it_sends_no_purchase_twice_by_itself(
    program: str, proxy: Proxy, tmp_path: Path
) -> None:
    """Not even on a connection that was well, where a proxy may think that it was closed before."""
    async with before(program, proxy, tmp_path) as door:
        for method, path in (("PUT", "/purchase/4"), ("POST", "/purchase"), ("POST", "/buy")):
            assert [(await proxy.ask("GET", "/well")).status for _ in range(2)] == [200, 200]
            answer = await proxy.ask(method, path, "{}")
            assert answer.status == BAD_GATEWAY
            assert door.heard.count(f"{method} {path}") == 1
            await until(lambda: well(proxy), "it trusts them again")


async def well(proxy: Proxy) -> bool:
    return (await proxy.ask("GET", "/well")).status == 200


@both
async def test_it_holds_no_event_back(program: str, proxy: Proxy, tmp_path: Path) -> None:
    async with before(program, proxy, tmp_path):
        assert b"text/event-stream" in await first_event(proxy)
