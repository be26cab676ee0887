"""Which id a request has (W3C Trace Context, level 1)."""

from __future__ import annotations

import unittest

from bazar import trace_context

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


class GivenTest(unittest.TestCase):
    def test_a_trace_parent_says_it(self) -> None:
        for text in (
            f"00-{TRACE}-{PARENT}-01",
            f"00-{TRACE}-{PARENT}-00",
            f"00-{TRACE}-{PARENT}-ff",
            f"01-{TRACE}-{PARENT}-01",  # a later version begins alike
            f"cc-{TRACE}-{PARENT}-01-what-comes-later",
        ):
            self.assertEqual(trace_context.given(text, "other"), TRACE, text)

    def test_what_is_none_is_as_if_it_were_not_there(self) -> None:
        for text in (
            "",
            "00",
            f"ff-{TRACE}-{PARENT}-01",
            f"00-{TRACE}-{PARENT}-01-more",
            f"00-{TRACE}-{PARENT}-01-",
            f"01-{TRACE}-{PARENT}-01.more",
            f"00-{TRACE.upper()}-{PARENT}-01",
            f"00-{'0' * 32}-{PARENT}-01",
            f"00-{TRACE}-{'0' * 16}-01",
            f"00-{TRACE}-{PARENT}-1",
            f"00-{TRACE}-{PARENT}",
            f"00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01",
            f" 00-{TRACE}-{PARENT}-01",
            f"00-{TRACE}-{PARENT}-01\n",
            f"00-{TRACE[:-1]}-{PARENT}-01",
        ):
            self.assertEqual(trace_context.given(text, ""), "", text)
            self.assertEqual(trace_context.given(text, "my-id.7"), "my-id.7", text)

    def test_a_new_one_can_be_passed_on(self) -> None:
        made = {trace_context.new_id() for _ in range(100)}
        self.assertEqual(len(made), 100)
        for one in made:
            self.assertEqual(trace_context.given(f"00-{one}-{PARENT}-00", ""), one)

    def test_requests_to_other_nodes_name_it(self) -> None:
        self.assertEqual(trace_context.headers(), {})
        token = trace_context.current.set(TRACE)
        sent = trace_context.headers()
        trace_context.current.set("my-id.7")
        self.assertEqual(trace_context.headers(), {"X-Request-Id": "my-id.7"})
        trace_context.current.reset(token)
        self.assertEqual(trace_context.given(sent["traceparent"], ""), TRACE)
