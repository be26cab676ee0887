"""The benchmark's arithmetic; that it runs is `tests/cluster/test_bench.py`."""

from __future__ import annotations

import dataclasses
import doctest
import importlib.util
import itertools
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from collections import Counter
from pathlib import Path
from unittest.mock import patch

from bazar import latency_histogram, table
from bazar.bench import (
    against,
    audit,
    books,
    comparison,
    nginx,
    plots,
    popularity,
    processor,
    quantiles,
    report,
    wrk,
)
from bazar.bench.audit import Sold
from bazar.bench.checkout import Checkout
from bazar.bench.children import Children, Cores, pinned
from bazar.bench.cluster import free_ports
from bazar.bench.comparison import AGAIN, OTHER, SIDES, THIS, Round
from bazar.bench.experiment import Measurement
from bazar.bench.http_client import Answer, HTTPClient, answer_size, request_bytes
from bazar.bench.place import DATABASE
from bazar.bench.quantiles import FRACTIONS, quantile_ms
from bazar.bench.report import Section
from bazar.bench.workload import ANSWERS, MICROSECONDS
from bazar.errors import BadRequest, ConfigError, Unavailable
from bazar.latency_histogram import FINE, LatencyHistogram
from tests.files import FilesTestCase


class ExamplesTest(unittest.TestCase):
    def test_the_examples_in_docstrings_hold(self) -> None:
        for module in (
            against,
            comparison,
            latency_histogram,
            popularity,
            processor,
            quantiles,
            report,
            table,
        ):
            tried = doctest.testmod(module)
            self.assertEqual((tried.failed, tried.attempted > 0), (0, True), module)


def histogram(*latencies_ms: float) -> LatencyHistogram:
    made = LatencyHistogram(FINE)
    made.add_all(latencies_ms)
    return made


class HistogramTest(unittest.TestCase):
    def test_quantiles_are_as_precise_as_promised(self) -> None:
        rng = random.Random(1)
        seconds = [rng.lognormvariate(-6, 1) for _ in range(20_000)]
        found = histogram(*(1000 * one for one in seconds)).quantiles(FRACTIONS)
        self.assertEqual(list(found), list(FRACTIONS))
        growth = FINE.bounds_ms[1] / FINE.bounds_ms[0]
        for fraction, ms in found.items():
            self.assertLess(abs(ms / quantile_ms(seconds, fraction) - 1), 1.5 * (growth - 1))

    def test_several_add_up(self) -> None:
        both = histogram(1.0, 2.0)
        both.merge(histogram(2.0, 500.0).counts)
        self.assertEqual(both.counts, histogram(1.0, 2.0, 2.0, 500.0).counts)
        self.assertEqual(both.total, 4)

    def test_nothing_measured_has_no_quantiles(self) -> None:
        self.assertEqual(histogram().quantiles(FRACTIONS), {})

    def test_what_is_below_and_beyond_all_buckets_counts(self) -> None:
        found = histogram(0.0, -1e-9, 1e12)
        self.assertEqual((found.total, found.counts[0], found.counts[-1]), (3, 2, 1))
        self.assertEqual(found.quantiles([1.0]), {1.0: FINE.bounds_ms[-1]})


class PopularityTest(unittest.TestCase):
    def test_a_law_is_a_distribution(self) -> None:
        likely = popularity.zipf(1000, 1.0)
        self.assertAlmostEqual(sum(likely), 1.0)
        self.assertAlmostEqual(likely[0] / likely[9], 10.0)

    def test_draws_follow_it_and_can_be_repeated(self) -> None:
        likely = popularity.zipf(100, 1.0)
        drawn = popularity.draw(likely, 50_000, 7)
        self.assertEqual(drawn, popularity.draw(likely, 50_000, 7))
        self.assertAlmostEqual(drawn.count(0) / len(drawn), likely[0], delta=0.01)

    def test_the_hit_ratio_in_theory_is_that_of_an_lru(self) -> None:
        likely = popularity.zipf(1000, 1.0)
        for entries in (10, 100):
            drawn = popularity.draw(likely, 20_000, 3)
            held = popularity.lru_content(drawn[:10_000], entries)
            hits = 0
            for book in drawn[10_000:]:
                hits += book in held
                held = popularity.lru_content([*held, book], entries)
            self.assertEqual(held, popularity.lru_content(drawn, entries))
            expected = popularity.lru_hit_ratio(likely, entries)
            self.assertAlmostEqual(hits / 10_000, expected, delta=0.02)


