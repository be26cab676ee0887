"""Certificates, keys and CAs: what can't be used is refused with its place, and renewed ones are
taken."""

from __future__ import annotations

import os
import ssl
import tempfile
import unittest
from pathlib import Path
from typing import Any, ClassVar

from bazar.cluster_file import parse
from bazar.config import Config
from bazar.errors import ConfigError
from bazar.node.machines import here, refuse_open_doors, refuse_wrong_names
from bazar.tls import Credentials
from handlers import ROLES
from tests.certificates import Authority, openssl


def credentials(tls: dict[str, str]) -> Credentials:
    return Credentials(Path(tls["ca"]), Path(tls["cert"]), Path(tls["key"]))


class CredentialsTest(unittest.TestCase):
    directory: ClassVar[Path]
    authority: ClassVar[Authority]
    tls: ClassVar[dict[str, str]]

    @classmethod
    def setUpClass(cls) -> None:
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.directory = Path(directory.name)
        cls.authority = Authority(cls.directory)
        cls.tls = cls.authority.sign("shop", "DNS:shop.example,IP:192.0.2.1,IP:2001:db8::1")

    def refused(self, reason: str, **files: str) -> None:
        with self.subTest(reason, **files), self.assertRaisesRegex(ConfigError, reason):
            credentials({**self.tls, **files})

    def test_what_can_not_be_used(self) -> None:
        for name in ("ca", "cert", "key"):
            self.refused(rf"tls.{name}: .*nowhere: No such file", **{name: "/nowhere"})
            self.refused(rf"tls.{name}: .*Is a directory", **{name: str(self.directory)})
            self.refused(
                rf"tls.{name}: .*\(PEM\)", **{name: str(Path(__file__).parent / "__init__.py")}
            )
        self.refused(
            r"tls.key: .*ca.key: is not the key of .*shop.pem", key=str(self.authority.key)
        )
        self.refused(r"tls.ca: .*shop.pem: has no certificate of a CA", ca=self.tls["cert"])
        broken = self.directory / "broken.pem"
        broken.write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
        self.refused(r"tls.ca: .*broken.pem: ", ca=str(broken))
        self.refused(r"tls.cert, tls.key: .*broken.pem", cert=str(broken))

    def test_what_peers_would_refuse(self) -> None:
        self.refused(r"tls.cert: .*old.pem: expired on ", **self.authority.sign("old", days=-1))
        other = Authority(self.directory / "other")
        self.refused(r"tls.cert: .*shop.pem: is not signed by .*other/ca.pem", ca=str(other.cert))
        for usage in ("serverAuth", "clientAuth"):
            half = self.authority.sign("half", extensions=f"extendedKeyUsage={usage}\n")
            self.refused(r"tls.cert: .*half.pem: .*purpose", **half)

    def test_a_ca_that_has_expired(self) -> None:
        past = Authority(self.directory / "past", days=-1)
        self.refused(r"tls.ca: .*past/ca.pem: expired on ", **past.sign("late"))

    def test_two_cas_while_one_takes_the_others_place(self) -> None:
        other = Authority(self.directory / "next")
        both = self.directory / "both.pem"
        both.write_bytes(self.authority.cert.read_bytes() + other.cert.read_bytes())
        for tls in (self.tls, other.sign("shop")):
            credentials({**tls, "ca": str(both)})

    def test_a_key_is_its_owners(self) -> None:
        Path(self.tls["key"]).chmod(0o644)
        self.addCleanup(Path(self.tls["key"]).chmod, 0o600)
        self.refused(r"tls.key: .*is open to everybody: chmod 600")

    def test_a_key_with_a_password_is_asked_for_none(self) -> None:
        key = self.directory / "locked.key"
        openssl("ec", "-in", self.tls["key"], "-aes128", "-passout", "pass:x", "-out", key)
        self.refused(r"tls.key: .*locked.key: has a password", key=str(key))

    def test_a_node_has_a_name_of_its_certificate(self) -> None:
        ours = credentials(self.tls)
        for host in (
            "shop.example",
            "SHOP.example",
            "192.0.2.1",
            "2001:db8::1",
            "2001:db8:0::1%eth0",
        ):
            ours.require_name(host, "nodes.a.host")
        for host in ("example", "192.0.2.2", "127.0.0.1", "2001:db8::2"):
            with self.assertRaisesRegex(
                ConfigError, f"nodes.a.host: {host} is not named .*192.0.2.1"
            ):
                ours.require_name(host, "nodes.a.host")
        nameless = credentials(self.authority.sign("nameless", ""))
        with self.assertRaisesRegex(ConfigError, "subjectAltName has nothing"):
            nameless.require_name("nameless", "nodes.a.host")

    def test_files_are_read_anew_once_they_have_changed(self) -> None:
        tls = self.authority.sign("changing")
        ours = credentials(tls)
        before = ours.serving_nodes()
        self.assertIs(ours.serving_nodes(), before)
        self.assertIsNot(ours.serving(), before)
        self.authority.sign("changing")
        with self.assertLogs("bazar.certificate", "INFO") as logs:
            after = ours.serving_nodes()
        self.assertIn("read anew", logs.output[0])
        self.assertIsNot(after, before)
        for wrong in (lambda: Path(tls["key"]).write_text("x"), lambda: Path(tls["key"]).unlink()):
            wrong()
            with self.assertLogs("bazar.certificate", "ERROR") as logs:
                self.assertIs(ours.serving_nodes(), after)
                self.assertIs(ours.toward("localhost")["ssl"], ours.toward("localhost")["ssl"])
            [line] = logs.output
            self.assertIn("tls.key: ", line)
            self.assertIn("what was read before goes on", line)
        key = Path(tls["key"])
        self.authority.sign("changing")
        with self.assertLogs("bazar.certificate", "INFO"):
            ours.serving_nodes()
        key.unlink()
        with self.assertLogs("bazar.certificate", "ERROR"):  # once more: it had been mended
            ours.serving_nodes()

    def test_one_that_ends_soon_is_told_once_a_day(self) -> None:
        ours = credentials(self.authority.sign("soon", days=13))
        with self.assertLogs("bazar.certificate", "WARNING") as logs:
            for _ in range(3):
                ours.serving_nodes()
        self.assertEqual(len(logs.output), 1)
        self.assertRegex(logs.output[0], r"soon.pem: ends in 1[23]\.\d days: put a new one")
        with self.assertNoLogs("bazar.certificate", "WARNING"):
            credentials(self.authority.sign("late", days=15)).serving_nodes()

    def test_no_older_protocol_is_spoken(self) -> None:
        ours = credentials(self.tls)
        calling = ours.toward("a")["ssl"]
        for context in (ours.serving_nodes(), ours.serving(), calling):
            self.assertEqual(context.minimum_version, ssl.TLSVersion.TLSv1_2)
        self.assertEqual(ours.serving_nodes().verify_mode, ssl.CERT_REQUIRED)
        self.assertEqual(ours.serving().verify_mode, ssl.CERT_NONE)
        self.assertTrue(calling.check_hostname)

    def test_in_the_file(self) -> None:
        nodes = {"catalog-1": {"role": "catalog", "port": 1, "host": "192.0.2.1"}}
        names = {name: os.path.relpath(path, self.directory) for name, path in self.tls.items()}
        config = parse({"nodes": nodes, "tls": names}, self.directory, ROLES)
        node = config.nodes["catalog-1"]
        self.assertEqual(node.url, "https://192.0.2.1:1")
        refuse_open_doors(config)
        refuse_wrong_names([node])
        wrong = parse(
            {"nodes": {"a": {**nodes["catalog-1"], "host": "192.0.2.2"}}, "tls": names},
            self.directory,
            ROLES,
        )
        with self.assertRaisesRegex(ConfigError, r"nodes\.a\.host: 192\.0\.2\.2"):
            refuse_wrong_names(wrong.nodes.values())
        for place, tls in (
            ("tls: must be", []),
            ("tls: must be", None),
            ("tls.key: is missing", {"ca": "x", "cert": "y"}),
            ("tls.ciphers: unknown", {**names, "ciphers": "x"}),
            ("tls.ca: 1 is not a text", {**names, "ca": 1}),
            ("tls.cert: must be a path", {**names, "cert": ""}),
        ):
            with self.subTest(place), self.assertRaisesRegex(ConfigError, place):
                parse({"nodes": nodes, "tls": tls}, self.directory, ROLES)
        with self.assertRaisesRegex(ConfigError, "insecure: stands beside tls"):
            parse({"nodes": nodes, "tls": names, "insecure": True}, self.directory, ROLES)


