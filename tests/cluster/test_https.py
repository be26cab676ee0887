"""A front end's second door, for customers, with a certificate that their browsers know."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority, caller
from tests.cluster import ports
from tests.cluster.client import HTTPClient
from tests.cluster.cluster import LONG_LEASES, Cluster, until
from tests.cluster.commands import command
from tests.cluster.test_processes import hits, tell


def with_door(port: int, shown: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"frontend-1": {"https": {"port": port, **_files(shown)}, **more}}


def _files(shown: dict[str, str]) -> dict[str, str]:
    return {name: shown[name] for name in ("cert", "key")}


async def test_customers_come_by_https_and_nodes_as_before(port: int, tmp_path: Path) -> None:
    public = Authority(tmp_path / "public").sign("shop", "DNS:localhost,IP:127.0.0.1")
    settings = {"public_url": f"https://localhost:{port}"}
    async with Cluster(tmp_path, settings=settings, options=with_door(port, public)) as shop:
        await shop.start_supervised()
        browser = caller(public, shown=False)
        async with HTTPClient(port, context=browser) as client:
            assert (await client.get("/info/1")).cache == "miss"
            assert (await client.get("/info/1")).cache == "hit"
            page = await client.get("/confirm?book=4&quantity=1&cost=20&key=k")
            assert (page.status, "; Secure" in page.headers["set-cookie"]) == (200, True), page
            assert (await client.put("/purchase/4")).json["new_count"] == 6
            assert (await client.get("/keeper/sign-in")).status == 200  # the keeper's way, too
        async with HTTPClient(port) as client:  # in the clear it is told the way
            answer = await client.get("/info/1")
        assert (answer.status, "https://" in answer.json["error"]) == (400, True), answer
        assert (await shop.get("frontend-1", "/info/4")).json["count"] == 6
        assert (await command(shop, "status")).returncode == 0
        restarted = await command(shop, "restart", "frontend-1")
        assert restarted.returncode == 0, restarted
        async with HTTPClient(port, context=browser) as client:
            assert (await client.get("/info/4")).json["count"] == 6


async def test_its_certificate_is_renewed_without_a_restart(port: int, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "public")
    public = authority.sign("shop", days=1)
    roles = {"frontend": 1, "catalog": 1, "order": 1}
    async with Cluster(tmp_path, roles, options=with_door(port, public)) as shop:
        await shop.start()
        old = await shown(port, public)
        assert "ends in 1.0 days" in shop.log("frontend-1")
        authority.sign("shop")

        async def renewed() -> bool:
            return await shown(port, public) != old

        await until(renewed, "the new one is shown")
        new = await shown(port, public)
        authority.spoil(public)
        assert await shown(port, public) == new
        assert "nodes.frontend-1.https.key: " in shop.log("frontend-1")


async def shown(port: int, public: dict[str, str]) -> bytes:
    """Return the certificate that a browser sees."""
    context = ssl.create_default_context(cafile=public["ca"])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return bytes(certificate)


async def test_it_stands_beside_the_nodes_own_tls(port: int, tmp_path: Path) -> None:
    """And each of several processes has it."""
    inside, public = Authority(tmp_path / "inside"), Authority(tmp_path / "public")
    settings = {"tls": inside.sign("shop"), "replication": LONG_LEASES}
    seen = public.sign("shop")
    options = with_door(port, seen, processes=2)
    async with Cluster(tmp_path, settings=settings, options=options) as shop:
        await shop.start_supervised()

        async def each_has_it() -> bool:
            async with HTTPClient(port, context=caller(seen, shown=False)) as client:
                assert (await client.get("/info/1")).status == 200
            found = hits(await tell(shop))
            return len(found) == 2 and all(found.values())

        await until(each_has_it, "each process has had a hit through this door")
        assert (await shop.get("frontend-1", "/info/1")).status == 200
        async with HTTPClient(port, context=shop.context) as client:
            with pytest.raises(ssl.SSLCertVerificationError):
                await client.get("/info/1")
        for name in ("catalog-1", "order-1"):
            async with HTTPClient(shop.ports[name], context=caller(seen, shown=False)) as client:
                with pytest.raises(ssl.SSLCertVerificationError):
                    await client.get("/healthz")


async def test_one_that_has_expired_keeps_nobody_from_serving(port: int, tmp_path: Path) -> None:
    """Browsers say so, and no other node looks at it."""
    authority = Authority(tmp_path / "public")
    public = authority.sign("shop", days=-1)
    async with Cluster(tmp_path, options=with_door(port, public)) as shop:
        await shop.start_supervised()
        assert "nodes.frontend-1.https.cert: " in shop.log("cluster")
        assert "expired on" in shop.log("cluster")
        async with HTTPClient(port, context=caller(public, shown=False)) as client:
            with pytest.raises(ssl.SSLCertVerificationError):
                await client.get("/info/1")
        assert (await command(shop, "status")).returncode == 0
        authority.sign("shop")  # in its place
        async with HTTPClient(port, context=caller(public, shown=False)) as client:
            page = await client.get("/confirm?book=4&quantity=1&cost=20&key=k")
        assert "; Secure" in page.headers["set-cookie"], page  # whatever public_url says


async def test_where_it_is_missing_only_its_front_end_waits(port: int, tmp_path: Path) -> None:
    nowhere = {"cert": str(tmp_path / "none.pem"), "key": str(tmp_path / "none.key")}
    async with Cluster(tmp_path, options=with_door(port, nowhere)) as shop:
        await shop.start_supervised(wait=False)
        await shop.ready(*(name for name in shop.roles if name != "frontend-1"))
        await until(lambda: "frontend-1 starts again when" in shop.log("cluster"), "it is said")
        assert "https.cert: " in shop.log("cluster")
        assert (await shop.get("frontend-1", "/info/1")).status == 503


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    public = Authority(tmp_path / "public").sign("shop")
    [held] = ports.hold(1)
    with held:
        held.listen()
        port = ports.number(held)
        async with Cluster(tmp_path, options=with_door(port, public)) as shop:
            started = shop.launch("frontend", "--role", "frontend")
            await shop.ended(started.pid)
            assert f"frontend-1: cannot listen on 127.0.0.1:{port}" in shop.log("frontend")
