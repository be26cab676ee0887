"""What lines of the log look like."""

from __future__ import annotations

import json
import logging
import unittest
from datetime import datetime
from typing import Any

from bazar import trace_context
from bazar.http.access_log import Line, Lines
from bazar.http.traffic import ASTRAY
from bazar.node.log_format import JSONLines, LineByLine, dropped, formatter

HIT: Line = (b"a1", b"::1", b"GET", b"/a?key=x", 200, 1.25, b"data is cached", ASTRAY)
CALL: Line = (b"a1,b2", b"::1", b"CALL", b"/write\n", 503, 2.0, b"", ASTRAY)


def record(message: object, *values: object, **more: Any) -> logging.LogRecord:
    plain = {"name": "bazar", "levelname": "INFO", "msg": message, "args": values}
    return logging.makeLogRecord({**plain, "created": 1_700_000_000.25, **more})


class TextTest(unittest.TestCase):
    def test_requests_have_a_line_each(self) -> None:
        shown = LineByLine("%(levelname).1s %(message)s").format(record(Lines(b"n", [HIT, CALL])))
        self.assertEqual(
            shown,
            "I n a1 ::1 GET /a?key=… 200 1.2 ms - data is cached\n"
            r"I n a1,b2 ::1 CALL /write\x0a 503 2.0 ms",
        )

    def test_what_is_said_for_a_request_names_it(self) -> None:
        said, hit = record("asks %s", "others"), record(Lines(b"n", [HIT]))
        shown = LineByLine("%(message)s")
        token = trace_context.current.set("a1")
        self.assertEqual(shown.format(said), "asks others (a1)")
        self.assertEqual(shown.format(hit), str(hit.msg))  # it is of many
        self.assertEqual(json.loads(JSONLines("n").format(said))["trace_id"], "a1")
        trace_context.current.reset(token)
        self.assertEqual(shown.format(said), "asks others")


class JSONTest(unittest.TestCase):
    def test_a_message(self) -> None:
        shown = JSONLines("catalog-1").format(record("is %s\nin epoch 2", "primary"))
        self.assertNotIn("\n", shown)
        plain = json.loads(shown)
        self.assertEqual(datetime.fromisoformat(plain["time"]).timestamp(), 1_700_000_000.25)
        self.assertEqual(
            plain,
            {
                "time": "2023-11-14T22:13:20.250Z",
                "level": "info",
                "node": "catalog-1",
                "message": "is primary\nin epoch 2",
            },
        )

    def test_requests_have_an_object_each(self) -> None:
        hit, call = map(
            json.loads, JSONLines("").format(record(Lines(b"n", [HIT, CALL]))).split("\n")
        )
        self.assertEqual(
            hit,
            {
                "time": "2023-11-14T22:13:20.250Z",
                "level": "info",
                "node": "n",
                "message": "GET /a?key=… 200",
                "trace_id": "a1",
                "client": "::1",
                "method": "GET",
                "path": "/a?key=…",
                "status": 200,
                "duration_ms": 1.25,
                "note": "data is cached",
            },
        )
        self.assertEqual((call["trace_ids"], call["path"]), (["a1", "b2"], r"/write\x0a"))
        self.assertNotIn("note", call)

    def test_an_error_has_its_traceback(self) -> None:
        try:
            raise ValueError("odd")
        except ValueError as error:
            failed = record("it failed", exc_info=(ValueError, error, error.__traceback__))
        self.assertIn("ValueError: odd", json.loads(JSONLines("n").format(failed))["exception"])

    def test_any_text_can_be_said(self) -> None:
        for text in ("\udcff", "\x00", "\u2028", '"'):
            shown = JSONLines("n").format(record("%s", text))
            self.assertEqual(json.loads(shown)["message"], text)

    def test_lines_that_are_dropped_are_told_in_the_same_way(self) -> None:
        told = json.loads(dropped("json", 3))
        self.assertEqual((told["level"], told["message"][:8]), ("warning", "(3 lines"))
        self.assertEqual(dropped("text", 3)[:8], "(3 lines")
        self.assertIsInstance(formatter("json", "n"), JSONLines)
        self.assertIsInstance(formatter("text", "n"), LineByLine)
