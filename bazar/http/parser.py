"""Requests out of bytes, one at a time. No I/O: what arrives is fed, what is whole is read.

A head ends in an empty line, and so does a body in chunks. llhttp gets its input up to there and no
further, so that it never runs ahead into the next request: it says what is well-formed, we know
where a request ends. It is not asked again about the header lines that it was asked about last. A
message that could be read in two ways is refused, never repaired: else a proxy in front of us might
see other requests than we do.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from httptools import (
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)
from tornado.httputil import (
    HTTPHeaders,
    HTTPInputError,
    RequestStartLine,
    parse_request_start_line,
)

from bazar.errors import BadRequest, HeadersTooLarge, TargetTooLong, TooLarge
from bazar.http.headers import Headers
from bazar.http.stages import RequestStage

END = b"\r\n\r\n"
KEPT_BYTES = 2 << 10  # of a head that is parsed: tiny lines take many times their size
RAW_PER_BODY = 8  # a body in chunks of one byte takes six times its size
VERSIONS = (b"HTTP/1.1", b"HTTP/1.0")
CACHEABLE = (b"GET", b"HEAD")

_OFFER = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_DECLINED = b"\r\nX-Declined:"

# Request lines that llhttp is fine with, whatever it has seen before; there are others.
_BARE = re.compile(rb"(GET|HEAD) (/[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*+) (HTTP/1\.[01])(?=\r\n)")

# No head has these: no need to wait for its end. (llhttp finds all else that is wrong.)
_IMPOSSIBLE = re.compile(rb"[^\r]\n|\r[^\n]|\0")


class Progress(enum.Enum):
    SOME = "a step was made, but nothing is whole yet"
    NONE = "more must be fed first"


@dataclass(slots=True)
class Request:
    """A whole request; while its body is read, what there is of it."""

    start_line: RequestStartLine
    headers: HTTPHeaders
    body: bytearray
    remaining: int | None
    """Bytes of its body still to come; None if it comes in chunks."""
    raw: int = 0
    """Bytes that its chunks took, with all that surrounds them."""


class Parser:
    """What it raises is for the client, and the last thing to be said to it."""

    def __init__(self, head_bytes: int, body_bytes: int) -> None:
        self._head_bytes = head_bytes
        self._body_bytes = body_bytes
        self._parser = HttpRequestParser(self)
        self.rest, self._at = b"", 0
        """What was fed, from `_at` on not read yet. Empty if it all is."""
        self._incoming: Request | None = None
        self._whole = self._tunnel = False
        self.keep_alive = True
        """Whether the client lets another request follow the last one that was read."""
        self.request_line: tuple[bytes, ...] = ()
        """The request line: method, target, version, if it was well-formed."""
        self.headers: HTTPHeaders | None = None
        """The head, if it was judged."""
        # Most clients send the same header lines with every request, some the same request.
        self._head, self._fields = b"", b""  # the last bare head that another may follow
        self._line: tuple[bytes, ...] = (b"", b"", b"")
        self._parsed: tuple[bytes, HTTPHeaders] = b"", HTTPHeaders()

    def __len__(self) -> int:
        """Return how many bytes are fed but not read."""
        return len(self.rest) - self._at

    @property
    def stage(self) -> RequestStage:
        if self._incoming is not None:
            return RequestStage.BODY
        return RequestStage.HEAD if self.rest else RequestStage.IDLE

    @property
    def awaits_continue(self) -> bool:
        """Whether the client wants to hear that its body is welcome (RFC 9110 section 10.1.1)."""
        request = self._incoming
        return (
            request is not None
            and request.start_line.version == "HTTP/1.1"
            and request.headers.get("Expect", "").lower() == "100-continue"
            and not (self.rest or request.body)
        )

    def feed(self, data: bytes) -> None:
        self.rest = self.rest[self._at :] + data if self.rest else data
        self._at = 0

    def take_rest(self) -> bytes:
        """Return what was fed and not read, which is no request, and forget it."""
        rest = self.rest[self._at :]
        self.clear()
        return rest

    def clear(self) -> None:
        """Forget what was fed."""
        self.rest, self._at, self._incoming = b"", 0, None

    def read(self) -> Request | bytes | Progress:
        """Go a step. A GET or HEAD without a body comes as its bare header lines, well-formed but
        not judged: `parse` them unless `request_line` and they say enough. Those that were sent
        before come as the same object."""
        if self._incoming is not None:
            return self._read_body(self._incoming)
        data, start = self.rest, self._at
        if self._fields and self._knows(data, start):
            self.request_line, self.keep_alive = self._line, True
            self._take(start + len(self._head))
            return self._fields
        self.request_line, self.headers = (), None
        if data.startswith(b"\r\n", start):
            start += 2  # RFC 9112 section 2.2: one empty line before a request is forgiven
        end = data.find(END, start) + len(END)
        if end < len(END):
            self._check_size(data, start, len(data))
            if _IMPOSSIBLE.search(data, start):
                tls = data.startswith(b"\x16\x03")
                what = "TLS, which this port does not speak" if tls else "a stray CR, LF or NUL"
                raise BadRequest(f"malformed request: {what}")
            return Progress.NONE
        self._check_size(data, start, end)
        self._take(end)
        return self._read_head(data[start:end])

    def parse(self, fields: bytes) -> Request:
        """Return the request that begins with `request_line` and these header lines, which are not
        to be changed: the next one may have the same."""
        try:
            start_line = parse_request_start_line(b" ".join(self.request_line).decode("latin-1"))
            known, headers = self._parsed
            if fields != known:
                headers = Headers.read(fields[2:].decode("latin-1"))
                if len(fields) <= KEPT_BYTES:
                    self._parsed = fields, headers
            self.headers = headers
        except HTTPInputError as error:
            raise BadRequest(f"malformed request: {error}") from None
        remaining = self._body_length(start_line.version, headers)
        if self._tunnel and remaining != 0:
            raise BadRequest("CONNECT: has no body")
        return Request(start_line, headers, bytearray(), remaining)

    # --- steps -----------------------------------------------------------------------------------

    def _take(self, end: int) -> None:
        if end == len(self.rest):
            self.rest, self._at = b"", 0
        else:
            self._at = end

    def _check_size(self, data: bytes, start: int, end: int) -> None:
        limit = self._head_bytes
        if end - start <= limit:
            return
        if 0 <= data.find(b"\r\n", start) - start <= limit:
            raise HeadersTooLarge(f"headers: are over {limit} bytes")
        raise TargetTooLong(f"request line: is over {limit} bytes")

    def _knows(self, data: bytes, start: int) -> bool:
        """Whether what lies there begins with the last bare head, or one like it but for the
        target: llhttp would say the same of it."""
        if data.startswith(self._head, start):
            return True
        match = _BARE.match(data, start)
        if match is None or match[3] != self._line[2]:
            return False
        if not data.startswith(self._fields, match.end()):
            return False
        head = match[0] + self._fields
        if len(head) > min(self._head_bytes, KEPT_BYTES):
            return False
        self._head, self._line = head, match.groups()
        return True

    def _read_head(self, head: bytes) -> Request | bytes | Progress:
        self._check_syntax(head)
        line_end = head.find(b"\r\n")
        fields = head[line_end:]
        line = self.request_line = tuple(head[:line_end].split(b" "))
        # llhttp forgives two spaces, and knows more protocols than HTTP/1.
        if self._whole and len(line) == 3 and line[0] in CACHEABLE and line[2] in VERSIONS:
            if self.keep_alive and len(head) <= KEPT_BYTES:
                self._head, self._fields, self._line = head, fields, line
            return fields
        request = self.parse(fields)
        if self._whole:
            return request
        self._incoming = request
        return Progress.SOME

    def _check_syntax(self, head: bytes) -> None:
        self._whole = self._tunnel = False
        try:
            try:
                self._feed_head(head)
            except HttpParserUpgrade:
                self._tunnel = head.startswith(b"CONNECT ")
                if self._tunnel:
                    # We are no proxy. But the client may go on in another protocol: nothing
                    # behind this request is read.
                    self.keep_alive = False
                    return
                # An offer is the application's to take, or to answer in this protocol (RFC 9110
                # section 7.8). llhttp must not see it: it would take the body for the other's.
                self._parser, self._whole = HttpRequestParser(self), False
                self._feed_head(_OFFER.sub(_DECLINED, head))
        except HttpParserError as error:
            raise BadRequest(f"malformed request: {error}") from None

    def _feed_head(self, head: bytes) -> None:
        try:
            self._parser.feed_data(head)
        except HttpParserInvalidMethodError:
            # llhttp has a list of methods. The application may have another, or says no.
            _, space, rest = head.partition(b" ")
            self._parser = HttpRequestParser(self)
            self._parser.feed_data(b"POST" + space + rest)

    def _body_length(self, version: str, headers: HTTPHeaders) -> int | None:
        """Return the body's length, None if it comes in chunks. Stricter than llhttp: `gzip,
        chunked` is fine with it."""
        if version.encode() not in VERSIONS:
            raise BadRequest(f"{version}: is not a version of HTTP that is spoken here")
        coding = headers.get("Transfer-Encoding")
        if coding is not None:
            if coding.lower() != "chunked" or version != "HTTP/1.1":
                raise BadRequest("Transfer-Encoding: must be chunked (with HTTP/1.1), or missing")
            return None
        length = int(headers.get("Content-Length", "0"))  # llhttp lets only digits through
        self._check_body(length)
        return length

    def _check_body(self, length: int) -> None:
        if length > self._body_bytes:
            raise TooLarge(f"body: is over {self._body_bytes} bytes")

    def _read_body(self, request: Request) -> Request | Progress:
        data, start = self.rest, self._at
        if request.remaining is not None:
            end = min(len(data), start + request.remaining)
            request.remaining -= end - start
        else:
            end = data.find(END, start) + len(END)
            if end < len(END):
                end = len(data) - len(END) + 1  # an empty line may have come in part
            request.raw += max(end - start, 0)
        if end <= start:
            return Progress.NONE
        self._take(end)
        try:
            self._parser.feed_data(data[start:end])
        except HttpParserError as error:
            raise BadRequest(f"malformed body: {error}") from None
        self._check_body(max(len(request.body), request.raw // RAW_PER_BODY))
        if not self._whole:
            return Progress.SOME
        self._incoming = None
        return request

    # --- called by the parser --------------------------------------------------------------------

    def on_headers_complete(self) -> None:
        if self._whole:
            # Only if llhttp took something else than an empty line for the end of a request.
            raise ValueError("two requests where one was expected")
        self.keep_alive = self._parser.should_keep_alive()

    def on_body(self, piece: bytes) -> None:
        if self._incoming is not None:
            self._incoming.body += piece

    def on_message_complete(self) -> None:
        self._whole = True
