"""A node that refuses the probe is alive; one that says nothing is not."""

from __future__ import annotations

import functools
import socket
from pathlib import Path

from bazar.config import NodeConfig
from bazar.node.probe import answers
from bazar.tls import Credentials
from tests.certificates import Authority
from tests.files import FilesTestCase
from tests.patience import PATIENCE_S
from tests.unit.http.door import Door


class ProbeTest(FilesTestCase):
    def credentials(self, authority: Authority, trusts: Path) -> Credentials:
        files = authority.sign("node")
        return Credentials(trusts, Path(files["cert"]), Path(files["key"]))

    async def answered(self, port: int, tls: Credentials | None, within_s: float) -> bool:
        node = NodeConfig("peer-1", "catalog", port, "127.0.0.1", "127.0.0.1", tls=tls)
        return await answers(node, within_s)

    async def test_whoever_answers_is_alive(self) -> None:
        async with Door() as door:
            self.assertTrue(await self.answered(door.port, None, PATIENCE_S))
        self.assertFalse(await self.answered(door.port, None, PATIENCE_S))

    async def test_so_is_a_node_that_does_not_trust_us_or_we_it(self) -> None:
        one, other = Authority(self.directory / "one"), Authority(self.directory / "other")
        both = self.directory / "both.pem"
        both.write_bytes(one.cert.read_bytes() + other.cert.read_bytes())
        ours = self.credentials(one, one.cert)
        context = functools.partial(ours.serving, mutual=True)
        async with Door(context=context) as door:
            for tls in (
                ours,
                self.credentials(other, both),  # is refused
                self.credentials(other, other.cert),  # refuses
            ):
                self.assertTrue(await self.answered(door.port, tls, PATIENCE_S))
        self.assertFalse(await self.answered(door.port, ours, PATIENCE_S))

    async def test_whoever_says_nothing_is_not(self) -> None:
        authority = Authority(self.directory)
        tls = self.credentials(authority, authority.cert)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            for credentials in (None, tls):
                self.assertFalse(await self.answered(silent.getsockname()[1], credentials, 0.05))
