"""cluster.json is read strictly: what is wrong is refused, with the place."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path
from typing import Any

from bazar.cluster_file import load, parse
from bazar.config import Config
from bazar.errors import ConfigError
from handlers import ROLES

HERE = Path(__file__).resolve().parents[2]
NODES = {"catalog-1": {"role": "catalog", "port": 8000}}


def read(nodes: Any = None, **rest: Any) -> Config:
    return parse({"nodes": NODES if nodes is None else nodes, **rest}, Path("/base"), ROLES)


class ConfigTest(unittest.TestCase):
    def refused(self, place: str, nodes: Any = None, **rest: Any) -> None:
        with self.subTest(place=place, nodes=nodes, **rest):
            with self.assertRaises(ConfigError) as caught:
                read(nodes, **rest)
            self.assertIn(place, str(caught.exception))

    def test_the_shipped_file_has_the_references_values(self) -> None:
        config = load(HERE / "cluster.json", ROLES)
        ports = {name: (node.role, node.port) for name, node in config.nodes.items()}
        self.assertEqual(
            ports,
            {
                "frontend-1": ("frontend", 8001),
                "catalog-1": ("catalog", 8000),
                "catalog-2": ("catalog", 8003),
                "order-1": ("order", 8002),
                "order-2": ("order", 8004),
            },
        )
        local, default = config.caches["local"], config.caches["default"]
        self.assertEqual((local.entries, local.ttl_s), (10, 300))
        self.assertEqual((default.entries, default.ttl_s), (100, 20))
        self.assertEqual(config.data_dir, HERE / "data")

    def test_everything_but_nodes_has_a_default(self) -> None:
        config = read()
        self.assertEqual(config.data_dir, Path("/base/data"))
        self.assertEqual((config.caches["local"].entries, config.replication.lease_s), (10, 1.0))
        node = config.nodes["catalog-1"]
        self.assertEqual((node.host, node.bind, node.url), ("127.0.0.1",) * 2 + (node.url,))
        self.assertEqual(node.url, "http://127.0.0.1:8000")
        self.assertTrue(node.is_local)

    def test_a_door_for_customers_is_a_front_ends(self) -> None:
        door = {"cert": "a.pem", "key": "a.key"}
        nodes: Any = {"catalog-1": {"role": "catalog", "port": 8000, "https": door}}
        self.refused("nodes.catalog-1.https: only a front end", nodes)
        front = {"role": "frontend", "port": 8001}
        for place, wrong in (
            ("https.port: 8001 is frontend-1's already", {**door, "port": 8001}),
            ("https.port: 0 is not between", {**door, "port": 0}),
            ("https.key: is missing", {"cert": "a.pem"}),
            ("https.ca: unknown", {**door, "ca": "ca.pem"}),
            ("https.cert: must be a path", {**door, "cert": ""}),
            ("https: must be an object", "a.pem"),
        ):
            self.refused(f"nodes.frontend-1.{place}", {"frontend-1": {**front, "https": wrong}})

    def test_nodes_are_numbered_within_their_role(self) -> None:
        config = load(HERE / "cluster.json", ROLES)
        self.assertEqual([node.number for node in config.group("catalog")], [1, 2])
        self.assertEqual([node.number for node in config.group("order")], [1, 2])

    def test_bind_and_host(self) -> None:
        node = read({"a": {"role": "order", "port": 1, "host": "::1"}}).nodes["a"]
        self.assertEqual((node.bind, node.url), ("::1", "http://[::1]:1"))
        node = read({"a": {"role": "order", "port": 1, "bind": "0.0.0.0"}}).nodes["a"]
        self.assertEqual((node.host, node.is_local), ("127.0.0.1", False))

    def test_a_node_is_reached_by_a_name_or_an_address(self) -> None:
        for name in ("localhost", "shop_1.example", "192.0.2.1", "::1", "fe80::1%eth0"):
            node = read({"a": {"role": "order", "port": 1, "host": name}}).nodes["a"]
            self.assertEqual((node.host, node.bind), (name, name))
        for wrong in ("", " ", "a b", "http://x", "x:80", "[::1]", "bücher.example", "x/"):
            self.refused("nodes.a.host", {"a": {"role": "order", "port": 1, "host": wrong}})
            if wrong:
                self.refused("nodes.a.bind", {"a": {"role": "order", "port": 1, "bind": wrong}})

    def test_a_file_may_begin_with_a_byte_order_mark(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "cluster.json"
            path.write_text(json.dumps({"nodes": NODES}), "utf-8-sig")
            self.assertEqual(list(load(path, ROLES).nodes), ["catalog-1"])

    def test_unknown_keys_are_refused(self) -> None:
        self.refused("cachez", cachez={})
        self.refused("caches.remote", caches={"remote": {}})
        self.refused("caches.local.size", caches={"local": {"size": 1}})
        self.refused("replication.leases", replication={"leases": 1})
        self.refused("nodes.a.prt", {"a": {"role": "order", "prt": 1}})
        self.refused("nodes.a.number", {"a": {"role": "order", "port": 1, "number": 7}})

    def test_wrong_types_and_bounds(self) -> None:
        for entries in (0, -1, 10**9, 1.5, "10", True, None):
            self.refused("caches.local.entries", caches={"local": {"entries": entries}})
        for ttl_s in (0, -1, "1", None, True, float("nan"), float("inf")):
            self.refused("caches.local.ttl_s", caches={"local": {"ttl_s": ttl_s}})
        for port in (0, 65536, -1, "8000", 80.5, True):
            self.refused("nodes.a.port", {"a": {"role": "order", "port": port}})
        wrong: Any
        for wrong in ("", 1, None, [], "a\0b", "\ud800"):
            self.refused("data_dir", data_dir=wrong)
        for wrong in ([], 1, None, "x"):
            self.refused("caches", caches=wrong)
            self.refused("caches.local", caches={"local": wrong})
            self.refused("nodes.a", {"a": wrong})
        for wrong in ([], 1, "x", {}):
            self.refused("nodes", wrong)

    def test_whole_numbers_are_numbers(self) -> None:
        config = read(caches={"local": {"ttl_s": 300}})
        self.assertEqual(config.caches["local"].ttl_s, 300)
        self.assertEqual(config.caches["local"].entries, 100)

    def test_bad_relations(self) -> None:
        self.refused("ack_timeout_s", replication={"lease_s": 0.2})
        self.refused("ack_timeout_s", replication={"ack_timeout_s": 1.0})
        self.refused("read_attempt_s", pool={"read_deadline_s": 0.5})
        self.refused("backoff_s", pool={"backoff_s": 3})

    def test_bad_nodes(self) -> None:
        self.refused("nodes.a.role", {"a": {"role": "shop", "port": 1}})
        self.refused("nodes.a.role", {"a": {"port": 1}})
        self.refused("nodes.a.port", {"a": {"role": "order"}})
        self.refused("nodes.order", {"order": {"role": "order", "port": 1}})
        for name in ("", "A", "a/b", "../a", "1a", "a" * 42, "a b"):
            self.refused("nodes.", {name: {"role": "order", "port": 1}})
        one = {"role": "order", "port": 1}
        self.refused("is a's already", {"a": one, "b": {"role": "catalog", "port": 1}})

    def test_where_figures_are_for_everybody(self) -> None:
        one = {"role": "order", "port": 1}
        node = read({"a": one}).nodes["a"]
        self.assertEqual((node.metrics_port, node.metrics_bind), (0, "127.0.0.1"))
        told = read(
            {"a": {**one, "metrics_port": 9, "metrics_bind": "::"}, "b": {**one, "port": 2}}
        )
        node = told.nodes["a"]
        self.assertEqual((node.metrics_port, node.metrics_bind), (9, "::"))
        for bad in (-1, 65_536, "9", True, None):
            self.refused("nodes.a.metrics_port", {"a": {**one, "metrics_port": bad}})
        self.refused("nodes.a.metrics_bind", {"a": {**one, "metrics_bind": ""}})
        self.refused("nodes.a.metrics_port: 1 is a's already", {"a": {**one, "metrics_port": 1}})
        other = {"role": "catalog", "port": 9}
        self.refused(
            "nodes.b.port: 9 is a's already", {"a": {**one, "metrics_port": 9}, "b": other}
        )

    def test_whether_a_purchase_must_have_a_key(self) -> None:
        self.assertFalse(read().purchase.require_key)
        self.assertTrue(read(purchase={"require_key": True}).purchase.require_key)
        for bad in (1, 0, "true", None):
            self.refused("purchase.require_key", purchase={"require_key": bad})

    def test_how_long_a_purchase_can_be_undone(self) -> None:
        self.assertEqual(read().purchase.undo_s, 600)
        for seconds in (0, 0.5, 86_400):
            self.assertEqual(read(purchase={"undo_s": seconds}).purchase.undo_s, seconds)
        for bad in (-1, 86_401, "600", True, None):
            self.refused("purchase.undo_s", purchase={"undo_s": bad})

    def test_where_browsers_find_the_shop(self) -> None:
        for given, origin in (
            ("", ""),
            ("https://shop.example", "https://shop.example"),
            ("HTTPS://Shop.Example:443/", "https://shop.example"),
            ("http://shop.example:443", "http://shop.example:443"),
            ("http://[::1]:80", "http://[::1]"),
        ):
            self.assertEqual(read(public_url=given).public_url, origin)
        for bad in ("shop.example", "ftp://a", "https://", "https://a/b", "https://a?b", "http://a:x",
                    "http://a@b", "http://a b", "http://[::1", 1, None, "http:a"):  # fmt: skip
            self.refused("public_url", public_url=bad)

    def test_names_and_proxies(self) -> None:
        config = read(hosts=["shop.example", "[::2]"], trusted_proxies=["10.0.0.0/8", "::1"])
        arrivals = config.arrivals(next(iter(config.nodes.values())))
        self.assertTrue(arrivals.hosts.own("[0::2]:80"))
        self.assertFalse(arrivals.hosts.own("192.0.2.7"))
        for address, trusted in (("10.9.9.9", True), ("::ffff:10.1.1.1", True), ("11.0.0.1", False),
                                 ("::1", True), ("", False), ("10.1", False)):  # fmt: skip
            self.assertEqual(arrivals.proxies.trust(address), trusted, address)
        everywhere = read({"a": {"role": "order", "port": 1, "bind": "0.0.0.0"}})
        hosts = everywhere.arrivals(everywhere.nodes["a"]).hosts
        self.assertTrue(hosts.own("192.0.2.7:8001"))
        self.assertFalse(hosts.own("evil.example"))
        https = {"cert": "a", "key": "b", "bind": "192.0.2.7"}
        door = read({"a": {"role": "frontend", "port": 1, "https": https}})
        hosts = door.arrivals(door.nodes["a"]).hosts
        self.assertTrue(hosts.own("192.0.2.7"))
        self.assertFalse(hosts.own("192.0.2.8"))
        for bad in ("a", [1], ["a:80"], ["http://a"], [""], ["a b"], ["*"]):
            self.refused("hosts", hosts=bad)
        for bad in ("::1", [1], ["nginx"], ["10.0.0.1/8"], [""], ["10.0.0.0/33"],
                    ["::ffff:10.0.0.1"]):  # fmt: skip
            self.refused("trusted_proxies", trusted_proxies=bad)

    def test_find(self) -> None:
        config = load(HERE / "cluster.json", ROLES)
        self.assertEqual(config.find("catalog", None).name, "catalog-1")
        self.assertEqual(config.find("catalog", 8003).name, "catalog-2")
        for role, port in (("catalog", 8001), ("nobody", None)):
            with self.assertRaisesRegex(ConfigError, r"known: .*catalog 8003 \(catalog-2\)"):
                config.find(role, port)


class FileTest(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "cluster.json"

    def test_data_dir_is_relative_to_the_file(self) -> None:
        self.path.write_text(json.dumps({"nodes": NODES, "data_dir": "here"}))
        self.assertEqual(load(self.path, ROLES).data_dir, self.path.resolve().parent / "here")
        self.path.write_text(json.dumps({"nodes": NODES, "data_dir": "/there"}))
        self.assertEqual(load(self.path, ROLES).data_dir, Path("/there"))

    def test_every_refusal_names_the_file(self) -> None:
        for content in (b"", b"{", b"[]", b"\xff", b'{"nodes": {}, "nodes": {}}', b"[" * 100_000,
                        b'{"nodes": {"a": {"role": "order", "role": "order", "port": 1}}}',
                        json.dumps({"nodes": NODES, "x": 1}).encode()):  # fmt: skip
            self.path.write_bytes(content)
            with self.assertRaises(ConfigError) as caught:
                load(self.path, ROLES)
            self.assertIn(str(self.path), str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))
        with self.assertRaisesRegex(ConfigError, "No such file"):
            load(self.path.with_name("nothing.json"), ROLES)
