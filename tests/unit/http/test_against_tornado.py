"""The same bytes to the edge and to Tornado's own server, over one application: what both take must
reach it alike and be answered alike, and what Tornado refuses the edge must refuse.

The deliberate differences:
- Tornado refuses with a bare 400 or by closing; the edge says why, in JSON.
- The edge is stricter (`STRICTER`): no line end but CRLF, no bytes outside of ASCII in a target,
  which is a path, a URL or `*`, no chunks with HTTP/1.0, one Content-Length only.
- The edge knows what Tornado does not (`LENIENT`): chunk extensions and trailers, which it ignores,
  and lists in Connection.
- Tornado sends 100 (Continue) also where nothing is awaited.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders
from tornado.netutil import bind_sockets

from bazar.http.state import Limits
from tests.patience import PATIENCE_S
from tests.unit.http.door import Door, RawClient

HEAD_BYTES = 600
BODY_BYTES = 40
# Ends whatever is still open, a body of any length within the limit included.
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
OWN_HEADERS = ("Date", "X-Request-Id", "X-Cache")


@dataclass
class Told:
    """What a server has answered, up to where it refused."""

    answers: list[tuple[int, list[tuple[str, str]], bytes]]
    refused: bool


def understand(data: bytes, requests: bytes) -> Told:
    told = Told([], False)
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        line, _, lines = head.decode("latin-1").partition("\r\n")
        status = int(line.split(" ")[1])
        headers = HTTPHeaders.parse(lines)
        if status == 100:
            continue
        if not headers or (status >= 400 and headers.get("X-Content-Type-Options")):
            told.refused = True
            break
        body, data = b"", data
        if status != 304 and not data.startswith(b"HTTP/1.1 "):  # else it answers a HEAD
            length = int(headers["Content-Length"])
            body, data = data[:length], data[length:]
        shown = [(name, value) for name, value in headers.get_all() if name not in OWN_HEADERS]
        told.answers.append((status, sorted(shown), body))
    else:
        # The last request was not answered: it was refused without a word.
        told.refused = not (told.answers and b'"/last"' in told.answers[-1][2])
    return told


async def both(requests: bytes) -> tuple[Told, Told]:
    """What the edge and what Tornado say."""
    limits = Limits(head_bytes=HEAD_BYTES)
    async with Door(limits, BODY_BYTES) as door:
        tornado = HTTPServer(door.application, max_header_size=HEAD_BYTES, max_body_size=BODY_BYTES)
        sockets = bind_sockets(0, "127.0.0.1")
        tornado.add_sockets(sockets)
        try:
            told = []
            for port in (door.port, sockets[0].getsockname()[1]):
                client = RawClient(*await asyncio.open_connection("127.0.0.1", port))
                client.send(requests + LAST * 3)
                told.append(understand(await client.rest(), requests))
                await client.close()
        finally:
            tornado.stop()
            await asyncio.wait_for(tornado.close_all_connections(), PATIENCE_S)
    edge, other = told
    return edge, other


STRICTER = re.compile(
    rb"[^\r]\n|\r[^\n]|^\n"
    rb"|^[^:\r\n]* [^\r\n]*[^!-~ \r\n][^\r\n]*HTTP/"
    rb"|^\S* (?!/|\*|[a-z]+://)[^\r\n]*HTTP/"
    rb"|HTTP/1\.0\r\n(?s:.)*transfer-encoding"
    rb"|content-length(?s:.)*(content-length|,)",
    re.IGNORECASE | re.MULTILINE,
)
LENIENT = re.compile(
    rb"transfer-encoding: *chunked(?s:.)*(;|\r\n0+\r\n[^\r])|connect",
    re.IGNORECASE,
)
OTHER_CONNECTION = re.compile(  # a list, on one line or on several
    rb"connection:[^\r]*(,|\r\n([^\r\n]+\r\n)*?connection:)", re.IGNORECASE
)


def compare(requests: bytes) -> None:
    edge, tornado = asyncio.run(both(requests))
    if OTHER_CONNECTION.search(requests):
        for told in (edge, tornado):
            for _, headers, _ in told.answers:
                headers[:] = [one for one in headers if one[0] != "Connection"]
    common = min(len(edge.answers), len(tornado.answers))
    assert edge.answers[:common] == tornado.answers[:common]
    if len(edge.answers) < len(tornado.answers):
        assert STRICTER.search(requests) or OTHER_CONNECTION.search(requests), (edge, tornado)
    elif len(edge.answers) > len(tornado.answers):
        assert LENIENT.search(requests), (edge, tornado)
    else:
        assert edge.refused == tornado.refused or LENIENT.search(requests), (edge, tornado)


methods = st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "BREW", "X"])
targets = st.sampled_from(
    ["/cached", "/cached", "/", "/a?b=c", "/%41?x=%ff&y", "*", "http://h/cached", "/a;b", "//"]
)
versions = st.sampled_from(["HTTP/1.1"] * 6 + ["HTTP/1.0"])
fields = st.sampled_from(
    [
        "Accept: */*",
        "accept-language:en",
        "If-None-Match: *",
        'If-None-Match: "a", W/"b"',
        "X-Request-Id: mine",
        "X-Request-Id: not mine",
        "X: \xe4\xf6 \t ",
        "Empty:",
        "Connection: keep-alive",
        "Connection: close",
        "Connection: Close",
        "Expect: 100-continue",
        "Cookie: a=b; c=d",
        "Connection: Upgrade\r\nUpgrade: h2c",
        "Connection: upgrade\r\nupgrade: websocket",
    ]
)
hostile_fields = st.sampled_from(
    [
        "Host: b",
        "Host: a b",
        "Content-Length: 3",
        "Content-Length: 41",
        "Content-Length: -1",
        "Content-Length: 3, 3",
        "Content-Length: \xb2",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\x0bchunked",
        "X: a\r\n folded",
        "X: a\x00b",
        "X: a\rb",
        "X: a\nY: b",
        "No colon",
        " Space: first",
        ": no name",
        "N\xe4me: x",
        "Connection: foo, close",
        "X: " + "x" * HEAD_BYTES,
    ]
)
bodies = st.binary(max_size=BODY_BYTES + 2)


@st.composite
def messages(draw: st.DrawFn, hostile: bool) -> bytes:
    lines = [f"{draw(methods)} {draw(targets)} {draw(versions)}"]
    if not hostile or draw(st.integers(0, 9)):
        lines.append(draw(st.sampled_from(["Host: a", "host:a:80", "HOST: [::1]"])))
    lines += draw(st.lists(fields, max_size=3, unique_by=lambda field: field[:5]))
    if hostile and draw(st.booleans()):
        lines.insert(draw(st.integers(1, len(lines))), draw(hostile_fields))
    body = b""
    framing = draw(st.sampled_from(["none", "none", "length", "chunked"]))
    if framing == "length":
        body = draw(bodies)
        lines.append(f"Content-Length: {len(body)}")
    elif framing == "chunked":
        chunks = [one for one in draw(st.lists(bodies, max_size=3)) if one]
        body = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n"
        lines.append("Transfer-Encoding: chunked")
    message = "\r\n".join([*lines, "", ""]).encode("latin-1") + body
    if hostile and draw(st.booleans()):
        at = draw(st.integers(0, len(message)))
        length = draw(st.integers(0, 3))
        new = draw(st.one_of(st.binary(max_size=3), st.sampled_from([b"\r\n", b"\n", b"\r\n\r\n"])))
        message = message[:at] + new + message[at + length :]
    return message


@given(st.lists(messages(hostile=False), min_size=1, max_size=4))
@example([b"GET /cached HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"])
@settings(max_examples=150)
def test_what_is_well_formed_is_answered_alike(sent: list[bytes]) -> None:
    compare(b"".join(sent))


@given(st.lists(messages(hostile=True), min_size=1, max_size=3))
@example([b"X !/cached HTTP/1.1\r\nHost: a\r\n\r\n"])
@settings(max_examples=250)
def test_what_is_hostile_reaches_the_application_through_neither(sent: list[bytes]) -> None:
    compare(b"".join(sent))


def test_the_comparison_itself_sees_answers() -> None:
    sent = b"GET /cached HTTP/1.1\r\nHost: a\r\n\r\nPUT /a HTTP/1.1\r\nHost: a\r\n\r\n"
    edge, tornado = asyncio.run(both(sent))
    assert edge == tornado
    assert [status for status, _, _ in edge.answers] == [200, 200, 200]
    assert json.loads(edge.answers[1][2])["method"] == "PUT"
    assert not edge.refused
    edge, tornado = asyncio.run(both(sent + b"nonsense\r\n\r\n"))
    assert edge == tornado
    assert (len(edge.answers), edge.refused) == (2, True)
