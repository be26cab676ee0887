"""What is shown of a cluster, and told of its changes."""

from __future__ import annotations

import unittest
from typing import Any

from bazar.config import NodeConfig
from bazar.latency_histogram import LatencyHistogram
from handlers.dashboard.snapshot import counts, happenings, rates, view

NODES = {
    name: NodeConfig(name, name.rpartition("-")[0])
    for name in ("frontend-1", "catalog-1", "catalog-2")
}


def frontend(lease_s: float = 0.9, **counted: Any) -> dict[str, Any]:
    source = {"lease_s": lease_s, "epoch": 1, "hits": 0, "misses": 0, "passes": 0,
              "invalidations": 0}  # fmt: skip
    own = {name: value for name, value in counted.items() if name in source}
    return {
        "node": "frontend-1", "group": "frontend", "run": "f", "purchases": 0,
        "latency": LatencyHistogram().counts, "sources": {"catalog": {**source, **own}}, **counted,
    }  # fmt: skip


def replica(number: int, lease_s: float = 0.8, **more: Any) -> dict[str, Any]:
    return {
        "node": f"catalog-{number}", "group": "catalog", "run": f"c{number}", "epoch": 1,
        "primary": "catalog-1", "committed": 5, "lease_s": lease_s, **more,
    }  # fmt: skip


def primary(
    number: int, *members: str, epoch: int = 1, committed: int = 7, waits_s: float = 0.0
) -> dict[str, Any]:
    feeds = [{"node": "frontend-1.2", "lease_s": 0.5, "lag": 2, "joined": True, "kind": "cache"}]
    return {
        **replica(number), "epoch": epoch, "committed": committed, "primary": f"catalog-{number}",
        "members": members, "feeds": feeds, "waits_s": waits_s,
    }  # fmt: skip


