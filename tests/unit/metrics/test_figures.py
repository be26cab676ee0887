"""Figures, and how they become text."""

from __future__ import annotations

import json
import re
import unittest
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bazar.http.traffic import CALLS, CUSTOMERS, Traffic, kind_of
from bazar.latency_histogram import LatencyHistogram
from bazar.metrics.exposition import tell_process, text
from bazar.metrics.figures import HELP, Figures
from bazar.metrics.tell import tell_traffic

ROOT = Path(__file__).resolve().parents[3]


def parsed(figures: Figures) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text(figures).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


class FiguresTest(unittest.TestCase):
    def test_labels_and_values_come_through(self) -> None:
        figures = Figures({"node": "n"})
        figures.gauge("bazar_primary", True, group='a "quoted"\n\\ one')
        figures.counter("bazar_purchases", 3)
        self.assertEqual(
            parsed(figures),
            {
                "bazar_primary": [({"node": "n", "group": 'a "quoted"\n\\ one'}, 1.0)],
                "bazar_purchases_total": [({"node": "n"}, 3.0)],
            },
        )

    def test_a_histogram_is_in_seconds_and_its_buckets_are_sums(self) -> None:
        histogram = LatencyHistogram()
        histogram.add_all([0.001, 0.01, 0.011, 1.0, 1.9, 2.0, 3.0, 1e6])
        figures = Figures({})
        figures.histogram("bazar_call_duration_seconds", histogram)
        found = parsed(figures)
        buckets = {
            float(labels["le"]): value
            for labels, value in found["bazar_call_duration_seconds_bucket"]
        }
        self.assertEqual(list(buckets), sorted(buckets))
        known = {1e-05: 2, 2e-05: 3, 0.0005: 3, 0.001: 4, 0.002: 6, 0.005: 7, 20.0: 7}
        self.assertLessEqual(known.items(), buckets.items())
        self.assertEqual(buckets[float("inf")], 8)
        self.assertEqual(len(buckets), 20 + 1)
        [(_, count)], [(_, total)] = (
            found[f"bazar_call_duration_seconds_{what}"] for what in ("count", "sum")
        )
        self.assertEqual(count, 8)
        self.assertAlmostEqual(total, (0.001 + 0.01 + 0.011 + 1 + 1.9 + 2 + 3 + 1e6) / 1000)

    def test_processes_of_a_node_are_told_together(self) -> None:
        whole = Figures({"node": "n", "process": "1"})
        tell_process(whole)
        whole.counter("bazar_purchases", 1)
        other = Figures({"node": "n", "process": "2"})
        tell_process(other)
        other.counter("bazar_purchases", 2)
        whole.merge(json.loads(json.dumps(other.plain())))
        found = parsed(whole)
        told = {labels["process"]: value for labels, value in found["bazar_purchases_total"]}
        self.assertEqual(told, {"1": 1, "2": 2})
        self.assertEqual(len(found["process_cpu_seconds_total"]), 2)
        self.assertEqual(text(whole).count(b"# TYPE process_cpu_seconds_total"), 1)

    def test_no_client_can_make_series(self) -> None:
        traffic, kind = Traffic(), kind_of("/a", CUSTOMERS)
        for number in range(100):
            traffic.histogram(kind, b"M%d" % number, 405).add(1.0)
        traffic.histogram(kind_of("/write", CALLS), b"CALL", 200).add(1.0)
        figures = Figures({})
        tell_traffic(figures, traffic)
        found = parsed(figures)
        labels = {"route": "/a", "method": "other", "status": "405"}
        self.assertEqual(found["bazar_http_requests_total"], [(labels, 100)])
        self.assertEqual(found["bazar_calls_total"], [({"path": "/write", "status": "200"}, 1)])
        self.assertEqual(traffic.of_customers().total, 100)

    def test_the_documentation_has_each_figure_once(self) -> None:
        shown = (ROOT / "docs" / "operations.md").read_text("utf-8")
        told = re.findall(r"^\| `(bazar_\w+)` \|", shown, re.MULTILINE)
        self.assertEqual([name.removesuffix("_total") for name in told], list(HELP))

    def test_alerts_and_dashboard_ask_for_figures_that_there_are(self) -> None:
        for name in ("alerts.yml", "grafana.json"):
            shown = (ROOT / "docs" / "monitoring" / name).read_text("utf-8")
            for figure in re.findall(r"\bbazar_\w+", shown):
                known = re.sub(r"_(total|bucket|sum|count)$", "", figure)
                self.assertIn(known, HELP, f"{name}: {figure}")
