"""A node that refuses the probe is alive; one that says nothing is not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

from bazar.config import NodeConfig
from bazar.node.probe import Probe
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
        probe = Probe(node)
        try:
            return await probe.answered(within_s)
        finally:
            probe.close()

    async def test_whoever_answers_is_alive(self) -> None:
        async with Door() as door:
            self.assertTrue(await self.answered(door.port, None, PATIENCE_S))
        self.assertFalse(await self.answered(door.port, None, PATIENCE_S))

    async def test_it_keeps_its_connection_until_the_node_closes_it(self) -> None:
        came: list[asyncio.StreamWriter] = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.append(writer)
            with contextlib.suppress(asyncio.IncompleteReadError):
                while await reader.readuntil(b"\r\n\r\n"):
                    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            probe = Probe(NodeConfig("peer-1", "catalog", port, "127.0.0.1", "127.0.0.1"))
            for _ in range(3):
                self.assertTrue(await probe.answered(PATIENCE_S))
            self.assertEqual(len(came), 1)
            came[0].close()
            await came[0].wait_closed()
            self.assertTrue(await probe.answered(PATIENCE_S))
            self.assertEqual(len(came), 2)
            probe.close()
            await came[1].wait_closed()

    async def test_a_late_answer_is_not_taken_for_the_next_one(self) -> None:
        late = asyncio.Event()
        came: list[asyncio.StreamWriter] = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.append(writer)
            await reader.readuntil(b"\r\n\r\n")
            await late.wait()
            if len(came) == 1:
                writer.write(2 * b"HTTP/1.1 200 OK\r\n\r\n")
            await reader.read()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            probe = Probe(NodeConfig("peer-1", "catalog", port, "127.0.0.1", "127.0.0.1"))
            self.assertFalse(await probe.answered(0.05))
            late.set()
            self.assertFalse(await probe.answered(0.05))
            self.assertEqual(len(came), 2)
            probe.close()
            for writer in came:
                await writer.wait_closed()

    async def test_so_is_a_node_that_does_not_trust_us_or_we_it(self) -> None:
        one, other = Authority(self.directory / "one"), Authority(self.directory / "other")
        both = self.directory / "both.pem"
        both.write_bytes(one.cert.read_bytes() + other.cert.read_bytes())
        ours = self.credentials(one, one.cert)
        context = ours.serving_nodes
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