class ViewTest(unittest.TestCase):
    def seen(self, *statuses: Any) -> dict[str, Any]:
        return view(NODES, dict(zip(NODES, statuses, strict=True)))

    def told(self, before: Any, now: Any) -> list[tuple[str, str]]:
        first = self.seen(*before)
        second = view(NODES, dict(zip(NODES, now, strict=True)), first)
        events = happenings(first, second, counts(before[:1]), counts(now[:1]))
        return [(event["text"], event["rule"]) for event in events]

    def test_how_the_servers_of_a_database_stand(self) -> None:
        server = {"name": "db1:5432", "writes": True, "lag": 0, "answers": True}
        unseen = replica(1, database={"servers": ["db1:5432"], "writes": None, "standing": []})
        one = replica(2, database={"servers": ["db1:5432"], "writes": None, "standing": [server]})
        shown = self.seen(frontend(), unseen, one)
        self.assertEqual(shown["databases"], [{"role": "catalog", **server}])
        self.assertEqual(self.seen(frontend(), replica(1), None)["databases"], [])

    def test_who_is_primary_and_in_sync_and_how_far_behind(self) -> None:
        shown = self.seen(frontend(), primary(1, "catalog-1"), replica(2))
        by_name = {node["name"]: node for node in shown["nodes"]}
        self.assertTrue(by_name["catalog-1"]["primary"])
        self.assertEqual((by_name["catalog-2"]["in_sync"], by_name["catalog-2"]["lag"]), (False, 2))
        self.assertEqual(by_name["frontend-1"]["lease_s"], 0.9)
        [feed] = shown["feeds"]
        self.assertEqual((feed["from"], feed["to"], feed["lag"]), ("catalog-1", "frontend-1", 2))

    def test_a_primary_that_was_passed_by_is_none(self) -> None:
        shown = self.seen(None, primary(1, "catalog-1"), primary(2, "catalog-2", epoch=2))
        self.assertEqual({feed["from"] for feed in shown["feeds"]}, {"catalog-2"})
        self.assertFalse(shown["nodes"][0]["up"])

    def test_a_link_is_as_either_of_its_ends_says(self) -> None:
        def to(name: str, delay_ms: int | None, left_s: float = 9.0) -> dict[str, Any]:
            return {"to": name, "delay_ms": delay_ms, "left_s": left_s}

        cut, slow = [to("catalog-1", None)], [to("catalog-1", 20)]
        processes = [frontend(node=f"frontend-1.{n}", links=cut) for n in (1, 2)]
        shown = self.seen(
            frontend(processes=processes), replica(1, links=[to("frontend-1", None, 8.5)]), None
        )
        ends = ("catalog-1", "frontend-1")
        self.assertEqual(shown["links"], [{"between": ends, "delay_ms": None, "left_s": 8.5}])
        whole = (frontend(), replica(1), replica(2))
        before = (frontend(links=cut), replica(1), replica(2, links=slow))
        after = (frontend(links=slow), replica(1), replica(2))
        self.assertEqual(
            self.told(whole, before),
            [
                ("the link catalog-1 – catalog-2 is slow: 20 ms in each direction", ""),
                ("the link catalog-1 – frontend-1 is cut", ""),
            ],
        )
        self.assertEqual(
            self.told(before, after),
            [
                ("the link catalog-1 – catalog-2 is mended", ""),
                ("the link catalog-1 – frontend-1 is slow: 20 ms in each direction", ""),
            ],
        )

    def test_a_takeover_is_told_as_it_happens(self) -> None:
        both = ("catalog-1", "catalog-2")
        well = (frontend(), primary(1, *both), replica(2))
        dead = (frontend(lease_s=0), None, replica(2, lease_s=0))
        waits = (frontend(), None, primary(2, *both, epoch=2, waits_s=0.7))
        lead = (frontend(), None, primary(2, "catalog-2", epoch=2))
        back = (frontend(), replica(1, run="new"), primary(2, "catalog-2", epoch=2))
        whole = (frontend(), replica(1, run="new"), primary(2, *both, epoch=2))
        self.assertEqual(self.told(well, well), [])
        self.assertEqual(
            self.told(well, dead),
            [
                (
                    "frontend-1 has lost its lease from the catalog group: it caches nothing"
                    " of theirs",
                    "C4",
                ),
                ("catalog-1 does not answer", ""),
                ("catalog-2 has lost its lease: it answers no read by itself", "L2"),
            ],
        )
        self.assertIn(("catalog-2 is primary now, in epoch 2", "T1, T2"), self.told(dead, lead))
        text = "lets writes wait until every older lease is over"
        told = (f"catalog-2 is primary now, in epoch 2, and {text}", "T1, T2")
        self.assertIn(told, self.told(dead, waits))
        told = ("catalog-2 has waited long enough: writes go on", "T3")
        self.assertIn(told, self.told(waits, lead))
        self.assertEqual(self.told(back, whole), [("catalog-1 is in sync again", "J4")])
        self.assertIn(
            ("catalog-1 is out of the in-sync set: it did not acknowledge in time", "R3"),
            self.told(whole, back),
        )

    def test_a_node_that_comes_back_as_what_it_was_or_as_a_new_process(self) -> None:
        others = (frontend(), primary(1, "catalog-1"))
        well, new = (self.seen(*others, replica(2, run=run)) for run in ("a", "b"))
        gone = view(NODES, dict(zip(NODES, (*others, None), strict=True)), well)
        counted = counts(others[:1])
        for before, now, text in (
            (gone, well, "answers again"),
            (gone, new, "was started anew"),
            (well, new, "was started anew"),
        ):
            [event] = happenings(before, now, counted, counted)
            self.assertEqual(event["text"], f"catalog-2 {text}")

    def test_a_primary_that_was_silent_for_a_moment_is_no_new_one(self) -> None:
        well = (frontend(), primary(1, "catalog-1"), replica(2))
        dead = view(NODES, dict(zip(NODES, (frontend(), None, replica(2)), strict=True)),
                    self.seen(*well))  # fmt: skip
        back = view(NODES, dict(zip(NODES, well, strict=True)), dead)
        counted = counts(well[:1])
        [event] = happenings(dead, back, counted, counted)
        self.assertEqual(event["text"], "catalog-1 answers again")

    def test_each_process_of_a_front_end_counts(self) -> None:
        def front_end(*runs: str) -> Any:
            processes = [frontend(run=run) for run in runs]
            return {**processes[0], "processes": processes}

        others = (primary(1, "catalog-1"), replica(2))
        for before, now, told in (
            (("a", "b"), ("b", "a"), []),  # another one has answered
            (("a", "b"), ("b",), []),
            (("b",), ("b", "c"), [("frontend-1 was started anew", "")]),
        ):
            self.assertEqual(self.told((front_end(*before), *others), (front_end(*now), *others)),
                             told)  # fmt: skip

    def test_invalidations(self) -> None:
        before, now = (frontend(invalidations=n) for n in (3, 5))
        others = (primary(1, "catalog-1"), replica(2))
        told = self.told((before, *others), (now, *others))
        self.assertEqual(told, [("2 cached answers dropped by a write", "R2")])


class RatesTest(unittest.TestCase):
    def test_by_the_second(self) -> None:
        meter = LatencyHistogram()
        meter.add_all([1.0] * 9 + [100.0])
        before = counts([frontend(), None])
        now = counts([frontend(hits=9, misses=1, purchases=4, latency=meter.counts)])
        found = rates(before, now, 2.0)
        assert found is not None
        self.assertEqual((found["requests"], found["hits"], found["purchases"]), (5.0, 0.9, 2.0))
        self.assertTrue(1.0 <= found["p50"] < 1.25)
        self.assertTrue(100 <= found["p99"] < 125)

    def test_none_where_nothing_can_be_said(self) -> None:
        quiet = rates(counts([frontend()]), counts([frontend()]), 1.0)
        assert quiet is not None
        self.assertEqual((quiet["hits"], quiet["p50"], quiet["requests"]), (None, None, 0))
        self.assertIsNone(rates(counts([frontend()]), counts([frontend(run="g")]), 1.0))
        self.assertIsNone(rates(counts([None]), counts([None]), 1.0))
