"""A shop whose nodes speak TLS, as on several machines."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from tests.certificates import Authority, caller
from tests.cluster.client import HTTPClient
from tests.cluster.cluster import Cluster, until
from tests.cluster.commands import command

GONE = (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)


async def refused(port: int, context: ssl.SSLContext | None) -> str:
    """Ask for a page; return the error that was got instead."""
    async with HTTPClient(port, context=context) as client:
        try:
            answer = await client.get("/healthz")
        except GONE as error:
            return f"{error!r} {error.__cause__!r}"
    raise AssertionError(f"it is answered: {answer}")


async def test_a_shop_with_tls_reads_sells_and_fails_over(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "keys")
    tls = authority.sign("shop")
    async with Cluster(tmp_path, settings={"tls": tls}) as shop:
        await shop.start_supervised()
        assert (await shop.get("frontend-1", "/info/1")).cache == "miss"
        assert (await shop.get("frontend-1", "/info/1")).cache == "hit"
        assert (await shop.put("frontend-1", "/purchase/4")).json["new_count"] == 6
        page = await shop.get("frontend-1", "/book/4")
        assert page.status == 200
        assert "Secure" in page.headers.get("set-cookie", "Secure")

        # Customers have no certificate; nodes must have one, and a token beside it.
        anybody = caller(tls, shown=False)
        async with HTTPClient(shop.ports["frontend-1"], context=anybody) as client:
            assert (await client.get("/info/4")).json["count"] == 6
        for name in ("catalog-1", "order-1"):
            port = shop.ports[name]
            assert "certificate required" in (await refused(port, anybody)).lower()
            async with HTTPClient(port, context=caller(tls)) as client:
                assert (await client.get("/status")).status == 401
            strange = Authority(tmp_path / "strange").sign("stranger")
            await refused(port, caller({**strange, "ca": tls["ca"]}))
            old = authority.sign("old", days=-1)
            await refused(port, caller(old))
        # HTTP in the clear is told the way.
        async with HTTPClient(shop.ports["frontend-1"]) as client:
            answer = await client.get("/info/1")
        assert (answer.status, "https://" in answer.json["error"]) == (400, True), answer

        told = await command(shop, "status")
        assert (told.returncode, told.stderr) == (0, ""), told
        assert (await command(shop, "verify")).returncode == 0
        await shop.kill(primary := await shop.primary("catalog"))
        assert (await shop.put("frontend-1", "/purchase/4")).json["new_count"] == 5
        assert await shop.primary("catalog") != primary
        await until(lambda: shop.pid(primary), f"{primary} runs again")
        await shop.ready()
        restarted = await command(shop, "restart")
        assert restarted.returncode == 0, restarted


async def test_a_certificate_is_renewed_without_a_restart(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "keys")
    tls = authority.sign("shop", days=1)
    async with Cluster(tmp_path, {"frontend": 1, "catalog": 1}, settings={"tls": tls}) as shop:
        await shop.start()
        assert "ends in 1.0 days" in shop.log("catalog-1")
        old = await certificate(shop, "catalog-1")
        kept = shop.client("frontend-1")
        assert (await kept.get("/info/1")).status == 200
        authority.sign("shop")

        async def renewed() -> bool:
            return await certificate(shop, "catalog-1") != old

        await until(renewed, "the new one is shown")
        assert (await kept.get("/info/1")).status == 200
        kept.close()
        # One that can't be used is not taken.
        authority.spoil(tls)
        new = await certificate(shop, "catalog-1")
        assert await certificate(shop, "frontend-1") not in (old, b"")
        assert await certificate(shop, "catalog-1") == new != old
        assert "tls.key: " in shop.log("catalog-1")
        assert shop.log("catalog-1").count("what was read before goes on") == 1


async def certificate(shop: Cluster, name: str) -> bytes:
    """Return the certificate that a node shows to a new connection."""
    context = ssl.create_default_context(cafile=shop.settings["tls"]["ca"])
    _, writer = await asyncio.open_connection("127.0.0.1", shop.ports[name], ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return bytes(shown)


async def test_several_processes_share_a_port_with_tls(tmp_path: Path) -> None:
    tls = Authority(tmp_path / "keys").sign("shop")
    options = {"frontend-1": {"processes": 2}}
    async with Cluster(tmp_path, settings={"tls": tls}, options=options) as shop:
        await shop.start_supervised()
        status = await shop.status("frontend-1")
        assert status is not None
        assert len(status["processes"]) == 2
        assert (await command(shop, "status")).returncode == 0