class BooksTest(unittest.TestCase):
    def test_batches_are_what_is_missing(self) -> None:
        made = [book for batch in books.batches(7, 2500) for book in batch]
        self.assertEqual(len(made), 2493)
        self.assertEqual(made[0]["title"], books.book(8, 2500)["title"])
        self.assertEqual(len({book["topic"] for book in made}), books.topics(2500))
        self.assertLessEqual(max(map(len, books.batches(7, 2500))), books.BATCH_BOOKS)
        self.assertEqual(list(books.batches(7, 7)), [])


class AnswerTest(unittest.TestCase):
    def test_the_size_is_known_with_the_head(self) -> None:
        whole = b"HTTP/1.1 200 OK\r\nContent-Type: x\r\ncontent-length:  3\r\n\r\nabc"
        head = whole.index(b"\r\n\r\n") + 4
        for end in range(len(whole) + 1):
            self.assertEqual(answer_size(whole[:end]), None if end < head else len(whole))
        answer = Answer.parse(whole, 0.1)
        self.assertEqual((answer.status, answer.body), (200, b"abc"))
        self.assertEqual(answer.headers["content-type"], "x")

    def test_a_length_in_the_body_is_none(self) -> None:
        with self.assertRaises(ValueError):
            answer_size(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n\r\nContent-Length: 3\r\n")

    def test_a_write_has_a_length(self) -> None:
        self.assertIn(b"\r\nContent-Length: 0\r\n\r\n", request_bytes("PUT", "/purchase/4"))
        self.assertNotIn(b"Content-Length", request_bytes("GET", "/info/4"))

    def insist(self, *statuses: int, tries: int) -> int:
        """Ask a server that answers with these, one after the other; return the last one."""
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def answer() -> None:
                connection, _ = listening.accept()
                with connection:
                    for status in statuses:
                        self.assertIn(b"PUT / HTTP/1.1", connection.recv(4096))
                        connection.sendall(b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % status)

            thread = threading.Thread(target=answer)
            thread.start()
            try:
                with HTTPClient(listening.getsockname()[1]) as client:
                    return client.insist("PUT", "/", tries=tries).status
            finally:
                thread.join()

    def test_what_may_not_have_happened_is_asked_again(self) -> None:
        self.assertEqual(self.insist(504, 503, 200, tries=3), 200)
        with self.assertRaisesRegex(Unavailable, "PUT /: 503"):
            self.insist(504, 503, tries=2)
        with self.assertRaisesRegex(Unavailable, "PUT /: 409"):
            self.insist(409, tries=3)


class WrkTest(unittest.TestCase):
    def test_paths_and_headers_are_quoted(self) -> None:
        text = wrk.script(['/search?topic="a\\'], {"Cookie": 'a="b"'})
        self.assertIn(r'local paths = {"/search?topic=\"a\\"}', text)
        self.assertIn(r'["Cookie"] = "a=\"b\""', text)


class NginxTest(FilesTestCase):
    def test_it_asks_for_the_host_that_it_was_asked_for(self) -> None:
        """By itself it would ask for its upstream, which is no name of the shop's."""
        text = nginx.prepare(self.directory / "nginx", 1, 2, 3).read_text()
        self.assertIn("proxy_set_header Host $host;", text)


class ReportTest(unittest.TestCase):
    def test_a_bound_is_still_a_figure(self) -> None:
        section = Section("hits", "quick", ("what", "per s"), [("a", "≥900"), ("bc", "61,000")])
        section.notes.append("A note.")
        self.assertEqual(
            str(section), "hits: quick\n\nwhat   per s\na       ≥900\nbc    61,000\nA note."
        )

    def test_the_machine_is_described(self) -> None:
        self.assertIn("Python 3", report.describe(report.machine()))


HAS_MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None


class PlotsTest(unittest.TestCase):
    @unittest.skipIf(HAS_MATPLOTLIB, "matplotlib is installed")
    def test_without_matplotlib_it_says_what_to_install(self) -> None:
        with self.assertRaisesRegex(ConfigError, r"pip install -e '\.\[plot\]'"):
            plots.check()

    @unittest.skipUnless(HAS_MATPLOTLIB, "matplotlib is an extra")
    def test_each_section_that_was_measured_has_its_curves(self) -> None:
        figures = {"per_s": 900.0, "p50_ms": 1.0, "quantiles_ms": {"0.5": 1.0, "0.99": 2.0}}
        sections = {
            "timings": {"catalog info, replica 1": figures},
            "purchases": {"purchase": {"1": figures, "8": figures}, "checked": {}},
            "caching": {"10": {**figures, "hit_ratio": 0.1, "expected_hit_ratio": 0.1}},
        }
        with tempfile.TemporaryDirectory() as directory:
            made = plots.draw(sections, Path(directory))
            names = sorted(path.name for path in made if path.stat().st_size)
        wanted = ("hit-ratio", "latency-sequential", "throughput")
        self.assertEqual(names, [f"{name}.{kind}" for name in wanted for kind in ("png", "svg")])


class ChildrenTest(unittest.TestCase):
    def test_what_is_started_is_stopped(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            with Children(Path(directory)) as children:
                children.start("sleeper", ["sleep", "100"])
                children.start("stubborn", ["sh", "-c", "trap '' TERM; sleep 0.1; echo up"])
                process = children._running["sleeper"]
                self.assertEqual(children.pid("sleeper"), process.pid)
                children.stop("sleeper", "never-started")
                self.assertIsNotNone(process.returncode)
            self.assertEqual((Path(directory) / "stubborn.log").exists(), True)
            self.assertEqual(children._running, {})

    def test_we_stay_where_we_were(self) -> None:
        cores = Cores.of_this_machine()
        with pinned(cores.load):
            pass
        self.assertEqual(str(Cores.of_this_machine()), str(cores))

    def test_ports_are_distinct(self) -> None:
        self.assertEqual(len(set(free_ports(6))), 6)


# A thread that has ended, and a child that goes on: both are a node's.
BUSY = """
import subprocess, sys, threading, time
def work():
    while time.thread_time() < 0.1: pass
thread = threading.Thread(target=work)
thread.start()
thread.join()
child = "import time\\nwhile time.process_time() < 0.1: pass\\nprint('done', flush=True); input()"
subprocess.run([sys.executable, "-c", child])
"""


@unittest.skipUnless(processor.READABLE, processor.MISSING)
class ProcessorTest(unittest.TestCase):
    def test_ended_threads_and_children_count(self) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen([sys.executable, "-c", BUSY], **pipes) as process:  # type: ignore[call-overload]
            assert process.stdout is not None
            self.assertEqual(process.stdout.readline(), b"done\n")
            times = processor.read({"busy": process.pid})
            process.communicate(b"\n")
        self.assertEqual(len(times["busy"]), 2)
        self.assertGreaterEqual(min(times["busy"].values()), 100_000_000)
        self.assertGreaterEqual(processor.spent_s({}, times)["busy"], 0.2)

    def test_a_process_has_a_parent_if_it_is_the_one_that_is_meant(self) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        waits = "print('here', flush=True); input()"
        with subprocess.Popen([sys.executable, "-c", waits, "told"], **pipes) as one:  # type: ignore[call-overload]
            assert one.stdout is not None
            self.assertEqual(one.stdout.readline(), b"here\n")
            self.assertEqual(processor.parent_of(one.pid, "told"), os.getpid())
            self.assertIsNone(processor.parent_of(one.pid, "another"))
            one.communicate(b"\n")
        self.assertIsNone(processor.parent_of(one.pid, "told"))

    def test_what_has_ended_has_no_time(self) -> None:
        with subprocess.Popen([sys.executable, "-c", ""]) as process:
            process.wait()
        self.assertEqual(processor.read({"gone": process.pid}), {"gone": {}})


def rounds(
    *by_side: tuple[float, float, float], errors: int = 0, bound: bool = False
) -> list[Round]:
    """So many microseconds at a node that is asked, by side, and one at another node."""
    return [
        {
            side: dataclasses.replace(
                Measurement.of_nodes(MICROSECONDS, {"frontend-1": us, "order-1": 1.0}),
                errors=errors if side == THIS else 0,
                load_bound=bound,
            )
            for side, us in zip(SIDES, one, strict=True)
        }
        for one in by_side
    ]


class ComparisonTest(unittest.TestCase):
    def test_ratios_are_taken_round_by_round(self) -> None:
        # The machine is ten times slower in the second round.
        slow = rounds((50, 100, 100), (500, 1000, 1100), (60, 100, 90))
        section = comparison.section("hits", "title", {"cached": slow})
        figures = section.figures["cached"]["frontend-1 µs"]
        self.assertEqual((figures[THIS], figures[OTHER], figures[AGAIN]), (60, 100, 100))
        self.assertEqual(figures["ratio"], {"median": 0.5, "from": 0.5, "to": 0.6})
        self.assertEqual(figures["noise"], {"median": 1.0, "from": 0.9, "to": 1.1})
        self.assertEqual(figures["rounds"][THIS], [50, 500, 60])
        row = ("cached", "frontend-1 µs", "60.0", "100", "0.500", "0.50-0.60", "1.000", "0.90-1.10")
        self.assertEqual(tuple(section.rows[0]), row)

    def test_who_has_nothing_to_do_with_it_is_left_out_of_the_table(self) -> None:
        section = comparison.section("hits", "title", {"cached": rounds((99, 99, 99))})
        self.assertEqual([row[1] for row in section.rows], ["frontend-1 µs", "all nodes µs"])
        self.assertIn("order-1 µs", section.figures["cached"])
        self.assertEqual(section.notes, [comparison.LEFT_OUT])
        section = comparison.section("hits", "title", {"cached": rounds((9, 9, 9))})
        self.assertEqual([row[1] for row in section.rows][1], "order-1 µs")
        self.assertEqual(section.notes, [])

    def test_figures_that_mislead_have_a_note(self) -> None:
        told = rounds((9, 9, 9), (9, 9, 9), errors=3, bound=True)
        errors, bound = comparison.section("hits", "title", {"cached": told}).notes
        self.assertIn("cached: 6 requests to this failed", errors)
        self.assertIn("the answers a second may be its limit", bound)

    def test_what_can_not_be_divided_has_no_ratio(self) -> None:
        nothing: list[Round] = [{side: Measurement({ANSWERS: 0.0}) for side in SIDES}]
        section = comparison.section("hits", "title", {"cached": nothing})
        row = ("cached", "answers a second", "0.000", "0.000", "-", "-", "-", "-")
        self.assertEqual([tuple(row) for row in section.rows], [row])
        self.assertIsNone(section.figures["cached"]["answers a second"]["ratio"])

    def test_what_one_side_does_not_have_is_nothing_there(self) -> None:
        """A database's server stands beside the nodes, and is none of them."""
        with_it = Measurement.of_nodes(MICROSECONDS, {"catalog-1": 5.0, DATABASE: 3.0})
        without = Measurement.of_nodes(MICROSECONDS, {"catalog-1": 8.0})
        one: Round = {OTHER: without, THIS: with_it, AGAIN: without}
        section = comparison.section("purchases", "title", {"purchase": [one]})
        shown = [(row[1], *row[2:5]) for row in section.rows]
        self.assertEqual(
            shown,
            [
                ("catalog-1 µs", "5.00", "8.00", "0.625"),
                ("PostgreSQL µs", "3.00", "0.000", "-"),
                ("all nodes µs", "5.00", "8.00", "0.625"),
            ],
        )

    def test_no_side_has_a_better_place(self) -> None:
        orders = [against.order(turn) for turn in range(6)]
        places = Counter((side, place) for one in orders for place, side in enumerate(one))
        self.assertEqual(set(places.values()), {2})
        follows = Counter(pair for one in orders for pair in itertools.pairwise(one))
        self.assertEqual((len(follows), set(follows.values())), (6, {2}))


class CheckoutTest(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name).resolve()

    def tree(self, program: str = "", model: str = "{}") -> Checkout:
        (self.root / "run.py").write_text(program)
        (self.root / "cluster.json").write_text(model)
        return Checkout.at(self.root)

    def test_a_directory_without_bazar_is_refused(self) -> None:
        with self.assertRaisesRegex(BadRequest, "is no checkout of Bazar: it has no run.py"):
            Checkout.at(self.root)

    def test_a_model_that_can_not_be_read_is_refused(self) -> None:
        with self.assertRaisesRegex(BadRequest, r"cluster\.json: Expecting"):
            self.tree(model="{")

    def test_its_own_modules_are_found(self) -> None:
        (self.root / "bazar.py").touch()
        self.tree("import bazar").check()

    def test_the_modules_of_another_tree_are_refused(self) -> None:
        elsewhere = self.root / "elsewhere"
        (elsewhere / "handlers").mkdir(parents=True)
        (elsewhere / "handlers" / "__init__.py").touch()
        (self.root / "inside").mkdir()
        self.root /= "inside"
        checkout = self.tree("import handlers")
        with (
            patch.dict(os.environ, {"PYTHONPATH": str(elsewhere)}),
            self.assertRaisesRegex(BadRequest, "would import .*elsewhere/handlers"),
        ):
            checkout.check()

    def test_one_that_fails_says_how(self) -> None:
        with self.assertRaisesRegex(BadRequest, "can't be run:\n(.|\n)*No module named 'nowhere'"):
            self.tree("import nowhere").check()

    def test_outside_of_git_it_has_the_name_of_its_directory(self) -> None:
        self.assertEqual(str(self.tree()), self.root.name)


SOLD = Sold(
    faults=(),
    sales={name: {"o1": {4: 1}, "o2": {4: 2}} for name in ("catalog-1", "catalog-2")},
    stock={name: {4: 7} for name in ("catalog-1", "catalog-2")},
    orders={name: frozenset({"o1", "o2"}) for name in ("order-1", "order-2")},
)
BEFORE = {4: 10}


class AuditTest(unittest.TestCase):
    def check(self, expected: str, told: list[str], unknown: int = 0, **changed: object) -> None:
        sold = dataclasses.replace(SOLD, **changed)  # type: ignore[arg-type]
        found = list(audit.faults(sold, told, unknown, BEFORE))
        self.assertTrue(any(expected in fault for fault in found), found)

    def test_what_adds_up_has_no_fault(self) -> None:
        self.assertEqual(list(audit.faults(SOLD, ["o1", "o2"], 0, BEFORE)), [])
        self.assertEqual(list(audit.faults(SOLD, ["o1"], 1, BEFORE)), [])

    def test_a_lost_purchase_is_found(self) -> None:
        self.check("catalog-1: 1 acknowledged purchases are not sold", ["o1", "o2", "o3"])

    def test_a_purchase_told_twice_is_found(self) -> None:
        self.check("1 buyers were told an order that another has", ["o1", "o2", "o2"])

    def test_a_second_sale_is_found(self) -> None:
        self.check("catalog-2: 1 sales that nobody asked for", ["o1"])

    def test_a_missing_order_is_found(self) -> None:
        orders = {**SOLD.orders, "order-2": frozenset({"o1"})}
        self.check("order-2: 1 orders, 2 sales", ["o1", "o2"], orders=orders)

    def test_stock_that_does_not_add_up_is_found(self) -> None:
        for left in (8, 6, -1):
            stock = {**SOLD.stock, "catalog-2": {4: left}}
            self.check(f"10 before, 3 sold, {left} left", ["o1", "o2"], stock=stock)

    def test_what_verify_finds_is_passed_on(self) -> None:
        self.check("rows differ", ["o1", "o2"], faults=("rows differ",))
