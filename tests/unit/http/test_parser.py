"""The edge's parser of requests: what it takes, what it refuses, wherever the bytes are split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bazar.errors import BazarError
from bazar.http.parser import KEPT_BYTES, Parser, Progress, Request
from bazar.http.stages import RequestStage

HEAD_BYTES = 300
BODY_BYTES = 60
CHUNKED = b"PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
SIZED = b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
PLAIN = b"GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n"

Seen = tuple[str, str, bytes]


def read(pieces: Iterable[bytes]) -> tuple[list[Seen], BazarError | None]:
    """The requests in these pieces, and what was refused in the end."""
    parser = Parser(HEAD_BYTES, BODY_BYTES)
    seen: list[Seen] = []
    try:
        for piece in pieces:
            parser.feed(piece)
            while True:
                step = parser.read()
                if isinstance(step, bytes):
                    step = parser.parse(step)
                if isinstance(step, Request):
                    line = step.start_line
                    seen.append((line.method, line.path, bytes(step.body)))
                elif step is Progress.NONE:
                    break
    except BazarError as error:
        return seen, error
    return seen, None


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


GOOD: Sequence[tuple[bytes, list[Seen]]] = (
    (PLAIN, [("GET", "/a?b=c", b"")]),
    (b"\r\n" + PLAIN, [("GET", "/a?b=c", b"")]),
    (PLAIN * 3, [("GET", "/a?b=c", b"")] * 3),
    (PLAIN + b"\r\n" + PLAIN, [("GET", "/a?b=c", b"")] * 2),
    (SIZED % 5 + b"hello" + PLAIN, [("PUT", "/a", b"hello"), ("GET", "/a?b=c", b"")]),
    (SIZED % 0 + PLAIN, [("PUT", "/a", b""), ("GET", "/a?b=c", b"")]),
    (SIZED % 8 + b"\r\n\r\n\r\n\r\n" + PLAIN, [("PUT", "/a", b"\r\n" * 4), ("GET", "/a?b=c", b"")]),
    (CHUNKED + b"0\r\n\r\n" + PLAIN, [("PUT", "/a", b""), ("GET", "/a?b=c", b"")]),
    (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n" + PLAIN,
     [("PUT", "/a", b"hello"), ("GET", "/a?b=c", b"")]),
    (CHUNKED + b"00A\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n" + PLAIN,
     [("PUT", "/a", b"0\r\n\r\n0\r\n\r\n"), ("GET", "/a?b=c", b"")]),
    (CHUNKED + b"1;x=y\r\na\r\n1\r\nb\r\n0;z\r\nTrailer: c\r\n\r\n" + PLAIN,
     [("PUT", "/a", b"ab"), ("GET", "/a?b=c", b"")]),
    (b"BREW /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx" + PLAIN,
     [("BREW", "/a", b"x"), ("GET", "/a?b=c", b"")]),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" + PLAIN,
     [("GET", "/", b"hi"), ("GET", "/a?b=c", b"")]),
)  # fmt: skip

BAD: Sequence[tuple[bytes, int]] = (
    # Not a request.
    (b"nonsense\r\n\r\n", 400),
    (b"\r\n\r\n" + PLAIN, 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    (b"GET /\r\n\r\n", 400),
    (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400),
    (b"GET / RTSP/1.0\r\nHost: a\r\n\r\n", 400),
    (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
    (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    # Line ends, folding, controls.
    (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
    (b"GET / HTTP/1.1\rHost: a\r\r", 400),
    (b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nA: b\r\n\tc: d\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n A: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nA: b\x00c\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nA: b\x01c\r\n\r\n", 400),
    (b"GET /\x00 HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nA : b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nA\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n: b\r\n\r\n", 400),
    # Which body?
    (SIZED % 3 + b"abc d" + PLAIN, 400),
    (SIZED[:-2] % 3 + b"Content-Length: 3\r\n\r\nabc", 400),
    (SIZED[:-2] % 3 + b"Content-Length: 4\r\n\r\nabcd", 400),
    (SIZED[:-2] % 3 + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (CHUNKED[:-2] + b"Content-Length: 3\r\n\r\n0\r\n\r\n", 400),
    (CHUNKED[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    *((b"PUT / HTTP/1.1\r\nTransfer-Encoding: %b\r\n\r\n0\r\n\r\n" % coding, 400)
      for coding in (b"gzip", b"identity", b"gzip, chunked", b"chunked, gzip", b"xchunked", b"",
                     b"\x0bchunked", b"chunked;a=b", b'"chunked"')),
    (b"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    *((b"PUT / HTTP/1.1\r\nContent-Length: %b\r\n\r\n" % length, 400)
      for length in (b"", b"-1", b"+1", b"1_0", b"0x1", b"1 1", b"1,1", b"1;1", b"9" * 30,
                     b"\xb2")),
    (b"PUT / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: a\r\n\r\na", 400),
    (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na", 400),
    # Chunks.
    *((CHUNKED + chunks + b"...", 400)  # three bytes are held back, they may begin an empty line
      for chunks in (b"x\r\n", b"0x1\r\na\r\n", b"-1\r\n", b"1 \r\na\r\n", b" 1\r\na\r\n", b"1\na",
                     b"1\r\nab\r\n", b"1\r\na\n0\r\n\r\n", b"0\r\n\n\r\n\r\n", b"0\n\r\n\r\n",
                     b"f" * 17 + b"\r\n", b"1;\x00\r\na\r\n", b"0\r\nA : b\r\n\r\n",
                     b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\nTransfer-Encoding: x\r\n\r\n")),
    # Too much.
    (b"GET /" + b"a" * HEAD_BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    (b"GET /" + b"a" * 10 * HEAD_BYTES, 414),
    (b"GET / HTTP/1.1\r\nA: " + b"a" * HEAD_BYTES + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nA: " + b"a" * 10 * HEAD_BYTES, 431),
    (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 60 + b"\r\n", 431),
    (SIZED % (BODY_BYTES + 1), 413),
    (SIZED % (BODY_BYTES + 1) + b"a" * (BODY_BYTES + 1), 413),
    (CHUNKED + b"3d\r\n" + b"a" * 61 + b"\r\n0\r\n\r\n", 413),
    (CHUNKED + b"1\r\na\r\n" * 61 + b"0\r\n\r\n", 413),
    (CHUNKED + b"1;" + b"x" * 1000 + b"\r\na\r\n0\r\n\r\n", 413),
    (CHUNKED + b"0\r\n" + b"X: y\r\n" * 1000 + b"\r\n", 413),
)  # fmt: skip


@pytest.mark.parametrize(("data", "expected"), GOOD)
def test_whole_bytewise_and_split_anywhere(data: bytes, expected: list[Seen]) -> None:
    assert read([data]) == (expected, None)
    assert read(bytewise(data)) == (expected, None)
    for at in range(len(data)):
        assert read([data[:at], data[at:]]) == (expected, None)


@pytest.mark.parametrize(("data", "status"), BAD)
def test_refused_whole_and_bytewise(data: bytes, status: int) -> None:
    for before in (b"", SIZED % 2 + b"hi", CHUNKED + b"0\r\n\r\n"):
        for pieces in ([before + data], [before, data], bytewise(before + data)):
            seen, error = read(pieces)
            assert error is not None, (seen, pieces[:2])
            assert error.status == status, error
            # Nothing that came with what is refused is taken for a request.
            assert len(seen) <= bool(before) + (PLAIN in data or b"abc" in data)


@given(st.data())
def test_how_it_is_split_makes_no_difference(data: st.DataObject) -> None:
    known = [*(one for one, _ in GOOD), *(one for one, _ in BAD)]
    whole = b"".join(data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=4)))
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=8).map(sorted))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    seen, error = read([whole])
    split_seen, split_error = read(pieces)
    # (Which of two faults is seen first may differ.)
    assert (split_seen, split_error is None) == (seen, error is None)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_noise_is_read_or_refused(noise: bytes, at: int) -> None:
    for data in (noise, PLAIN[:at] + noise + PLAIN[at:], CHUNKED + noise):
        read([data])


def test_the_limits_are_exact() -> None:
    room = HEAD_BYTES - len(b"GET / HTTP/1.1\r\nA: \r\n\r\n")
    for size, status in ((room, None), (room + 1, 431)):
        _, error = read([b"GET / HTTP/1.1\r\nA: " + b"a" * size + b"\r\n\r\n"])
        assert (error and error.status) == status
    assert read([SIZED % BODY_BYTES + b"a" * BODY_BYTES])[1] is None
    assert read([CHUNKED + b"3c\r\n" + b"a" * BODY_BYTES + b"\r\n0\r\n\r\n"])[1] is None
    assert read([CHUNKED + b"1\r\na\r\n" * BODY_BYTES + b"0\r\n\r\n"])[1] is None


def test_it_says_what_it_waits_for() -> None:
    parser = Parser(HEAD_BYTES, BODY_BYTES)
    assert (parser.read(), parser.stage, len(parser)) == (Progress.NONE, RequestStage.IDLE, 0)
    parser.feed(SIZED[:20])
    assert (parser.read(), parser.stage, len(parser)) == (Progress.NONE, RequestStage.HEAD, 20)
    parser.feed(SIZED[20:] % 2)
    assert (parser.read(), parser.stage, len(parser)) == (Progress.SOME, RequestStage.BODY, 0)
    assert not parser.awaits_continue
    parser.feed(b"hi")
    assert isinstance(parser.read(), Request)
    assert parser.stage is RequestStage.IDLE
    parser.feed(PLAIN[:5])
    parser.clear()
    assert (parser.stage, len(parser)) == (RequestStage.IDLE, 0)


def test_keep_alive_is_the_clients_wish() -> None:
    for version, connection, kept in (
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: foo, Close\r\n", False),
        (b"1.1", b"Connection: keep-alive\r\n", True),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: Keep-Alive\r\n", True),
        (b"1.1", b"Connection: Upgrade\r\nUpgrade: h2c\r\n", True),
        (b"1.1", b"Connection: Upgrade, close\r\nUpgrade: h2c\r\n", False),
    ):
        parser = Parser(HEAD_BYTES, BODY_BYTES)
        parser.feed(b"GET / HTTP/%b\r\nHost: a\r\n%b\r\n" % (version, connection))
        assert isinstance(parser.read(), bytes)
        assert parser.keep_alive is kept, connection


def test_a_client_may_ask_whether_its_body_is_welcome() -> None:
    for version, expect, sent, asked in (
        (b"1.1", b"100-continue", b"", True),
        (b"1.1", b"100-Continue", b"", True),
        (b"1.1", b"100-continue", b"h", False),
        (b"1.0", b"100-continue", b"", False),
        (b"1.1", b"something", b"", False),
    ):
        parser = Parser(HEAD_BYTES, BODY_BYTES)
        parser.feed(b"PUT / HTTP/%b\r\nContent-Length: 2\r\nExpect: %b\r\n\r\n" % (version, expect))
        parser.feed(sent)
        assert parser.read() is Progress.SOME
        assert parser.awaits_continue is asked, (version, expect, sent)


def test_a_repeated_head_is_parsed_once_and_a_large_one_is_not_kept() -> None:
    for lines, kept in ((b"Host: a\r\n", True), (b"a: b\r\n" * (KEPT_BYTES // 5), False)):
        parser = Parser(HEAD_BYTES + 2 * KEPT_BYTES, BODY_BYTES)
        found = []
        for _ in range(2):
            parser.feed(b"PUT / HTTP/1.1\r\n" + lines + b"\r\n")
            request = parser.read()
            assert isinstance(request, Request)
            found.append(request.headers)
        assert found[0] == found[1]
        assert (found[0] is found[1]) is kept


def step(parser: Parser, head: bytes) -> tuple[object, ...]:
    """What the parser makes of a head: what it would do next, and the error that ends it."""
    parser.feed(head)
    try:
        found = parser.read()
        if isinstance(found, bytes):
            found = parser.parse(found)
    except BazarError as error:
        return (error.status, parser.request_line)
    shown = (found.start_line, found.remaining) if isinstance(found, Request) else (found,)
    return (*shown, parser.request_line, parser.headers, parser.keep_alive, len(parser))


@pytest.mark.parametrize(
    "fields",
    (
        b"Host: a\r\n",
        b"Host: a\r\nContent-Length: 0\r\n",
        b"Host: a\r\nContent-Length: 2\r\n",
        b"Host: a\r\nTransfer-Encoding: chunked\r\n",
        b"Host: a\r\nConnection: keep-alive\r\n",
        b"Host: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n",
        b"",
    ),
)
def test_the_same_header_lines_mean_what_they_mean_to_a_new_parser(fields: bytes) -> None:
    """Only what llhttp would say anyway is not asked again."""
    first = b"GET /a HTTP/1.1\r\n" + fields + b"\r\n"
    long = b"/" + b"a" * (HEAD_BYTES - len(first) + 2)
    for line in (
        *(b"GET /a HTTP/1.1", b"HEAD /b?c=d%20e HTTP/1.1", b"\r\nGET / HTTP/1.1"),
        *(b"GET /a HTTP/1.0", b"GET /a HTTP/2.0", b"GET /a HTTP/1.1 ", b"GET /a"),
        *(b"GET  /a HTTP/1.1", b"GET /a b HTTP/1.1", b" GET /a HTTP/1.1", b"get /a HTTP/1.1"),
        *(b"PUT /a HTTP/1.1", b"CONNECT /a HTTP/1.1", b"CONNECT a:80 HTTP/1.1", b"BREW / HTTP/1.1"),
        *(b"GET a HTTP/1.1", b"GET * HTTP/1.1", b"GET http://a/b HTTP/1.1", b"GET  HTTP/1.1"),
        *(
            b"GET /\x00 HTTP/1.1",
            b"GET /\x7f HTTP/1.1",
            b"GET /\xc3\xa4 HTTP/1.1",
            b"GET /{|} HTTP/1.1",
        ),
        *(
            b"GET /a\tb HTTP/1.1",
            b"GET /a\rb HTTP/1.1",
            b"GET /a\nb HTTP/1.1",
            b'GET /"<>^` HTTP/1.1',
        ),
        *(b"GET %b HTTP/1.1" % long[:-1], b"GET %b HTTP/1.1" % long, b""),
    ):
        for before in (first, first.replace(b"1.1", b"1.0")):
            used = Parser(HEAD_BYTES, BODY_BYTES)
            step(used, before)
            if not used.keep_alive or used.stage is not RequestStage.IDLE:
                continue
            head = line + b"\r\n" + fields + b"\r\n"
            assert step(used, head) == step(Parser(HEAD_BYTES, BODY_BYTES), head), (before, head)


def test_header_lines_that_come_again_are_the_same_object() -> None:
    parser = Parser(HEAD_BYTES, BODY_BYTES)
    parser.feed(PLAIN + b"HEAD /d HTTP/1.1\r\nHost: a\r\n\r\n" + SIZED % 0 + PLAIN)
    first, second, put, third = (parser.read() for _ in range(4))
    assert isinstance(first, bytes) and isinstance(put, Request)
    assert second is first and third is first
    assert parser.request_line == (b"GET", b"/a?b=c", b"HTTP/1.1")


def test_a_large_bare_head_is_not_kept() -> None:
    """A connection may idle long, and there may be many."""
    room = KEPT_BYTES - len(b"GET / HTTP/1.1\r\nA: \r\n\r\n")
    for size, kept in ((room, True), (room + 1, False)):
        parser = Parser(2 * KEPT_BYTES, BODY_BYTES)
        head = b"GET / HTTP/1.1\r\nA: " + b"a" * size + b"\r\n\r\n"
        parser.feed(head * 2)
        first, second = parser.read(), parser.read()
        assert first == second == head[len(b"GET / HTTP/1.1") :]
        assert (first is second) is kept