class MachinesTest(unittest.TestCase):
    def test_without_tls_nodes_are_reached_from_this_machine_alone(self) -> None:
        def shop(role: str, node: dict[str, str], **more: Any) -> Config:
            nodes = {"a": {"role": role, "port": 1, **node}}
            return parse({"nodes": nodes, **more}, Path("/base"), ROLES)

        for role, wrong in (
            ("catalog", {"bind": "0.0.0.0"}),
            ("order", {"host": "192.0.2.1"}),
            ("order", {"host": "192.0.2.1", "bind": "127.0.0.1"}),
            ("catalog", {"bind": "::"}),
        ):
            with self.assertRaisesRegex(ConfigError, r'nodes\.a: .*"insecure": true'):
                refuse_open_doors(shop(role, wrong))
            refuse_open_doors(shop(role, wrong, insecure=True))
        for role, right in (("frontend", {"bind": "0.0.0.0"}), ("order", {"host": "127.0.0.2"})):
            refuse_open_doors(shop(role, right))
        for given in (1, "true", None):
            with self.assertRaisesRegex(ConfigError, "insecure: "):
                shop("order", {}, insecure=given)

    def test_which_nodes_run_here(self) -> None:
        nodes = {
            "far": {"role": "catalog", "port": 1, "host": "192.0.2.1"},
            "near": {"role": "catalog", "port": 1},
            "other": {"role": "order", "port": 2},
        }
        config = parse({"nodes": nodes}, Path("/base"), ROLES)
        self.assertEqual([node.name for node in here(config)], ["near", "other"])
        self.assertEqual([node.name for node in here(config, ["other", "far"])], ["far", "other"])
        with self.assertRaisesRegex(ConfigError, "--nodes fare: .* known: far, near, other"):
            here(config, ["near", "fare"])
        self.assertEqual(config.find("catalog", 1).name, "near")
        self.assertEqual(config.find("catalog", None).name, "near")
        self.assertEqual(config.find("catalog", 1, here(config, ["far"])).name, "far")
        with self.assertRaisesRegex(ConfigError, "no node for role order"):
            config.find("order", None, here(config, ["far"]))
        far = parse({"nodes": {"far": nodes["far"]}}, Path("/base"), ROLES)
        with self.assertRaisesRegex(ConfigError, r"this machine \(192\.0\.2\.1\): .*--nodes"):
            here(far)
        self.assertEqual(far.find("catalog", 1).name, "far")
