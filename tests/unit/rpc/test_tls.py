"""Calls to a node with TLS: who is not trusted is not spoken to."""

from __future__ import annotations

from pathlib import Path

from bazar.config import NodeConfig
from bazar.errors import Unavailable, Untrusted
from bazar.rpc.client import CALLS_PATH, RPCClient
from bazar.rpc.frames import dial
from bazar.tls import Credentials
from tests.certificates import Authority
from tests.files import FilesTestCase
from tests.patience import PATIENCE_S
from tests.unit.http.door import Door


class TLSTest(FilesTestCase):
    async def asyncSetUp(self) -> None:
        self.authority = Authority(self.directory)
        self.tls = self.credentials(self.authority.sign("node", "IP:127.0.0.1"))
        new_context = self.tls.serving_nodes
        self.door = await self.enterAsyncContext(Door(context=new_context))
        self.door.settings["let"].set()
        self.client = RPCClient("the-token", PATIENCE_S)
        self.addCleanup(self.client.close)

    def credentials(self, files: dict[str, str]) -> Credentials:
        return Credentials(*(Path(files[name]) for name in ("ca", "cert", "key")))

    def node(self, tls: Credentials, host: str = "127.0.0.1") -> NodeConfig:
        return NodeConfig("peer-1", "catalog", self.door.port, host, tls=tls)

    async def test_a_node_is_called_and_dialled(self) -> None:
        node = self.node(self.tls)
        answer = await self.client.call(node, "/status", None, PATIENCE_S)
        self.assertEqual(answer["uri"], "/status")
        with self.assertRaisesRegex(ConnectionRefusedError, "200"):  # by whom it is no upgrade
            await dial(node, "/feed", "the-token", PATIENCE_S)

    async def test_a_node_that_does_not_trust_us(self) -> None:
        both, other = self.directory / "both.pem", Authority(self.directory / "other")
        both.write_bytes(self.authority.cert.read_bytes() + other.cert.read_bytes())
        node = self.node(self.credentials({**other.sign("other"), "ca": str(both)}))
        with (
            self.assertLogs("bazar.http.handshakes", "WARNING") as logs,
            self.assertRaisesRegex(Unavailable, "peer-1: the connection was closed"),
        ):
            await self.client.submit(node, CALLS_PATH, {}, PATIENCE_S)
        self.assertIn("127.0.0.1: no connection: ", logs.output[0])
        self.assertEqual(self.door.settings["seen"], [])

    async def test_a_name_that_its_certificate_has_not(self) -> None:
        node = self.node(self.tls, "localhost")
        with self.assertRaisesRegex(Untrusted, "peer-1: "):
            await self.client.call(node, "/status", None, PATIENCE_S)
        with self.assertRaisesRegex(Untrusted, "Hostname mismatch"):
            await self.client.submit(node, CALLS_PATH, {}, PATIENCE_S)
        self.assertEqual(self.door.settings["seen"], [])

    async def test_a_ca_that_is_not_ours(self) -> None:
        node = self.node(self.credentials(Authority(self.directory / "other").sign("other")))
        with self.assertRaisesRegex(Untrusted, "peer-1: "):
            await self.client.call(node, "/write", {}, PATIENCE_S)
        with self.assertRaisesRegex(Untrusted, "self-signed|issuer|verify failed"):
            await self.client.submit(node, CALLS_PATH, {}, PATIENCE_S)
        self.assertEqual(self.door.settings["seen"], [])
