"""Headers say what Tornado's would, and refuse what Tornado refuses."""

from __future__ import annotations

import unittest
from collections.abc import Callable

from hypothesis import example, given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders, HTTPInputError

from bazar.http.headers import Headers

pieces = st.sampled_from(
    ["Host", "a-B", "X_1", ":", ": ", " ", "\t", "\r\n", "\r", "\n", ",", '"', "\xe4", "\x7f", "\0"]
)
lines = st.lists(pieces, max_size=24).map("".join)


def told(read: Callable[[str], HTTPHeaders], text: str) -> list[tuple[str, str]] | None:
    try:
        return list(read(text).get_all())
    except HTTPInputError:
        return None


class HeadersTest(unittest.TestCase):
    @given(lines)
    @example("Host: a\r\nhOST:b \t\r\nEmpty:\r\nIn: a \t b\r\n\r\n")
    @example("Host: a\r\n folded\r\n\r\n")
    @example("Host: a\nb: c\n")
    @example("No colon\r\n")
    @example("Space : a\r\n")
    def test_lines_are_read_as_tornado_reads_them(self, text: str) -> None:
        self.assertEqual(told(Headers.read, text), told(HTTPHeaders.parse, text))

    def test_it_begins_with_what_it_is_given(self) -> None:
        fields = {"Content-Type": "text/html", "Cache-Control": "no-cache"}
        headers, others = Headers(fields), HTTPHeaders(fields)
        for one in (headers, others):
            one["content-type"] = "text/plain"
            one.add("Set-Cookie", "a=b")
            one.add("Set-Cookie", "c=d")
            del one["Cache-Control"]
        self.assertEqual(list(headers.get_all()), list(others.get_all()))
        self.assertEqual(headers.get("SET-cookie"), "a=b,c=d")
        self.assertIsNone(headers.get("Cache-Control"))
        self.assertEqual(headers.get("Cache-Control", "none"), "none")
        self.assertEqual(fields, {"Content-Type": "text/html", "Cache-Control": "no-cache"})
