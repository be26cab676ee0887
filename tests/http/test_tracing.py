"""One id in every line of the log that concerns a request, at every node."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

from bazar.http.access_log import Lines
from bazar.node.log_format import LineByLine
from tests.http.caller import CallsTestCase
from tests.http.shop import TOKEN, ShopTestCase

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def lines(records: list[logging.LogRecord]) -> list[dict[str, Any]]:
    """All lines of requests that were logged, as JSON has them."""
    return [line for one in records if isinstance(one.msg, Lines) for line in one.msg.plain()]


class TracingTest(ShopTestCase):
    def traced(self, path: str, method: str = "GET", **headers: str) -> tuple[str, set[str]]:
        """Ask for this; return the id of the answer, and what each line with it is about."""
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            given = self.ask(path, method, **headers).headers["X-Request-Id"]
        found = [one for one in lines(logs.records) if one.get("trace_id") == given]
        return given, {f"{one['node']} {one['method']} {one['path']}" for one in found}

    def test_a_purchase_has_one_id_at_every_node(self) -> None:
        for headers in (
            {"traceparent": TRACEPARENT},
            {"X_Request_Id": "my-id.7"},
            {"traceparent": "00-nonsense"},
            {},
        ):
            _, found = self.traced("/purchase/4", "PUT", **headers)
            self.assertIn("frontend-1 PUT /purchase/4", found)
            orders = {one for one in found if one.startswith("order-")}
            catalogs = {one for one in found if one.startswith("catalog-")}
            self.assertLessEqual(
                {one.partition(" ")[2] for one in orders | catalogs},
                {"CALL /purchases", "CALL /write", "CALL /write/forwarded"},
            )
            self.assertTrue(orders and catalogs, found)

    def test_a_follower_passes_the_id_on(self) -> None:
        leader = self.shop.catalog(1).replica.leader
        assert leader is not None
        follower = "catalog-2" if leader.name == "catalog-1" else "catalog-1"
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            headers = {"traceparent": TRACEPARENT, "Idempotency-Key": "one-update"}
            self.ask("/update/4", "PUT", {"cost": 5}, node=follower, token=TOKEN, **headers)
        found = {(one["node"], one["path"]) for one in lines(logs.records)
                 if one.get("trace_id") == TRACE}  # fmt: skip
        self.assertEqual(found, {(follower, "/update/4"), (leader.name, "/write/forwarded")})

    def test_a_read_has_one_id_and_a_hit_too(self) -> None:
        given, found = self.traced("/info/4", traceparent=TRACEPARENT)
        self.assertEqual(given, TRACE)
        self.assertIn("frontend-1 GET /info/4", found)
        self.assertTrue(any(one.endswith("CALL /read") for one in found), found)
        other = TRACE[::-1]
        given, found = self.traced("/info/4", traceparent=f"00-{other}-{TRACE[:16]}-00")
        self.assertEqual((given, found), (other, {"frontend-1 GET /info/4"}))
        given, found = self.traced("/info/4", X_Request_Id="my-id.7")
        self.assertEqual((given, found), ("my-id.7", {"frontend-1 GET /info/4"}))

    def test_the_trace_parent_counts_beside_a_request_id(self) -> None:
        for _ in range(2):  # a miss and a hit
            given, _ = self.traced("/info/5", traceparent=TRACEPARENT, X_Request_Id="my-id.7")
            self.assertEqual(given, TRACE)

    def test_a_refusal_of_the_port_has_it_too(self) -> None:
        head = f"GET /info/4 HTTP/1.1\r\nHost: a\r\ntraceparent: {TRACEPARENT}\r\n"
        answer = self.raw(head.encode() + b"Content-Length: 99999999\r\n\r\n")
        self.assertIn(f"X-Request-Id: {TRACE}".encode(), answer)

    def test_what_is_said_meanwhile_has_it(self) -> None:
        """A replica that fails is passed over, and the log says for which request."""
        self.io_loop.run_sync(lambda: self.shop.stop_node("catalog-2"))
        said = io.StringIO()
        handler = logging.StreamHandler(said)
        handler.setFormatter(LineByLine("%(message)s"))
        pool_log = logging.getLogger("bazar.rpc.pool")
        pool_log.addHandler(handler)
        self.addCleanup(pool_log.removeHandler, handler)
        with self.assertLogs("bazar", logging.INFO):
            for book in (1, 2):
                self.ask(f"/info/{book}", traceparent=TRACEPARENT)
        self.assertRegex(said.getvalue(), rf"(?m)^asks others for a while: .* \({TRACE}\)$")


class FramesTest(CallsTestCase):
    """Between nodes of two versions."""

    def logged(self, **more: Any) -> dict[str, Any]:
        items = [{"op": "info", "book": 4}, {"op": "info", "book": 5}]
        call = {"id": 1, "path": "/read", "items": items, **more}
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            [answer], _ = self.exchange(json.dumps(call).encode(), answers=1)
            self.shop.write_logs()
        self.assertEqual([one["answer"]["book"]["id"] for one in answer["results"]], [4, 5])
        [line] = [one for one in lines(logs.records) if one["method"] == "CALL"]
        return line

    def test_a_call_without_ids_is_answered(self) -> None:
        """As an older node sends it."""
        self.assertEqual(self.logged()["trace_id"], "-")

    def test_a_field_that_is_not_known_is_passed_over(self) -> None:
        """As an older node passes over `traces`."""
        self.assertEqual(self.logged(what_comes_later=[1])["trace_id"], "-")

    def test_a_batch_names_the_ids_of_its_items_once(self) -> None:
        line = self.logged(traces=[TRACE, "my-id.7"])
        self.assertEqual((line["trace_ids"], line["note"]), ([TRACE, "my-id.7"], "2 items"))
        self.assertEqual(self.logged(traces=[TRACE, TRACE])["trace_id"], TRACE)
        self.assertEqual(self.logged(traces=[TRACE, ""])["trace_id"], TRACE)

    def test_ids_that_can_be_none_do_no_harm(self) -> None:
        for bad in (5, "ab", [1, None], ["a"] * 1000, {"a": 1}):
            self.assertEqual(self.logged(traces=bad)["trace_id"], "a" if bad == ["a"] else "-")
        line = self.logged(traces=["a\nb", "x" * 1000])
        self.assertEqual(line["trace_ids"], [r"a\x0ab", "x" * 64])
