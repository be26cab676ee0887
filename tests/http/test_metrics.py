"""The figures of nodes agree with what was asked of them, to the request."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from bazar.metrics.figures import HELP
from tests.cluster.cluster import ROOT
from tests.http.shop import NODES, TOKEN, ShopTestCase

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


class MetricsTest(ShopTestCase):
    def scrape(self, node: str = "frontend-1") -> Series:
        response = self.ask("/metrics", node=node, token=TOKEN)
        self.assertEqual(response.code, 200, response.body)
        content_type = "text/plain; version=0.0.4; charset=utf-8"
        self.assertEqual(response.headers["Content-Type"], content_type)
        samples = [
            sample
            for family in text_string_to_metric_families(response.body.decode())
            for sample in family.samples
        ]
        found = {(one.name, frozenset(one.labels.items())): one.value for one in samples}
        self.assertEqual(len(found), len(samples), "a series is there twice")
        for name, labels in found:
            self.assertIn(("node", node), labels, name)
        return found

    def value(self, seen: Series, name: str, **labels: str) -> float:
        """The sum of the series with these labels, of which there must be one."""
        wanted = set(labels.items())
        values = [value for (one, has), value in seen.items() if one == name and wanted <= has]
        self.assertTrue(values, (name, labels))
        return sum(values)

    def grown(self, before: Series, now: Series, name: str) -> dict[frozenset[str], int]:
        """By how much each series of this name has grown, by its labels but the node."""
        return {
            frozenset(value for label, value in labels if label != "node"): int(
                value - before.get((one, labels), 0)
            )
            for (one, labels), value in now.items()
            if one == name and value != before.get((one, labels), 0)
        }

    def test_requests_are_counted_to_the_one(self) -> None:
        before = self.scrape()
        for _ in range(7):
            self.get("/info/4")
        for _ in range(3):
            self.ask("/info/4", "HEAD")
        tag = self.ask("/info/4").headers["Etag"]
        for _ in range(2):
            self.assertEqual(self.ask("/info/4", If_None_Match=tag).code, 304)
        self.get("/search?topic=a")
        self.get("/FrontEnd_service/info/4")
        self.ask("/info/99")
        self.ask("/nowhere")
        self.ask("/info/4", "BREW")
        for _ in range(4):
            self.buy(4)
        self.buy(5)
        self.ask("/metrics")  # without the token
        self.get("/healthz")
        self.raw(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
        now = self.scrape()
        self.assertEqual(
            self.grown(before, now, "bazar_http_requests_total"),
            {
                frozenset({"/info/*", "GET", "200"}): 7 + 1 + 1,
                frozenset({"/info/*", "HEAD", "200"}): 3,
                frozenset({"/info/*", "GET", "304"}): 2,
                frozenset({"/info/*", "GET", "404"}): 1,
                frozenset({"/info/*", "other", "405"}): 1,
                frozenset({"/search", "GET", "200"}): 1,
                frozenset({"/*", "GET", "404"}): 1,
                frozenset({"/purchase/*", "PUT", "200"}): 5,
                frozenset({"/metrics", "GET", "401"}): 1,
                frozenset({"/metrics", "GET", "200"}): 1,
                frozenset({"/healthz", "GET", "200"}): 1,
                frozenset({"-", "400"}): 1,
            },
        )
        name = "bazar_http_request_duration_seconds"
        counts = self.grown(before, now, f"{name}_count")
        self.assertEqual(counts[frozenset({"/info/*", "GET"})], 12)
        self.assertEqual(counts[frozenset({"/purchase/*", "PUT"})], 5)
        buckets = self.grown(before, now, f"{name}_bucket")
        self.assertEqual(buckets[frozenset({"/info/*", "GET", "+Inf"})], 12)
        ends = [
            (float(dict(labels)["le"]), value)
            for (one, labels), value in now.items()
            if one == f"{name}_bucket"
            and ("route", "/info/*") in labels
            and ("method", "GET") in labels
        ]
        values = [value for _, value in sorted(ends)]
        self.assertEqual(values, sorted(values))
        self.assertEqual(values[-1], 12)
        # A purchase drops the book from the cache.
        self.assertEqual(
            {
                what: self.grown(before, now, f"bazar_cache_{what}_total").get(
                    frozenset({"catalog"})
                )
                for what in ("hits", "misses", "bypasses", "invalidations")
            },
            {"hits": 6 + 3 + 1 + 2 + 1, "misses": 3, "bypasses": None, "invalidations": 2},
        )
        self.assertEqual(self.grown(before, now, "bazar_purchases_total"), {frozenset(): 5})

    def test_a_groups_figures_agree_with_its_status(self) -> None:
        self.buy(4)
        self.settle()
        for node, role in NODES.items():
            if role == "frontend":
                continue
            seen, status = self.scrape(node), self.shop.servers[node].service.status()
            leads = "members" in status
            for name, value in (
                ("bazar_primary", leads),
                ("bazar_knows_primary", True),
                ("bazar_epoch", status["epoch"]),
                ("bazar_committed_seq", status["committed"]),
                ("bazar_pending_entries", 0),
                ("bazar_write_queue_operations", 0),
                ("bazar_group_nodes", 2),
            ):
                self.assertEqual(self.value(seen, name, group=role), value, (node, name))
            if not leads:
                self.assertGreater(self.value(seen, "bazar_lease_seconds", group=role), 0)
                continue
            self.assertEqual(self.value(seen, "bazar_in_sync_members", group=role), 2)
            for feed in status["feeds"]:
                labels = {"group": role, "subscriber": feed["node"]}
                self.assertEqual(self.value(seen, "bazar_feed_joined", **labels), 1)
                self.assertEqual(self.value(seen, "bazar_feed_lag_entries", **labels), 0)
                left_s = self.value(seen, "bazar_feed_lease_seconds", **labels)
                self.assertTrue(0 < left_s < 2 * self.shop.config.replication.lease_s, left_s)
            committed = status["committed"]
            batches = self.value(seen, "bazar_batches_total", group=role)
            self.assertGreater(batches, 0)
            self.assertGreaterEqual(self.value(seen, "bazar_batch_operations_total"), batches)
            name = "bazar_disk_duration_seconds_count"
            self.assertLessEqual(self.value(seen, name, operation="apply"), committed)

    def test_every_family_is_told_by_some_node(self) -> None:
        self.get("/info/4")
        self.buy(4)
        names = {name for node in NODES for name, _ in self.scrape(node)}
        for name, text in HELP.items():
            self.assertTrue(
                {name, f"{name}_total", f"{name}_bucket"} & names, f"{name} is told by nobody"
            )
            self.assertTrue(text.endswith("."), name)
        for name in ("process_cpu_seconds_total", "process_resident_memory_bytes"):
            self.assertIn(name, names)
        shown = (ROOT / "docs" / "operations.md").read_text("utf-8")
        told = set(re.findall(r"^\| `(bazar_\w+_total)` \|", shown, re.MULTILINE))
        counters = {one for one in names if re.fullmatch(r"bazar_\w+_total", one)}
        self.assertEqual(told, counters)

    def test_calls_are_counted_where_they_come_from_and_where_they_go(self) -> None:
        before = {node: self.scrape(node) for node in NODES}
        for book in (1, 2, 3):
            self.get(f"/info/{book}")
        now = {node: self.scrape(node) for node in NODES}
        sent = self.grown(before["frontend-1"], now["frontend-1"], "bazar_rpc_items_total")
        self.assertEqual(sum(n for labels, n in sent.items() if "/read" in labels), 3)
        calls = [
            self.grown(before[node], now[node], "bazar_calls_total").get(
                frozenset({"/read", "200"}), 0
            )
            for node in ("catalog-1", "catalog-2")
        ]
        self.assertEqual(sum(calls), 3)
        for replica in ("catalog-1", "catalog-2"):
            labels = {"group": "catalog", "replica": replica}
            seen = now["frontend-1"]
            self.assertEqual(self.value(seen, "bazar_pool_replica_healthy", **labels), 1)
