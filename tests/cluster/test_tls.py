"""A shop whose nodes speak TLS, as on several machines."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import ssl
from pathlib import Path

import pytest

from tests.certificates import Authority, caller
from tests.cluster.client import HTTPClient
from tests.cluster.cluster import Cluster, until
from tests.cluster.commands import command

GONE = (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)


async def refused(port: int, context: ssl.SSLContext) -> None:
    """Ask for a page in vain. With TLS 1.3 a client may hear of it as late as its first answer."""
    async with HTTPClient(port, context=context) as client:
        with pytest.raises(GONE):
            await client.get("/healthz")


async def test_a_shop_with_tls_reads_sells_and_fails_over(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "keys")
    tls = authority.sign("shop")
    async with Cluster(tmp_path, settings={"tls": tls}) as shop:
        await shop.start_supervised()
        assert (await shop.get("frontend-1", "/info/1")).cache == "miss"
        assert (await shop.get("frontend-1", "/info/1")).cache == "hit"
        assert (await shop.put("frontend-1", "/purchase/4")).json["new_count"] == 6
        page = await shop.get("frontend-1", "/confirm?book=4&quantity=1&cost=20&key=k")
        assert (page.status, "; Secure" in page.headers["set-cookie"]) == (200, True), page

        # Customers have no certificate; nodes must have one, and a token beside it.
        anybody, old = caller(tls, shown=False), authority.sign("old", days=-1)
        strange = Authority(tmp_path / "strange").sign("stranger")
        async with HTTPClient(shop.ports["frontend-1"], context=anybody) as client:
            assert (await client.get("/info/4")).json["count"] == 6
        for name in ("catalog-1", "order-1"):
            port = shop.ports[name]
            await refused(port, anybody)
            async with HTTPClient(port, context=caller(tls)) as client:
                assert (await client.get("/status")).status == 401
            await refused(port, caller({**strange, "ca": tls["ca"]}))
            await refused(port, caller(old))
            async with HTTPClient(port, context=caller({**tls, "ca": strange["ca"]})) as client:
                with pytest.raises(ssl.SSLCertVerificationError):
                    await client.get("/healthz")
        for why in ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "has expired", "issuer"):
            assert len(re.findall(f"no connection: .*{why}", shop.log("cluster"))) == 2, why
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
    roles = {"frontend": 1, "catalog": 1, "order": 1}
    async with Cluster(tmp_path, roles, settings={"tls": tls}) as shop:
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
        new = await certificate(shop, "catalog-1")
        authority.spoil(tls)  # what can't be used is not taken
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


async def test_nodes_of_two_machines_make_one_shop(tmp_path: Path) -> None:
    """Two directories, with a supervisor each, stand for the machines."""
    tls = Authority(tmp_path / "keys").sign("shop")
    roles = {"frontend": 1, "catalog": 1, "order": 1}
    async with Cluster(tmp_path, roles, settings={"tls": tls}) as shop:
        shop.launch("here", "--nodes", "catalog-1")
        await shop.ready("catalog-1")
        there = ("--config", elsewhere(shop), "--nodes", "frontend-1,order-1")
        far = shop.launch("there", *there)
        # It has made a token of its own: nobody has brought it ours.
        unknown = (
            "frontend-1 gets no feed from catalog-1: answered 'HTTP/1.1 403 Forbidden': it has"
        )
        await until(lambda: f"{unknown} another token" in shop.log("there"), "it is said")
        told = await command(shop, "status")
        assert told.returncode == 1
        assert "frontend-1 does not know our token" in told.stdout
        far.terminate()
        await shop.ended(far.pid)
        shutil.copy(shop.data_dir / "token", tmp_path / "elsewhere" / "data")
        shop.launch("there", *there)
        await shop.ready()
        assert (await shop.put("frontend-1", "/purchase/4")).status == 200
        told = await command(shop, "status")
        assert told.returncode == 0, told
        for log, others in (("here", ["frontend-1", "order-1"]), ("there", ["catalog-1"])):
            found = re.findall(r"^  (\S+) .*\(elsewhere\)$", shop.log(log), re.MULTILINE)
            assert set(found) == set(others), found
        wrong = shop.launch("wrong", "--nodes", "catalog-1,order-7")
        await shop.ended(wrong.pid)
        assert wrong.returncode == os.EX_CONFIG
        assert "--nodes order-7: is not in" in shop.log("wrong")


def elsewhere(shop: Cluster) -> str:
    """Return another machine's copy of cluster.json."""
    directory = shop.directory / "elsewhere"
    directory.mkdir()
    return str(shutil.copy(shop.config_path, directory))
