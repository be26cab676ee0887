"""A request has all that Tornado's own constructor would have given it."""

from __future__ import annotations

import functools
import itertools
import unittest
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import Mock

from tornado.httputil import HTTPHeaders, HTTPInputError, HTTPServerRequest, RequestStartLine

from bazar.http.served_request import ClientContext, ServedRequest

CLIENT = ClientContext("192.0.2.1", "https")
CONNECTION = Mock(context=CLIENT)
HOSTS: Sequence[dict[str, str]] = (
    {"Host": "Shop:80"},
    {"Host": "[::1]"},
    {},
    {"Host": "a b"},
    {"Host": "a,b"},
)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
KINDS: Sequence[dict[str, str]] = (
    *({}, FORM, {**FORM, "Content-Encoding": "gzip"}),
    {"Content-Type": "multipart/form-data; boundary=x"},
)
BODIES = (b"", b"a=b&a=c")


def made(make: Callable[[], HTTPServerRequest]) -> Any:
    """All attributes but times, with what is parsed of the body, or why it is refused."""
    try:
        request = make()
        request._parse_body()
    except HTTPInputError as error:
        return str(error)
    assert isinstance(request.request_time(), float)
    assert request.cookies == {}
    return {name: value for name, value in vars(request).items() if not name.endswith("_time")}


class ServedRequestTest(unittest.TestCase):
    def test_it_is_what_tornado_makes(self) -> None:
        targets = ("/info/4", "/a?b=c&b=%ff", "/?", "*", "http://h/")
        for target, version in itertools.product(targets, ("HTTP/1.1", "HTTP/1.0")):
            line = RequestStartLine("POST", target, version)
            for host, kind, body in itertools.product(HOSTS, KINDS, BODIES):
                headers = HTTPHeaders({**host, **kind})
                with self.subTest(line=line, headers=str(headers), body=body):
                    given: dict[str, Any] = {"start_line": line, "headers": headers, "body": body}
                    given["connection"] = CONNECTION
                    ours = functools.partial(ServedRequest, **given, client=CLIENT)
                    theirs = functools.partial(HTTPServerRequest, **given)
                    self.assertEqual(made(ours), made(theirs))
